#include "bindings/call.hpp"

#include <climits>

#include "bindings/bell.hpp"
#include "bindings/convert.hpp"
#include "bindings/handler.hpp"

namespace clew::python {
namespace {

bool is_python(const Invocation& invocation) {
  return invocation.executor() != nullptr && invocation.executor()->name() == "python";
}

// Runs the call on this thread if that is wise and possible; true when it has ended then. With the
// GIL. Ctrl-C interrupts a Python handler by itself; on the main thread anything else must be
// brief.
bool run_here(Core& core, Dispatcher& dispatcher, const InvocationPtr& invocation) {
  if (!invocation->may_run_here()) return false;
  if (is_python(*invocation)) return dispatcher.run_here(invocation);
  const bool main = on_main_thread();
  if (main && !core.is_brief(*invocation->capability())) return false;
  const bool ended = without_gil([&] { return dispatcher.run_here(invocation); });
  if (ended && main) core.note_duration(*invocation->capability(), invocation->trace().run_ns);
  return ended;
}

// A call that came as the runtime closed was none: it left no trace.
void raise_if_closed(const Invocation& invocation) {
  const auto& [kind, result] = invocation.outcome();
  const bool closed = kind == CallOutcome::rejected && result.error().code() == Code::closed;
  if (closed) raise(result.error());
}

// Waits with slices on a latch, lending the slot that this thread may be in.
bool wait_on_latch(Core& core, const InvocationPtr& invocation, std::shared_ptr<Latch>& latch,
                   std::optional<Duration> timeout) {
  if (!latch) {
    latch = std::make_shared<Latch>();
    invocation->on_ended([latch] { latch->set(); });
  }
  auto& pool = core.runtime_unless_forked().pool();
  auto& clock = wall_clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  const auto wait = [&](Timestamp slice) {
    bool set = false;
    pool.blocking([&] { set = latch->wait(slice); });
    return set;
  };
  if (!core.is_on_loop()) return interruptible_wait(clock, until, wait);
  // What it waits for may come to need the loop, which this thread is.
  for (;;) {
    const auto slice = end_of_slice(clock, until);
    if (interruptible_wait(clock, slice, wait)) return true;
    if (slice == until) return false;
    core.require_may_wait(invocation.get());
  }
}

std::string workspace_of(const CallOptions& options, const Invocation* above) {
  auto named = text_if_given(options.workspace, "workspace");
  if (!named.empty() || above == nullptr || !above->capability()) return named;
  return above->capability()->workspace;
}

}  // namespace

bool set_option(CallOptions& options, std::string_view name, py::handle value) {
  if (name == "timeout") {
    options.timeout = value;
  } else if (name == "deadline") {
    options.deadline = value;
  } else if (name == "idempotency_key") {
    options.idempotency_key = value;
  } else if (name == "target") {
    options.target = value;
  } else if (name == "correlation_id") {
    options.correlation_id = value;
  } else if (name == "traceparent") {
    options.traceparent = value;
  } else if (name == "workspace") {
    options.workspace = value;
  } else if (name == "priority") {
    options.priority = static_cast<int>(to_integer(value, "priority", -INT_MAX, INT_MAX));
  } else {
    return false;
  }
  return true;
}

void require_open(Core& core, const InvocationPtr& parent) {
  // Calls within calls go on while what is in flight is let to its end.
  const bool outside = parent == nullptr && Dispatcher::current() == nullptr;
  if (outside) {
    core.runtime();
  } else {
    core.runtime_unless_forked();
  }
}

Request make_request(Core& core, py::handle reference, py::handle input, const CallOptions& options,
                     InvocationPtr parent) {
  require_open(core, parent);
  Request request;
  request.parent = parent ? std::move(parent) : Dispatcher::current();
  request.workspace = workspace_of(options, request.parent.get());
  if (request.workspace.empty()) {
    auto found = core.resolve(reference, request.reference);
    request.capability = std::move(found.capability);
    request.considered = std::move(found.considered);
  } else {
    request.reference = Core::text_of(reference);
  }
  request.input = input ? to_value(input, "input") : Value::object({});
  request.timeout = to_timeout(options.timeout, "timeout");
  if (!options.deadline.is_none()) request.deadline = to_timestamp(options.deadline, "deadline");
  request.idempotency_key = text_if_given(options.idempotency_key, "idempotency_key");
  request.target = text_if_given(options.target, "target");
  request.correlation_id = text_if_given(options.correlation_id, "correlation_id");
  if (!options.traceparent.is_none()) {
    request.context = unwrap(parse_traceparent(text_view(options.traceparent, "traceparent")));
  }
  request.priority = options.priority;
  return request;
}

py::object output_of(const Outcome& outcome) {
  if (!outcome.result) raise(outcome.result.error());
  return to_python(*outcome.result);
}

py::object execute(Core& core, Request request) {
  auto& dispatcher = core.runtime_unless_forked().dispatcher();
  const auto invocation = dispatcher.admit(std::move(request));
  if (!invocation->ended() && !run_here(core, dispatcher, invocation)) {
    std::shared_ptr<Latch> latch;
    try {
      core.require_may_wait(invocation.get());
      without_gil([&] { dispatcher.launch(invocation); });
      wait_for(core, invocation, latch, std::nullopt);
    } catch (...) {  // Ctrl-C, or on an event loop: nobody will look at the outcome
      invocation->cancel("the caller does not wait for it");
      throw;
    }
    if (on_main_thread() && invocation->capability()) {
      core.note_duration(*invocation->capability(), invocation->trace().run_ns);
    }
  }
  return output_of(invocation->outcome());
}

bool wait_for(Core& core, const InvocationPtr& invocation, std::shared_ptr<Latch>& latch,
              std::optional<Duration> timeout) {
  if (invocation->ended()) return true;
  if (timeout && *timeout <= Duration{0}) return false;
  core.require_may_wait(invocation.get());
  auto& dispatcher = core.runtime_unless_forked().dispatcher();
  const bool forever = !timeout.has_value();
  if (forever && !on_main_thread() && !core.is_on_loop()) {
    without_gil([&] {
      if (!dispatcher.wait(invocation, invocation->deadline())) invocation->expire();
    });
    return true;
  }
  // A thread in a slot that waits for a call nobody has begun had better run it.
  const bool in_slot = core.runtime_unless_forked().pool().in_slot();
  if (forever && in_slot && run_here(core, dispatcher, invocation)) return true;
  return wait_on_latch(core, invocation, latch, timeout);
}

Call submit(const CorePtr& core, Request request) {
  auto& dispatcher = core->runtime_unless_forked().dispatcher();
  auto invocation = dispatcher.admit(std::move(request));
  if (invocation->ended()) {
    raise_if_closed(*invocation);
  } else if (!dispatcher.try_launch(invocation)) {
    without_gil([&] { dispatcher.launch(invocation); });
  }
  return Call(core, std::move(invocation));
}

bool Call::running() const {
  if (invocation_->state() == Invocation::State::queued && invocation_->executor() != nullptr) {
    without_gil([&] { invocation_->executor()->look_after(*invocation_); });
  }
  return invocation_->state() == Invocation::State::running;
}

bool Call::cancel(std::string reason) {
  return without_gil([&] { return invocation_->cancel(std::move(reason)); }) || never_ran();
}

bool Call::never_ran() const { return cancelled() && !invocation_->entered(); }

bool Call::wait(std::optional<Duration> timeout) {
  return wait_for(*core_, invocation_, latch_, timeout);
}

py::object Call::result(std::optional<Duration> timeout) {
  if (!wait(timeout)) {
    raise(Error(Code::timeout, "the call has not ended in time", true)
              .with("timeout", Value(to_string(*timeout))));
  }
  return output_of(invocation_->outcome());
}

py::object Call::exception(std::optional<Duration> timeout) {
  if (!wait(timeout)) raise(Error(Code::timeout, "the call has not ended in time", true));
  const auto& result = invocation_->outcome().result;
  return result ? py::none() : to_exception(result.error());
}

void Call::add_done_callback(py::object self, py::object callback) {
  if (auto ring = ring_of(callback)) {
    invocation_->on_ended([ring = std::move(ring)] { ring->ring(); });
    return;
  }
  struct Parts {
    PyRef self;  // keeps the core too
    PyRef callback;
  };
  auto parts = std::make_shared<Parts>(PyRef(std::move(self)), PyRef(std::move(callback)));
  auto notify = [core = core_.get(), parts] {
    call_back(core, parts->callback, [&](py::handle function) { function(parts->self.handle()); });
  };
  // When it has ended already, the callback runs here and now, with the GIL.
  invocation_->on_ended(std::move(notify));
}

}  // namespace clew::python
