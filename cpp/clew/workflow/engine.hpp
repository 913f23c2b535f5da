// workflow/engine.hpp: runs, made durable. Read planner.hpp for what happens next in a run; this is
// who makes it happen: commits events, makes calls, keeps timers, adopts runs whose owner is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/capability/dispatch.hpp"
#include "clew/exec/timers.hpp"
#include "clew/store/invariant.hpp"
#include "clew/store/store.hpp"
#include "clew/workflow/definition.hpp"
#include "clew/workflow/planner.hpp"

namespace clew::workflow {

struct StartRequest {
  DefinitionPtr definition;  // or
  std::string workflow;      // a reference to a published one, when `definition` is null
  Value input = Value::object({});
  std::string id;  // empty: a new one. The same id with the same input gives the same run
  // The same for a key of the workflow's, such as the tick of a schedule; the run's id is its own.
  std::string key;
  std::string workspace;  // in which its steps find their capabilities; empty: the default one
  int priority = 0;
  std::vector<std::string> tags;
  std::optional<store::Durability> durability;  // absent: the runtime's
  std::vector<std::string> above;  // of a call's run: workflows and capabilities it lies within
};

// One event as users read it. A value.
struct EventInfo {
  std::int64_t seq = 0;  // dense from 1
  Timestamp at;
  std::string type;
  std::string step;  // name; empty for run.*
  int item = -1;
  Value data;
};

// One step as users read it. A value.
struct StepInfo {
  std::string id;
  StepStatus status = StepStatus::pending;
  int attempts = 0;
  Value output;
  std::optional<Error> error;
  std::optional<Timestamp> started;
  std::optional<Timestamp> ended;
  int items = -1;  // of a for_each, once started; else -1
  int items_done = 0;
  std::string reason;  // why skipped or cancelled, or what it waits for
};

// A run's row: what lists show. A value.
struct RunInfo {
  std::string id;
  std::string workflow;
  std::string version;
  RunStatus status = RunStatus::pending;
  Value input;
  Value output;
  std::optional<Error> error;
  std::string failed_step;
  std::vector<std::string> tags;
  std::string key;  // that it was started with
  std::string workspace;
  int priority = 0;
  std::string waiting_for;  // why it does not go on: a handler that is not bound, an event
  Timestamp created;
  std::optional<Timestamp> ended;
  int steps_done = 0;   // calls completed, elements of a for_each counted each
  int steps_total = 0;  // as far as known
};

// One durable run. Thread-safe. Reads see only what is committed; counts of steps may run ahead by
// what is being committed. It need not be owned by this process: then reads come from the store,
// and waiting notices other processes' commits.
class Run {
 public:
  virtual ~Run() = default;
  virtual const std::string& id() const = 0;
  // Whether it has ended, as far as this object knows by itself; nothing when the store would have
  // to be asked. Never blocks.
  virtual std::optional<bool> known_end() const = 0;
  virtual Result<RunInfo> info() = 0;
  virtual Result<RunStatus> status() = 0;
  virtual Result<std::vector<StepInfo>> steps() = 0;
  virtual Result<std::vector<EventInfo>> events(std::int64_t after, int limit) = 0;
  // Blocks until there are events after `after`, the run has ended, or `until`.
  virtual Result<void> wait_events(std::int64_t after, Timestamp until) = 0;
  // Blocks until the run has ended and that is committed; false at `until`.
  virtual Result<bool> wait(Timestamp until) = 0;
  // Calls back once when the run has ended, on another thread or at once.
  virtual void on_ended(Function<void()> callback) = 0;
  // The output of a run that has completed. Else an error: `execution_failed` with the step and the
  // cause's code, `cancelled`, `unknown_outcome`; `timeout` when it has not ended.
  virtual Result<Value> result() = 0;
  // Durable when it returns. `conflict` naming the status when it has ended.
  virtual Result<void> cancel(std::string reason) = 0;
  virtual DefinitionPtr definition() = 0;
};
using RunPtr = std::shared_ptr<Run>;

struct RunQuery {
  std::optional<RunStatus> status;
  std::string workflow;
  std::string tag;
  std::optional<std::string> workspace;  // absent: all
  int limit = 100;                       // 1 to 10,000
  std::string cursor;
};
struct RunPage {
  std::vector<RunInfo> runs;  // newest first
  std::string next_cursor;
};

// Tables and views of runs (`v_runs, v_steps, v_events`), one migration; and what came later:
// workspaces of runs, waits for events.
store::Migration run_migration(int version);
store::Migration run_workspace_migration(int version);

// What a capability's handler is when a workflow carries it out; Engine::executor() runs it.
std::shared_ptr<const Handler> make_workflow_handler(DefinitionPtr definition);

struct EngineOptions {
  std::string owner_name;
  Duration lease_ttl = std::chrono::seconds(10);
  store::Durability durability = store::Durability::sync;
};

struct EngineParts {  // all borrowed, all outlive the engine
  Env& env;
  store::Database& database;
  Dispatcher& dispatcher;
  Registry& registry;
  TraceStore& traces;
  Timers& timers;
  Broker& broker;
  ThreadPool& pool;
};

// Thread-safe.
class Engine {
 public:
  // Registers as an owner of leases. Blocks for the disk.
  static Result<std::unique_ptr<Engine>> open(EngineParts parts, EngineOptions options);
  virtual ~Engine() = default;

  // Begins to adopt runs: all that nobody owns now, later those whose owner dies or lapses.
  virtual void begin_recovery() = 0;
  virtual void start(StartRequest request, Function<void(Result<RunPtr>)> started) = 0;
  virtual Result<RunPtr> find(const std::string& id) = 0;
  virtual Result<RunPage> list(const RunQuery& query) = 0;
  virtual Result<void> publish(DefinitionPtr definition) = 0;
  virtual Result<DefinitionPtr> find_definition(const std::string& reference) = 0;
  // The definition of that digest. `corrupt` when it is not kept.
  virtual Result<DefinitionPtr> kept_definition(const std::string& digest) = 0;
  virtual std::vector<Problem> check(const Definition& definition,
                                     const std::string& workspace) = 0;
  // A capability was registered: runs that wait for a handler look again.
  virtual void registry_changed() = 0;
  // Runs capabilities whose handler is a workflow. Lives as long as the engine.
  virtual std::shared_ptr<CapabilityExecutor> executor() = 0;
  // Before stop(): waits for the calls that it runs, but for steps, until `deadline`.
  virtual void drain_calls(Timestamp deadline) = 0;
  // Who this process is in the store.
  virtual store::OwnerId owner() const = 0;
  virtual Value stats() = 0;
  // Starts nothing new; with `drain` lets calls in flight end and commits them, until `deadline`.
  // Hands its leases back. Idempotent.
  virtual bool stop(bool drain, Timestamp deadline) = 0;
  // A stop() that drains does so no longer.
  virtual void stop_draining() = 0;
};

// What must hold of the stored runs: their rows can be read, and between rows holds what
// run_invariants() says; and each history can have happened and leads to where its run's row says
// that it is ("runs.fold").
Result<void> verify_runs(store::Transaction& tx, store::ReportViolation& report);
std::span<const store::Invariant> run_invariants();

}  // namespace clew::workflow
