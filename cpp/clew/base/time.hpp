// base/time.hpp: instants, durations, and the clock that everything asks.
#pragma once

#include <chrono>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/result.hpp"

namespace clew {

using Duration = std::chrono::microseconds;

// An instant: integer microseconds since the Unix epoch.
struct Timestamp {
  std::int64_t us = 0;
  static constexpr Timestamp never() { return {INT64_MAX}; }  // later than every real instant
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
  // Saturates at never(), and stays there.
  friend Timestamp operator+(Timestamp at, Duration by);
  friend Duration operator-(Timestamp a, Timestamp b) { return Duration(a.us - b.us); }
};

// Reads "250ms", "1h30m", "3d" and sums of them (units us ms s m h d w, largest first, decimals
// allowed, each unit once). Rounded to whole microseconds. Error
// `invalid_input` naming `path`, also beyond 64 bits of microseconds. Never negative.
Result<Duration> parse_duration(std::string_view text, std::string_view path = "duration");
// A duration from a Value: a string as above, or a number of seconds.
Result<Duration> to_duration(const Value& value, std::string_view path);
// Reads back to the same duration: "1h30m", "250ms", "0s", "14d". A negative one, which no parser
// reads, has a leading minus.
std::string to_string(Duration duration);
// RFC 3339 in UTC with microseconds: "2026-01-31T08:00:00.000000Z". Instants outside the years 0 to
// 9999, which RFC 3339 cannot write, have more digits or a sign.
std::string to_rfc3339(Timestamp at);

// Where waiters sleep. As std::condition_variable, but only a Clock can wait on it, so that
// virtual time can wake timed waiters.
class Condition {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }
  void wait(Lock& lock) CLEW_NO_ANALYSIS { condition_.wait(lock.native()); }

 private:
  friend class RealClock;
  friend class ManualClock;
  std::condition_variable condition_;
};

// Tells the time and waits for it. Thread-safe. Owned by the composition root; outlives everything.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back within this process, whatever the system's clock does.
  virtual Timestamp now() = 0;
  // Nanoseconds from an arbitrary origin, for measuring. Never goes back.
  virtual std::int64_t ticks_ns() = 0;
  // Both for the price of one.
  struct Reading {
    Timestamp now;
    std::int64_t ticks_ns;
  };
  virtual Reading read() = 0;
  // Waits on `condition` until notified (or spuriously) or until `deadline`; `lock` is released
  // meanwhile. True when the deadline has come. Callers loop on their own predicate.
  virtual bool wait_until(Condition& condition, Lock& lock, Timestamp deadline) = 0;
};

// The system's clock. When that is set back, this one goes on from where it was at a steady pace;
// when it is set forward, this one follows, and a wait notices within a minute.
std::unique_ptr<Clock> make_real_clock();

// Virtual time for tests: stands still until moved. Thread-safe. Waiters wake when their deadline
// is passed over; nothing sleeps in real time.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = {1'700'000'000'000'000});
  ~ManualClock() override;
  Timestamp now() override;
  std::int64_t ticks_ns() override;
  Reading read() override;
  bool wait_until(Condition& condition, Lock& lock, Timestamp deadline) override;

  // Moves on by `by` (CLEW_CHECK: not negative) and wakes every waiter whose deadline has come.
  // Takes the waiters' locks for a moment: the caller must hold none of them.
  void advance(Duration by);
  // The earliest deadline that somebody waits for, or Timestamp::never().
  Timestamp next_deadline() const;
  // Blocks in real time until at least `count` waits with a deadline are pending: the signal that
  // the code under test has gone to sleep. False after ten real seconds. Waits for never() and
  // waits whose deadline has come do not count.
  bool await_waiters(int count);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace clew
