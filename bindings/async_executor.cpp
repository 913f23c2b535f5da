#include "bindings/async_executor.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "bindings/convert.hpp"
#include "bindings/handler.hpp"
#include "bindings/limiter.hpp"
#include "bindings/wakeup.hpp"
#include "clew/base/threads.hpp"

namespace clew::python {

// Not in an anonymous namespace: they are registered as Python classes.
class AsyncJob;
using JobPtr = std::shared_ptr<AsyncJob>;

// What the loop has to look at next. Thread-safe; the loop sleeps on the descriptor.
class Inbox {
 public:
  int descriptor() const { return wakeup_.descriptor(); }
  // False once closed: then the job was not taken.
  bool put(JobPtr job) {
    return change([&](State& state) { state.jobs.push_back(std::move(job)); });
  }
  void put_cancelled(JobPtr job) {
    change([&](State& state) { state.cancelled.push_back(std::move(job)); });
  }
  void close() {
    change([](State& state) { state.closed = true; });
  }
  bool closed() const {
    return state_.with([](const State& state) { return state.closed; });
  }
  // Whether any job that nobody has taken is like that.
  template <typename Like>
  bool any(Like like) const {
    return state_.with([&](const State& state) { return std::ranges::any_of(state.jobs, like); });
  }
  // The jobs since the last time, for who is not the loop: that stays told.
  std::vector<JobPtr> take_jobs() {
    return state_.with([](State& state) { return std::exchange(state.jobs, {}); });
  }
  // Everything since the last time.
  std::pair<std::vector<JobPtr>, std::vector<JobPtr>> take() {
    wakeup_.clear();
    return state_.with([](State& state) {
      state.told = false;
      return std::pair(std::exchange(state.jobs, {}), std::exchange(state.cancelled, {}));
    });
  }

 private:
  struct State {
    std::vector<JobPtr> jobs;
    std::vector<JobPtr> cancelled;
    bool told = false;
    bool closed = false;
  };

  template <typename Change>
  bool change(Change&& apply) {
    bool tell = false;
    const bool open = state_.with([&](State& state) {
      if (state.closed) return false;
      apply(state);
      tell = !std::exchange(state.told, true);
      return true;
    });
    if (tell) wakeup_.tell();
    return open;
  }

  Wakeup wakeup_;
  Guarded<State> state_;
};

// What the jobs of one executor share.
struct Shared {
  ThreadPool& pool;
  std::weak_ptr<Core> core;
  Inbox inbox;
  Limiter limiter;
  std::atomic<int> running{0};

  Shared(ThreadPool& pool_, std::weak_ptr<Core> core_) : pool(pool_), core(std::move(core_)) {}
};

// One call on its way through the loop. Used on the loop's thread, with the GIL.
class AsyncJob : public std::enable_shared_from_this<AsyncJob> {
 public:
  AsyncJob(std::shared_ptr<Shared> shared, InvocationPtr invocation)
      : shared_(std::move(shared)), invocation_(std::move(invocation)) {}
  ~AsyncJob() { leave(); }
  AsyncJob(const AsyncJob&) = delete;
  AsyncJob& operator=(const AsyncJob&) = delete;

  // The coroutine to await; None when there is nothing to do.
  py::object begin() {
    if (!invocation_->begin()) return py::none();
    begun_ = true;
    shared_->running.fetch_add(1);
    const auto& handler = static_cast<const PythonHandler&>(*invocation_->capability()->handler);
    try {
      auto coroutine = handler.call(invocation_, shared_->core.lock());
      watch_cancel();
      return coroutine;
    } catch (const Raised& refused) {
      end(refused.error());
    } catch (py::error_already_set& raised) {
      raised.restore();
      end(error_of_handler(*invocation_));
    }
    return py::none();
  }

  const Invocation& invocation() const { return *invocation_; }

  // It will not run.
  void drop() { invocation_->cancel("the runtime is closing"); }

  void finish(py::handle value) {
    const auto& handler = static_cast<const PythonHandler&>(*invocation_->capability()->handler);
    end(handler.result_of(value));
  }

  void fail(py::handle exception) {
    if (py::type::handle_of(exception).attr("__name__").cast<std::string>() == "CancelledError" &&
        invocation_->cancelled()) {
      return end(Error(Code::cancelled, "the handler was cancelled"));
    }
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    end(error_of_handler(*invocation_));
  }

 private:
  // The token is told from any thread; the loop's thread then cancels the task.
  void watch_cancel() {
    subscription_ = CancelSubscription(invocation_->cancel_token(), [weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        auto& inbox = self->shared_->inbox;
        inbox.put_cancelled(std::move(self));
      }
    });
  }

  void end(Result<Value> result) {
    if (!invocation_->commits_at_end()) {
      invocation_->finish(std::move(result));
    } else {
      finish_step(std::move(result));
    }
    leave();
  }

