#include "clew/exec/thread_pool.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "clew/exec/detail/failure.hpp"
#include "clew/exec/detail/pool.hpp"

namespace clew {

PoolSlot::PoolSlot(PoolSlot&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), key_(other.key_) {}

PoolSlot& PoolSlot::operator=(PoolSlot&& other) noexcept {
  if (this != &other) {
    if (pool_ != nullptr) pool_->leave(key_);
    pool_ = std::exchange(other.pool_, nullptr);
    key_ = other.key_;
  }
  return *this;
}

PoolSlot::~PoolSlot() {
  if (pool_ != nullptr) pool_->leave(key_);
}

Result<std::unique_ptr<ThreadPool>> make_thread_pool(PoolOptions options, Clock& clock) {
  if (options.threads < 1 || options.threads > 256) {
    return invalid_input("threads", options.threads, "a number from 1 to 256");
  }
  if (options.queue_max < 1) {
    return invalid_input("queue_max", options.queue_max, "a number of at least 1");
  }
  if (options.block_max < Duration::zero()) {
    return invalid_input("block_max", to_string(options.block_max), "a duration of at least 0");
  }
  return std::unique_ptr<ThreadPool>(std::make_unique<detail::Pool>(std::move(options), clock));
}

namespace detail {

Pool::Pool(PoolOptions options, Clock& clock)
    : options_(std::move(options)),
      cores_(static_cast<int>(std::thread::hardware_concurrency())),
      clock_(clock) {
  counts_.capacity = options_.threads;
}

Pool::~Pool() { stop(StopMode::cancel, Timestamp::never()); }

// ---- submit

Result<void> Pool::submit(Task task) {
  CLEW_CHECK(static_cast<bool>(task.call));
  if (task.limit.key != 0 && task.limit.max < 1) {
    return invalid_input("limit.max", task.limit.max, "at least 1 for a task with a key");
  }
  Wake wake;
  Entry entry = Entry::accepted;
  {
    const QuickLock lock(mutex_);
    entry = entry_now(task);
    if (entry == Entry::accepted) [[likely]]
      wake = accept(std::move(task));
  }
  switch (entry) {
    case Entry::accepted:
      perform(wake);
      return {};
    case Entry::waits:
      // NOLINTNEXTLINE(bugprone-use-after-move): moved only when accepted
      return submit_to_full_queue(std::move(task));
    case Entry::rejected:
      return rejected();
    case Entry::closed:
      return closed();
  }
  return closed();
}

bool Pool::try_submit(Task& task) {
  CLEW_CHECK(static_cast<bool>(task.call));
  CLEW_CHECK(task.limit.key == 0 || task.limit.max >= 1);
  Wake wake;
  {
    const QuickLock lock(mutex_);
    if (closing_ || is_full_for(task)) return false;
    wake = accept(std::move(task));
  }
  perform(wake);
  return true;
}

Pool::Entry Pool::entry_now(const Task& task) {
  if (closing_) return Entry::closed;
  if (!is_full_for(task)) return Entry::accepted;
  if (options_.full == FullPolicy::reject) {
    ++counts_.rejected;
    return Entry::rejected;
  }
  ++callers_;  // so that stop() waits until this thread is out again
  return Entry::waits;
}

Pool::Wake Pool::accept(Task&& task) {
  ++counts_.submitted;
  const bool is_mine = task.follows && queue_.size() == 0 && is_ending();
  queue_.push(std::move(task));
  publish_queue();
  return is_mine ? Wake{} : wake_searcher();
}

Result<void> Pool::submit_to_full_queue(Task task) {
  Result<void> outcome;
  PoolSlot nested;
  if (options_.full == FullPolicy::caller_runs && in_slot())
    nested = try_enter(task.limit, task.tenant);
  if (nested) {
    run_on_caller(task);
  } else {
    // A thread that waited in its slot for its own pool to move on would stop just that.
    blocking([this, &task, &outcome] {
      if (options_.full == FullPolicy::block) {
        outcome = wait_for_room(task);
      } else if (const auto slot = wait_for_slot(task)) {
        run_on_caller(task);
      } else {
        outcome = slot.error();
      }
    });
  }
  nested = {};
  const QuickLock lock(mutex_);
  --callers_;
  tell_if_over();
  return outcome;
}

Result<void> Pool::wait_for_room(Task& task) {
  const auto deadline = clock_.now() + options_.block_max;
  Wake wake;
  {
    Lock lock(mutex_);
    ++room_waiters_;
    for (bool late = false; !closing_ && is_full_for(task) && !late;) {
      late = clock_.wait_until(room_, lock, deadline);
      room_told_ = false;
    }
    --room_waiters_;
    if (closing_) return closed();
    if (is_full_for(task)) {
      ++counts_.rejected;
      return rejected();
    }
    wake = accept(std::move(task));
    wake.room = wants_room_wake();
  }
  perform(wake);
  return {};
}

// A slot and a place of the task's key for this thread, after at most `block_max`.
Result<PoolSlot> Pool::wait_for_slot(const Task& task) {
  const auto deadline = clock_.now() + options_.block_max;
  auto* held = find_held(this);
  Waiter me{.limit = task.limit, .tenant = task.tenant};
  {
    Lock lock(mutex_);
    entering_.push_back(&me);
    grant_waiters();
    for (bool late = false; !me.granted && !closing_ && !late;) {
      late = clock_.wait_until(me.wake, lock, deadline);
    }
    if (!me.granted) {
      std::erase(entering_, &me);
      if (closing_) return closed();
      ++counts_.rejected;
      return rejected();
    }
    ++counts_.inline_runs;
    if (held == nullptr) ++callers_;
  }
  return enter(held, me.use, task.limit.key);
}

// In a slot that was taken for it.
void Pool::run_on_caller(Task& task) {
  {
    const QuickLock lock(mutex_);
    ++counts_.submitted;
  }
  const bool returned = call_contained(task.call, Turn::run, options_.on_task_failure);
  const QuickLock lock(mutex_);
  ++counts_.completed;
  if (!returned) ++counts_.failures;
}

Error Pool::rejected() const {
  return error(Code::rejected, "the queue of {} is full", options_.name)
      .with("queue_max", options_.queue_max)
      .with_retryable(true);
}

Error Pool::closed() const { return error(Code::closed, "{} is stopping", options_.name); }

// ---- slots

void Pool::take_slot() {
  ++running_;
  counts_.running_max = std::max(counts_.running_max, running_);
  running_hint_.store(running_, std::memory_order_relaxed);
}

void Pool::free_slot() {
  --running_;
  running_hint_.store(running_, std::memory_order_relaxed);
}

PoolSlot Pool::try_enter(const KeyLimit& limit, std::uint32_t tenant) {
  CLEW_CHECK(limit.key == 0 || limit.max >= 1);
  auto* held = find_held(this);
  const bool nested = held != nullptr && held->depth > 0;
  SlotUse use;
  {
    const QuickLock lock(mutex_);
    if (!nested && (closing_ || !slot_is_free() || queue_.has_runnable())) return {};
    if (!queue_.take_place(limit)) return {};
    ++counts_.inline_runs;
    if (!nested) {
      take_slot();
      use = queue_.enter_slot(tenant);
    }
    if (held == nullptr) ++callers_;
  }
  return enter(held, use, limit.key);
}

// Notes that the calling thread is in a slot (once more: then `use` says nothing).
PoolSlot Pool::enter(SlotHeld* held, const SlotUse& use, std::uint64_t key) {
  if (held == nullptr) held = &add_held(this);
  if (++held->depth == 1) held->use = use;
  return PoolSlot(this, key);
}

void Pool::leave(std::uint64_t key) {
  auto* held = find_held(this);
  CLEW_CHECK(held != nullptr && held->depth > 0);
  const bool outermost = --held->depth == 0;
  const bool is_gone = outermost && held->lent == 0;
  auto use = held->use;
  if (is_gone) drop_held(*held);
  Wake wake;
  {
    const QuickLock lock(mutex_);
    if (outermost) {
      queue_.leave_slot(use);
      free_slot();
    }
    queue_.free_place(key);
    wake = hand_on();
    if (is_gone) --callers_;
    if (closing_ && !wake.is_new) [[unlikely]] {
      // Once all is over, the pool may be gone as soon as the lock is free.
      perform(std::exchange(wake, {}));
    }
    tell_if_over();
  }
  perform(wake);
}

void Pool::blocking(Function<void()> wait) {
  auto* held = find_held(this);
  if (held == nullptr || held->depth == 0) return wait();
  struct Loan {
    Loan(Pool& owner, SlotHeld& of) : pool(owner), held(of), lent(owner.lend(of)) {}
    ~Loan() { pool.take_back(held, lent); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    Pool& pool;
    SlotHeld& held;
    Lent lent;
  };
  const Loan loan(*this, *held);
  wait();
}

Pool::Lent Pool::lend(SlotHeld& held) {
  ++held.lent;
  Lent lent{std::exchange(held.depth, 0), held.use};
  Wake wake;
  {
    const QuickLock lock(mutex_);
    queue_.pause(lent.use);
    free_slot();
    wake = hand_on();
  }
  perform(wake);
  return lent;
}

void Pool::take_back(SlotHeld& held, Lent& lent) {
  --held.lent;
  const bool has_one = std::exchange(held.depth, held.depth + lent.depth) > 0;
  Lock lock(mutex_);
  if (has_one) return queue_.leave_slot(lent.use);  // `wait` left with a slot of its own
  if (slot_is_free()) {
    take_slot();
  } else {
    Waiter me;
    returning_.push_back(&me);
    while (!me.granted) me.wake.wait(lock);
  }
  queue_.resume(lent.use);
  held.use = lent.use;
}

bool Pool::in_slot() const {
  const auto* held = find_held(this);
  return held != nullptr && held->depth > 0;
}

void Pool::grant_waiters() {
  const auto grant = [this](Waiter& waiter) CLEW_REQUIRES(mutex_) {
    take_slot();
    waiter.granted = true;
    waiter.wake.notify_one();
  };
  while (slot_is_free() && !returning_.empty()) {
    grant(*returning_.front());
    returning_.pop_front();
  }
  for (auto next = entering_.begin(); next != entering_.end() && slot_is_free();) {
    auto& waiter = **next;
    if (!(started_ && queue_.is_behind(waiter.tenant)) && queue_.take_place(waiter.limit)) {
      waiter.use = queue_.enter_slot(waiter.tenant);
      grant(waiter);
      next = entering_.erase(next);
    } else {
      ++next;
    }
  }
}

Pool::Wake Pool::hand_on() {
  grant_waiters();
  publish_queue();  // a key may have got a place
  return wake_searcher();
}

Pool::Wake Pool::wake_searcher() {
  if (searching_ > 0 || !started_ || !slot_is_free() || !queue_.has_runnable()) return {};
  const bool crowded = is_crowded();
  if (napper_ != nullptr) {
    if (crowded) return {};
    auto* const worker = std::exchange(napper_, nullptr);
    make_searcher(*worker);
    return {.worker = worker};
  }
  if (!idle_.empty()) {
    auto* const worker = idle_.back();
    idle_.pop_back();
    if (crowded) {
      napper_ = worker;
      worker->seen = counts_.completed;
      worker->notified = true;
    } else {
      make_searcher(*worker);
    }
    return {.worker = worker};
  }
  if (live_ == options_.threads + spare_threads_max) return {};
  ++live_;
  ++searching_;
  return {.worker = &workers_.emplace_back(), .is_new = true};
}

bool Pool::wants_room_wake() {
  if (room_waiters_ == 0 || room_told_) return false;
  room_told_ = !is_full();
  return room_told_;
}

void Pool::publish_queue() {
  queued_.store(static_cast<int>(queue_.size()), std::memory_order_relaxed);
  has_runnable_.store(queue_.has_runnable(), std::memory_order_relaxed);
}

void Pool::perform(const Wake& wake) {
  if (wake.room) room_.notify_one();
  if (wake.worker == nullptr) return;
  if (wake.is_new) {
    start_thread(*wake.worker);  // without it, the queue waits for a slot's owner to come back
  } else {
    wake.worker->wake.notify_one();
  }
}

PoolStats Pool::stats() const {
  const QuickLock lock(mutex_);
  auto stats = counts_;
  stats.queued = static_cast<int>(queue_.size());
  stats.running = running_;
  stats.waiting = static_cast<int>(returning_.size() + entering_.size());
  stats.threads = live_;
  return stats;
}

}  // namespace detail
}  // namespace clew
