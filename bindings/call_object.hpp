// bindings/call_object.hpp: the class Call as Python sees it, and the methods of the hot path.
//
// A call costs less than what pybind11 adds to it: a registered instance, and a walk over the
// signature for each method. So `Call`, its `result` and the Runtime's `execute` and `submit` are
// written against Python's own interface; everything else about them is pybind11 as elsewhere.
#pragma once

#include "bindings/call.hpp"

namespace clew::python {

// All of these need the GIL.

// Makes `_core.Call`, which `clew.Call` extends by Future.
py::object make_call_type();

// A new `clew.Call`, or with `bare` a `_core.Call`, whose await cancels it.
py::object to_object(Call call, bool bare = false);

// The call in an object. Throws py::type_error when it is none.
Call& call_of(py::handle object);

// Adds `execute` and `submit` to the class of RuntimeHandle.
void add_entries(py::handle runtime_class);

}  // namespace clew::python
