#include "bindings/futures_executor.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>

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
  std::atomic<bool> withdrawn{false};  // whoever cancels the future ends the call
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

  void look_after(Invocation& invocation) override {
    with_future(invocation, [&](Flight&, py::handle future) {
      const bool runs = future.attr("running")().cast<bool>() || future.attr("done")().cast<bool>();
      if (runs) invocation.note_begun();
    });
  }
  void withdraw(Invocation& invocation) override {
    with_future(invocation, [&](Flight& flight, py::handle future) {
      flight.withdrawn.store(true);
      const auto taken_back = future.attr("cancel")();
      if (PyObject_IsTrue(taken_back.ptr()) != 1) invocation.note_begun();
    });
  }
  std::string why_closed() const override {
    return why_closed_.with([](const std::string& why) { return why; });
  }

  void stop() override {
    open_.store(false, std::memory_order_relaxed);
    for (const auto& waiting : limiter_.take_waiting()) waiting->cancel("the runtime is closing");
    for (const auto& flight : flights_.with([](const auto& all) { return all; })) call_off(flight);
  }

 private:
  void launch(const InvocationPtr& invocation) {
    if (invocation->ended()) return pass_on(*invocation);
    const auto flight = std::make_shared<Flight>();
    flight->invocation = invocation;
    flights_.with([&](auto& all) { all.push_back(flight); });
    auto sent = with_gil([&] { return send(flight); });
    if (!sent) return land(flight, sent.error());
    if (!*sent) return land(flight, sent->error());
    if (invocation->ended()) withdraw(*invocation);  // before there was anything to take back
    // stop() may have looked at the flights before this one was there.
    if (!is_open()) call_off(flight);
  }

  // With the GIL.
  Result<void> send(const FlightPtr& flight) {
    try {
      const auto& handler = handler_of(*flight->invocation);
      const auto arguments = handler.arguments(*flight->invocation);
      const auto job = py::module_::import("clew._remote").attr("Job");
      const auto begin = py::cpp_function([call = flight->invocation] { return call->begin(); });
      auto future = executor_.handle().attr("submit")(job(handler.function(), begin), **arguments);
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
      if (raised.matches(PyExc_RuntimeError) || is_broken(raised.value())) {
        return lost(raised.value());
      }
      raised.restore();
      return error_of_handler(*flight->invocation);
    }
  }

  // On a thread of the foreign executor, with the GIL.
  void take_result(const FlightPtr& flight, const py::object& done) {
    auto result = result_of(*flight->invocation, done);
    without_gil([&] {
      if (result) {
        land(flight, std::move(*result));
      } else {
        give_up(flight);
      }
    });
  }

  // What the call ends with; nothing when it never ran.
  std::optional<Result<Value>> result_of(Invocation& invocation, const py::object& done) {
    try {
      if (done.attr("cancelled")().cast<bool>()) return std::nullopt;
      const py::object exception = done.attr("exception")();
      if (!exception.is_none() && is_broken(exception)) {
        invocation.note_begun();  // perhaps: nobody knows
        return lost(exception);
      }
      if (!exception.is_none()) return error_of(invocation, exception);
      const auto receive = py::module_::import("clew._remote").attr("receive");
      const py::tuple parts = receive(done.attr("result")());
      invocation.note_begun(Duration(parts[3].cast<std::int64_t>()));
      if (!parts[1].is_none()) return error_of(invocation, parts[1]);
      if (parts[2].is_none()) return handler_of(invocation).result_of(parts[0]);
      const py::tuple described = parts[2];
      const auto type = described[0].cast<std::string>();
      return Result<Value>(
          error(Code::execution_failed, "{}: {}", type, text_view(described[1], "text"))
              .with("exception", Value(type)));
    } catch (const Raised& unreadable) {
      return Result<Value>(unreadable.error());
    } catch (py::error_already_set& raised) {
      raised.restore();
      return Result<Value>(error_of_handler(invocation));
    }
  }

  static Result<Value> error_of(Invocation& invocation, const py::object& exception) {
    invocation.note_begun();
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    return error_of_handler(invocation);
  }

  // Notes that the executor takes nothing more, and why.
  Error lost(const py::object& exception) {
    const auto* const state = is_broken(exception) ? "is broken" : "was shut down";
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    const auto why = fmt::format("{}: {}", state, error_of_python(Code::unavailable).message());
    why_closed_.with([&](std::string& kept) { kept = why; });
    open_.store(false, std::memory_order_relaxed);
    return error(Code::unavailable, "executor {} {}", options_.name, why).with_retryable(true);
  }

  void land(const FlightPtr& flight, Result<Value> result) {
    if (flight->landed.exchange(true)) return;
    flights_.with([&](auto& all) { std::erase(all, flight); });
    flight->invocation->note_begun();
    flight->invocation->finish(std::move(result));
    pass_on(*flight->invocation);
  }

  // Ends the call now, whatever becomes of what was sent.
  void call_off(const FlightPtr& flight) {
    flight->invocation->cancel("the runtime is closing");
    land(flight, Error(Code::cancelled, "the runtime is closing"));
  }

  // The call never runs.
  void give_up(const FlightPtr& flight) {
    if (flight->landed.exchange(true)) return;
    flights_.with([&](auto& all) { std::erase(all, flight); });
    if (!flight->withdrawn.load()) flight->invocation->cancel("its executor has given it up");
    pass_on(*flight->invocation);
  }

  // Calls `use` with the GIL if the call is out there.
  template <typename Use>
  void with_future(Invocation& invocation, Use use) {
    const auto flight = flights_.with([&](const auto& all) {
      const auto found = std::ranges::find(
          all, &invocation, [](const FlightPtr& each) { return each->invocation.get(); });
      return found == all.end() ? nullptr : *found;
    });
    if (!flight) return;
    (void)with_gil([&] {
      if (!flight->future) return;
      try {
        const auto future = flight->future.object();
        use(*flight, future);
      } catch (py::error_already_set& raised) {
        raised.discard_as_unraisable("asking a future");
      }
    });
  }

  // Starts the call that may run now because this one has ended.
  void pass_on(const Invocation& ended) {
    if (const auto next = limiter_.leave(ended)) launch(next);
  }

  const PyRef executor_;
  const FuturesOptions options_;
  std::atomic<bool> open_{true};
  Guarded<std::string> why_closed_{std::string("is closed")};
  Limiter limiter_;
  Guarded<std::vector<FlightPtr>> flights_;
};

}  // namespace

std::shared_ptr<CapabilityExecutor> make_futures_executor(py::object executor,
                                                          FuturesOptions options) {
  return std::make_shared<FuturesExecutor>(std::move(executor), std::move(options));
}

}  // namespace clew::python
