#include "bindings/bell.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "bindings/errors.hpp"
#include "clew/base/check.hpp"

namespace clew::python {

Bell::Bell() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CLEW_CHECK(descriptor_ >= 0);
}

Bell::~Bell() { ::close(descriptor_); }

void Bell::ring(PyRef future) {
  const bool is_first = futures_.with([&](auto& futures) {
    futures.push_back(std::move(future));
    return futures.size() == 1;
  });
  constexpr std::uint64_t one = 1;
  if (is_first) (void)!::write(descriptor_, &one, sizeof one);
}

std::vector<PyRef> Bell::take() {
  std::uint64_t count = 0;
  (void)!::read(descriptor_, &count, sizeof count);
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
