// wasm/detail/module_store.hpp: compiled modules in the database, so that a restart compiles
// nothing.
#pragma once

#include <optional>
#include <string>

#include "clew/base/json.hpp"
#include "clew/store/store.hpp"

namespace clew::wasm {

// A compiled module is machine code: whoever can write the row can run code. Its SHA-256 tells
// damage from what was written, not friend from foe; so production, where modules are signed, uses
// no row (see docs/decisions).
struct StoredModule {
  std::string compiled;
  bool damaged = false;  // the row's digest is not that of its bytes; `compiled` is empty
};

// What an engine of this fingerprint made of the binary of that digest, or nothing.
Result<std::optional<StoredModule>> find_module(store::Transaction& tx, const Digest& binary,
                                                const std::string& engine);

// Keeps it, in the place of what another engine made. At most `modules_max` rows, newest first.
Result<void> keep_module(store::Transaction& tx, const Digest& binary, const std::string& engine,
                         const std::string& compiled, Timestamp now);

inline constexpr std::size_t stored_bytes_max = 16U << 20U;  // of one module; larger ones stay out

}  // namespace clew::wasm
