// bindings/events.hpp: a subscription as Python holds it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "bindings/core.hpp"
#include "bindings/register_runtime.hpp"
#include "clew/capability/broker.hpp"

namespace clew::python {

// Thread-safe. What blocks does so without the GIL.
class EventReader {
 public:
  EventReader(CorePtr core, SubscriptionPtr subscription)
      : core_(std::move(core)), subscription_(std::move(subscription)) {}

  // Cancels. In a child made by fork, whose parent has the threads, it leaves all alone.
  ~EventReader();
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;

  // For calls without the GIL. Throws Raised(`closed`) in a forked child.
  Subscription& subscription() const {
    core_->runtime_unless_forked();
    return *subscription_;
  }
  // Deliveries as dicts; waits for the first one, heeding Ctrl-C, at most `timeout` by the
  // runtime's clock (none: for ever). Throws Raised.
  py::list poll(int max, std::optional<Duration> timeout) const;
  // Rings, or calls back, once something may be there.
  void on_ready(py::object callback) const;

 private:
  bool wait(Timestamp until) const;

  CorePtr core_;
  SubscriptionPtr subscription_;
};

void register_events(py::module_& m);
void define_events(RuntimeClass& runtime);

}  // namespace clew::python