  // The end of a step, or of a call that has emitted, may commit to the disk: not on the loop's
  // thread.
  void finish_step(Result<Value> result) {
    auto kept = std::make_shared<Result<Value>>(std::move(result));
    Task task{[invocation = invocation_, kept](Turn) { invocation->finish(std::move(*kept)); }};
    task.tenant = invocation_->tenant();
    const auto taken = without_gil([&] { return shared_->pool.submit(std::move(task)); });
    if (!taken) without_gil([&] { invocation_->finish(std::move(*kept)); });
  }

  // Makes room for the next call of the capability.
  void leave() {
    if (std::exchange(left_, true)) return;
    subscription_ = {};
    if (begun_) shared_->running.fetch_sub(1);
    if (auto next = shared_->limiter.leave(*invocation_)) {
      auto job = std::make_shared<AsyncJob>(shared_, next);
      if (!shared_->inbox.put(std::move(job))) next->cancel("the runtime is closing");
    }
  }

  std::shared_ptr<Shared> shared_;
  InvocationPtr invocation_;
  CancelSubscription subscription_;
  bool begun_ = false;
  bool left_ = false;
};

namespace {

thread_local const Shared* loop_of_thread = nullptr;

bool is_within(const Invocation* call, const Invocation& above) {
  while (call != nullptr && call != &above) call = call->parent();
  return call != nullptr;
}

class AsyncExecutor final : public LoopExecutor {
 public:
  AsyncExecutor(ThreadPool& pool, std::weak_ptr<Core> core)
      : shared_(std::make_shared<Shared>(pool, std::move(core))) {}
  ~AsyncExecutor() override { stop(); }

  std::string_view name() const override { return "async"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "async" &&
           dynamic_cast<const PythonHandler*>(capability.handler.get()) != nullptr;
  }
  bool is_open() const override { return open_.load(std::memory_order_relaxed); }
  ExecutorLoad load() const override { return {shared_->running.load(), 0, capacity}; }

  Result<void> start(const InvocationPtr& invocation) override {
    if (!shared_->limiter.enter(invocation)) return {};
    auto job = std::make_shared<AsyncJob>(shared_, invocation);
    if (!shared_->inbox.put(std::move(job))) {
      return error(Code::closed, "the event loop is closed");
    }
    start_thread();
    return {};
  }

  bool run_here(const InvocationPtr&) override { return false; }

  bool is_this_thread() const override { return loop_of_thread == shared_.get(); }
  bool has_waiting_under(const Invocation& call) const override {
    return shared_->inbox.any([&](const JobPtr& job) {
      return is_within(&job->invocation(), call);
    }) || shared_->limiter.any_waiting([&](const InvocationPtr& waiting) {
      return is_within(waiting.get(), call);
    });
  }

  void stop() override {
    open_.store(false, std::memory_order_relaxed);
    shared_->inbox.close();
    for (const auto& waiting : shared_->limiter.take_waiting()) {
      waiting->cancel("the runtime is closing");
    }
    // The loop has ended, or whatever it does now waits for one of these.
    drop_jobs();
    const Lock lock(mutex_);
    thread_.join();
    drop_jobs();  // what came after the loop's last look
  }

 private:
  void drop_jobs() {
    for (const auto& job : shared_->inbox.take_jobs()) job->drop();
  }

  static constexpr int capacity = 10'000;  // coroutines are cheap

  void start_thread() {
    if (started_.load(std::memory_order_acquire)) return;
    const Lock lock(mutex_);
    if (!is_open() || started_.exchange(true, std::memory_order_acq_rel)) return;
    thread_.start("clew-async", [shared = shared_] { serve(shared); });
  }

  static void serve(const std::shared_ptr<Shared>& shared) {
    (void)with_gil([&] {
      const Serving serving(shared->core.lock().get());
      loop_of_thread = shared.get();
      try {
        py::module_::import("clew._loop")
            .attr("serve")(std::shared_ptr<Inbox>(shared, &shared->inbox));
      } catch (py::error_already_set& raised) {
        raised.discard_as_unraisable("the event loop of a Clew runtime");
      }
    });
    shared->inbox.close();
  }

  std::shared_ptr<Shared> shared_;
  const std::vector<std::string> targets_ = {"local"};
  std::atomic<bool> open_{true};
  std::atomic<bool> started_{false};
  Mutex mutex_;
  Threads thread_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<LoopExecutor> make_async_executor(ThreadPool& pool, std::weak_ptr<Core> core) {
  return std::make_shared<AsyncExecutor>(pool, std::move(core));
}

void register_async(py::module_& m) {
  using py::operator""_a;
  py::classh<AsyncJob>(m, "_AsyncJob", py::is_final())
      .def("begin", &AsyncJob::begin)
      .def("finish", &AsyncJob::finish, "value"_a)
      .def("fail", &AsyncJob::fail, "exception"_a);
  py::classh<Inbox>(m, "_AsyncInbox", py::is_final())
      .def("fileno", &Inbox::descriptor)
      .def_property_readonly("closed", &Inbox::closed)
      .def("take", [](Inbox& self) {
        const auto [jobs, cancelled] = self.take();
        return py::make_tuple(py::cast(jobs), py::cast(cancelled));
      });
}

}  // namespace clew::python
