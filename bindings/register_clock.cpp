#include <climits>

#include "bindings/convert.hpp"
#include "bindings/register.hpp"
#include "clew/base/time.hpp"

namespace clew::python {

using py::operator""_a;

void register_clock(py::module_& m) {
  py::classh<ManualClock>(m, "ManualClock", py::is_final(),
                          py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](py::handle start) {
             if (start.is_none()) return std::make_unique<ManualClock>();
             return std::make_unique<ManualClock>(to_timestamp(start, "start"));
           }),
           "start"_a = py::none())
      .def("now", &ManualClock::now)
      .def(
          "advance",
          [](ManualClock& self, py::handle by) {
            const auto duration = to_duration(by, "by");
            without_gil([&] { self.advance(duration); });
          },
          "by"_a)
      .def("next_deadline",
           [](const ManualClock& self) { return to_datetime(self.next_deadline()); })
      .def(
          "await_waiters",
          [](ManualClock& self, py::handle count) {
            const auto wanted = to_integer(count, "count", 0, INT_MAX);
            return without_gil([&] { return self.await_waiters(static_cast<int>(wanted)); });
          },
          "count"_a = 1);
}

}  // namespace clew::python
