#include "clew/wasm/detail/engine.hpp"

#include "clew/base/check.hpp"
#include "clew/wasm/detail/abi.hpp"
#include "clew/wasm/limits.hpp"

namespace clew::wasm {
namespace {

constexpr std::size_t stack_bytes_max = 512U << 10U;

const std::uint8_t* raw(const std::string& bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// The only place that configures the engine: settings that contradict each other end the process.
// Without signals no handler of ours stands between the host program and its own. What makes a run
// depend on the machine (threads, relaxed SIMD, NaN bits) is off.
wt::Config* make_config(const wt::Api& api, Memories& memories) {
  wt::Config* const config = api.wasm_config_new();
  api.wasmtime_config_consume_fuel_set(config, true);
  api.wasmtime_config_epoch_interruption_set(config, true);
  api.wasmtime_config_max_wasm_stack_set(config, stack_bytes_max);
  api.wasmtime_config_signals_based_traps_set(config, false);
  api.wasmtime_config_memory_guard_size_set(config, 0);
  api.wasmtime_config_memory_reservation_set(config, Limits::memory_bytes_max);
  api.wasmtime_config_memory_may_move_set(config, false);
  api.wasmtime_config_memory_init_cow_set(config, false);
  api.wasmtime_config_parallel_compilation_set(config, false);
  api.wasmtime_config_cranelift_nan_canonicalization_set(config, true);
  api.wasmtime_config_wasm_threads_set(config, false);
  api.wasmtime_config_wasm_relaxed_simd_set(config, false);
  api.wasmtime_config_wasm_function_references_set(config, false);
  api.wasmtime_config_wasm_gc_set(config, false);
  api.wasmtime_config_wasm_multi_memory_set(config, false);
  api.wasmtime_config_wasm_memory64_set(config, false);
  auto creator = memories.creator();
  api.wasmtime_config_host_memory_creator_set(config, &creator);
  return config;
}

}  // namespace

// ---- Module

Module::~Module() {
  const auto& api = engine_->api();
  if (instances_ != nullptr) api.wasmtime_instance_pre_delete(instances_);
  api.wasmtime_module_delete(raw_);
}

Result<void> Module::link(const std::string& name) {
  const auto& api = engine_->api();
  CLEW_TRY(check_abi(api, raw_, name));
  auto* const failure = api.wasmtime_linker_instantiate_pre(engine_->linker(), raw_, &instances_);
  if (failure == nullptr) return {};
  return invalid_input("module", Value(name), api.take(failure));
}

// ---- Ticker

Ticker::Ticker(Function<void()> tick) : tick_(std::move(tick)), clock_(make_real_clock()) {
  threads_.start("clew-wasm-tick", [this] { run(); });
}

void Ticker::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  threads_.join();
}

std::int64_t Ticker::running() const {
  const auto left = left_.load(std::memory_order_relaxed);
  return std::max<std::int64_t>(entered_.load(std::memory_order_relaxed) - left, 0);
}

void Ticker::enter() {
  // Announced before looking: run() says that it sleeps before it looks for guests.
  entered_.fetch_add(1, std::memory_order_seq_cst);
  if (!asleep_.load(std::memory_order_seq_cst)) return;
  {
    const Lock lock(mutex_);
  }
  changed_.notify_all();
}

void Ticker::run() {
  Lock lock(mutex_);
  std::int64_t seen = 0;
  int quiet_ticks = quiet_ticks_max;
  while (!stopping_) {
    if (quiet_ticks >= quiet_ticks_max) {
      asleep_.store(true, std::memory_order_seq_cst);
      while (!stopping_ && entered_.load(std::memory_order_seq_cst) == seen) changed_.wait(lock);
      asleep_.store(false, std::memory_order_relaxed);
    }
    clock_->wait_until(changed_, lock, clock_->now() + period);
    const auto entered = entered_.load(std::memory_order_relaxed);
    quiet_ticks = entered == seen && running() == 0 ? quiet_ticks + 1 : 0;
    seen = entered;
    lock.unlock();
    tick_();
    lock.lock();
  }
}

// ---- Engine

Engine::Engine(std::shared_ptr<const wt::Api> api)
    : api_(std::move(api)),
      memories_(*api_),
      raw_(api_->wasm_engine_new_with_config(make_config(*api_, memories_))),
      linker_(api_->wasmtime_linker_new(raw_)),
      ticker_([this] { api_->wasmtime_engine_increment_epoch(raw_); }) {
  define_abi(*api_, linker_);
}

Engine::~Engine() {
  ticker_.stop();
  api_->wasmtime_linker_delete(linker_);
  api_->wasm_engine_delete(raw_);
}

Result<std::shared_ptr<Engine>> Engine::open(const std::string& library) {
  CLEW_TRY(auto api, wt::Api::load(library));
  return std::shared_ptr<Engine>(new Engine(std::move(api)));
}

Result<std::string> Engine::from_text(const std::string& text, const std::string& name) const {
  wt::Bytes binary{};
  if (auto* failure = api_->wasmtime_wat2wasm(text.data(), text.size(), &binary)) {
    return invalid_input("module", Value(name), "WebAssembly: " + api_->take(failure));
  }
  std::string bytes(binary.data, binary.size);
  api_->wasm_byte_vec_delete(&binary);
  return bytes;
}

Result<std::shared_ptr<Module>> Engine::compile(const std::string& binary,
                                                const std::string& name) {
  wt::Module* made = nullptr;
  if (auto* failure = api_->wasmtime_module_new(raw_, wasm::raw(binary), binary.size(), &made)) {
    return invalid_input("module", Value(name), "WebAssembly: " + api_->take(failure));
  }
  return std::make_shared<Module>(shared_from_this(), made);
}

Result<std::string> Engine::save(const Module& module) const {
  wt::Bytes saved{};
  if (auto* failure = api_->wasmtime_module_serialize(module.raw(), &saved)) {
    return error(Code::internal, "a module cannot be saved: {}", api_->take(failure));
  }
  std::string bytes(saved.data, saved.size);
  api_->wasm_byte_vec_delete(&saved);
  return bytes;
}

Result<std::shared_ptr<Module>> Engine::load(const std::string& bytes) {
  wt::Module* made = nullptr;
  if (auto* failure =
          api_->wasmtime_module_deserialize(raw_, wasm::raw(bytes), bytes.size(), &made)) {
    return error(Code::corrupt, "a saved module cannot be loaded: {}", api_->take(failure));
  }
  return std::make_shared<Module>(shared_from_this(), made);
}

Result<std::string> Engine::fingerprint() {
  // What is saved of a module begins with all that its engine depends on, also of an empty one.
  static const std::string empty_module("\0asm\1\0\0\0", 8);
  CLEW_TRY(const auto module, compile(empty_module, "(empty)"));
  CLEW_TRY(const auto saved, save(*module));
  return to_hex(sha256(saved));
}

}  // namespace clew::wasm
