// The functions of the module `clew_host`: what a guest learns of its call, events, connectors.
#include "clew/base/json.hpp"
#include "clew/wasm/detail/abi.hpp"
#include "clew/wasm/detail/host_function.hpp"

namespace clew::wasm {
namespace {

constexpr std::uint32_t message_bytes_max = 64U << 10U;  // of what crosses, either way

constexpr std::int32_t bad_argument = -1;  // pointer, size or JSON
constexpr std::int32_t too_large = -5;     // for the buffer, or beyond message_bytes_max

// Copies `text` into the guest's buffer (pointer, room): its length, `bad_argument`, `too_large`.
HostResult give(HostCall& call, std::string_view text, int pointer, int room) {
  if (!call.memory.has(call.u32(pointer), call.u32(room))) return bad_argument;
  if (text.size() > call.u32(room) || text.size() > message_bytes_max) return too_large;
  call.memory.write(call.u32(pointer), text);
  return static_cast<std::int32_t>(text.size());
}

// The JSON object that the guest holds out (pointer, length), or nothing.
std::optional<Value> take(const HostCall& call, int pointer, int length) {
  if (call.u32(length) > message_bytes_max) return std::nullopt;
  const auto text = call.memory.view(call.u32(pointer), call.u32(length));
  if (!text) return std::nullopt;
  auto value = parse_json(*text);
  if (!value || !value->is_object()) return std::nullopt;
  return std::move(value).value();
}

HostResult capability_id(HostCall& call) {
  return give(call, call.guest.call().capability()->contract.id, 0, 1);
}

HostResult capability_version(HostCall& call) {
  return give(call, call.guest.call().capability()->version_text, 0, 1);
}

HostResult execution_id(HostCall& call) {
  return give(call, call.guest.call().id().to_string(), 0, 1);
}

// {"abi", "environment", "limits"}
HostResult runtime_config(HostCall& call) {
  const auto& options = call.guest.world().options;
  const auto config =
      Value::object({{"abi", abi_version},
                     {"environment", options.production ? "production" : "development"},
                     {"limits", call.guest.limits().to_value()}});
  return give(call, canonical_json(config), 0, 1);
}

// {"traceparent", "correlation_id", "idempotency_key", "attempt"}
HostResult trace_context(HostCall& call) {
  const Invocation& self = call.guest.call();
  const auto context = Value::object({{"traceparent", self.traceparent()},
                                      {"correlation_id", self.correlation_id()},
                                      {"idempotency_key", self.idempotency_key()},
                                      {"attempt", self.attempt()}});
  return give(call, canonical_json(context), 0, 1);
}

// emit_event(pointer, length) of {"type", "data"}: 0; -1 bad argument, or data that does not fit
// the type; -2 a type that the contract does not emit; -3 events cannot be published here.
HostResult emit_event(HostCall& call) {
  constexpr std::int32_t undeclared = -2;
  constexpr std::int32_t not_possible = -3;
  const auto event = take(call, 0, 1);
  const Value* type = event ? event->find("type") : nullptr;
  const Value* data = event ? event->find("data") : nullptr;
  if (type == nullptr || !type->is_string() || data == nullptr || event->size() != 2) {
    return bad_argument;
  }
  Invocation& self = call.guest.call();
  const auto& emits = self.capability()->contract.emits;
  const std::string name(type->as_string());
  if (std::ranges::find(emits, name) == emits.end()) return undeclared;
  const auto& emit = call.guest.world().options.services.emit;
  if (!emit) return not_possible;
  const auto emitted = emit(self, name, *data);
  if (emitted) return 0;
  return emitted.error().code() == Code::invalid_input ? bad_argument : not_possible;
}

std::int32_t code_of_refusal(const Error& error) {
  constexpr std::int32_t unbound = -2;
  constexpr std::int32_t undeclared = -3;
  constexpr std::int32_t incompatible = -4;
  constexpr std::int32_t failed = -6;
  const Value* reason = error.find("reason");
  const auto word = reason != nullptr && reason->is_string() ? reason->as_string() : "";
  if (word == "undeclared") return undeclared;
  if (word == "unbound") return unbound;
  if (word == "incompatible" || word == "forbidden") return incompatible;
  if (word == "too_large") return too_large;
  if (error.code() == Code::invalid_input) return bad_argument;
  return failed;
}

// connector_invoke(pointer, length, response pointer, room) of {"connector", "request"}: the
// response's length; -1 bad argument; -2 unbound; -3 undeclared; -4 incompatible, or something that
// must not cross; -5 too large; -6 failed.
HostResult connector_invoke(HostCall& call) {
  constexpr std::int32_t undeclared = -3;
  const auto asked = take(call, 0, 1);
  const Value* name = asked ? asked->find("connector") : nullptr;
  const Value* request = asked ? asked->find("request") : nullptr;
  const bool has_room = call.memory.has(call.u32(2), call.u32(3));
  if (name == nullptr || !name->is_string() || request == nullptr || !has_room ||
      asked->size() != 2) {
    return call.u32(1) > message_bytes_max ? too_large : bad_argument;
  }
  auto& world = call.guest.world();
  if (!world.options.services.connect) return undeclared;
  std::optional<Result<Value>> response;
  // It may wait for long, and for calls that need a slot: this one is lent out meanwhile.
  world.pool.blocking([&] {
    response = world.options.services.connect(call.guest.call(), std::string(name->as_string()),
                                              *request, call.guest.wall_deadline());
  });
  if (const auto why = call.guest.must_stop()) return call.guest.stop(*why);
  if (!*response) return code_of_refusal(response->error());
  return give(call, canonical_json(**response), 2, 3);
}

constexpr std::string_view host = "clew_host";
constexpr HostFunction table[] = {
    {host, "capability_id", "ii", "i", host_function<capability_id>},
    {host, "capability_version", "ii", "i", host_function<capability_version>},
    {host, "connector_invoke", "iiii", "i", host_function<connector_invoke>},
    {host, "emit_event", "ii", "i", host_function<emit_event>},
    {host, "execution_id", "ii", "i", host_function<execution_id>},
    {host, "runtime_config", "ii", "i", host_function<runtime_config>},
    {host, "trace_context", "ii", "i", host_function<trace_context>},
};

}  // namespace

std::span<const HostFunction> clew_functions() { return table; }

}  // namespace clew::wasm
