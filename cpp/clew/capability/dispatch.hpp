// capability/dispatch.hpp: the one way in. Every unit of work passes here: a bare call, a step of a
// workflow, a nested call. Registry → placement → admission → executor → trace.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clew/capability/broker.hpp"
#include "clew/capability/connectors.hpp"
#include "clew/capability/executor.hpp"
#include "clew/capability/idempotency.hpp"
#include "clew/capability/invocation.hpp"
#include "clew/capability/placement.hpp"
#include "clew/capability/registry.hpp"
#include "clew/exec/thread_pool.hpp"
#include "clew/exec/timers.hpp"

namespace clew {

struct DispatchStats {
  std::int64_t calls = 0;
  std::int64_t success = 0;
  std::int64_t failure = 0;
  std::int64_t timeout = 0;
  std::int64_t cancelled = 0;
  std::int64_t rejected = 0;
  std::int64_t in_flight = 0;
  std::int64_t inline_calls = 0;  // ran on the caller's thread
};

// Thread-safe. Every call that enters leaves exactly one trace: recorded in the TraceStore, or,
// for steps of runs, handed to the run for its own transaction.
class Dispatcher {
 public:
  virtual ~Dispatcher() = default;

  // Runs a call and waits for its outcome. Blocks: until the handler is done, or the deadline, when
  // it returns although the handler may still run. The handler runs on the calling thread when a
  // slot is free and neither deadline nor cancel token asks otherwise.
  virtual Outcome execute(Request request) = 0;

  // Starts a call and returns. Never fails itself: a refusal is the call's outcome.
  // May block while the pool's queue is full, as its policy says.
  virtual InvocationPtr submit(Request request, Function<void()> on_ended = nullptr) = 0;

  // The parts of execute() and submit(), for callers who must let go of something in between.
  // admit: resolves, checks and places a call; never blocks. A refused call has ended already.
  virtual InvocationPtr admit(Request request) = 0;
  // Runs an admitted call on this thread when a slot (nested: a place under its limit) is free and
  // its executor can; false leaves it untouched. Also for a launched call that has not begun.
  virtual bool run_here(const InvocationPtr& invocation) = 0;
  // Hands an admitted call to its executor. A refusal becomes its outcome. May block as submit().
  virtual void launch(const InvocationPtr& invocation) = 0;
  // launch() for those who must not wait, such as a holder of Python's lock: false when it cannot
  // be done at once; the call is then untouched. Calls nobody back.
  virtual bool try_launch(const InvocationPtr& invocation) = 0;

  // Blocks until `invocation` has ended or `until` has come; true when it has ended. On a thread in
  // a slot: a call that has not begun is run here and now (when `until` is never); otherwise the
  // slot is lent meanwhile.
  virtual bool wait(const InvocationPtr& invocation, Timestamp until) = 0;

  // What the host lends to calls.
  virtual Connectors& connectors() = 0;

  // Serves what executor->accepts(). `conflict` for a name that is taken.
  virtual Result<void> add_executor(std::shared_ptr<CapabilityExecutor> executor) = 0;

  // Where a call of `capability` would run now, and why. `no_eligible_target`.
  virtual Result<PlacementReport> explain_placement(const Capability& capability,
                                                    const std::string& target) const = 0;

  // Refuses new calls from outside with `closed`; calls within calls and steps go on.
  virtual void begin_stop() = 0;
  // Refuses every new call with `closed`. Then cancels, or with `drain` waits for, what is in
  // flight: what runs then has been told to stop, and what is queued ends with the pool. True
  // unless a drain was cut short.
  virtual bool stop(bool drain, Timestamp deadline) = 0;
  // A stop() that drains cancels instead, from now on.
  virtual void stop_draining() = 0;
  virtual DispatchStats stats() const = 0;

  // The call that the current thread is running, or null: the parent of calls made from here.
  static InvocationPtr current();
  // Makes `invocation` the current one of this thread for a scope.
  class Scope {
   public:
    explicit Scope(const InvocationPtr& invocation);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const InvocationPtr* before_;
  };
};

struct DispatcherParts {  // all borrowed, all outlive the dispatcher
  Env& env;
  Registry& registry;
  ThreadPool& pool;
  Timers& timers;
  TraceStore& traces;
  IdempotencyKeys* keys = nullptr;  // null: a key is only told to the handler
  Broker* broker = nullptr;         // of the events that calls emit; null: they cannot
};
std::unique_ptr<Dispatcher> make_dispatcher(DispatcherParts parts);

}  // namespace clew
