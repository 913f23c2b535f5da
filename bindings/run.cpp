#include "bindings/run.hpp"

#include "bindings/bell.hpp"
#include "bindings/convert.hpp"

namespace clew::python {

bool Run::done() const {
  const auto known = run().known_end();
  if (known && (*known || !core_->closed())) return *known;
  const auto status = without_gil([&] { return run().status(); });
  return workflow::is_terminal(unwrap(status));
}

bool Run::wait(std::optional<Duration> timeout) {
  if (done()) return true;
  if (timeout && *timeout <= Duration{0}) {
    core_->runtime();  // throws when nobody will end it any more
    return false;
  }
  core_->require_may_wait(nullptr);
  if (core_->has_virtual_time()) return wait_by_wall_clock(timeout);
  auto& runtime = core_->runtime_unless_forked();
  auto& clock = runtime.env().clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  return interruptible_wait(clock, until, [&](Timestamp slice) {
    Result<bool> ended = false;
    runtime.pool().blocking([&] { ended = run_->wait(slice); });
    return unwrap(std::move(ended));
  });
}

// Virtual time stands still while its test waits here: people's patience is measured in real time.
bool Run::wait_by_wall_clock(std::optional<Duration> timeout) {
  if (!latch_) {
    latch_ = std::make_shared<Latch>();
    run().on_ended([latch = latch_] { latch->set(); });
  }
  auto& runtime = core_->runtime_unless_forked();
  auto& clock = wall_clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  for (;;) {
    const auto slice = end_of_slice(clock, until);
    const bool ended = interruptible_wait(clock, slice, [&](Timestamp soon) {
      bool set = false;
      runtime.pool().blocking([&] { set = latch_->wait(soon); });
      return set;
    });
    if (ended) return true;
    if (slice == until) return false;
    if (core_->closed()) raise(Error(Code::closed, "the runtime is closed"));
  }
}

// For tests in virtual time, whose thread waits in real time.
template <typename There>
bool Run::poll_by_wall_clock(There there, std::optional<Duration> timeout) {
  Latch never;
  auto& clock = wall_clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  for (;;) {
    if (without_gil(there)) return true;
    if (clock.now() >= until) return false;
    interruptible_wait(never, std::chrono::milliseconds(1));
    check_signals();
  }
}

bool Run::wait_events(std::int64_t after, std::optional<Duration> timeout) {
  auto& runtime = core_->runtime();
  core_->require_may_wait(nullptr);
  auto& clock = runtime.env().clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  const auto there = [&]() -> bool {
    if (!unwrap(run_->events(after, 1)).empty()) return true;
    return workflow::is_terminal(unwrap(run_->status()));
  };
  if (core_->has_virtual_time()) return poll_by_wall_clock(there, timeout);
  return interruptible_wait(clock, until, [&](Timestamp slice) {
    Result<void> waited;
    runtime.pool().blocking([&] { waited = run_->wait_events(after, slice); });
    unwrap(waited);
    return there();
  });
}

Result<Value> Run::result(std::optional<Duration> timeout) {
  if (!wait(timeout)) {
    auto result = without_gil([&] { return run_->result(); });
    // Unless it will never end: then that is what there is to say.
    if (result || result.error().code() != Code::timeout) return result;
    return error(Code::timeout, "run \"{}\" has not ended in time", run_->id())
        .with("run", Value(run_->id()))
        .with_retryable(true);
  }
  if (run_->known_end() == true) return run_->result();  // at hand
  return without_gil([&] { return run_->result(); });
}

void Run::on_ended(py::object callback) {
  if (auto ring = ring_of(callback)) {
    without_gil([&] { run().on_ended([ring = std::move(ring)] { ring->ring(); }); });
    return;
  }
  auto held = std::make_shared<PyRef>(std::move(callback));
  auto notify = [self = shared_from_this(), held] {
    call_back(self->core_.get(), *held, [&](py::handle function) { function(self); });
  };
  without_gil([&] { run().on_ended(std::move(notify)); });
}

}  // namespace clew::python
