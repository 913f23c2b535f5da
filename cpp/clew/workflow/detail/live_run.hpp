// workflow/detail/live_run.hpp: a run that this process owns, in memory.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/dispatch.hpp"
#include "clew/store/lease.hpp"
#include "clew/store/stream.hpp"
#include "clew/workflow/detail/run_rows.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::workflow {

class EngineImpl;

using Acknowledge = Function<void(Result<void>)>;

// What is to be committed next of a run, and what follows once it is. Several decisions gather in
// one batch while the batch before it is being committed.
struct Batch {
  std::vector<store::StreamEvent> events;
  std::vector<TraceRecord> traces;
  std::vector<EventBatchPtr> published;  // what completed steps have emitted
  std::vector<CallCommand> calls;
  std::vector<WakeCommand> wakes;
  std::vector<WaitCommand> waits;
  std::vector<Acknowledge> acknowledge;
  bool cancel_calls = false;
  std::shared_ptr<const RunState> end;  // the final state, without its steps

  bool empty() const {
    return events.empty() && traces.empty() && acknowledge.empty() && calls.empty() &&
           wakes.empty() && waits.empty();
  }
  // An acknowledgement, too, says that the run is still this process's.
  bool writes() const {
    return !events.empty() || !traces.empty() || !calls.empty() || !acknowledge.empty();
  }
};

// Thread-safe: the engine changes it under its lock; users read it through Run.
class LiveRun final : public Run, public std::enable_shared_from_this<LiveRun> {
 public:
  LiveRun(EngineImpl& engine, RunRow row, DefinitionPtr definition, store::Lease lease);

  const std::string& id() const override { return row_.info.id; }
  std::optional<bool> known_end() const override;
  Result<RunInfo> info() override;
  Result<RunStatus> status() override;
  Result<std::vector<StepInfo>> steps() override;
  Result<std::vector<EventInfo>> events(std::int64_t after, int limit) override;
  Result<void> wait_events(std::int64_t after, Timestamp until) override;
  Result<bool> wait(Timestamp until) override;
  void on_ended(Function<void()> callback) override;
  Result<Value> result() override;
  Result<void> cancel(std::string reason) override;
  DefinitionPtr definition() override { return definition_; }

 private:
  friend class EngineImpl;
  using CallKey = std::pair<int, int>;  // step, item

  enum class Fate : std::uint8_t { running, ended, gone };

  // Whether the end is known for good: committed, or never to come here.
  bool settled() const CLEW_REQUIRES(mutex_) { return end_committed_ || gone_.has_value(); }
  // Set when this process does not run it any more: another owner has it, or the store failed.
  Result<RunPtr> elsewhere();

  EngineImpl& engine_;
  RunRow row_;
  const DefinitionPtr definition_;
  store::Lease lease_;                       // set before anything else sees the run
  std::vector<CapabilityPtr> capabilities_;  // by step; set once bound
  std::vector<StepTraits> traits_;
  std::vector<std::string> way_;  // what it lies within, and itself

  Mutex mutex_;
  Condition changed_;  // a commit; apart, so that it wakes nobody who waits for the end
  Condition over_;     // settled()
  RunState state_ CLEW_GUARDED_BY(mutex_);
  Batch next_ CLEW_GUARDED_BY(mutex_);
  bool committing_ CLEW_GUARDED_BY(mutex_) = false;
  std::int64_t committed_seq_ CLEW_GUARDED_BY(mutex_) = 0;
  bool end_committed_ CLEW_GUARDED_BY(mutex_) = false;
  std::optional<Error> gone_ CLEW_GUARDED_BY(mutex_);
  std::atomic<Fate> fate_{Fate::running};  // the same as the two, without the lock
  std::map<CallKey, InvocationPtr> in_flight_ CLEW_GUARDED_BY(mutex_);
  std::vector<Function<void()>> callbacks_ CLEW_GUARDED_BY(mutex_);
  std::shared_ptr<const ErrorCause> cause_ CLEW_GUARDED_BY(mutex_);
  std::string waiting_for_ CLEW_GUARDED_BY(mutex_);
};
using LiveRunPtr = std::shared_ptr<LiveRun>;

// Which event a step waits for.
std::string describe_wait(const Step& step, const StepState& state);
// The same of a run in which nothing else goes on; empty: it does not wait.
std::string describe_waits(const Definition& definition, const RunState& state);

// What users see of a state.
std::vector<StepInfo> step_infos(const Definition& definition, const RunState& state);
void count_steps(const Definition& definition, const RunState& state, RunInfo& info);
// The output, or the error that says how the run ended.
Result<Value> result_of(const std::string& run, RunStatus status, const Value& output,
                        const std::optional<Error>& error, const std::string& failed_step,
                        const std::shared_ptr<const ErrorCause>& cause);

}  // namespace clew::workflow
