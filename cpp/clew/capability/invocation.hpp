// capability/invocation.hpp: one call, from its admission to its outcome.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/cancel.hpp"
#include "clew/base/env.hpp"
#include "clew/base/function.hpp"
#include "clew/base/mutex.hpp"
#include "clew/capability/event.hpp"
#include "clew/capability/trace.hpp"
#include "clew/exec/exec.hpp"
#include "clew/exec/timers.hpp"

namespace clew {

class Dispatcher;
class Invocation;
using InvocationPtr = std::shared_ptr<Invocation>;

// What somebody asks for. A value that travels the whole way.
struct Request {
  std::string reference;     // "text.words@^1"; ignored when `capability` is set
  CapabilityPtr capability;  // already resolved (a pinned step)
  Value considered;          // with `capability`: as Resolved::considered
  Value input;
  std::optional<Duration> timeout;          // from now, queue included
  Timestamp deadline = Timestamp::never();  // the earlier of the two wins, and the parent's
  std::string
      workspace;       // whose capabilities `reference` names; empty: the parent's, or the default
  std::string target;  // a wish within what the contract permits
  std::string idempotency_key;
  std::string correlation_id;
  std::optional<TraceContext> context;  // of a caller in another process
  int priority = 0;
  bool unbounded = false;  // may exceed the queue's bound: whoever asks keeps a bound of its own
  CancelToken cancel;
  InvocationPtr parent;                // the call within which this one is made
  std::shared_ptr<const StepTag> tag;  // when it is a step of a run
};

// How a call ended: the output, or the error.
struct Outcome {
  CallOutcome kind = CallOutcome::success;
  Result<Value> result = Value();
};

// What all calls of one dispatcher share; outlives the dispatcher while calls do.
struct DispatchCore;
class CapabilityExecutor;

// One call. Shared by whoever waits for it and whoever runs it. Thread-safe.
// It ends exactly once: by its handler, its deadline, a cancellation or a refusal, whichever is
// first. What comes later is dropped.
class Invocation : public std::enable_shared_from_this<Invocation> {
 public:
  enum class State : std::uint8_t { queued, running, ended };
  static constexpr int depth_max = 100;  // calls within calls

  // Made by Dispatcher::admit() alone.
  explicit Invocation(std::shared_ptr<DispatchCore> core);
  ~Invocation();
  Invocation(const Invocation&) = delete;
  Invocation& operator=(const Invocation&) = delete;

  // --- for executors ---
  const CapabilityPtr& capability() const { return record_.capability; }
  const Value& input() const { return input_; }
  // How its task is to be queued: its priority, its limit, and whether the bound holds for it.
  Task task(Function<void(Turn)> run) const;
  // The limit that holds for this call; none when a call above it holds that place already.
  KeyLimit limit() const;
  // Whose share of the pool it takes: that of its capability's workspace; of what stands in the
  // default one, a connector for one, that of the call above.
  std::uint32_t tenant() const { return tenant_; }
  // Claims the call for running. False when it has ended already or another thread runs it.
  bool begin();
  // For who learns late that it runs, since `ago`. No effect when that was known.
  void note_begun(Duration ago = Duration{0});
  // Ends the call with what the handler gave. False when it had ended before: nobody will see this
  // result. Checks the output against the contract. May run the waiters' callbacks: no lock held.
  bool finish(Result<Value> result);

  // --- for handlers: the call's context ---
  const Id& id() const { return record_.id; }  // also of its trace
  Timestamp deadline() const { return deadline_; }
  // Whether the handler should stop: it, a call above it or the whole runtime was told to, or its
  // outcome is decided already.
  bool cancelled() const;
  CancelToken cancel_token();
  const std::string& idempotency_key() const { return idempotency_key_; }
  int attempt() const { return record_.tag ? record_.tag->attempt : 1; }
  const StepTag* tag() const { return record_.tag.get(); }
  const std::string& correlation_id() const { return record_.correlation_id; }
  // What to hand to other processes, as W3C Trace Context has it.
  std::string traceparent() const { return to_traceparent(record_.context, record_.id); }
  // Sends a request to a connector that its contract names; see Connectors::invoke(). Blocks.
  Result<Value> connect(const std::string& name, Value request,
                        Timestamp deadline = Timestamp::never());
  // How far the handler says it is: `done` of `total`; total 0: it has not said.
  void report_progress(std::int64_t done, std::int64_t total);
  std::pair<std::int64_t, std::int64_t> progress() const;
  // The handler has returned: what it emits from here on is refused. Whether its success is
  // committed by finish(), or by the run that it is a step of: neither may happen where nothing may
  // block.
  bool commits_at_end() {
    end_emits();
    return record_.tag != nullptr || claimed_.load(std::memory_order_relaxed) ||
           has_emitted_.load(std::memory_order_seq_cst);
  }

