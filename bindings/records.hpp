// bindings/records.hpp: what the core reports, as Python dicts. All need the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "clew/capability/broker.hpp"
#include "clew/capability/invocation.hpp"
#include "clew/capability/registry.hpp"
#include "clew/capability/trace.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::python {

namespace py = pybind11;

py::dict to_dict(const Trace& trace);
// The same for a call of this process that has ended.
py::dict to_dict(const Invocation& ended);
py::dict to_dict(const Registration& registration);
// id, version, digest, kind, contract.
py::dict to_dict(const Capability& capability);
py::dict to_dict(const Candidate& candidate);
py::dict to_dict(const PlacementReport& report);
py::dict to_dict(const workflow::RunInfo& info);
py::dict to_dict(const workflow::StepInfo& step);
py::dict to_dict(const workflow::EventInfo& event);
py::dict to_dict(const workflow::Problem& problem);
py::dict to_dict(const Delivery& delivery);
py::dict to_dict(const EventType& type);
// None, or code, message, context, retryable.
py::object to_dict(const std::optional<Error>& error);

template <typename T>
py::list to_list(const std::vector<T>& records) {
  py::list list(records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), to_dict(records[i]).release().ptr());
  }
  return list;
}

}  // namespace clew::python
