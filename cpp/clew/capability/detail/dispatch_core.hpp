// capability/detail/dispatch_core.hpp: what all calls of one dispatcher share.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "clew/base/cancel.hpp"
#include "clew/base/env.hpp"
#include "clew/base/mutex.hpp"
#include "clew/capability/broker.hpp"
#include "clew/capability/idempotency.hpp"
#include "clew/capability/trace.hpp"
#include "clew/exec/timers.hpp"

namespace clew {

class Connectors;

// Thread-safe. Its borrowed parts outlive every call in flight: stop() waits for those.
struct DispatchCore {
  DispatchCore(Env& env_, TraceStore& traces_, Timers& timers_, IdempotencyKeys* keys_,
               Broker* broker_)
      : env(env_), traces(traces_), timers(timers_), keys(keys_), broker(broker_) {}

  Env& env;
  TraceStore& traces;
  Timers& timers;
  IdempotencyKeys* const keys;          // null: keys are only told to handlers
  Broker* const broker;                 // null: calls cannot emit
  Connectors* connectors = nullptr;     // the dispatcher's, while it lives
  std::atomic<bool> closing{false};     // nothing from outside enters
  std::atomic<bool> closed{false};      // nothing enters
  CancelSource stop;                    // the tokens of all calls follow it
  std::atomic<bool> cancel_all{false};  // every running handler should stop
  std::atomic<std::int64_t> inline_calls{0};
  std::array<std::atomic<std::int64_t>, 5> outcomes{};  // by CallOutcome

  // Each call that entered or was refused comes here once, before anybody can see its outcome.
  void count(CallOutcome kind) {
    outcomes[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_release);
  }

  // False when it may not: then nothing entered.
  bool enter(bool outsider) {
    entered.fetch_add(1, std::memory_order_seq_cst);
    const bool refused = closed.load(std::memory_order_seq_cst) ||
                         (outsider && closing.load(std::memory_order_seq_cst));
    if (!refused) return true;
    leave();
    return false;
  }
  void leave() {
    left.fetch_add(1, std::memory_order_seq_cst);
    if (closing.load(std::memory_order_seq_cst)) {
      {
        const Lock lock(idle_mutex);
      }
      idle.notify_all();
    }
  }
  std::int64_t all_entered() const { return entered.load(std::memory_order_seq_cst); }
  // Those that may still use the borrowed parts. In this order: when the two agree, nothing was in
  // flight at the first look.
  std::int64_t in_flight() const {
    const auto gone = left.load(std::memory_order_seq_cst);
    return entered.load(std::memory_order_seq_cst) - gone;
  }
  // Until nothing is in flight, `deadline` or stop_draining(); true when nothing is.
  bool await_idle(Timestamp deadline) {
    Lock lock(idle_mutex);
    while (in_flight() > 0 && !draining_stopped) {
      if (env.clock().wait_until(idle, lock, deadline)) break;
    }
    return in_flight() == 0;
  }
  void stop_draining() {
    {
      const Lock lock(idle_mutex);
      draining_stopped = true;
    }
    idle.notify_all();
  }

 private:
  // Those who start calls and those who end them are mostly different threads.
  alignas(64) std::atomic<std::int64_t> entered{0};
  alignas(64) std::atomic<std::int64_t> left{0};
  Mutex idle_mutex;
  Condition idle;
  bool draining_stopped CLEW_GUARDED_BY(idle_mutex) = false;
};

}  // namespace clew
