#include "bindings/futures_executor.hpp"

#include <algorithm>
#include <atomic>

#include "bindings/convert.hpp"
#include "bindings/handler.hpp"
#include "bindings/limiter.hpp"

namespace clew::python {
namespace {

class FuturesExecutor;

// One call that is out. Ends once: by its future, or when the executor stops.
struct Flight {
  InvocationPtr invocation;
  PyRef future;
  CancelSubscription subscription;
  std::atomic<bool> landed{false};
};
using FlightPtr = std::shared_ptr<Flight>;

const PythonHandler& handler_of(const Invocation& invocation) {
  return static_cast<const PythonHandler&>(*invocation.capability()->handler);
}

// Whether the exception says that the executor as such will take nothing more. With the GIL.
bool is_broken(py::handle exception) {
  const auto broken = py::module_::import("concurrent.futures").attr("BrokenExecutor");
  return PyObject_IsInstance(exception.ptr(), broken.ptr()) == 1;
}

class FuturesExecutor final : public CapabilityExecutor,
                              public std::enable_shared_from_this<FuturesExecutor> {
 public:
  FuturesExecutor(py::object executor, FuturesOptions options)
      : executor_(std::move(executor)), options_(std::move(options)) {}

  std::string_view name() const override { return options_.name; }
  const std::vector<std::string>& targets() const override { return options_.targets; }
  bool accepts(const Capability& capability) const override {
    const auto* handler = dynamic_cast<const PythonHandler*>(capability.handler.get());
    return handler != nullptr && !handler->is_async() && !handler->takes_context();
  }
  bool is_open() const override { return open_.load(std::memory_order_relaxed); }
  ExecutorLoad load() const override {
    const auto out = static_cast<int>(flights_.with([](const auto& all) { return all.size(); }));
    return {std::min(out, options_.capacity), std::max(0, out - options_.capacity),
            options_.capacity};
  }

  Result<void> start(const InvocationPtr& invocation) override {
    if (!is_open()) return error(Code::closed, "executor {} is closed", options_.name);
    if (limiter_.enter(invocation)) launch(invocation);
    return {};
  }

  bool run_here(const InvocationPtr&) override { return false; }

  void stop() override {
    open_.store(false, std::memory_order_relaxed);
    for (const auto& waiting : limiter_.take_waiting()) waiting->cancel("the runtime is closing");
    for (const auto& flight : flights_.with([](const auto& all) { return all; })) {
      flight->invocation->cancel("the runtime is closing");
      cancel_future(*flight);
      land(flight, Error(Code::cancelled, "the runtime is closing"));
    }
  }

 private:
  void launch(const InvocationPtr& invocation) {
    if (!invocation->begin()) return pass_on(*invocation);
    const auto flight = std::make_shared<Flight>();
    flight->invocation = invocation;
    flights_.with([&](auto& all) { all.push_back(flight); });
    auto sent = with_gil([&] { return send(flight); });
    if (!sent) return land(flight, sent.error());
    if (!*sent) return land(flight, sent->error());
    flight->subscription =
        CancelSubscription(invocation->cancel_token(), [weak = std::weak_ptr(flight)] {
          if (const auto self = weak.lock()) cancel_future(*self);
        });
  }

  // With the GIL.
  Result<void> send(const FlightPtr& flight) {
    try {
      const auto& handler = handler_of(*flight->invocation);
      const auto arguments = handler.arguments(*flight->invocation);
      auto future = executor_.handle().attr("submit")(handler.function(), **arguments);
      flight->future = PyRef(future);
      future.attr("add_done_callback")(
          py::cpp_function([self = shared_from_this(), flight](const py::object& done) {
            self->take_result(flight, done);
          }));
      return {};
    } catch (const Raised& refused) {
      return refused.error();
    } catch (py::error_already_set& raised) {
      // RuntimeError is how executors say that they were shut down.
      const bool shut = raised.matches(PyExc_RuntimeError) || is_broken(raised.value());
      raised.restore();
      return shut ? lost() : error_of_handler(*flight->invocation);
    }
  }

  // On a thread of the foreign executor, with the GIL.
  void take_result(const FlightPtr& flight, const py::object& done) {
    auto result = result_of(*flight->invocation, done);
    without_gil([&] { land(flight, std::move(result)); });
  }

  Result<Value> result_of(Invocation& invocation, const py::object& done) {
    try {
      if (done.attr("cancelled")().cast<bool>()) {
        return Error(Code::cancelled, "the call was cancelled before it began there");
      }
      const py::object exception = done.attr("exception")();
      if (exception.is_none()) return handler_of(invocation).result_of(done.attr("result")());
      if (is_broken(exception)) return lost();
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
      return error_of_handler(invocation);
    } catch (py::error_already_set& raised) {
      raised.restore();
      return error_of_handler(invocation);
    }
  }

  // Takes the error that Python has, notes that the executor is gone.
  Error lost() {
    auto reason = std::string("it was shut down");
    if (PyErr_Occurred() != nullptr) reason = error_of_python(Code::unavailable).message();
    open_.store(false, std::memory_order_relaxed);
    return error(Code::unavailable, "executor {} is broken: {}", options_.name, reason)
        .with_retryable(true);
  }

  void land(const FlightPtr& flight, Result<Value> result) {
    if (flight->landed.exchange(true)) return;
    flight->subscription = {};
    flights_.with([&](auto& all) { std::erase(all, flight); });
    flight->invocation->finish(std::move(result));
    pass_on(*flight->invocation);
  }

  // Starts the call that may run now because this one has ended.
  void pass_on(const Invocation& ended) {
    if (const auto next = limiter_.leave(ended)) launch(next);
  }

  static void cancel_future(Flight& flight) {
    (void)with_gil([&] {
      if (!flight.future) return;
      try {
        flight.future.handle().attr("cancel")();
      } catch (py::error_already_set& raised) {
        raised.discard_as_unraisable("cancelling a future");
      }
    });
  }

  const PyRef executor_;
  const FuturesOptions options_;
  std::atomic<bool> open_{true};
  Limiter limiter_;
  Guarded<std::vector<FlightPtr>> flights_;
};

}  // namespace

std::shared_ptr<CapabilityExecutor> make_futures_executor(py::object executor,
                                                          FuturesOptions options) {
  return std::make_shared<FuturesExecutor>(std::move(executor), std::move(options));
}

}  // namespace clew::python
