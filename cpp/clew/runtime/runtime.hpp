// runtime/runtime.hpp: the composition root, and the surface that the bindings mirror. Read this
// first: it names every part and the order in which they start and stop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/capability/broker.hpp"
#include "clew/capability/dispatch.hpp"
#include "clew/capability/registry.hpp"
#include "clew/capability/trace.hpp"
#include "clew/exec/thread_pool.hpp"
#include "clew/runtime/janitor.hpp"
#include "clew/runtime/verify.hpp"
#include "clew/store/store.hpp"
#include "clew/wasm/wasm.hpp"
#include "clew/workflow/definition.hpp"
#include "clew/workflow/engine.hpp"

namespace clew {

struct RuntimeOptions {
  std::string store = ":memory:";  // ":memory:" or the path of a SQLite file
  int workers = 0;                 // 0: twice the cores, at least 4; else 1 to 256
  std::string name;                // shown to others; default "clew-<pid>"
  store::Durability durability = store::Durability::sync;
  Duration relaxed_window = std::chrono::milliseconds(20);
  Replace replace = Replace::function;  // what a registration may take the place of
  bool start = true;                    // adopt and go on with runs whose owner is gone
  int queue_max = 65536;
  TraceRetention traces;
  EventRetention events;
  StoreRetention retention;
  Duration lease_ttl = std::chrono::seconds(10);
  Duration idempotency_ttl = std::chrono::hours(24);  // how long a key answers with its result
  Clock* clock = nullptr;                             // borrowed; null: real time
  // For the bindings: called on pool threads as their first and last act.
  std::function<void()> on_thread_start;
  std::function<void()> on_thread_stop;
  wasm::Options wasm;  // the hooks for threads are these
};

// Where a registration belongs.
struct Placing {
  Scope scope = Scope::everyone;
  std::string workspace;  // empty: the default one
};

class Stores;

struct SqlOptions {
  std::optional<Duration> timeout;  // of real time
  // Asked on the calling thread at least every 50 ms; its error ends the query. Empty: nothing.
  Function<Result<void>()> heed;
};

// One runtime over one store. Thread-safe. Every method that may block says so.
// After close() has begun, every method answers `closed`.
class Runtime {
 public:
  // Opens the store (see store::Database::open for its errors), registers as an owner, starts the
  // pool and the timers, and begins to adopt runs. Blocks for the disk.
  static Result<std::unique_ptr<Runtime>> open(RuntimeOptions options);
  virtual ~Runtime() = default;  // closes without draining when close() was not called

  // Registers a capability, its contract durably; see Registry::add(). Without a handler its
  // contract alone. Blocks for the disk when the contract is new.
  virtual Result<Registration> add(Contract contract, std::shared_ptr<const Handler> handler,
                                   Placing where = {}) = 0;
  // Moves a version on in its lifecycle; see Registry::set_lifecycle(). Blocks likewise.
  virtual Result<void> set_lifecycle(const std::string& exact, Lifecycle to,
                                     Placing where = {}) = 0;
  // Registers a WebAssembly module; see wasm::Host::admit for its errors. The first one loads the
  // library of wasmtime and starts the engine. Blocks for the disk and the compiler.
  virtual Result<Registration> add_wasm(Contract contract, const wasm::ModuleSource& source) = 0;
  // Registers a capability that a workflow carries out: a call of it is a run of that workflow,
  // ends with it and stops it when cancelled. The workflow is published, and kept with the
  // contract: the capability is there again after a restart. Errors: those of publish_workflow()
  // and add(); `invalid_input` for a contract with `max_concurrency`, for it takes no thread.
  // Blocks for the disk.
  virtual Result<Registration> add_workflow(Contract contract, workflow::DefinitionPtr definition,
                                            Placing where = {}) = 0;
  // An executor beside the built-in ones; serves what its accepts() says. `conflict` for a name
  // that is taken.
  virtual Result<void> add_executor(std::shared_ptr<CapabilityExecutor> executor) = 0;