  // Keeps an event for the moment of success: a bare call publishes its events in one commit before
  // its caller hears of it, a step's go into the transaction of its result. A call that ends in any
  // other way publishes nothing. Within a step, the events of inner calls join those of the step.
  // With an idempotency key they go into the commit that keeps the key's result, whatever is above.
  // The trace's id becomes the causation; the correlation is inherited (of a step: its run).
  // Errors: `invalid_input` for an event that the contract's `emits` does not name or data that
  // does not fit; `not_found`, `rejected` as EventCatalog::admit; `conflict` once the call has
  // ended; `resource_exhausted` beyond 10,000.
  Result<void> emit(EventDraft draft);

  // --- for callers ---
  State state() const { return state_.load(std::memory_order_acquire); }
  bool ended() const { return state() == State::ended; }
  // Whether its handler was entered.
  bool entered() const { return begun_ns_.load(std::memory_order_relaxed) != 0; }
  bool never_ran() const { return ended() && !entered(); }
  // Whether nothing about the call asks for another thread: no timeout or cancel token of its own.
  bool may_run_here() const { return may_run_here_; }
  // Valid once ended.
  const Outcome& outcome() const { return outcome_; }
  const TraceRecord& trace() const { return record_; }
  // Of a step that has succeeded: the events to commit with its result. Once.
  std::vector<std::shared_ptr<Event>> take_emitted();
  // Asks the call to stop. One that has not begun ends as cancelled at once: true. One that runs
  // is told and goes on until it heeds it: false; also false when ended.
  bool cancel(std::string reason);
  // Calls `callback` once when the call has ended: at once on this thread when it has already,
  // otherwise on the thread that ends it. It must be short and must not block.
  void on_ended(Function<void()> callback);
  // The caller's deadline has come: ends the call as timed out unless somebody else ends it. The
  // call has ended when this returns. A running handler is told to stop. For an effect that happens
  // `once` the outcome is unknown then.
  void expire();
  // The same for who must not wait: false when somebody else ends it, or has.
  bool try_expire();
  // Ends a call that has not begun with what is known without running it; false when it had begun
  // or ended before.
  bool answer(HopReason why, Result<Value> result);
  CapabilityExecutor* executor() const { return executor_.get(); }
  // The call within which it was made, or nullptr.
  const Invocation* parent() const { return parent_.get(); }

 private:
  friend class DispatcherImpl;
  enum class Ending : std::uint8_t { open, taken };
  bool end(HopReason why, Result<Value> result);  // false: somebody else did
  void end_emits() { emits_over_.store(true, std::memory_order_seq_cst); }
  bool end_early(const std::string& reason);  // cancelled before it began
  bool claim_end() {
    return ending_.exchange(Ending::taken, std::memory_order_acq_rel) != Ending::taken;
  }
  void complete(HopReason why, Result<Value> result);  // after claim_end()
  void take_way(HopReason why);                        // the rest of its path
  bool finish_with_events(Value output);
  bool is_within_step() const;
  // Takes events over; on an error, those of emit(), they are left alone.
  Result<void> adopt(std::vector<std::shared_ptr<Event>>& events);
  Result<void> settle_key(const Result<Value>& result);  // of a call that was claimed
  // With what the contract allows; `failed`: why, if it is an error.
  bool finish_checked(Result<Value> result, HopReason failed);
  void announce();  // tells everybody who waits
  bool park(Timestamp until);
  void signal_cancel();
  void keep_timer(TimerId timer);  // cancelled when the call ends
  void keep_subscription(CancelSubscription follows);

  // What ends a call and what its caller looks at stand together, since they are mostly touched by
  // two threads; what only few calls need stands last.
  std::shared_ptr<DispatchCore> core_;
  std::atomic<State> state_{State::queued};
  std::atomic<bool> begun_{false};
  std::atomic<Ending> ending_{Ending::open};
  std::atomic<bool> cancel_requested_{false};
  std::atomic<bool> has_emitted_{false};
  std::atomic<bool> emits_over_{false};
  std::atomic<bool> launched_{false};  // its executor was asked to take it
  std::atomic<int> parked_{0};
  Outcome outcome_;
  std::atomic<std::int64_t> begun_ns_{0};  // 0: it never began
  std::int64_t admitted_ns_ = 0;
  Timestamp deadline_ = Timestamp::never();
  bool may_run_here_ = true;
  bool keyed_ = false;                // has an idempotency key that counts
  std::atomic<bool> claimed_{false};  // of those: it is the one that runs
  bool counted_ = false;              // in flight
  bool traced_ = false;               // leaves its trace in the TraceStore
  bool unbounded_ = false;
  std::uint16_t depth_ = 0;
  int priority_ = 0;
  std::uint32_t tenant_ = 0;
  std::shared_ptr<CapabilityExecutor> executor_;
  InvocationPtr parent_;
  struct Rare;  // what few calls need: callbacks, cancel source, subscriptions, timer
  Rare& rare() CLEW_REQUIRES(mutex_);
  mutable Mutex mutex_;
  std::unique_ptr<Rare> rare_ CLEW_GUARDED_BY(mutex_);
  Value input_;
  TraceRecord record_;
  std::string idempotency_key_;
  std::atomic<std::uint64_t> progress_done_{0};
  std::atomic<std::uint64_t> progress_total_{0};
};

}  // namespace clew
