#include "clew/store/detail/wait_handle.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "clew/base/check.hpp"

namespace clew::store::detail {
namespace {

using Ready = WaitHandle::Ready;

Ready wait_both(int fd, int event, bool wants_to_write, Duration at_most) {
  const auto events = static_cast<short>(wants_to_write ? POLLIN | POLLOUT : POLLIN);
  std::array<pollfd, 2> waiting{pollfd{fd, events, 0}, pollfd{event, POLLIN, 0}};
  const timespec limit{at_most.count() / 1'000'000, at_most.count() % 1'000'000 * 1000};
  const auto* until = at_most.count() < 0 ? nullptr : &limit;
  if (::ppoll(waiting.data(), waiting.size(), until, nullptr) <= 0) return Ready::nothing;
  if ((waiting[1].revents & POLLIN) != 0) return Ready::raised;
  return (waiting[0].revents & ~POLLOUT) != 0 ? Ready::input : Ready::output;
}

}  // namespace

WaitHandle::WaitHandle() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CLEW_CHECK(event_ >= 0);
}
WaitHandle::~WaitHandle() { ::close(event_); }

void WaitHandle::raise() {
  const std::uint64_t one = 1;
  (void)!::write(event_, &one, sizeof one);
}

bool WaitHandle::is_raised() const {
  return wait_both(-1, event_, false, Duration(0)) == Ready::raised;
}

Ready WaitHandle::wait(int fd, bool wants_to_write, Duration at_most) const {
  return wait_both(fd, event_, wants_to_write, at_most);
}

Ready wait_for(int fd, bool wants_to_write, Duration at_most) {
  return wait_both(fd, -1, wants_to_write, at_most);
}

}  // namespace clew::store::detail
