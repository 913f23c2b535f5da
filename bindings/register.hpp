// bindings/register.hpp: what each register file adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace clew::python {

void register_values(pybind11::module_& m);
void register_faults(pybind11::module_& m);
void register_conformance(pybind11::module_& m);
void register_clock(pybind11::module_& m);
void register_calls(pybind11::module_& m);
void register_runtime(pybind11::module_& m);
void register_offline(pybind11::module_& m);

}  // namespace clew::python
