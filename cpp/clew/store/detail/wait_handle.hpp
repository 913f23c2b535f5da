// store/detail/wait_handle.hpp: waiting for descriptors, and being told to stop.
#pragma once

#include "clew/base/time.hpp"

namespace clew::store::detail {

// Once raised it stays so, and ends every wait. Thread-safe.
class WaitHandle {
 public:
  WaitHandle();
  ~WaitHandle();
  WaitHandle(const WaitHandle&) = delete;
  WaitHandle& operator=(const WaitHandle&) = delete;
  void raise();
  bool is_raised() const;

  enum class Ready : std::uint8_t { input, output, raised, nothing };
  // Waits for `fd` (below 0: for nothing but the handle), at most so long of real time.
  Ready wait(int fd, bool wants_to_write, Duration at_most) const;

 private:
  int event_;
};

// Waits for one descriptor as above, without a handle. `at_most` below 0: for ever.
WaitHandle::Ready wait_for(int fd, bool wants_to_write, Duration at_most);

}  // namespace clew::store::detail
