#include <pybind11/stl.h>

#include "bindings/call_object.hpp"
#include "bindings/convert.hpp"
#include "bindings/map.hpp"
#include "bindings/records.hpp"
#include "bindings/register.hpp"

namespace clew::python {
namespace {

using py::operator""_a;

std::optional<std::string> capability_of(py::handle self) {
  const auto& capability = call_of(self).invocation().capability();
  if (!capability) return std::nullopt;
  return capability->contract.id + "@" + capability->version_text;
}

py::object outcome_of(py::handle self) {
  const auto& call = call_of(self);
  if (!call.done()) return py::none();
  return to_shared_str(name(call.invocation().outcome().kind));
}

py::object trace_of(py::handle self) {
  const auto& call = call_of(self);
  return call.done() ? py::object(to_dict(call.invocation())) : py::none();
}

bool is_running(py::handle self) { return call_of(self).running(); }

// A class that pybind11 did not make, to which methods are added as if it had.
class Methods {
 public:
  explicit Methods(py::handle type) : type_(type) {}

  template <typename F, typename... Extra>
  Methods& def(const char* name, F&& function, const Extra&... extra) {
    py::setattr(type_, name,
                py::cpp_function(std::forward<F>(function), py::name(name), py::is_method(type_),
                                 extra...));
    return *this;
  }
  template <typename F>
  Methods& property(const char* name, F&& get) {
    const auto make =
        py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(&PyProperty_Type));
    py::setattr(type_, name, make(py::cpp_function(std::forward<F>(get), py::is_method(type_))));
    return *this;
  }

 private:
  py::handle type_;
};

void register_call(py::module_& m) {
  const auto type = make_call_type();
  m.attr("Call") = type;
  Methods(type)
      .property("id", [](py::handle self) { return call_of(self).invocation().id().to_string(); })
      .property("capability", capability_of)
      .property("outcome", outcome_of)
      .property("progress", [](py::handle self) { return call_of(self).invocation().progress(); })
      .property("trace", trace_of)
      .def("done", [](py::handle self) { return call_of(self).done(); })
      .def("running", is_running)
      .def("cancelled", [](py::handle self) { return call_of(self).cancelled(); })
      .def(
          "cancel",
          [](py::handle self, py::handle reason) {
            return call_of(self).cancel(std::string(text_view(reason, "reason")));
          },
          "reason"_a = "cancelled by the caller")
      .def(
          "exception",
          [](py::handle self, py::handle timeout) {
            return call_of(self).exception(to_patience(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def(
          "wait",
          [](py::handle self, py::handle timeout) {
            return call_of(self).wait(to_patience(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def(
          "add_done_callback",
          [](py::object self, py::object fn) {
            call_of(self).add_done_callback(self, std::move(fn));
          },
          "fn"_a)
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
