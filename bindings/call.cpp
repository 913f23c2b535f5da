#include "bindings/call.hpp"

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
  return interruptible_wait(clock, until, [&](Timestamp slice) {
    bool set = false;
    pool.blocking([&] { set = latch->wait(slice); });
    return set;
  });
}

}  // namespace

Request make_request(Core& core, py::handle reference, py::handle input, const CallOptions& options,
                     InvocationPtr parent) {
  core.runtime_unless_forked();
  Request request;
  request.capability = core.resolve(reference, request.reference);
  request.input = input ? to_value(input, "input") : Value::object({});
  request.timeout = to_optional_duration(options.timeout, "timeout");
  if (!options.deadline.is_none()) request.deadline = to_timestamp(options.deadline, "deadline");
  request.idempotency_key = text_or_empty(options.idempotency_key, "idempotency_key");
  request.target = text_or_empty(options.target, "target");
  request.correlation_id = text_or_empty(options.correlation_id, "correlation_id");
  request.priority = options.priority;
  request.parent = parent ? std::move(parent) : Dispatcher::current();
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
    without_gil([&] { dispatcher.launch(invocation); });
    std::shared_ptr<Latch> latch;
    try {
      wait_for(core, invocation, latch, std::nullopt);
    } catch (...) {  // Ctrl-C: nobody will look at the outcome
      invocation->cancel("the caller was interrupted");
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
  auto& dispatcher = core.runtime_unless_forked().dispatcher();
  const bool forever = !timeout.has_value();
  if (forever && !on_main_thread()) {
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

std::shared_ptr<Call> submit(const CorePtr& core, Request request) {
  auto& dispatcher = core->runtime_unless_forked().dispatcher();
  auto invocation = dispatcher.admit(std::move(request));
  if (!invocation->ended()) without_gil([&] { dispatcher.launch(invocation); });
  return std::make_shared<Call>(core, std::move(invocation));
}

bool Call::cancel(std::string reason) {
  return without_gil([&] { return invocation_->cancel(std::move(reason)); });
}

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

void Call::add_done_callback(py::object callback) {
  auto held = std::make_shared<PyRef>(std::move(callback));
  auto notify = [self = shared_from_this(), held] {
    call_back(self->core_.get(), *held, [&](py::handle function) { function(self); });
  };
  // When it has ended already, the callback runs here and now, with the GIL.
  invocation_->on_ended(std::move(notify));
}

}  // namespace clew::python
