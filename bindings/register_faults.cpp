#include <pybind11/stl.h>
#include <signal.h>

#include <atomic>
#include <climits>
#include <map>
#include <memory>

#include "bindings/convert.hpp"
#include "bindings/register.hpp"
#include "clew/base/fault.hpp"
#include "clew/base/text.hpp"

namespace clew::python {
namespace {

using py::operator""_a;

// How often each armed point was hit; guarded by the GIL, counted by whoever hits.
using Counter = std::shared_ptr<std::atomic<int>>;
std::map<std::string, Counter>& counters() {
  static auto* const instance = new std::map<std::string, Counter>;
  return *instance;
}

FaultPoint& find(const std::string& name) {
  if (auto* const point = find_fault_point(name)) return *point;
  const auto names = fault_points();
  const std::vector<std::string_view> views(names.begin(), names.end());
  auto missing = error(Code::not_found, "there is no fault point \"{}\"", name);
  if (const auto near = nearest(name, views); !near.empty()) {
    missing = missing.with("suggestion", Value(near));
  }
  raise(missing);
}

Result<void> call_python(const PyRef& action) {
  auto done = with_gil([&]() -> Result<void> {
    try {
      action.handle()();
      return {};
    } catch (py::error_already_set& raised) {
      raised.restore();
      return error_of_python(Code::unavailable);
    }
  });
  if (!done) return done.error();
  return *done;
}

void arm(py::handle point_name, py::object action, py::handle at_hit, py::handle error_code) {
  const std::string name(text_view(point_name, "name"));
  const std::string code(text_view(error_code, "code"));
  FaultPoint& point = find(name);
  const auto at = static_cast<int>(to_integer(at_hit, "at", 1, INT_MAX));
  if (code_of(code) == Code::internal && code != "internal") {
    raise(invalid_input("code", Value(code), "the code of an error"));
  }
  const auto hits = std::make_shared<std::atomic<int>>(0);
  if (PyCallable_Check(action.ptr()) != 0) {
    const auto held = std::make_shared<PyRef>(std::move(action));
    point.arm([hits, held, at]() -> Result<void> {
      if (hits->fetch_add(1) + 1 < at) return {};
      return call_python(*held);
    });
  } else {
    const auto word = text_or_empty(action, "action");
    if (word != "error" && word != "kill") {
      raise(invalid_input("action", Value(word), "\"error\", \"kill\" or a callable"));
    }
    point.arm([hits, at, kill = word == "kill", what = code_of(code), name]() -> Result<void> {
      if (hits->fetch_add(1) + 1 != at) return {};
      if (kill) ::raise(SIGKILL);
      return error(what, "fault point {} was told to fail", name);
    });
  }
  counters()[name] = hits;
}

}  // namespace

void register_faults(py::module_& m) {
  m.def("fault_points", [] { return fault_points(); });
  m.def("arm_fault", arm, "name"_a, "action"_a = "error", py::kw_only(), "at"_a = 1,
        "code"_a = "unavailable");
  m.def(
      "fault_hits",
      [](py::handle point) {
        const std::string name(text_view(point, "name"));
        find(name);
        const auto found = counters().find(name);
        return found == counters().end() ? 0 : found->second->load();
      },
      "name"_a);
  m.def("disarm_faults", [] {
    for (const auto& [name, hits] : counters()) find(name).disarm();
    counters().clear();
  });
}

}  // namespace clew::python
