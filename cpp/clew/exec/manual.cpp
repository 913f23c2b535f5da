#include "clew/exec/manual.hpp"

#include <utility>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/mutex.hpp"
#include "clew/exec/detail/failure.hpp"
#include "clew/exec/detail/task_queue.hpp"

namespace clew {

struct ManualExecutor::State {
  Mutex mutex;
  ManualClock clock;  // stands still: tenants take turns, task by task
  detail::TaskQueue queue CLEW_GUARDED_BY(mutex){clock, 1};
  bool closed CLEW_GUARDED_BY(mutex) = false;
};

ManualExecutor::ManualExecutor() : state_(std::make_unique<State>()) {}

ManualExecutor::~ManualExecutor() { close(); }

Result<void> ManualExecutor::submit(Task task) {
  CLEW_CHECK(static_cast<bool>(task.call));
  if (task.limit.key != 0 && task.limit.max < 1) {
    return invalid_input("limit.max", task.limit.max, "at least 1 for a task with a key");
  }
  const Lock lock(state_->mutex);
  if (state_->closed) return error(Code::closed, "the executor was closed");
  state_->queue.push(std::move(task));
  return {};
}

bool ManualExecutor::run_one() {
  detail::QueuedTask* next = nullptr;
  detail::SlotUse use;
  {
    const Lock lock(state_->mutex);
    next = state_->queue.pop(use);
  }
  if (next == nullptr) return false;
  detail::call_contained(next->task.call, Turn::run, {});
  const Lock lock(state_->mutex);
  state_->queue.finish(next, use);
  return true;
}

std::size_t ManualExecutor::drain(std::size_t tasks_max) {
  std::size_t ran = 0;
  while (run_one()) {
    ++ran;
    CLEW_CHECK(ran < tasks_max || queued() == 0);
  }
  return ran;
}

std::size_t ManualExecutor::queued() const {
  const Lock lock(state_->mutex);
  return state_->queue.size();
}

void ManualExecutor::close() {
  std::vector<detail::QueuedTask*> left;
  {
    const Lock lock(state_->mutex);
    state_->closed = true;
    left = state_->queue.take_all();
  }
  for (auto* task : left) detail::call_contained(task->task.call, Turn::drop, {});
  const Lock lock(state_->mutex);
  for (auto* task : left) state_->queue.recycle(task);
}

}  // namespace clew
