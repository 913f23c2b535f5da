// exec/timers.hpp: call me at that instant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "clew/base/function.hpp"
#include "clew/base/time.hpp"
#include "clew/exec/service.hpp"

namespace clew {

using TimerId = std::uint64_t;  // never 0, never reused

// Calls functions at instants of the injected clock, in order of their instants and, for equal
// ones, of their registration, never before. One thread of its own. Thread-safe. Holds a million
// pending timers; adding and cancelling cost O(log n) at worst and no allocation beyond the entry.
//
// Timers set before start() wait for it. stop(drain) fires what is due at that instant,
// stop(cancel) nothing; the rest is destroyed uncalled on the stopping thread. CLEW_CHECK: stop()
// and await_idle() are not called by a `wake`, which would wait for itself.
class Timers : public Service {
 public:
  // Calls `wake` on the timer thread once `due` has come (at once when it has). `wake` must be
  // short and must not block: hand longer work to an executor. What it throws is a bug and goes to
  // standard error. After stop() it is never called, and the id names nothing.
  virtual TimerId at(Timestamp due, Function<void()> wake) = 0;
  // True when the timer will not fire any more because of this call; false when it has fired, fires
  // now, or was cancelled before. Does not wait for a `wake` that is running.
  virtual bool cancel(TimerId id) = 0;
  virtual std::size_t pending() const = 0;
  // Blocks until no timer is due and no `wake` is running: after ManualClock::advance(), until all
  // that it set off has happened. Needs start(); returns at once after stop().
  virtual void await_idle() = 0;
  // Whether the calling thread is the timer thread, where nothing may block.
  virtual bool on_timer_thread() const = 0;
};

std::unique_ptr<Timers> make_timers(Clock& clock);

}  // namespace clew
