#include <pybind11/stl.h>

#include "bindings/convert.hpp"
#include "bindings/register.hpp"
#include "clew/base/json.hpp"
#include "clew/base/schema.hpp"
#include "clew/capability/contract.hpp"

namespace clew::python {

using py::operator""_a;

void register_values(py::module_& m) {
  m.def("roundtrip", [](const Value& value) { return value; }, "value"_a);
  m.def(
      "canonical_json", [](const Value& value) { return canonical_json(value); }, no_gil,
      "value"_a);
  m.def("to_json", [](const Value& value) { return to_json(value); }, no_gil, "value"_a);
  m.def(
      "parse_json",
      [](py::handle text) {
        const auto view = text_view(text, "text");
        return without_gil([&] { return parse_json(view); });
      },
      "text"_a);
  m.def("digest", [](const Value& value) { return to_hex(digest_of(value)); }, no_gil, "value"_a);
  m.def(
      "parse_duration",
      [](py::handle value, const std::string& path) {
        return static_cast<double>(to_duration(value, path).count()) / 1e6;
      },
      "value"_a, "path"_a = "duration");
  m.def(
      "check_schema",
      [](const Value& schema, const std::string& path) -> Result<void> {
        CLEW_TRY(Schema::compile(schema, path));
        return {};
      },
      no_gil, "schema"_a, "path"_a = "schema");
  m.def(
      "check_contract",
      [](const Value& document) -> Result<Value> {
        CLEW_TRY(const auto contract, Contract::from_document(document));
        return contract.to_document();
      },
      no_gil, "document"_a);
  m.def("check_id", check_id, "id"_a, "path"_a = "id");
  m.def(
      "load_contract",
      [](py::handle text) {
        const auto view = text_view(text, "text");
        return without_gil([&]() -> Result<Value> {
          CLEW_TRY(const auto document, parse_document(view));
          CLEW_TRY(const auto contract, Contract::from_document(document));
          return contract.to_document();
        });
      },
      "text"_a);
}

}  // namespace clew::python
