// bindings/register_runtime.hpp: the parts of the class Runtime that stand in files of their own.
#pragma once

#include <pybind11/pybind11.h>

#include <string_view>
#include <vector>

#include "bindings/runtime_handle.hpp"
#include "clew/base/signature.hpp"

namespace clew::python {

using RuntimeClass = pybind11::classh<RuntimeHandle>;

void define_wasm(py::module_& m, RuntimeClass& runtime);
// What `trusted_keys` of a runtime says; None: none.
std::vector<PublicKey> to_public_keys(py::handle given);
// Logs what a WebAssembly module wrote to standard error.
void log_guest(const Invocation& call, std::string_view text);
void define_workflows(RuntimeClass& runtime);
void define_inspection(py::module_& m, RuntimeClass& runtime);

}  // namespace clew::python
