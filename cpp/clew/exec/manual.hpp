// exec/manual.hpp: an executor whose crank a test turns.
#pragma once

#include <cstddef>
#include <memory>

#include "clew/exec/exec.hpp"

namespace clew {

// Queues tasks and runs them only when told, on the thread that tells. Thread-safe.
class ManualExecutor final : public Executor {
 public:
  ManualExecutor();
  ~ManualExecutor() override;  // drops what is left
  Result<void> submit(Task task) override;
  // Runs the next task: highest priority, then oldest. False when there is none, or all that are
  // left wait for keys at their limit (run_one() inside a task). What it throws goes to standard
  // error.
  bool run_one();
  // Runs until the queue is empty, also what the tasks submit; returns how many ran. CLEW_CHECK:
  // at most `tasks_max`, so that a loop of tasks ends.
  std::size_t drain(std::size_t tasks_max = 1'000'000);
  std::size_t queued() const;
  // From now on submit() answers `closed`; what is queued is dropped.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace clew
