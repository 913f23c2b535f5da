#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "clew/exec/detail/failure.hpp"
#include "clew/exec/detail/pool.hpp"

namespace clew::detail {
namespace {

constexpr int spins_min = 8;
constexpr int spins_max = 256;  // some microseconds
constexpr unsigned probe_every = 16;
constexpr Duration nap_length = std::chrono::microseconds(50);
constexpr int naps_max = 20;  // in which nothing happened

// The pool whose thread this is.
thread_local constinit const void* pool_of_thread = nullptr;
thread_local constinit bool task_is_ending = false;

// Keeps the number where the name must be cut.
std::string thread_name(const std::string& pool, std::size_t number) {
  const auto suffix = fmt::format("-{}", number);
  return pool.substr(0, 15 - suffix.size()) + suffix;
}

}  // namespace

// ---- workers

void Pool::work(Worker& me) {
  pool_of_thread = this;
  if (options_.on_thread_start) options_.on_thread_start();
  me.held = &add_held(this);
  QueuedTask* finished = nullptr;
  for (;;) {
    auto* task = next_task(me, std::exchange(finished, nullptr));
    if (task != nullptr) {
      me.threw = !run(me, *task);
      finished = task;
      continue;
    }
    spin(me);
    if (!rest(me)) break;
  }
  drop_held(*me.held);
  if (options_.on_thread_stop) options_.on_thread_stop();
}

void Pool::ending() { task_is_ending = pool_of_thread == this; }

bool Pool::is_ending() const { return task_is_ending && pool_of_thread == this; }

bool Pool::run(Worker& me, QueuedTask& queued) {
  me.held->depth = 1;
  const bool returned = call_contained(queued.task.call, Turn::run, options_.on_task_failure);
  task_is_ending = false;
  me.held->depth = 0;
  return returned;
}

// Gives up the slot of the finished task and claims the next one, under one lock.
QueuedTask* Pool::next_task(Worker& me, QueuedTask* finished) {
  QueuedTask* task = nullptr;
  Wake wake;
  {
    const QuickLock lock(mutex_);
    if (finished != nullptr) account(me, *finished);
    grant_waiters();
    if (slot_is_free()) task = queue_.pop(me.held->use);
    if (task != nullptr) {
      take_slot();
      stop_searching(me);
      if (!entering_.empty()) grant_waiters();  // those that let another tenant's task go first
    } else {
      search_or_idle(me);
    }
    publish_queue();
    wake = wake_searcher();
    wake.room = wants_room_wake();
    if (closing_ && queue_.size() == 0) wake_idle_to_exit();
  }
  perform(wake);
  return task;
}

void Pool::account(Worker& me, QueuedTask& finished) {
  ++counts_.completed;
  if (me.threw) ++counts_.failures;
  queue_.finish(&finished, me.held->use);
  free_slot();
}

// One worker at a time looks out for work; the others sleep at once.
void Pool::search_or_idle(Worker& me) {
  me.may_spin = me.searching || searching_ == 0;
  if (me.searching) return;
  if (searching_ == 0) {
    me.searching = true;
    ++searching_;
  } else {
    me.notified = false;
    idle_.push_back(&me);
  }
}

void Pool::stop_searching(Worker& me) {
  if (me.searching) --searching_;
  me.searching = false;
}

// Waking a sleeper costs far more than a look, so a searcher looks for a while: longer when that
// paid off the last time, and not when a task and a submitter have the cores.
void Pool::spin(Worker& me) const {
  if (!me.may_spin || running_hint_.load(std::memory_order_relaxed) + 1 >= cores_) return;
  const int limit = ++me.rests % probe_every == 0 ? spins_max : me.spins;
  for (int i = 0; i < limit; ++i) {
    if (has_runnable_.load(std::memory_order_relaxed)) {
      me.spins = std::min(spins_max, 2 * me.spins);
      return;
    }
    relax();
  }
  me.spins = std::max(spins_min, me.spins / 2);
}

// Sleeps unless there is work. False when the worker is to end.
bool Pool::rest(Worker& me) {
  Lock lock(mutex_);
  for (;;) {
    if (me.searching) {
      if (closing_ && queue_.size() == 0) break;
      if (slot_is_free() && queue_.has_runnable()) return true;
      stop_searching(me);
      me.notified = false;
      idle_.push_back(&me);
    }
    while (!me.notified) me.wake.wait(lock);  // whoever notifies makes it searcher or napper
    if (napper_ == &me) nap(me, lock);
  }
  stop_searching(me);
  --live_;
  tell_if_over();
  return false;
}

// Until it is a searcher, or idle because nothing happens any more.
void Pool::nap(Worker& me, Lock& lock) {
  for (int dull = 0; napper_ == &me;) {
    const bool has_moved = std::exchange(me.seen, counts_.completed) != counts_.completed;
    const bool can_run = slot_is_free() && queue_.has_runnable();
    if (can_run && searching_ == 0 && !(has_moved && is_crowded())) {
      napper_ = nullptr;
      make_searcher(me);
      return;
    }
    dull = has_moved || can_run ? 0 : dull + 1;
    if (dull == naps_max) {
      napper_ = nullptr;
      me.notified = false;
      idle_.push_back(&me);
      return;
    }
    naps_clock_->wait_until(me.wake, lock, naps_clock_->now() + nap_length);
  }
}

void Pool::make_searcher(Worker& worker) {
  worker.notified = true;
  worker.searching = true;
  ++searching_;
}

bool Pool::start_thread(Worker& worker) {
  try {
    const Lock lock(threads_mutex_);
    threads_.start(thread_name(options_.name, threads_.size()), [this, &worker] { work(worker); });
    return true;
  } catch (const std::system_error&) {
    const Lock lock(mutex_);
    stop_searching(worker);
    --live_;
    tell_if_over();
    return false;
  }
}

// ---- start and stop

Result<void> Pool::start() {
  std::vector<Worker*> fresh;
  {
    const Lock lock(mutex_);
    if (closing_) return closed();
    if (std::exchange(started_, true)) return {};
    for (int i = 0; i < options_.threads; ++i) fresh.push_back(&workers_.emplace_back());
    live_ += options_.threads;
    searching_ += options_.threads;
  }
  bool all = true;
  for (auto* worker : fresh) all = start_thread(*worker) && all;
  if (all) return {};
  stop(StopMode::cancel, Timestamp::never());
  return error(Code::resource_exhausted, "the system has no {} threads for {}", options_.threads,
               options_.name);
}

bool Pool::stop(StopMode mode, Timestamp deadline) {
  CLEW_CHECK(find_held(this) == nullptr);  // in a slot, it would wait for itself
  CLEW_CHECK(pool_of_thread != this);
  bool drops = false;
  {
    const Lock lock(mutex_);
    closing_ = true;
    drops = mode == StopMode::cancel || !started_;
    room_.notify_all();
    for (auto* waiter : entering_) waiter->wake.notify_one();
    if (queue_.size() == 0) wake_idle_to_exit();
  }
  if (drops) drop_queue();
  const bool kept = await_end(deadline);
  const Lock lock(threads_mutex_);
  threads_.join();
  return kept;
}

void Pool::drop_queue() {
  std::vector<QueuedTask*> tasks;
  {
    const Lock lock(mutex_);
    tasks = queue_.take_all();
    ++callers_;  // another stop() waits until all are told
    publish_queue();
    wake_idle_to_exit();
  }
  std::int64_t threw = 0;
  for (auto* task : tasks) {
    if (!call_contained(task->task.call, Turn::drop, options_.on_task_failure)) ++threw;
  }
  const Lock lock(mutex_);
  for (auto* task : tasks) queue_.recycle(task);
  counts_.dropped += static_cast<std::int64_t>(tasks.size());
  counts_.failures += threw;
  --callers_;
  tell_if_over();
}

// True when everything ended before the deadline.
bool Pool::await_end(Timestamp deadline) {
  bool kept = true;
  Lock lock(mutex_);
  while (!is_over()) {
    if (!kept || deadline == Timestamp::never()) {
      over_.wait(lock);
    } else if (clock_.wait_until(over_, lock, deadline) && !is_over()) {
      kept = false;
      lock.unlock();
      drop_queue();
      lock.lock();
    }
  }
  return kept;
}

void Pool::tell_if_over() {
  if (closing_ && is_over()) over_.notify_all();
}

void Pool::wake_idle_to_exit() {
  if (napper_ != nullptr) idle_.push_back(std::exchange(napper_, nullptr));
  for (auto* worker : idle_) {
    make_searcher(*worker);
    worker->wake.notify_one();
  }
  idle_.clear();
}

}  // namespace clew::detail
