// wasm/detail/executor.hpp: the executor of modules, and what it runs.
#pragma once

#include <memory>
#include <string>

#include "clew/capability/executor.hpp"
#include "clew/wasm/detail/guest.hpp"

namespace clew::wasm {

// A module by its digest, and what it is compiled from when the cache has lost it. A value.
struct ModuleRef {
  Digest digest{};
  std::shared_ptr<const std::string> binary;
  std::string name;  // for errors
};

// Where compiled modules come from. Thread-safe.
class ModuleSupply {
 public:
  virtual Result<ModulePtr> module(const ModuleRef& ref) = 0;

 protected:
  ~ModuleSupply() = default;
};

class WasmHandler final : public Handler {
 public:
  WasmHandler(ModuleRef module, Limits limits)
      : module_(std::move(module)), limits_(std::move(limits)) {}
  std::string_view kind() const override { return "wasm"; }
  std::string fingerprint() const override { return "sha256:" + to_hex(module_.digest); }
  const ModuleRef& module() const { return module_; }
  const Limits& limits() const { return limits_; }

 private:
  ModuleRef module_;
  Limits limits_;
};

// Runs WasmHandlers in the slots of `world.pool`, which it stops. All are borrowed, and used by no
// call after stop().
std::shared_ptr<CapabilityExecutor> make_executor(Engine& engine, GuestWorld& world,
                                                  ModuleSupply& supply);

}  // namespace clew::wasm
