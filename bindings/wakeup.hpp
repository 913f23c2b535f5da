// bindings/wakeup.hpp: what wakes an event loop from any thread, without the GIL.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "clew/base/check.hpp"

namespace clew::python {

// A descriptor that is readable from tell() until clear(). Thread-safe; never blocks.
class Wakeup {
 public:
  Wakeup() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { CLEW_CHECK(descriptor_ >= 0); }
  ~Wakeup() { ::close(descriptor_); }
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  int descriptor() const { return descriptor_; }
  void tell() {
    constexpr std::uint64_t one = 1;
    (void)!::write(descriptor_, &one, sizeof one);
  }
  void clear() {
    std::uint64_t count = 0;
    (void)!::read(descriptor_, &count, sizeof count);
  }

 private:
  const int descriptor_;
};

}  // namespace clew::python
