// What the command line asks of a store without opening a runtime.
#include "bindings/convert.hpp"
#include "bindings/gil.hpp"
#include "bindings/register.hpp"
#include "clew/runtime/offline.hpp"

namespace clew::python {
namespace {

namespace py = pybind11;
using py::operator""_a;

// Does the work without the GIL, heeding Ctrl-C.
template <typename Work>
auto heeding(Work work) {
  SignalWatch signals;
  auto done = without_gil([&] { return work([&signals] { return signals.look(); }); });
  signals.rethrow();
  return unwrap(std::move(done));
}

py::list verify(const std::string& store) {
  const auto violations = heeding([&](Heed heed) { return verify_store(store, std::move(heed)); });
  py::list list;
  for (const auto& each : violations) list.append(py::make_tuple(each.invariant, each.detail));
  return list;
}

py::list invariants() {
  py::list list;
  for (const auto& each : store_invariants()) list.append(py::make_tuple(each.name, each.says));
  return list;
}

py::list query(const std::string& store, const std::string& text, py::handle params) {
  const auto given = to_value(params, "params");
  if (!given.is_array()) raise(invalid_input("params", given, "a sequence"));
  const std::vector<Value> parameters(given.items().begin(), given.items().end());
  const auto rows =
      heeding([&](Heed heed) { return query_store(store, text, parameters, std::move(heed)); });
  py::list list;
  for (const auto& row : rows) list.append(to_python(row));
  return list;
}

py::dict export_to(const std::string& store, const std::string& to) {
  const auto made = heeding([&](Heed heed) { return export_store(store, to, std::move(heed)); });
  py::list tables;
  for (const auto& each : made.content.tables) {
    py::dict table;
    table["table"] = each.table;
    table["rows"] = each.rows;
    table["sha256"] = each.sha256;
    tables.append(table);
  }
  py::dict report;
  report["rows"] = made.content.rows();
  report["sha256"] = made.content.sha256();
  report["tables"] = tables;
  py::dict attachments;
  attachments["count"] = made.attachments;
  attachments["bytes"] = made.attachment_bytes;
  attachments["place"] = made.is_in_database ? "database" : "folder";
  report["attachments"] = attachments;
  return report;
}

}  // namespace

void register_offline(py::module_& m) {
  m.def("verify_store", verify, "store"_a);
  m.def("store_invariants", invariants);
  m.def("query_store", query, "store"_a, "query"_a, "params"_a);
  m.def("export_store", export_to, "store"_a, "to"_a);
}

}  // namespace clew::python
