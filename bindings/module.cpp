// The extension module clew._core: a table of contents. Lower layers come first, so that signatures
// name types that are known.
#include <pybind11/pybind11.h>

#include "bindings/async_executor.hpp"
#include "bindings/bell.hpp"
#include "bindings/context.hpp"
#include "bindings/convert.hpp"
#include "bindings/core.hpp"
#include "bindings/effects.hpp"
#include "bindings/errors.hpp"
#include "bindings/events.hpp"
#include "bindings/gil.hpp"
#include "bindings/processes.hpp"
#include "bindings/register.hpp"
#include "bindings/run.hpp"
#include "bindings/sessions.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace clew::python;
  m.attr("__version__") = CLEW_VERSION;
  prepare_threads();
  prepare_conversions();
  register_errors(m);
  register_values(m);
  register_faults(m);
  register_clock(m);
  register_calls(m);
  register_context(m);
  register_async(m);
  register_bell(m);
  register_runs(m);
  register_events(m);
  register_processes(m);
  register_sessions(m);
  register_effects(m);
  register_runtime(m);
  register_offline(m);
  register_conformance(m);
  prepare_exit(m);
}
