#include <pybind11/stl.h>

#include "bindings/convert.hpp"
#include "bindings/records.hpp"
#include "bindings/run.hpp"
#include "clew/base/document.hpp"

namespace clew::python {
namespace {

using py::operator""_a;
using workflow::Definition;
using workflow::DefinitionPtr;

// Definitions are shared and never change; pybind11 holds what may change.
std::shared_ptr<Definition> held(const DefinitionPtr& definition) {
  return std::const_pointer_cast<Definition>(definition);
}

py::list steps_of(const Definition& definition) {
  py::list steps;
  for (const auto& step : definition.steps) {
    py::list after;
    for (const int dependency : step.dependencies) {
      after.append(definition.steps[static_cast<std::size_t>(dependency)].name);
    }
    py::dict fields;
    fields["name"] = step.name;
    fields["call"] = text_or_none(step.call_text);
    fields["on_event"] = text_or_none(step.on_event ? step.on_event->type_text : "");
    fields["after"] = after;
    fields["for_each"] = step.for_each != nullptr;
    fields["line"] = step.line;
    steps.append(fields);
  }
  return steps;
}

py::tuple to_tuple(const workflow::Loaded& loaded) {
  const auto definition = loaded.definition ? py::cast(held(loaded.definition)) : py::none();
  return py::make_tuple(definition, to_list(loaded.problems));
}

void register_definition(py::module_& m) {
  py::classh<Definition>(m, "Definition", py::is_final())
      .def_readonly("name", &Definition::name)
      .def_readonly("version", &Definition::version_text)
      .def_readonly("description", &Definition::description)
      .def_readonly("digest", &Definition::digest)
      .def_property_readonly("document", [](const Definition& self) { return self.document; })
      .def("steps", steps_of);
  m.def(
      "load_text",
      [](py::handle text) {
        const auto view = text_view(text, "text");
        return to_tuple(without_gil([&] { return workflow::load_text(view); }));
      },
      "text"_a);
  m.def(
      "load_value",
      [](py::handle document) {
        const auto value = to_value(document, "");
        return to_tuple(without_gil([&] { return workflow::load_value(value); }));
      },
      "document"_a);
  m.def(
      "parse_yaml",
      [](py::handle text) {
        const auto view = text_view(text, "text");
        return without_gil([&] { return parse_yaml(view); });
      },
      "text"_a);
}

}  // namespace

void register_runs(py::module_& m) {
  register_definition(m);
  py::classh<Run>(m, "Run", py::is_final())
      .def_property_readonly("id", [](const Run& self) { return self.run().id(); })
      .def_property_readonly("status",
                             [](const Run& self) {
                               const auto status = without_gil([&] { return self.run().status(); });
                               return to_shared_str(workflow::name(unwrap(status)));
                             })
      .def("info",
           [](const Run& self) {
             return to_dict(unwrap(without_gil([&] { return self.run().info(); })));
           })
      .def("steps",
           [](const Run& self) {
             return to_list(unwrap(without_gil([&] { return self.run().steps(); })));
           })
      .def(
          "events",
          [](const Run& self, std::int64_t after, int limit) {
            return to_list(unwrap(without_gil([&] { return self.run().events(after, limit); })));
          },
          "after"_a = 0, "limit"_a = 1000)
      .def(
          "wait_events",
          [](Run& self, std::int64_t after, py::handle timeout) {
            return self.wait_events(after, to_optional_duration(timeout, "timeout"));
          },
          "after"_a, "timeout"_a = py::none())
      .def(
          "wait",
          [](Run& self, py::handle timeout) { return self.wait(to_patience(timeout, "timeout")); },
          "timeout"_a = py::none())
      .def("done", &Run::done)
      .def(
          "result",
          [](Run& self, py::handle timeout) {
            return self.result(to_patience(timeout, "timeout"));
          },
          "timeout"_a = py::none())
      .def(
          "cancel",
          [](const Run& self, std::string reason) { return self.run().cancel(std::move(reason)); },
          no_gil, "reason"_a = "cancelled by the user")
      .def("on_ended", &Run::on_ended, "callback"_a)
      .def("definition", [](const Run& self) { return held(self.run().definition()); })
      .def("__await__", [](py::object self) {
        return py::module_::import("clew._loop").attr("wait_for_run")(std::move(self));
      });
}

}  // namespace clew::python
