// exec/detail/pool.hpp: the thread pool behind make_thread_pool().
//
//   thread_pool.cpp        options, submit, slots of callers, lending
//   detail/pool_threads.cpp  workers, start, stop
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/exec/detail/quick_lock.hpp"
#include "clew/exec/detail/slots_held.hpp"
#include "clew/exec/detail/task_queue.hpp"
#include "clew/exec/thread_pool.hpp"

namespace clew::detail {

// One mutex guards everything; it is held for some tens of nanoseconds and never while calling out.
// A worker takes it once per task: to account for the last one and to claim the next.
//
// A worker is running a task, lending its slot, *searching* (awake, without a slot, about to look
// at the queue), the *napper* or idle (asleep on its own condition). While one is searching nobody
// else is woken: it looks at the queue under the lock before it sleeps, and when it finds a task
// and there are more, it wakes the next.
//
// Once tasks and a submitter have all the cores, one more thread would only take their time, and
// waking it would cost more than a short task. Then the next worker naps instead of searching: it
// looks about every `nap_length`, and takes a task only when none was completed since its last
// look. So tasks that wait for something leave a free slot unused for about a nap.
//
// Invariant, whenever the lock is free: if a slot is free, then nobody waits for one, and either no
// task can run, or a worker is searching, or the cores are taken and there is a napper, or all
// threads that may exist are lending.
class Pool final : public ThreadPool {
 public:
  Pool(PoolOptions options, Clock& clock);
  ~Pool() override;

  Result<void> submit(Task task) override;
  bool try_submit(Task& task) override;
  PoolSlot try_enter(const KeyLimit& limit, std::uint32_t tenant) override;
  void blocking(Function<void()> wait) override;
  void ending() override;
  bool in_slot() const override;
  PoolStats stats() const override;
  int queue_depth() const override { return queued_.load(std::memory_order_relaxed); }

  std::string_view service_name() const override { return options_.name; }
  Result<void> start() override;
  bool stop(StopMode mode, Timestamp deadline) override;

 private:
  // A thread of the pool. Lives as long as the pool; the flags are guarded by its mutex.
  struct Worker {
    Condition wake;
    bool notified = false;
    bool searching = true;  // counted in searching_ by whoever starts or wakes it
    std::int64_t seen = 0;  // tasks completed at the napper's last look
    // The worker's own, without the lock:
    bool may_spin = false;
    bool threw = false;  // what the finished task did
    SlotHeld* held = nullptr;
    int spins = 64;  // how long to spin next time
    unsigned rests = 0;
  };
  // A thread that waits for a slot. On its stack, so it is notified under the lock.
  struct Waiter {
    KeyLimit limit{};
    std::uint32_t tenant = 0;
    SlotUse use{};  // once granted, of those that enter
    Condition wake{};
    bool granted = false;
  };
  // What to do once the lock is free.
  struct Wake {
    Worker* worker = nullptr;
    bool is_new = false;  // start its thread; else notify it
    bool room = false;    // notify one that waits for room in the queue
  };

  // Beyond `threads`, for those that lend their slots.
  static constexpr int spare_threads_max = 256;

  // Slots of callers.
  struct Lent {
    int depth = 0;
    SlotUse use{};
  };
  PoolSlot enter(SlotHeld* held, const SlotUse& use, std::uint64_t key);
  void leave(std::uint64_t key) override;
  Lent lend(SlotHeld& held);
  void take_back(SlotHeld& held, Lent& lent);

  // Slots. free_slot() leaves it to its caller to hand the slot on.
  bool slot_is_free() const CLEW_REQUIRES(mutex_) { return running_ < options_.threads; }
  void take_slot() CLEW_REQUIRES(mutex_);
  void free_slot() CLEW_REQUIRES(mutex_);
  // Whether tasks and whoever submits them have all the cores.
  bool is_crowded() const CLEW_REQUIRES(mutex_) { return running_ > 0 && running_ + 1 >= cores_; }
  void grant_waiters() CLEW_REQUIRES(mutex_);
  // Grants what can be granted and picks whom to wake for the queue.
  Wake hand_on() CLEW_REQUIRES(mutex_);
  Wake wake_searcher() CLEW_REQUIRES(mutex_);
  bool wants_room_wake() CLEW_REQUIRES(mutex_);
  void publish_queue() CLEW_REQUIRES(mutex_);
  void perform(const Wake& wake);

