// bindings/map.hpp: one capability over many inputs.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/core.hpp"
#include "clew/capability/dispatch.hpp"

namespace clew::python {

struct MapOptions {
  std::optional<int> concurrency;
  bool ordered = true;
  bool return_exceptions = false;
};

// Inputs that a map without `concurrency` takes at most ahead of what was consumed. Larger saves
// nothing more: at a fourth of it the next ones are taken while the others run.
inline constexpr std::size_t ahead_max = 1024;

// The results of one capability over an iterable. For one consumer at a time; the GIL guards it.
// Inputs are taken by the consumer's thread when it asks for a result: at most `concurrency` that
// it has not consumed yet, by default `ahead_max`, or, when a deadline counts their time in the
// queue, two per worker. They are run by a
// few tasks on the pool that each take the next input when they are done: a call costs no queueing
// and no wake-up of its own. Calls that the pool cannot run in place (async functions, foreign
// executors, timeouts) are submitted one by one. Each leaves its trace.
class Map {
 public:
  // Takes no input yet. Throws Raised.
  Map(CorePtr core, Resolved resolved, py::object iterator, const MapOptions& options);
  ~Map();
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  // The next result; waits for it, heeding Ctrl-C. Throws py::stop_iteration at the end.
  py::object next();
  // The next result if it is there; null when it is still to come.
  py::object take();
  // Calls back once there is a next result, or at once.
  void on_ready(py::object callback);
  void close();

 private:
  class State;
  void refill();
  py::object deliver();

  CorePtr core_;
  std::shared_ptr<State> state_;
  PyRef iterator_;  // empty once exhausted
  bool return_exceptions_;
  std::size_t window_;
  std::size_t outstanding_ = 0;  // taken from the iterator and not delivered
};

}  // namespace clew::python
