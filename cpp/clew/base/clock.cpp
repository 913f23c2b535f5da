#include <time.h>

#include <algorithm>
#include <list>

#include "clew/base/check.hpp"
#include "clew/base/time.hpp"

namespace clew {
namespace {

std::int64_t read_ns(clockid_t id) {
  timespec at{};
  clock_gettime(id, &at);
  return static_cast<std::int64_t>(at.tv_sec) * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

// The steady clock plus an offset that only grows: the largest difference to the system's clock
// that was seen. So time neither goes back nor stands still when the system's clock is set back.
// Both clocks run at one rate between two settings, so looking at the system's clock now and then
// is exact, and halves the cost of now().
class RealClock final : public Clock {
 public:
  Timestamp now() override { return read().now; }

  Reading read() override {
    auto steady_ns = read_ns(CLOCK_MONOTONIC);
    if (steady_ns >= look_again_ns_.load(std::memory_order_acquire)) steady_ns = look();
    return {{(steady_ns + offset_ns_.load(std::memory_order_relaxed)) / 1000}, steady_ns};
  }

  std::int64_t ticks_ns() override { return read_ns(CLOCK_MONOTONIC); }

  bool wait_until(Condition& condition, Lock& lock, Timestamp deadline) override CLEW_NO_ANALYSIS {
    if (deadline == Timestamp::never()) {
      condition.wait(lock);
      return false;
    }
    const auto left = deadline - now();
    if (left.count() <= 0) return true;
    const auto slice = std::min<Duration>(left, slice_max);
    condition.condition_.wait_until(lock.native(), std::chrono::steady_clock::now() + slice);
    return now() >= deadline;
  }

 private:
  // How long a wait may go without looking whether the system's clock was set forward.
  static constexpr Duration slice_max = std::chrono::minutes(1);
  static constexpr std::int64_t look_every_ns = 1'000'000;

  // Looks at the system's clock. Returns the steady time after that: the system's is read first,
  // because a pause between the two reads then makes the difference smaller, never larger, and
  // cannot push the offset into the future.
  std::int64_t look() {
    const auto system_ns = read_ns(CLOCK_REALTIME);
    const auto steady_ns = read_ns(CLOCK_MONOTONIC);
    const auto seen = system_ns - steady_ns;
    auto offset = offset_ns_.load(std::memory_order_relaxed);
    while (offset < seen && !offset_ns_.compare_exchange_weak(offset, seen)) {
    }
    // After the offset, so that whoever skips the look finds one.
    look_again_ns_.store(steady_ns + look_every_ns, std::memory_order_release);
    return steady_ns;
  }

  std::atomic<std::int64_t> offset_ns_{INT64_MIN};
  std::atomic<std::int64_t> look_again_ns_{INT64_MIN};
};

std::unique_ptr<Clock> make_real_clock() { return std::make_unique<RealClock>(); }

// A waiter registers while it holds its own lock and lets go of that only inside the condition. So
// whoever takes the waiter's lock after seeing the registration finds it asleep, and a notification
// cannot be lost. `pins` keeps lock and condition alive until advance() is done with them.
struct ManualClock::State {
  struct Waiter {
    Timestamp deadline;
    Condition* condition;
    std::mutex* waiters_lock;
    int pins = 0;
  };

  mutable Mutex mutex;
  Condition changed;  // a waiter came, or lost a pin
  Timestamp now CLEW_GUARDED_BY(mutex);
  std::list<Waiter> waiters CLEW_GUARDED_BY(mutex);

  // Waits with a deadline that has not come.
  int pending() const CLEW_REQUIRES(mutex) {
    return static_cast<int>(std::ranges::count_if(waiters, [now = now](const Waiter& waiter) {
      return waiter.deadline > now && waiter.deadline != Timestamp::never();
    }));
  }
};

ManualClock::ManualClock(Timestamp start) : state_(std::make_unique<State>()) {
  const Lock lock(state_->mutex);
  state_->now = start;
}

ManualClock::~ManualClock() = default;

Timestamp ManualClock::now() {
  const Lock lock(state_->mutex);
  return state_->now;
}

std::int64_t ManualClock::ticks_ns() { return now().us * 1000; }

Clock::Reading ManualClock::read() {
  const auto at = now();
  return {at, at.us * 1000};
}

bool ManualClock::wait_until(Condition& condition, Lock& lock,
                             Timestamp deadline) CLEW_NO_ANALYSIS {
  std::list<State::Waiter>::iterator self;
  {
    const Lock guard(state_->mutex);
    if (state_->now >= deadline) return true;
    self = state_->waiters.insert(state_->waiters.end(),
                                  {deadline, &condition, lock.native().mutex()});
    state_->changed.notify_all();
  }
  condition.wait(lock);
  // advance() may be waiting for the lock that we hold here: give it up until we are unpinned.
  lock.unlock();
  bool due = false;
  {
    Lock guard(state_->mutex);
    while (self->pins > 0) state_->changed.wait(guard);
    state_->waiters.erase(self);
    due = state_->now >= deadline;
  }
  lock.lock();
  return due;
}

void ManualClock::advance(Duration by) {
  CLEW_CHECK(by.count() >= 0);
  std::vector<State::Waiter*> due;
  {
    const Lock guard(state_->mutex);
    state_->now = state_->now + by;
    for (auto& waiter : state_->waiters) {
      if (waiter.deadline > state_->now) continue;
      ++waiter.pins;
      due.push_back(&waiter);
    }
  }
  for (auto* waiter : due) {
    {
      const std::lock_guard asleep(*waiter->waiters_lock);
    }
    waiter->condition->notify_all();
    const Lock guard(state_->mutex);
    --waiter->pins;
    state_->changed.notify_all();
  }
}

Timestamp ManualClock::next_deadline() const {
  const Lock guard(state_->mutex);
  auto earliest = Timestamp::never();
  for (const auto& waiter : state_->waiters) {
    if (waiter.deadline > state_->now) earliest = std::min(earliest, waiter.deadline);
  }
  return earliest;
}

bool ManualClock::await_waiters(int count) CLEW_NO_ANALYSIS {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  Lock guard(state_->mutex);
  while (state_->pending() < count) {
    if (state_->changed.condition_.wait_until(guard.native(), give_up) == std::cv_status::timeout) {
      return state_->pending() >= count;
    }
  }
  return true;
}

}  // namespace clew
