#include "clew/wasm/detail/executor.hpp"

#include <pthread.h>

#include <atomic>
#include <exception>

#include "clew/capability/dispatch.hpp"

namespace clew::wasm {
namespace {

// A guest may use 512 KiB of its thread's stack; host functions and connectors come on top.
constexpr std::size_t stack_needed = 1U << 20U;

// How much of this thread's stack is left. Threads of others may be small, and calls be nested.
std::size_t stack_left() {
  thread_local const char* const lowest = [] {
    pthread_attr_t attributes;
    void* address = nullptr;
    std::size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return static_cast<char*>(nullptr);
    pthread_attr_getstack(&attributes, &address, &size);
    pthread_attr_destroy(&attributes);
    return static_cast<char*>(address);
  }();
  const char here = 0;
  return lowest == nullptr || &here < lowest ? 0 : static_cast<std::size_t>(&here - lowest);
}

class WasmExecutor final : public CapabilityExecutor {
 public:
  WasmExecutor(Engine& engine, GuestWorld& world, ModuleSupply& supply)
      : engine_(engine), world_(world), supply_(supply) {}

  std::string_view name() const override { return "wasm"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "wasm" &&  // tells most others apart at once
           dynamic_cast<const WasmHandler*>(capability.handler.get()) != nullptr;
  }
  ExecutorLoad load() const override {
    const auto stats = world_.pool.stats();
    return {stats.running, stats.queued, stats.capacity};
  }
  bool is_open() const override { return open_.load(std::memory_order_relaxed); }
  ThreadPool* own_slots() override { return &world_.pool; }

  Result<void> start(const InvocationPtr& invocation) override {
    return world_.pool.submit(task_of(invocation));
  }

  bool try_start(const InvocationPtr& invocation) override {
    auto task = task_of(invocation);
    return world_.pool.try_submit(task);
  }

  bool run_here(const InvocationPtr& invocation) override {
    if (stack_left() < stack_needed) return false;
    run(*invocation, invocation);
    return true;
  }

  void stop() override {
    open_.store(false, std::memory_order_relaxed);
    world_.pool.stop(StopMode::cancel, Timestamp::never());
    engine_.ticker().stop();
  }

 private:
  Task task_of(const InvocationPtr& invocation) {
    return invocation->task([invocation, this](Turn turn) {
      if (turn == Turn::run) {
        run(*invocation, invocation);
      } else {
        invocation->cancel("the runtime is closing");
      }
    });
  }

  void run(Invocation& call, const InvocationPtr& invocation) {
    if (!call.begin()) return;
    const Dispatcher::Scope scope(invocation);
    call.finish(call_guest(call));
  }

  Result<Value> call_guest(Invocation& call) {
    const auto& capability = *call.capability();
    const auto& handler = static_cast<const WasmHandler&>(*capability.handler);
    try {
      CLEW_TRY(const auto module, supply_.module(handler.module()));
      return Guest(engine_, world_, call, handler.limits()).run(*module);
    } catch (const std::exception& thrown) {
      return error(Code::internal, "{}: {}", capability.contract.id, thrown.what());
    }
  }

  Engine& engine_;
  GuestWorld& world_;
  ModuleSupply& supply_;
  std::vector<std::string> targets_ = {"local"};
  std::atomic<bool> open_{true};
};

}  // namespace

std::shared_ptr<CapabilityExecutor> make_executor(Engine& engine, GuestWorld& world,
                                                  ModuleSupply& supply) {
  return std::make_shared<WasmExecutor>(engine, world, supply);
}

}  // namespace clew::wasm
