#include "clew/wasm/detail/guest.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew::wasm {
namespace {

constexpr std::size_t shown_stderr = 1024;

// The end of what a guest said, as text that can be shown.
std::string tail_of(std::string_view text) {
  if (text.size() > shown_stderr) text.remove_prefix(text.size() - shown_stderr);
  std::string shown(text);
  if (!is_utf8(shown)) {
    for (auto& c : shown) c = static_cast<unsigned char>(c) < 0x80U ? c : '?';
  }
  return shown;
}

}  // namespace

// How the engine says that a run ended; no text: it returned.
struct Guest::Ended {
  std::string text;
  std::optional<std::uint8_t> trap_code;
  bool instantiated = false;
};

Guest::Guest(Engine& engine, GuestWorld& world, Invocation& call, const Limits& limits)
    : engine_(engine),
      world_(world),
      call_(call),
      limits_(limits),
      budget_{static_cast<std::size_t>(limits.memory_bytes)},
      input_(canonical_json(call.input())),
      wall_deadline_(world.env.clock().now() + limits.wall) {}

Result<Value> Guest::run(const Module& module) {
  const auto& api = engine_.api();
  const std::unique_ptr<wt::Store, void (*)(wt::Store*)> store(
      api.wasmtime_store_new(engine_.raw(), this, nullptr), api.wasmtime_store_delete);
  wt::Context* const context = api.wasmtime_store_context(store.get());
  constexpr std::int64_t unlimited = -1;  // memory is limited by its budget
  api.wasmtime_store_limiter(store.get(), unlimited, limits_.table_elements, 1, 8, 1);
  api.wasmtime_store_epoch_deadline_callback(store.get(), &Guest::on_tick, this, nullptr);
  api.wasmtime_context_set_epoch_deadline(context, 1);
  if (auto* failure =
          api.wasmtime_context_set_fuel(context, static_cast<std::uint64_t>(limits_.fuel))) {
    return error(Code::internal, "no fuel for a guest: {}", api.take(failure));
  }
  const Ticker::Scope ticks(engine_.ticker());
  const Memories::Scope memories(budget_);
  const auto ended = enter(module, context);
  auto result = outcome(ended, context);
  if (!stderr_.empty() && world_.options.on_stderr) world_.options.on_stderr(call_, stderr_);
  return result;
}

Guest::Ended Guest::enter(const Module& module, wt::Context* context) {
  const auto& api = engine_.api();
  Ended ended;
  wt::Instance instance{};
  wt::Trap* trap = nullptr;
  wt::Failure* failure =
      api.wasmtime_instance_pre_instantiate(module.instances(), context, &instance, &trap);
  if (failure == nullptr && trap == nullptr) {
    ended.instantiated = true;
    wt::Extern start{};
    CLEW_CHECK(api.wasmtime_instance_export_get(context, &instance, "_start", 6, &start));
    failure = api.wasmtime_func_call_unchecked(context, &start.of.func, nullptr, 0, &trap);
  }
  if (trap != nullptr) {
    std::uint8_t code = 0;
    if (api.wasmtime_trap_code(trap, &code)) ended.trap_code = code;
    ended.text = api.take(trap);
  }
  if (failure != nullptr) ended.text = api.take(failure);
  return ended;
}

Result<Value> Guest::outcome(const Ended& ended, wt::Context* context) {
  const bool returned = ended.text.empty() || (stop_ == Stop::exited && exit_code_ == 0);
  if (!returned) return ended_error(ended, context);
  auto output = parse_output();
  if (!output && budget_.refused) return ended_error(ended, context);
  return output;
}

