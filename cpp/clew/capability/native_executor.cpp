#include <atomic>
#include <exception>

#include "clew/capability/dispatch.hpp"
#include "clew/capability/executor.hpp"

namespace clew {
namespace {

class NativeExecutor final : public CapabilityExecutor {
 public:
  explicit NativeExecutor(ThreadPool& pool) : pool_(pool) {}

  std::string_view name() const override { return "native"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "native" &&  // tells most others apart at once
           dynamic_cast<const NativeHandler*>(capability.handler.get()) != nullptr;
  }
  ExecutorLoad load() const override {
    const auto stats = pool_.stats();
    return {stats.running, stats.queued, stats.capacity};
  }
  bool is_open() const override { return open_.load(std::memory_order_relaxed); }

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
    return invocation->task([invocation, pool = &pool_](Turn turn) {
      if (turn == Turn::run) {
        run(invocation, pool);
      } else {
        invocation->cancel("the runtime is closing");
      }
    });
  }

  // `pool`: that of the task in which it runs, if there is one.
  static void run(const InvocationPtr& invocation, ThreadPool* pool) {
    if (!invocation->begin()) return;
    const Dispatcher::Scope scope(invocation);
    auto result = call(*invocation);
    if (pool != nullptr && invocation->tag() != nullptr) pool->ending();
    invocation->finish(std::move(result));
  }

  static Result<Value> call(Invocation& invocation) {
    const Capability& capability = *invocation.capability();
    const auto& handler = static_cast<const NativeHandler&>(*capability.handler);
    try {
      return handler(invocation, invocation.input());
    } catch (const CheckFailure& failure) {
      return error(Code::internal, "{}: {}", capability.contract.id, failure.what());
    } catch (const std::exception& thrown) {
      return error(Code::execution_failed, "{} threw: {}", capability.contract.id, thrown.what());
    } catch (...) {
      return error(Code::execution_failed, "{} threw something that is no std::exception",
                   capability.contract.id);
    }
  }

  ThreadPool& pool_;
  std::vector<std::string> targets_ = {"local"};
  std::atomic<bool> open_{true};
};

}  // namespace

std::shared_ptr<CapabilityExecutor> make_native_executor(ThreadPool& pool) {
  return std::make_shared<NativeExecutor>(pool);
}

}  // namespace clew
