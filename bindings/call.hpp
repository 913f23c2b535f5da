// bindings/call.hpp: making calls from Python, and what a caller holds of one.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bindings/core.hpp"
#include "clew/capability/dispatch.hpp"

namespace clew::python {

// What execute(), submit() and Context.call() take beside reference and input; None: not given.
// Borrowed from whoever calls.
struct CallOptions {
  py::handle timeout = Py_None;
  py::handle deadline = Py_None;
  py::handle idempotency_key = Py_None;
  py::handle target = Py_None;
  py::handle correlation_id = Py_None;
  py::handle traceparent = Py_None;
  py::handle workspace = Py_None;
  int priority = 0;
};

// Sets one of them by its name; false when there is none of that name. GIL. Throws
// Raised(`invalid_input`) for a priority that is none.
bool set_option(CallOptions& options, std::string_view name, py::handle value);

// All of these need the GIL and throw Raised or py::error_already_set.

// Throws Raised(`closed`) unless a call may be made: from outside, or within the call `parent`.
void require_open(Core& core, const InvocationPtr& parent);

// Builds the request; `input` may be null: an empty object. The parent is `parent`, or the call
// that this thread runs.
Request make_request(Core& core, py::handle reference, py::handle input, const CallOptions& options,
                     InvocationPtr parent = nullptr);

// Runs a call and gives its output. Runs it on this thread when it can: a Python handler then costs
// no hand-over of the GIL.
py::object execute(Core& core, Request request);

// Waits until the call has ended, heeding Ctrl-C; false when the time was up first.
bool wait_for(Core& core, const InvocationPtr& invocation, std::shared_ptr<Latch>& latch,
              std::optional<Duration> timeout);

// The output in Python form, or the error thrown.
py::object output_of(const Outcome& outcome);

// One submitted call: what an object of the class Call holds. The GIL guards it.
class Call {
 public:
  Call(CorePtr core, InvocationPtr invocation)
      : core_(std::move(core)), invocation_(std::move(invocation)) {}

  const Invocation& invocation() const { return *invocation_; }
  bool done() const { return invocation_->ended(); }
  bool cancelled() const { return done() && invocation_->outcome().kind == CallOutcome::cancelled; }
  bool running() const;
  // True when it never runs, also when somebody has cancelled it before.
  bool cancel(std::string reason);
  bool wait(std::optional<Duration> timeout);
  py::object result(std::optional<Duration> timeout);
  py::object exception(std::optional<Duration> timeout);
  // Calls `callback(self)` once it has ended. What it raises goes to sys.unraisablehook.
  void add_done_callback(py::object self, py::object callback);

 private:
  bool never_ran() const;

  CorePtr core_;
  InvocationPtr invocation_;
  std::shared_ptr<Latch> latch_;  // made at the first wait that needs it
};

// Starts a call. Blocks without the GIL while the queue is full.
Call submit(const CorePtr& core, Request request);

}  // namespace clew::python