  // Runs a call and waits for its outcome. Blocks. May run the handler on this thread.
  virtual Outcome execute(Request request) = 0;
  // Starts a call. Refusals come as its outcome.
  virtual InvocationPtr submit(Request request) = 0;

  // Makes a run durable and starts it. Blocks until it is acknowledged.
  virtual Result<workflow::RunPtr> start(const workflow::StartRequest& request) = 0;
  // The same without blocking: `started` is called on another thread once it is acknowledged.
  virtual void start_async(workflow::StartRequest request,
                           Function<void(Result<workflow::RunPtr>)> started) = 0;
  virtual Result<workflow::RunPtr> run(const std::string& id) = 0;
  virtual Result<workflow::RunPage> runs(const workflow::RunQuery& query) = 0;
  // Keeps a definition under its name and version; the same content again is fine.
  virtual Result<void> publish_workflow(workflow::DefinitionPtr definition) = 0;
  virtual Result<workflow::DefinitionPtr> find_workflow(const std::string& reference) = 0;
  // What is wrong with a definition in a workspace of this runtime: unknown capabilities and types
  // of events, with suggestions.
  virtual std::vector<workflow::Problem> check(const workflow::Definition& definition,
                                               const std::string& workspace = {}) = 0;

  // Events: see EventCatalog and Broker, which have the contracts. All block for the disk but
  // publish_async(). What a handler publishes inherits its call's correlation and names the call as
  // its cause; to publish only if the call succeeds, use Invocation::emit().
  virtual Result<EventTypePtr> define_event(const EventDefinition& definition) = 0;
  virtual Result<EventTypePtr> set_event_lifecycle(const std::string& type,
                                                   EventLifecycle lifecycle) = 0;
  virtual Result<EventTypePtr> event_type(const std::string& reference) = 0;
  virtual Result<std::vector<EventTypePtr>> event_types() = 0;  // by id, highest version first
  virtual Result<Cursor> publish(EventDraft draft, std::optional<Duration> timeout = {}) = 0;
  virtual void publish_async(EventDraft draft, Function<void(Result<Cursor>)> done) = 0;
  virtual Result<SubscriptionPtr> subscribe(SubscribeOptions options) = 0;

  virtual Result<TracePage> traces(const TraceQuery& query) = 0;
  virtual Result<Trace> trace(const Id& id) = 0;

  // Reads with SQL: one statement that only reads; `invalid_input` otherwise, and for whatever else
  // is wrong with it or its parameters, which go by position. Each row as an object. Blocks; also
  // ended by `timeout` and, with `closed`, by close(). At most 100,000 rows (`resource_exhausted`).
  // `corrupt` for text that is no UTF-8.
  virtual Result<std::vector<Value>> sql(const std::string& query,
                                         const std::vector<Value>& parameters,
                                         SqlOptions options = {}) = 0;
  virtual Value stats() = 0;   // an object of counters and gauges
  virtual Value health() = 0;  // {"status": "ok" | "failing", "problems": […]}
  virtual Result<std::vector<Violation>> verify() = 0;

  // Stops in one order: admit nothing new → cancel waits → drain calls (or cancel them) → hand
  // back leases → join threads → flush → close the store. Idempotent, bounded by `timeout`: what
  // still runs then is told to stop and waited for. Runs that have not ended are left for the next
  // runtime on that store. False when the timeout came first. A second close() waits for the first;
  // without `drain` it has that stop draining.
  virtual bool close(bool drain, Duration timeout) = 0;
  // A close() that drains, now or later, cancels instead. Never blocks.
  virtual void stop_draining() = 0;
  virtual bool closed() const = 0;

  // The parts, for bindings and tests.
  virtual ThreadPool& pool() = 0;
  virtual Env& env() = 0;
  virtual Registry& registry() = 0;
  virtual Dispatcher& dispatcher() = 0;
  virtual Broker& broker() = 0;
  virtual store::Database& database() = 0;
  // Processes, effects and what else stands beside calls and runs: see stores.hpp.
  virtual Stores& stores() = 0;
};

}  // namespace clew
