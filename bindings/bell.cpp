#include "bindings/bell.hpp"

namespace clew::python {

void Bell::ring(PyRef future) {
  const bool is_first = futures_.with([&](auto& futures) {
    futures.push_back(std::move(future));
    return futures.size() == 1;
  });
  if (is_first) wakeup_.tell();
}

std::vector<PyRef> Bell::take() {
  wakeup_.clear();
  return futures_.with([](auto& futures) { return std::exchange(futures, {}); });
}

std::shared_ptr<Ring> ring_of(py::handle callback) {
  if (!py::isinstance<Ring>(callback)) return nullptr;
  return callback.cast<std::shared_ptr<Ring>>();
}

void register_bell(py::module_& m) {
  using py::operator""_a;
  py::classh<Ring>(m, "_Ring", py::is_final()).def("__call__", [](Ring& self, py::handle) {
    self.ring();
  });
  py::classh<Bell>(m, "_Bell", py::is_final())
      .def(py::init())
      .def("fileno", &Bell::descriptor)
      .def(
          "ring",
          [](std::shared_ptr<Bell> self, py::object future) {
            return std::make_shared<Ring>(std::move(self), std::move(future));
          },
          "future"_a)
      .def("take", [](Bell& self) {
        py::list futures;
        for (const auto& future : self.take()) futures.append(future.handle());
        return futures;
      });
}

}  // namespace clew::python
