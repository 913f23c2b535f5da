// bindings/bell.hpp: tells an event loop that what its futures wait for has come, without the GIL.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bindings/gil.hpp"
#include "bindings/wakeup.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::python {

// One for each loop, which sleeps on the descriptor: many rings, one wake-up. Thread-safe.
class Bell {
 public:
  int descriptor() const { return wakeup_.descriptor(); }
  void ring(PyRef future);
  // The futures since the last time.
  std::vector<PyRef> take();

 private:
  Wakeup wakeup_;
  Guarded<std::vector<PyRef>> futures_;
};

// What one future waits for. Wherever bindings take a callback, this one costs no GIL.
class Ring {
 public:
  Ring(std::shared_ptr<Bell> bell, py::object future)
      : bell_(std::move(bell)), future_(std::move(future)) {}

  // From any thread; once, since what comes later finds no future any more.
  void ring() {
    if (future_) bell_->ring(std::move(future_));
  }

  // For a start: set before ring(), read by the loop after it.
  std::optional<Result<workflow::RunPtr>> started;
  std::optional<Result<std::int64_t>> published;  // the same for an event

 private:
  const std::shared_ptr<Bell> bell_;
  PyRef future_;
};

// The Ring that a callback is; null for any other.
std::shared_ptr<Ring> ring_of(py::handle callback);

void register_bell(py::module_& m);

}  // namespace clew::python
