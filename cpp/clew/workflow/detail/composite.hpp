// workflow/detail/composite.hpp: capabilities that a workflow carries out. A call of one is a run.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/cancel.hpp"
#include "clew/capability/executor.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::workflow {

class EngineImpl;

// The workflow that carries a capability out; null: something else does.
const Definition* workflow_of(const Capability& capability);

// Starts a run for each call and ends the call with it. No thread and no slot is taken meanwhile.
// The run of a step's call is named after run, step, item and attempt: whoever makes that attempt
// again, after a crash, meets the same run. Thread-safe. Owned by the engine.
class WorkflowExecutor final : public CapabilityExecutor {
 public:
  WorkflowExecutor(EngineImpl& engine, ThreadPool& pool) : engine_(engine), pool_(pool) {}

  std::string_view name() const override { return "workflow"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "workflow";
  }
  ExecutorLoad load() const override { return {}; }
  bool is_open() const override { return !is_closed_.load(std::memory_order_relaxed); }
  Result<void> start(const InvocationPtr& invocation) override;
  bool run_here(const InvocationPtr&) override { return false; }
  void stop() override { is_closed_.store(true, std::memory_order_relaxed); }

  // Waits until the calls have ended that are no steps of runs, `deadline`, or stop_draining().
  void drain(Timestamp deadline);
  void stop_draining();
  // Ends every call with `closed`. Their runs are left for whoever opens the store next.
  void end_all();

 private:
  struct Active {
    InvocationPtr call;
    CancelSubscription obeys;
  };

  Result<StartRequest> request_of(const Invocation& call);
  void started(const InvocationPtr& call, const std::string& id, Result<RunPtr> run);
  void end(const InvocationPtr& call, Result<Value> result);
  void cancel_run(const Invocation& call, const std::string& run, const std::string& reason);

  EngineImpl& engine_;
  ThreadPool& pool_;
  const std::vector<std::string> targets_ = {"local"};
  std::atomic<bool> is_closed_{false};
  Mutex mutex_;
  Condition idle_;
  std::map<const Invocation*, Active> active_ CLEW_GUARDED_BY(mutex_);
  int bare_ CLEW_GUARDED_BY(mutex_) = 0;  // of those: no step's
  bool draining_stopped_ CLEW_GUARDED_BY(mutex_) = false;
};

}  // namespace clew::workflow
