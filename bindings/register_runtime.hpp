// bindings/register_runtime.hpp: the parts of the class Runtime that stand in files of their own.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/runtime_handle.hpp"

namespace clew::python {

using RuntimeClass = pybind11::classh<RuntimeHandle>;

void define_workflows(RuntimeClass& runtime);
void define_inspection(py::module_& m, RuntimeClass& runtime);

}  // namespace clew::python
