// The conformance suites of the stores, for clew.testing.
#include "bindings/convert.hpp"
#include "bindings/gil.hpp"
#include "bindings/register.hpp"
#include "clew/testkit/conformance/suites.hpp"

namespace clew::python {
namespace {

namespace py = pybind11;
using py::operator""_a;

std::string_view word_of(conformance::Needs needs) {
  switch (needs) {
    case conformance::Needs::nothing:
      return "nothing";
    case conformance::Needs::reopen:
      return "reopen";
    case conformance::Needs::folder:
      return "folder";
  }
  return "";
}

py::list cases() {
  py::list list;
  for (const auto& suite : conformance::suites()) {
    for (const auto& each : suite.cases) {
      list.append(py::make_tuple(suite.name, each.name, word_of(each.needs)));
    }
  }
  return list;
}

void run(const std::string& suite, const std::string& name, const std::string& url, bool is_durable,
         const std::string& folder) {
  const conformance::Target target{url, is_durable, folder};
  unwrap(without_gil([&] { return conformance::run_case(suite, name, target); }));
}

}  // namespace

void register_conformance(py::module_& m) {
  m.def("conformance_cases", cases);
  m.def("run_conformance_case", run, "suite"_a, "name"_a, "url"_a, "is_durable"_a, "folder"_a);
}

}  // namespace clew::python
