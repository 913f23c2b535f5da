#include "clew/store/detail/patience.hpp"

namespace clew::store::detail {

Result<void> wait_a_while(Condition& condition, Lock& lock, Mutex& mutex, GoOn& go_on) {
  if (!go_on) {
    condition.wait(lock);
    return {};
  }
  constexpr Duration slice = std::chrono::milliseconds(20);
  const auto clock = make_real_clock();  // the patience of people, in virtual time too
  (void)clock->wait_until(condition, lock, clock->now() + slice);
  const Unlocked meanwhile(mutex);
  return go_on();
}

}  // namespace clew::store::detail
