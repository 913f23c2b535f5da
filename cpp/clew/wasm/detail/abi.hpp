// wasm/detail/abi.hpp: what a guest may import: one table, described in docs/wasm.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "clew/wasm/detail/wasmtime_api.hpp"

namespace clew::wasm {

inline constexpr std::string_view abi_version = "1.0.0";

// A function that the host offers. `parameters` and `results`: 'i' for i32, 'I' for i64.
struct HostFunction {
  std::string_view module;
  std::string_view name;
  std::string_view parameters;
  std::string_view results;
  wt::Callback call;
};

std::span<const HostFunction> wasi_functions();  // wasi.cpp
std::span<const HostFunction> clew_functions();  // host_calls.cpp

// Puts every function of the table into `linker`; `api` outlives it.
void define_abi(const wt::Api& api, wt::Linker* linker);

// Whether a module imports only what the table has, with the same types, and exports `_start` and
// `memory`. `invalid_input` that names the first that does not fit (context: import or export).
Result<void> check_abi(const wt::Api& api, const wt::Module* module, const std::string& name);

}  // namespace clew::wasm
