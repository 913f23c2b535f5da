// exec/exec.hpp: who runs work, and when. Read this first.
//
//   service.hpp      Service: start and stop; Threads
//   thread_pool.hpp  ThreadPool: slots, queue, limits per key, nested calls
//   manual.hpp       ManualExecutor: tests turn the crank
//   timers.hpp       Timers: call me at that instant
#pragma once

#include <cstdint>

#include "clew/base/function.hpp"
#include "clew/base/result.hpp"

namespace clew {

// What becomes of an accepted task: it is called exactly once, with `run` on a thread of the
// executor, or with `drop` when it will never run (the executor stopped, or its turn was refused).
enum class Turn : std::uint8_t { run, drop };

// A limit shared by all tasks of one kind: at most `max` of a key run at once.
struct KeyLimit {
  std::uint64_t key = 0;  // 0: no limit
  int max = 0;
};

struct Task {
  Function<void(Turn)> call{};  // what it throws is a bug; it is caught, counted and reported
  int priority = 0;          // higher first within a tenant; equal ones in the order of submission
  std::uint32_t tenant = 0;  // whose it is: tenants with work get equal time, see ThreadPool
  KeyLimit limit{};
  // Accepted also when the queue is full: its maker keeps a bound of its own and must not wait.
  bool unbounded = false;
  // Comes of the task that submits it, which may be all but over: see ThreadPool::ending().
  bool follows = false;
};

// Runs each accepted task exactly once, on a thread of its choosing.
// Thread-safe. Owned by the Runtime; stopped before anything that a task may touch dies.
class Executor {
 public:
  virtual ~Executor() = default;
  // Queues `task` and returns. After an error the task has not been called and never will be.
  // Errors: `rejected` (retryable) when the queue is full and the policy says so; `closed` once
  // stopping has begun.
  virtual Result<void> submit(Task task) = 0;
};

}  // namespace clew
