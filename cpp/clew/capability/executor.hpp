// capability/executor.hpp: who carries capabilities out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clew/capability/invocation.hpp"
#include "clew/exec/thread_pool.hpp"

namespace clew {

struct ExecutorLoad {
  int running = 0;
  int queued = 0;
  int capacity = 1;
};

// Runs capabilities of the kinds that it accepts. Thread-safe.
class CapabilityExecutor {
 public:
  virtual ~CapabilityExecutor() = default;
  virtual std::string_view name() const = 0;
  virtual const std::vector<std::string>& targets() const = 0;
  virtual bool accepts(const Capability& capability) const = 0;
  // False when it is closed or broken: placement leaves it out. Cheap.
  virtual bool is_open() const = 0;
  // Asked only when several executors run such handlers. Cheap.
  virtual ExecutorLoad load() const = 0;

  // Takes the call over: sooner or later it calls begin(), runs the handler and calls finish(), on
  // a thread of its own. An error means that it did not take it. Never blocks, but for a full
  // queue.
  virtual Result<void> start(const InvocationPtr& invocation) = 0;

  // start() for those who must not wait, such as a holder of Python's lock: false when it cannot be
  // done at once; the call is then untouched. Never calls out.
  virtual bool try_start(const InvocationPtr&) { return false; }
  // For those whose calls run where nobody tells of their beginning: begins `invocation` if it runs
  // by now.
  virtual void look_after(Invocation&) {}
  // The same, for one that is to end: takes it back if it does not run yet, so that it never will.
  virtual void withdraw(Invocation&) {}
  // Why it is not open.
  virtual std::string why_closed() const { return "is closed"; }

  // The pool whose slots its calls take when they run on their callers' threads; null: the
  // dispatcher's.
  virtual ThreadPool* own_slots() { return nullptr; }
  // Runs the call on the calling thread, in a slot that the caller has entered, and finishes it.
  // False when this executor cannot do that; the call is then untouched.
  virtual bool run_here(const InvocationPtr& invocation) = 0;

  // Refuses new work, drops what has not begun (its calls end `cancelled`), waits for threads of
  // its own. Idempotent.
  virtual void stop() = 0;
};

// A capability written in C++. `run` is called on a pool thread or the caller's; what it throws
// becomes `execution_failed`. It must be thread-safe.
class NativeHandler final : public Handler {
 public:
  using Run = std::function<Result<Value>(Invocation& call, const Value& input)>;
  explicit NativeHandler(Run run) : run_(std::move(run)) {}
  std::string_view kind() const override { return "native"; }
  Result<Value> operator()(Invocation& call, const Value& input) const { return run_(call, input); }

 private:
  Run run_;
};

// Runs native handlers on the pool (borrowed). Named "native", target "local".
std::shared_ptr<CapabilityExecutor> make_native_executor(ThreadPool& pool);

}  // namespace clew
