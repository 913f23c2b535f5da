// store/detail/patience.hpp: waiting as long as somebody lets us.
#pragma once

#include "clew/base/mutex.hpp"
#include "clew/store/detail/unlocked.hpp"
#include "clew/store/store.hpp"

namespace clew::store::detail {

// Waits for `condition`, at most a slice of real time when `go_on` is there, and asks that. `lock`
// holds `mutex`. Error: what `go_on` says.
Result<void> wait_a_while(Condition& condition, Lock& lock, Mutex& mutex, GoOn& go_on)
    CLEW_REQUIRES(mutex);

}  // namespace clew::store::detail
