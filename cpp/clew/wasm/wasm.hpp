// wasm/wasm.hpp: capabilities that are WebAssembly modules. Read this first.
//
//   limits.hpp   Limits: what one call may use; how a contract says so
//   wasm.hpp     Host: registers modules, runs them, keeps their compiled forms
//   detail/      engine (wasmtime, loaded when first used), abi (what a guest may call),
//                guest (one call), module_cache, module_store (compiled modules in the database)
//
// A module is a WASI command: `_start` reads the input as JSON from standard input and writes the
// output as JSON to standard output. Each call has an instance of its own, which sees no file, no
// network and no other call. What a guest may import is one table (docs/wasm.md); a module that
// imports anything else is refused before any of its code runs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/signature.hpp"
#include "clew/capability/executor.hpp"
#include "clew/store/store.hpp"
#include "clew/wasm/limits.hpp"

namespace clew::wasm {

// What a guest may ask of the runtime. Each is called on the guest's thread; what it throws ends
// the call.
struct Services {
  // Publishes an event of a type that the contract emits. Empty: the runtime has no events.
  std::function<Result<void>(Invocation&, const std::string& type, Value data)> emit;
  // Sends a request to a connector, at most until `deadline`. Empty: there are none.
  std::function<Result<Value>(Invocation&, const std::string& connector, Value request,
                              Timestamp deadline)>
      connect;
};

struct Options {
  std::string library;                  // of wasmtime; empty: CLEW_WASMTIME says where it is
  int slots = 0;                        // guests at once; 0: the cores, at least 2; else 1 to 64
  int cache_max = 64;                   // compiled modules kept in memory, 1 to 4096
  bool production = false;              // refuses modules without a trusted signature
  std::vector<PublicKey> trusted_keys;  // who may sign modules
  // What guests wrote to standard error, at most Limits::stderr_bytes of a call, after its end.
  std::function<void(const Invocation&, std::string_view)> on_stderr;
  // For the bindings: called on the threads of guests as their first and last act.
  std::function<void()> on_thread_start;
  std::function<void()> on_thread_stop;
  Services services;
};

// A module as somebody hands it in.
struct ModuleSource {
  std::string path{};       // read when `bytes` is empty; also its name in errors
  std::string bytes{};      // binary, or text (WAT), which is translated
  std::string digest{};     // hex SHA-256 that the binary must have; empty: any
  std::string signature{};  // over that digest, see base/signature.hpp; empty: none
  std::string library{};  // where wasmtime is, for the first module of a runtime; empty: not known
};

// A checked module, ready to be registered.
struct Admitted {
  std::shared_ptr<const Handler> handler;
  std::string digest;   // hex SHA-256 of the binary
  std::string warning;  // empty, or why production would refuse it
};

struct HostParts {  // all borrowed, all outlive the host
  Env& env;
  store::Database& database;
};

// The WebAssembly side of one runtime. Thread-safe.
class Host {
 public:
  // Loads the library and starts the engine. Errors: `unsupported` without a usable library,
  // `invalid_input` for options out of range.
  static Result<std::unique_ptr<Host>> open(HostParts parts, Options options);
  virtual ~Host() = default;

  // Reads, verifies, compiles and checks a module for `contract`. No code of it runs. Blocks for
  // the disk and the compiler. Errors:
  //   `not_found`      there is no such file
  //   `corrupt`        the digest is another one (context: expected, actual)
  //   `rejected`       production, and no trusted signature (context: reason)
  //   `invalid_input`  no WebAssembly; an import that is not offered (context: import); no `_start`
  //                    or `memory` (context: export); limits out of range (context: path)
  virtual Result<Admitted> admit(const Contract& contract, const ModuleSource& source) = 0;

  // Runs the modules, in slots and on threads of its own. Named "wasm", target "local".
  virtual std::shared_ptr<CapabilityExecutor> executor() = 0;

  // {cache_hits, cache_misses, cache_evictions, cached, compiled, from_store, calls, running, …}
  virtual Value stats() const = 0;
};

// The migration that adds the table of compiled modules.
store::Migration module_migration(int version);

}  // namespace clew::wasm
