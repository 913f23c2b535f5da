#include "clew/capability/invocation.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "clew/capability/detail/dispatch_core.hpp"
#include "clew/capability/detail/rare.hpp"
#include "clew/capability/executor.hpp"

namespace clew {
namespace {

// Where threads sleep until a call has ended. Calls share few places, so that one costs nothing
// while nobody waits for it; who wakes for a neighbour's call looks and sleeps again.
struct ParkingPlace {
  Mutex mutex;
  Condition condition;
};
std::array<ParkingPlace, 64> parking;

ParkingPlace& place_of(const Invocation* invocation) {
  return parking[(reinterpret_cast<std::uintptr_t>(invocation) >> 8U) % parking.size()];
}

}  // namespace

Invocation::Invocation(std::shared_ptr<DispatchCore> core) : core_(std::move(core)) {}
Invocation::~Invocation() = default;

Invocation::Rare& Invocation::rare() {
  if (!rare_) rare_ = std::make_unique<Rare>();
  return *rare_;
}

Task Invocation::task(Function<void(Turn)> run) const {
  return Task{std::move(run), priority_, tenant_, limit(), unbounded_, tag() != nullptr};
}

KeyLimit Invocation::limit() const {
  const int max = capability()->contract.max_concurrency;
  if (max == 0) return {};
  for (const Invocation* above = parent_.get(); above != nullptr; above = above->parent_.get()) {
    // It waits for us in the place it holds.
    if (above->capability() && above->capability()->key == capability()->key) return {};
  }
  return {capability()->key, max};
}

bool Invocation::begin() {
  if (begun_.exchange(true, std::memory_order_acq_rel)) return false;
  if (deadline_ != Timestamp::never() && core_->env.clock().now() >= deadline_) {
    end(HopReason::deadline_passed,
        error(Code::timeout, "{} was still queued at its deadline", capability()->contract.id));
    return false;
  }
  if (core_->cancel_all.load(std::memory_order_relaxed)) {
    end_early("the runtime is closing");
    return false;
  }
  begun_ns_.store(core_->env.clock().ticks_ns(), std::memory_order_relaxed);
  auto queued = State::queued;
  return state_.compare_exchange_strong(queued, State::running, std::memory_order_acq_rel);
}

void Invocation::note_begun(Duration ago) {
  if (begun_.exchange(true, std::memory_order_acq_rel)) return;
  const auto began_ns = core_->env.clock().ticks_ns() - ago.count() * 1000;
  begun_ns_.store(std::max(began_ns, admitted_ns_), std::memory_order_relaxed);
  auto queued = State::queued;
  state_.compare_exchange_strong(queued, State::running, std::memory_order_acq_rel);
}

bool Invocation::finish(Result<Value> result) {
  auto failed = HopReason::handler_failed;
  if (result && !capability()->outputs->accepts_everything()) {
    if (auto fits = capability()->outputs->check(*result, "output"); !fits) {
      failed = HopReason::output_invalid;
      result = Error(Code::execution_failed,
                     fmt::format("{} returned what its contract does not allow: {}",
                                 capability()->contract.id, fits.error().message()))
                   .with("path", fits.error().find("path") ? *fits.error().find("path") : Value());
    }
  }
  if (result) end_emits();
  if (claimed_.load(std::memory_order_relaxed)) {
    // Also what comes after the deadline counts for the key.
    if (auto kept = settle_key(result); !kept) {
      failed = HopReason::commit_failed;
      result = kept.error();
    }
  }
  return finish_checked(std::move(result), failed);
}

bool Invocation::finish_checked(Result<Value> result, HopReason failed) {
  if (deadline_ != Timestamp::never() && core_->env.clock().now() >= deadline_) {
    expire();  // in the instant of the deadline the deadline wins, however late its timer is
    return false;
  }
  if (result && has_emitted_.load(std::memory_order_seq_cst)) {
    return finish_with_events(*std::move(result));
  }
  if (result) return end(HopReason::result_accepted, std::move(result));
  const bool heeded = result.error().code() == Code::cancelled && cancelled();
  return end(heeded ? HopReason::cancel_heeded : failed, result.error().shortened());
}

bool Invocation::end(HopReason why, Result<Value> result) {
  if (!claim_end()) return false;
  complete(why, std::move(result));
  return true;
}

// What happened since the call was placed is only written down here, by the one who ends it:
// launching, beginning and ending are mostly different threads.
void Invocation::take_way(HopReason why) {
  CallPath& path = record_.path;
  if (path.stage() == CallStage::placed) {
    const bool launched = launched_.load(std::memory_order_relaxed);
    if (launched) path.take(HopReason::handed_over);
    // An executor may hand back a result without having told that it began.
    if (entered() || !path.can_take(why)) {
      path.take(launched ? HopReason::began : HopReason::slot_free);
    }
    if (!path.can_take(why)) path.take(HopReason::handler_returned);
  }
  path.take(why);
}

void Invocation::complete(HopReason why, Result<Value> result) {
  const auto now_ns = core_->env.clock().ticks_ns();
  const auto begun_ns = begun_ns_.load(std::memory_order_relaxed);
  record_.queue_ns = (begun_ns != 0 ? begun_ns : now_ns) - admitted_ns_;
  record_.run_ns = begun_ns != 0 ? now_ns - begun_ns : 0;
  record_.ended_ns = now_ns;
  take_way(why);
  const auto kind = record_.path.outcome().value();
  record_.outcome = kind;
  record_.input = input_;
  if (result) {
    record_.output = *result;
    record_.has_output = true;
  } else {
    record_.code = result.error().code();
  }
  outcome_.kind = kind;
  outcome_.result = std::move(result);
  core_->count(kind);
  if (traced_) core_->traces.record(record_);
  // Published here: whoever sees `ended` may read outcome and record.
  const auto before = state_.exchange(State::ended, std::memory_order_seq_cst);
  if (claimed_.load(std::memory_order_seq_cst) && before == State::queued) {
    core_->keys->let_go(*this);
  }
  announce();
  if (counted_) core_->leave();
}

bool Invocation::answer(HopReason why, Result<Value> result) {
  if (begun_.exchange(true, std::memory_order_acq_rel)) return false;
  return end(why, std::move(result));
}

void Invocation::announce() {
  std::vector<Function<void()>> callbacks;
  CancelSubscription follows;
  CancelSubscription obeys;
  {
    const Lock lock(mutex_);
    if (rare_) {
      callbacks = std::move(rare_->callbacks);
      follows = std::move(rare_->follows);
      obeys = std::move(rare_->obeys);
      if (rare_->timer != 0) core_->timers.cancel(rare_->timer);
    }
  }
  if (parked_.load(std::memory_order_seq_cst) > 0) {
    ParkingPlace& place = place_of(this);
    {
      const Lock lock(place.mutex);
    }  // a sleeper is either before its look or in its wait
    place.condition.notify_all();
  }
  for (auto& callback : callbacks) callback();
}

void Invocation::expire() {
  // Another thread is just ending it: its outcome is a few instructions away, or a commit.
  if (!try_expire()) park(Timestamp::never());
}

bool Invocation::try_expire() {
  if (executor_) executor_->withdraw(*this);
  const bool ran = begun_.exchange(true, std::memory_order_acq_rel);
  const Contract& contract = capability()->contract;
  const bool expired = end(
      HopReason::deadline_passed,
      ran && contract.effect == Effect::once
          ? error(Code::unknown_outcome,
                  "{} was running at its deadline: whether it took effect is unknown", contract.id)
          : error(Code::timeout, "{} was still {} at its deadline", contract.id,
                  ran ? "running" : "queued"));
  if (!expired) return false;
  cancel_requested_.store(true, std::memory_order_release);
  signal_cancel();
  return true;
}

bool Invocation::cancelled() const {
  if (ended() || cancel_requested_.load(std::memory_order_relaxed)) return true;
  if (core_->cancel_all.load(std::memory_order_relaxed)) return true;
  return parent_ != nullptr && parent_->cancelled();
}

CancelToken Invocation::cancel_token() {
  CancelToken token;
  {
    const Lock lock(mutex_);
    Rare& parts = rare();
    if (parts.cancel) return parts.cancel->token();
    parts.cancel.emplace();
    token = parts.cancel->token();
  }
  // A call within a call stops with it, every call with its runtime.
  const auto above = parent_ ? parent_->cancel_token() : core_->stop.token();
  CancelSubscription obeys(above, [weak = weak_from_this(), above] {
    if (const auto self = weak.lock()) self->cancel(above.reason());
  });
  {
    const Lock lock(mutex_);
    if (!ended()) rare().obeys = std::move(obeys);
  }
  // Asked for before there was anybody to tell.
  if (cancel_requested_.load(std::memory_order_seq_cst)) signal_cancel();
  return token;
}

void Invocation::signal_cancel() {
  std::optional<CancelSource> source;
  std::string reason;
  {
    const Lock lock(mutex_);
    if (!rare_) return;
    source = rare_->cancel;
    reason = rare_->reason;
  }
  if (source) source->cancel(reason);
}

bool Invocation::cancel(std::string reason) {
  if (ended()) return false;
  {
    const Lock lock(mutex_);
    if (rare().reason.empty()) rare().reason = reason;
  }
  cancel_requested_.store(true, std::memory_order_seq_cst);
  signal_cancel();
  if (executor_) executor_->withdraw(*this);
  if (begun_.exchange(true, std::memory_order_acq_rel)) return false;
  const bool is_mine = end_early(reason);
  // Again, for one that was just being handed over at the first time.
  if (is_mine && executor_) executor_->withdraw(*this);
  return is_mine;
}

bool Invocation::end_early(const std::string& reason) {
  return end(HopReason::cancelled_early,
             error(Code::cancelled, "{} was cancelled before it began{}", capability()->contract.id,
                   reason.empty() ? "" : ": " + reason));
}

void Invocation::keep_timer(TimerId timer) {
  const Lock lock(mutex_);
  if (ended()) {
    core_->timers.cancel(timer);
  } else {
    rare().timer = timer;
  }
}

void Invocation::keep_subscription(CancelSubscription follows) {
  const Lock lock(mutex_);
  if (!ended()) std::swap(rare().follows, follows);
}

void Invocation::on_ended(Function<void()> callback) {
  {
    const Lock lock(mutex_);
    // Under the lock `end` takes the list after it has published, so nothing falls between.
    if (!ended()) {
      rare().callbacks.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void Invocation::report_progress(std::int64_t done, std::int64_t total) {
  progress_done_.store(static_cast<std::uint64_t>(done), std::memory_order_relaxed);
  progress_total_.store(static_cast<std::uint64_t>(total), std::memory_order_relaxed);
}

std::pair<std::int64_t, std::int64_t> Invocation::progress() const {
  return {static_cast<std::int64_t>(progress_done_.load(std::memory_order_relaxed)),
          static_cast<std::int64_t>(progress_total_.load(std::memory_order_relaxed))};
}

bool Invocation::park(Timestamp until) {
  ParkingPlace& place = place_of(this);
  // Announced before looking: `end` publishes before it looks for sleepers.
  parked_.fetch_add(1, std::memory_order_seq_cst);
  {
    Lock lock(place.mutex);
    while (state_.load(std::memory_order_seq_cst) != State::ended) {
      if (core_->env.clock().wait_until(place.condition, lock, until)) break;
    }
  }
  parked_.fetch_sub(1, std::memory_order_relaxed);
  return ended();
}

}  // namespace clew