  // submit().
  enum class Entry : std::uint8_t { accepted, waits, rejected, closed };
  // What becomes of a task that comes now; counts it, unless it is accepted.
  Entry entry_now(const Task& task) CLEW_REQUIRES(mutex_);
  bool is_full() const CLEW_REQUIRES(mutex_) { return queue_.size() >= queue_max(); }
  std::size_t queue_max() const { return static_cast<std::size_t>(options_.queue_max); }
  bool is_full_for(const Task& task) const CLEW_REQUIRES(mutex_) {
    return is_full() && !task.unbounded && !queue_.has_part_left(task.tenant, queue_max());
  }
  Wake accept(Task&& task) CLEW_REQUIRES(mutex_);
  // Whether this thread is a worker whose task is ending.
  bool is_ending() const;
  Result<void> submit_to_full_queue(Task task);
  Result<void> wait_for_room(Task& task);
  Result<PoolSlot> wait_for_slot(const Task& task);
  void run_on_caller(Task& task);
  Error rejected() const;
  Error closed() const;

  // Workers.
  bool start_thread(Worker& worker);
  void work(Worker& me);
  QueuedTask* next_task(Worker& me, QueuedTask* finished);
  void account(Worker& me, QueuedTask& finished) CLEW_REQUIRES(mutex_);
  void search_or_idle(Worker& me) CLEW_REQUIRES(mutex_);
  void stop_searching(Worker& me) CLEW_REQUIRES(mutex_);
  void spin(Worker& me) const;
  bool rest(Worker& me);
  void nap(Worker& me, Lock& lock) CLEW_REQUIRES(mutex_);
  void make_searcher(Worker& worker) CLEW_REQUIRES(mutex_);
  bool run(Worker& me, QueuedTask& queued);

  // Stopping.
  bool is_over() const CLEW_REQUIRES(mutex_) {
    return live_ == 0 && callers_ == 0 && queue_.size() == 0;
  }
  void tell_if_over() CLEW_REQUIRES(mutex_);
  void wake_idle_to_exit() CLEW_REQUIRES(mutex_);
  void drop_queue();
  bool await_end(Timestamp deadline);

  const PoolOptions options_;
  const int cores_;
  Clock& clock_;
  const std::unique_ptr<Clock> naps_clock_ = make_real_clock();  // threads are real in any time

  mutable Mutex mutex_;
  TaskQueue queue_ CLEW_GUARDED_BY(mutex_){clock_, options_.threads};
  int running_ CLEW_GUARDED_BY(mutex_) = 0;    // slots in use
  int searching_ CLEW_GUARDED_BY(mutex_) = 0;  // workers
  int live_ CLEW_GUARDED_BY(mutex_) = 0;       // workers that were started and have not ended
  int callers_ CLEW_GUARDED_BY(mutex_) =
      0;  // others in a slot, lending, waiting in submit(), dropping
  std::deque<Worker> workers_ CLEW_GUARDED_BY(mutex_);
  std::vector<Worker*> idle_ CLEW_GUARDED_BY(mutex_);      // the last to come is the first to go
  Worker* napper_ CLEW_GUARDED_BY(mutex_) = nullptr;       // in none of the other states
  std::deque<Waiter*> returning_ CLEW_GUARDED_BY(mutex_);  // from blocking()
  std::deque<Waiter*> entering_ CLEW_GUARDED_BY(mutex_);   // caller_runs
  int room_waiters_ CLEW_GUARDED_BY(mutex_) = 0;
  bool room_told_ CLEW_GUARDED_BY(mutex_) = false;  // one of them is on its way
  Condition room_;
  bool started_ CLEW_GUARDED_BY(mutex_) = false;
  bool closing_ CLEW_GUARDED_BY(mutex_) = false;
  Condition over_;  // something changed that stop() waits for
  PoolStats counts_ CLEW_GUARDED_BY(mutex_);

  // Hints for those who look without the lock; written under it.
  std::atomic<int> queued_{0};
  std::atomic<bool> has_runnable_{false};
  std::atomic<int> running_hint_{0};

  Mutex threads_mutex_;  // never taken under the other one
  Threads threads_ CLEW_GUARDED_BY(threads_mutex_);
};

}  // namespace clew::detail
