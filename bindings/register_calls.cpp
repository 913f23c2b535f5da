#include <pybind11/stl.h>

#include "bindings/call.hpp"
#include "bindings/convert.hpp"
#include "bindings/map.hpp"
#include "bindings/records.hpp"
#include "bindings/register.hpp"

namespace clew::python {
namespace {

using py::operator""_a;

std::optional<std::string> capability_of(const Call& call) {
  const auto& capability = call.invocation().capability();
  if (!capability) return std::nullopt;
  return capability->contract.id + "@" + capability->version_text;
}

py::object outcome_of(const Call& call) {
  if (!call.done()) return py::none();
  return to_shared_str(name(call.invocation().outcome().kind));
}

py::object trace_of(const Call& call) {
  return call.done() ? py::object(to_dict(call.invocation())) : py::none();
}

void register_call(py::module_& m) {
  py::classh<Call>(m, "Call", py::is_final())
      .def_property_readonly("id",
                             [](const Call& self) { return self.invocation().id().to_string(); })
      .def_property_readonly("capability", capability_of)
      .def("done", &Call::done)
      .def("running",
           [](const Call& self) { return self.invocation().state() == Invocation::State::running; })
      .def("cancelled", &Call::cancelled)
      .def("cancel", &Call::cancel, "reason"_a = "cancelled by the caller")
      .def(
          "result",
          [](Call& self, py::handle timeout) {
            return self.result(to_optional_duration(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def(
          "exception",
          [](Call& self, py::handle timeout) {
            return self.exception(to_optional_duration(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def(
          "wait",
          [](Call& self, py::handle timeout) {
            return self.wait(to_optional_duration(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def("add_done_callback", &Call::add_done_callback, "fn"_a)
      .def_property_readonly("outcome", outcome_of)
      .def_property_readonly("progress",
                             [](const Call& self) { return self.invocation().progress(); })
      .def_property_readonly("trace", trace_of)
      .def("__await__", [](py::object self) {
        return py::module_::import("clew._loop").attr("wait_for_call")(std::move(self));
      });
}

void register_map(py::module_& m) {
  py::classh<Map>(m, "Map", py::is_final())
      .def("__iter__", [](py::object self) { return self; })
      .def("__next__", &Map::next)
      .def("__aiter__", [](py::object self) { return self; })
      .def("__anext__",
           [](py::object self) {
             return py::module_::import("clew._loop").attr("next_of")(std::move(self));
           })
      .def("close", &Map::close)
      .def("_take",
           [](Map& self) {
             auto result = self.take();
             const bool ready = static_cast<bool>(result);
             return py::make_tuple(ready, ready ? std::move(result) : py::none());
           })
      .def("_on_ready", &Map::on_ready, "callback"_a);
}

}  // namespace

void register_calls(py::module_& m) {
  register_call(m);
  register_map(m);
}

}  // namespace clew::python
