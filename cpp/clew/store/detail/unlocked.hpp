// store/detail/unlocked.hpp: letting go of a lock for a scope.
#pragma once

#include "clew/base/mutex.hpp"

namespace clew::store::detail {

// The opposite of Lock: `mutex`, which the calling thread holds by a Lock, is free within the
// scope.
class CLEW_SCOPED_CAPABILITY Unlocked {
 public:
  explicit Unlocked(Mutex& mutex) CLEW_RELEASE(mutex) : mutex_(mutex) { mutex_.unlock(); }
  ~Unlocked() CLEW_RELEASE() { mutex_.lock(); }  // so the analysis wants the re-taking spelled
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace clew::store::detail
