// workflow/detail/engine_impl.hpp: the engine's inside, shared by its source files.
//
//   engine.cpp     starting, deciding, committing, calling: the life of a live run
//   engine_reads.cpp  finding runs and definitions, lists, checks, counters
//   recovery.cpp   leases: staying alive, adopting runs, handing them back
//   event_waits.cpp  showing events to the steps that wait for them
//   composite.cpp  calls that are runs
//   live_run.cpp   how users see a run that this process owns
//   stored_run.cpp how they see one that it does not own
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "clew/base/threads.hpp"
#include "clew/workflow/detail/composite.hpp"
#include "clew/workflow/detail/event_waits.hpp"
#include "clew/workflow/detail/live_run.hpp"

namespace clew::workflow {

// How often somebody who waits for a run of another process looks for its commits even when the
// database tells of none.
inline constexpr Duration look_every = std::chrono::seconds(1);

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineParts parts, EngineOptions options, store::OwnerId owner);
  ~EngineImpl() override;

  void begin_recovery() override;
  void start(StartRequest request, Function<void(Result<RunPtr>)> started) override;
  Result<RunPtr> find(const std::string& id) override;
  Result<RunPage> list(const RunQuery& query) override;
  Result<void> publish(DefinitionPtr definition) override;
  Result<DefinitionPtr> find_definition(const std::string& reference) override;
  Result<DefinitionPtr> kept_definition(const std::string& digest) override;
  std::vector<Problem> check(const Definition& definition, const std::string& workspace) override;
  std::shared_ptr<CapabilityExecutor> executor() override { return composites_; }
  void drain_calls(Timestamp deadline) override { composites_->drain(deadline); }
  void registry_changed() override;
  store::OwnerId owner() const override { return owner_.load(); }
  Value stats() override;
  bool stop(bool drain, Timestamp deadline) override;
  void stop_draining() override;

  void start_keeper();

  // --- for runs ---
  EngineParts& parts() { return parts_; }
  bool closed() const { return closed_.load(std::memory_order_acquire); }
  LiveRunPtr find_live(const std::string& id);
  Result<DefinitionPtr> load_definition(store::Transaction& tx, const std::string& digest);
  // The workflows and capabilities that a live run lies within, its own last; else nothing.
  std::vector<std::string> way_to(const std::string& run);
  // How often runs were adopted here; waits until that has changed, the engine has closed, or
  // `until`.
  std::uint64_t adoptions();
  void await_adoption(std::uint64_t seen, Timestamp until);
  // As long as the handle lives, commits of other processes count as adoptions.
  std::shared_ptr<void> watch_commits();
  // Why this process, which has the run's lease, cannot go on with it: `corrupt`, or nothing.
  std::optional<Error> unreadable(std::int64_t number);
  // Calls back once when a run that this process does not own has ended, will never end for what is
  // known of it, or the engine stops.
  void watch(std::int64_t number, Function<void()> ended);
  // Takes what has happened to a run into account: decides, applies, commits, and then does what
  // follows. `acknowledge` is called once that is committed.
  void stimulate(const LiveRunPtr& run, const Stimulus& stimulus,
                 const TraceRecord* trace = nullptr, Acknowledge acknowledge = nullptr,
                 EventBatchPtr emitted = nullptr);

 private:
  // A run whose lease is ours although nobody works on it: its commit failed or may have been made,
  // or it could not be read. Tried again, once the calls of `run` (may be null) have ended.
  struct Orphan {
    store::Lease lease;
    LiveRunPtr run;
  };

  // A run whose capabilities are still to be found.
  struct Adopted {
    LiveRunPtr run;
    Pinned pinned;
  };

  struct Watched {
    std::int64_t number = 0;
    Function<void()> ended;
  };

  // --- engine.cpp ---
  Result<void> prepare(StartRequest& request);
  Result<LiveRunPtr> plan_start(StartRequest& request);
  Result<void> pin(LiveRun& run, Start& start);
  void commit_start(const LiveRunPtr& run, std::shared_ptr<Batch> batch, StartRequest request,
                    Function<void(Result<RunPtr>)> started);
  Result<RunPtr> same_run(const StartRequest& request);
  void gather(LiveRun& run, Decision decision, Batch& into) CLEW_REQUIRES(run.mutex_);
  void pump(const LiveRunPtr& run);
  static store::Durability durability_of(const LiveRun& run, const Batch& batch);
  void committed(const LiveRunPtr& run, const std::shared_ptr<Batch>& batch, Result<void> result);
  void commit_over();
  void carry_out(const LiveRunPtr& run, Batch& batch);
  void launch(const LiveRunPtr& run, CallCommand command);
  void launch_ready();
  void withdraw(const LiveRunPtr& run, const CallCommand& command);
  void call_ended(const LiveRunPtr& run, const CallCommand& command, const InvocationPtr& call);
  void wake_at(const LiveRunPtr& run, const WakeCommand& wake);
  void await_event(const LiveRunPtr& run, const WaitCommand& wait);
  bool tell(const LiveRunPtr& run, int step, const Stimulus& stimulus);
  void lose(const LiveRunPtr& run, Error why);
  void forget(const LiveRunPtr& run);
  // --- engine_reads.cpp ---
  Result<RunPtr> find_by_key(const StartRequest& request);
  Result<RunPtr> find_stored(Function<Result<std::optional<RunRow>>(store::Transaction&)> find);
  // --- recovery.cpp ---
  void keep_alive();
  Result<void> renew();
  void go_round(bool adopts);
  void look_at_watched();
  bool is_watching();
  std::shared_ptr<void> watch_for_keeper();
  bool await_quiet(bool calls_too, Timestamp deadline);
  void withdraw_all();
  Result<int> adopt_lapsed();
  Result<void> adopt_orphans();
  Result<bool> try_orphan(const Orphan& orphan);
  void adopt_later(const store::Lease& lease, LiveRunPtr run = nullptr);
  std::vector<std::pair<store::Lease, Error>> adopt(const std::vector<store::Lease>& leases);
  Result<Adopted> load_run(store::Transaction& tx, const store::Lease& lease);
  void note_unreadable(std::int64_t number, const Result<void>& adopted);
  void resume_or_wait(const LiveRunPtr& run);
  bool bind(LiveRun& run, const Pinned& pinned, std::string& waiting_for);
  Result<void> hand_back();

  EngineParts parts_;
  EngineOptions options_;
  Random& jitter_;
  std::atomic<store::OwnerId> owner_;
  std::atomic<bool> adopts_{false};     // takes over what nobody owns
  std::atomic<bool> stopping_{false};   // nothing new begins
  std::atomic<bool> withdraws_{false};  // nor does what is ready
  std::atomic<bool> draining_stopped_{false};
  std::atomic<bool> closed_{false};
  std::atomic<std::int64_t> active_calls_{0};
  std::atomic<std::int64_t> started_{0};
  std::atomic<std::int64_t> adopted_{0};
  std::atomic<std::int64_t> ended_{0};
  std::atomic<std::int64_t> lost_{0};
  std::atomic<std::int64_t> committing_{0};  // commits under way, and what may lead to one

  Mutex mutex_;
  Condition idle_;
  std::unordered_map<std::string, LiveRunPtr> live_ CLEW_GUARDED_BY(mutex_);
  std::map<std::string, Adopted> unbound_ CLEW_GUARDED_BY(mutex_);
  std::set<std::string> kept_definitions_ CLEW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, DefinitionPtr> definitions_ CLEW_GUARDED_BY(mutex_);
  std::deque<std::pair<LiveRunPtr, CallCommand>> ready_ CLEW_GUARDED_BY(mutex_);
  std::string last_error_ CLEW_GUARDED_BY(mutex_);
  std::vector<Orphan> orphans_ CLEW_GUARDED_BY(mutex_);
  std::map<std::int64_t, Error> unreadable_ CLEW_GUARDED_BY(mutex_);  // by number
  std::uint64_t adoptions_ CLEW_GUARDED_BY(mutex_) = 1;
  Condition adopted_here_;  // or closed

  EventWaits waits_;
  const std::shared_ptr<WorkflowExecutor> composites_;

  Mutex keeper_mutex_;
  Condition keeper_wake_;
  bool keeper_stop_ CLEW_GUARDED_BY(keeper_mutex_) = false;
  std::vector<Watched> watched_ CLEW_GUARDED_BY(keeper_mutex_);
  bool watched_is_new_ CLEW_GUARDED_BY(keeper_mutex_) = false;
  bool has_news_ CLEW_GUARDED_BY(keeper_mutex_) = false;  // others have committed
  std::int64_t watched_version_ = -1;  // of the data when the keeper looked; its thread's own
  Threads keeper_;
};

// What a run's lock says of a capability: changes whenever its content does.
std::string lock_digest(const Capability& capability);
// What the planner must know; `capability` is null for a step without a call.
StepTraits traits_of(const Step& step, const Capability* capability);

// A run that this process does not own: every question is asked of the store.
RunPtr make_stored_run(EngineImpl& engine, RunRow row, DefinitionPtr definition);

}  // namespace clew::workflow