Error Guest::ended_error(const Ended& ended, wt::Context* context) const {
  const auto& id = call_.capability()->contract.id;
  switch (stop_) {
    case Stop::cancelled:
      return error(Code::cancelled, "{} was told to stop", id);
    case Stop::wall:
      return limit_error(Code::timeout, "wall", Value(to_string(limits_.wall)),
                         "ran longer than it may");
    case Stop::output:
      return limit_error(Code::resource_exhausted, "output_bytes", Value(limits_.output_bytes),
                         "wrote more output than it may");
    case Stop::failed:
      return *failure_;
    case Stop::exited:
    case Stop::none:
      break;
  }
  if (ended.trap_code == wt::trap_out_of_fuel) {
    return limit_error(Code::timeout, "fuel", Value(limits_.fuel), "used up its fuel");
  }
  if (budget_.refused) {
    return limit_error(Code::resource_exhausted, "memory_bytes", Value(limits_.memory_bytes),
                       "asked for more memory than it may have");
  }
  if (!ended.instantiated && !ended.trap_code) {
    return limit_error(Code::resource_exhausted, "table_elements", Value(limits_.table_elements),
                       "needs more than it may have: " + ended.text);
  }
  if (stop_ == Stop::exited) return exit_error();
  auto trapped = error(Code::execution_failed, "{} trapped: {}", id, ended.text)
                     .with("reason", "trap")
                     .with("trap", ended.text);
  std::uint64_t fuel = 0;
  if (auto* failure = engine_.api().wasmtime_context_get_fuel(context, &fuel)) {
    engine_.api().wasmtime_error_delete(failure);
  } else {
    trapped = trapped.with("fuel_used", limits_.fuel - static_cast<std::int64_t>(fuel));
  }
  return stderr_.empty() ? trapped : trapped.with("stderr", tail_of(stderr_));
}

Error Guest::exit_error() const {
  return error(Code::execution_failed, "{} ended with exit code {}",
               call_.capability()->contract.id, exit_code_)
      .with("reason", "exit_code")
      .with("exit_code", exit_code_)
      .with("stderr", tail_of(stderr_));
}

Result<Value> Guest::parse_output() const {
  auto value = parse_json(output_);
  if (value) return value;
  return error(Code::execution_failed, "{} wrote something that is no JSON to standard output: {}",
               call_.capability()->contract.id, value.error().message())
      .with("reason", "stdout_not_json")
      .with("stdout", tail_of(output_))
      .with("stderr", tail_of(stderr_));
}

Error Guest::limit_error(Code code, std::string_view limit, Value value,
                         std::string_view what) const {
  return error(code, "{} {}: {} is {}", call_.capability()->contract.id, what, limit,
               to_json(value))
      .with("limit", limit)
      .with("value", std::move(value));
}

// ---- for host functions

std::span<std::uint8_t> Guest::memory(wt::Caller* caller) {
  const auto& api = engine_.api();
  wt::Context* const context = api.wasmtime_caller_context(caller);
  if (!memory_) {
    wt::Extern exported{};
    if (!api.wasmtime_caller_export_get(caller, "memory", 6, &exported)) return {};
    memory_ = exported.of.memory;
  }
  return {api.wasmtime_memory_data(context, &*memory_),
          api.wasmtime_memory_data_size(context, &*memory_)};
}

std::string_view Guest::read(std::size_t count) {
  const auto part = std::string_view(input_).substr(input_at_, count);
  input_at_ += part.size();
  return part;
}

bool Guest::write_output(std::string_view bytes) {
  const auto room = static_cast<std::size_t>(limits_.output_bytes) - output_.size();
  if (bytes.size() > room) return false;
  output_ += bytes;
  return true;
}

void Guest::write_stderr(std::string_view bytes) {
  const auto kept = static_cast<std::size_t>(limits_.stderr_bytes);
  stderr_ += bytes.substr(bytes.size() - std::min(bytes.size(), kept));
  if (stderr_.size() > kept) stderr_.erase(0, stderr_.size() - kept);
}

wt::Trap* Guest::stop(Stop why, std::int32_t exit_code) {
  stop_ = why;
  exit_code_ = exit_code;
  constexpr std::string_view text = "ended by the host";
  return engine_.api().wasmtime_trap_new(text.data(), text.size());
}

wt::Trap* Guest::fail(Error why) {
  failure_ = std::move(why);
  return stop(Stop::failed);
}

std::optional<Stop> Guest::must_stop() {
  if (call_.cancelled()) return Stop::cancelled;
  const auto now = world_.env.clock().now();
  if (now >= call_.deadline()) return Stop::cancelled;  // finish() sees that the deadline has won
  if (now >= wall_deadline_) return Stop::wall;
  return std::nullopt;
}

wt::Failure* Guest::on_tick(wt::Context*, void* self, std::uint64_t* ticks, std::uint8_t* kind) {
  auto& guest = *static_cast<Guest*>(self);
  *ticks = 1;
  *kind = 0;  // go on
  const auto why = guest.must_stop();
  if (!why) return nullptr;
  guest.stop_ = *why;
  return guest.engine_.api().wasmtime_error_new("ended by the host");
}

}  // namespace clew::wasm
