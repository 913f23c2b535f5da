// bindings/run.hpp: a durable run as Python holds it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "bindings/core.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::python {

// The GIL guards it; what blocks does so without.
class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(CorePtr core, workflow::RunPtr run) : core_(std::move(core)), run_(std::move(run)) {}

  // The run itself, for calls without the GIL. Throws Raised(`closed`) in a forked child.
  workflow::Run& run() const {
    core_->runtime_unless_forked();
    return *run_;
  }
  bool done() const;
  // Waits until it has ended, heeding Ctrl-C; false when the time was up first. Throws Raised.
  bool wait(std::optional<Duration> timeout);
  bool wait_events(std::int64_t after, std::optional<Duration> timeout);
  Result<Value> result(std::optional<Duration> timeout);
  void on_ended(py::object callback);

 private:
  bool wait_by_wall_clock(std::optional<Duration> timeout);
  template <typename There>
  bool poll_by_wall_clock(There there, std::optional<Duration> timeout);

  CorePtr core_;
  workflow::RunPtr run_;
  std::shared_ptr<Latch> latch_;
};

void register_runs(py::module_& m);

}  // namespace clew::python
