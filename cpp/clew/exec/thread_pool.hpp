// exec/thread_pool.hpp: bounded concurrency over a bounded queue.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "clew/base/time.hpp"
#include "clew/exec/exec.hpp"
#include "clew/exec/service.hpp"

namespace clew {

// What submit() does when the queue is full. A thread in a slot lends it while it waits.
enum class FullPolicy : std::uint8_t {
  block,       // waits for room (at most `block_max`, then `rejected`)
  reject,      // `rejected`, retryable
  caller_runs  // runs the task on the submitting thread, in a slot; waits for one, ahead of what is
               // its tenant has queued, and for a place under its limit (at most `block_max`)
};

struct PoolOptions {
  int threads = 4;  // slots: how many tasks run at once, 1 to 256
  int queue_max =
      65536;  // larger hides bursts, and lets the last in line wait longer; a full queue
              // still takes a tenant's tasks up to its part of this, by their number
  FullPolicy full = FullPolicy::block;
  Duration block_max = std::chrono::seconds(30);
  std::string name = "clew-pool";
  // Called on each pool thread as its first and last act; lets the bindings pin Python state.
  std::function<void()> on_thread_start{};
  std::function<void()> on_thread_stop{};
  // Told what a task threw, on the thread that ran it. Without it a line goes to standard error.
  std::function<void(std::string_view what)> on_task_failure{};
};

// Counters since the start and gauges of this instant. A value.
struct PoolStats {
  std::int64_t submitted = 0;  // accepted by submit()
  std::int64_t completed = 0;  // tasks called with Turn::run that have returned or thrown
  std::int64_t dropped = 0;    // tasks called with Turn::drop
  std::int64_t rejected = 0;
  std::int64_t inline_runs = 0;  // slots entered by callers, nested ones included
  std::int64_t failures = 0;     // tasks that threw
  int queued = 0;
  int running = 0;  // slots in use
  int running_max = 0;
  int waiting = 0;   // threads that wait for a slot: back from `blocking`, or caller_runs
  int capacity = 0;  // PoolOptions::threads
  int threads = 0;   // alive, spare ones included
};

class ThreadPool;
namespace detail {
class Pool;
}

// The right to run one piece of work: one of the pool's slots, or (nested) only a place under a
// key's limit. Released on destruction, which must come on the thread that took it. Movable.
class PoolSlot {
 public:
  PoolSlot() = default;
  PoolSlot(PoolSlot&& other) noexcept;
  PoolSlot& operator=(PoolSlot&& other) noexcept;
  ~PoolSlot();
  explicit operator bool() const { return pool_ != nullptr; }

 private:
  friend class detail::Pool;
  PoolSlot(ThreadPool* pool, std::uint64_t key) : pool_(pool), key_(key) {}

  ThreadPool* pool_ = nullptr;
  std::uint64_t key_ = 0;
};

// An Executor of at most `threads` tasks at once. Thread-safe.
//
// A task, and whoever entered a slot, is *in a slot*. At no instant do more than `threads` run, and
// never more than a key's limit; a task that waits for others says so with `blocking`, which lends
// its slot out (to a spare thread when need be) and takes one again before it goes on, so tasks
// that wait for tasks of their own pool cannot deadlock it, whatever its size. There are at most
// 256 spare threads, kept until stop(): with more waiting at once, queued tasks wait for one of
// them to go on. A place under a key's limit is never lent.
//
// Free slots go to those that come back from `blocking`, then to `caller_runs` submitters, then to
// the queue. A task whose key is at its limit holds up no other; FIFO per key and priority.
//
// Tenants that keep the pool busy share its slots equally: each gets the same slot time, lent time
// not counted, whatever it submits, of whatever length and priority. A priority orders a tenant's
// own tasks; it takes nothing from another tenant. A tenant that uses less than its share leaves
// the rest to the others, and has no claim to it later. A slot never stays free for fairness' sake.
// Tasks of several tenants under one key stand in one line. Callers in slots count like tasks, but
// for those that came while no task was queued or run.
//
// submit() with a key and a `max` below 1 is `invalid_input`.
//
// Tasks submitted before start() wait for it. stop(drain) runs all that is queued; stop(cancel), or
// a stop without start, calls it with Turn::drop on the stopping thread. Both wait for every slot,
// also those of inline callers, and CLEW_CHECK that the calling thread has none and is not the
// pool's own, since it would wait for itself. A second stop() waits along, and may cancel what the
// first would have drained. The destructor cancels.
class ThreadPool : public Executor, public Service {
 public:
  // submit() for those who must not wait, such as a holder of Python's lock: takes `task` if there
  // is room, else returns false and leaves it. Never calls out.
  virtual bool try_submit(Task& task) = 0;

  // Takes a free slot (and place under the limit) for the calling thread to run work in, without a
  // hand-off. Nothing when none is free, when tasks are queued that came first, or after stop.
  // A thread that is in a slot already gets a nested one: only the limit counts then, also after
  // stop. CLEW_CHECK: a limit with a key has a `max` of at least 1.
  virtual PoolSlot try_enter(const KeyLimit& limit, std::uint32_t tenant) = 0;
  PoolSlot try_enter(const KeyLimit& limit) { return try_enter(limit, 0); }

  // Runs `wait`, which blocks for something that other work brings about. In a slot, the slot is
  // lent meanwhile and taken back afterwards (blocking until one is free, also when `wait` throws).
  // Elsewhere it just runs.
  virtual void blocking(Function<void()> wait) = 0;

  // Says on a worker that its task is over but for telling others so. It looks for work next, so
  // nobody is woken for the first task that it still submits with `follows`. No effect elsewhere.
  virtual void ending() = 0;

  // Whether the calling thread is in a slot of this pool.
  virtual bool in_slot() const = 0;

  virtual PoolStats stats() const = 0;
  virtual int queue_depth() const = 0;  // cheap

 private:
  friend class PoolSlot;
  virtual void leave(std::uint64_t key) = 0;
};

// Error: `invalid_input` with the field's path, the value and the bounds, unless threads is 1 to
// 256, queue_max at least 1 and block_max not negative. Not started yet.
Result<std::unique_ptr<ThreadPool>> make_thread_pool(PoolOptions options, Clock& clock);

}  // namespace clew
