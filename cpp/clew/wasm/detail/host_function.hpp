// wasm/detail/host_function.hpp: what stands around every host function.
#pragma once

#include <exception>

#include "clew/wasm/detail/guest.hpp"
#include "clew/wasm/detail/guest_memory.hpp"

namespace clew::wasm {

// The arguments of one call from a guest.
struct HostCall {
  Guest& guest;
  GuestMemory memory;
  const wt::ValRaw* args;

  std::uint32_t u32(int index) const { return static_cast<std::uint32_t>(args[index].i32); }
};

// What a host function gives the guest, or how it ends it.
struct HostResult {
  std::int32_t value = 0;
  wt::Trap* ended = nullptr;

  HostResult(std::int32_t value_) : value(value_) {}
  HostResult(wt::Trap* ended_) : ended(ended_) {}
};

// Makes a callback of `run`. No exception reaches the engine's frames.
template <HostResult (*run)(HostCall&)>
wt::Trap* host_function(void* env, wt::Caller* caller, wt::ValRaw* args_and_results,
                        std::size_t count) {
  const auto& api = *static_cast<const wt::Api*>(env);
  auto& guest =
      *static_cast<Guest*>(api.wasmtime_context_get_data(api.wasmtime_caller_context(caller)));
  try {
    HostCall call{guest, GuestMemory(guest.memory(caller)), args_and_results};
    const auto result = run(call);
    if (result.ended != nullptr) return result.ended;
    if (count > 0) args_and_results[0].i32 = result.value;
    return nullptr;
  } catch (const std::exception& thrown) {
    return guest.fail(error(Code::internal, "a host function threw: {}", thrown.what()));
  } catch (...) {
    return guest.fail(Error(Code::internal, "a host function threw"));
  }
}

}  // namespace clew::wasm
