#include "bindings/python_executor.hpp"

#include <atomic>
#include <string>
#include <vector>

#include "bindings/handler.hpp"
#include "clew/capability/dispatch.hpp"

namespace clew::python {
namespace {

// What is hashed for the trace when a call ends; more than that is not worth holding the GIL for.
constexpr std::size_t bytes_with_gil_max = std::size_t{16} << 10U;

class PythonExecutor final : public CapabilityExecutor {
 public:
  PythonExecutor(ThreadPool& pool, std::weak_ptr<Core> core)
      : pool_(pool), core_(std::move(core)) {}

  std::string_view name() const override { return "python"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "python" &&
           dynamic_cast<const PythonHandler*>(capability.handler.get()) != nullptr;
  }
  bool is_open() const override { return open_.load(std::memory_order_relaxed); }
  ExecutorLoad load() const override {
    const auto stats = pool_.stats();
    return {stats.running, stats.queued, stats.capacity};
  }

  Result<void> start(const InvocationPtr& invocation) override {
    return pool_.submit(task_of(invocation));
  }

  bool try_start(const InvocationPtr& invocation) override {
    auto task = task_of(invocation);
    return pool_.try_submit(task);
  }

  bool run_here(const InvocationPtr& invocation) override {
    run(invocation, nullptr);
    return true;
  }

  void stop() override { open_.store(false, std::memory_order_relaxed); }

 private:
  Task task_of(const InvocationPtr& invocation) {
    return invocation->task([this, invocation](Turn turn) {
      if (turn == Turn::run) {
        run(invocation, &pool_);
      } else {
        invocation->cancel("the runtime is closing");
      }
    });
  }

  // `pool`: that of the task in which it runs, if there is one.
  void run(const InvocationPtr& invocation, ThreadPool* pool) {
    if (!invocation->begin()) return;
    auto result = Result<Value>(Error(Code::closed, "the interpreter is shutting down"));
    {
      const GilHold hold;
      if (hold) {
        result = call(invocation);
        if (is_finished_with_gil(*invocation, result)) {
          invocation->finish(std::move(result));
          return;
        }
      }
    }
    if (pool != nullptr && invocation->tag() != nullptr) pool->ending();
    if (holds_gil()) {
      without_gil([&] { invocation->finish(std::move(result)); });
    } else {
      invocation->finish(std::move(result));
    }
  }

  Result<Value> call(const InvocationPtr& invocation) {
    const Dispatcher::Scope scope(invocation);
    const auto& handler = static_cast<const PythonHandler&>(*invocation->capability()->handler);
    return handler.run(invocation, core_.lock());
  }

  static bool is_finished_with_gil(Invocation& invocation, const Result<Value>& result) {
    return !invocation.commits_at_end() && invocation.input().byte_size() <= bytes_with_gil_max &&
           (!result || result->byte_size() <= bytes_with_gil_max);
  }

  ThreadPool& pool_;
  const std::weak_ptr<Core> core_;
  const std::vector<std::string> targets_ = {"local"};
  std::atomic<bool> open_{true};
};

}  // namespace

std::shared_ptr<CapabilityExecutor> make_python_executor(ThreadPool& pool,
                                                         std::weak_ptr<Core> core) {
  return std::make_shared<PythonExecutor>(pool, std::move(core));
}

}  // namespace clew::python
