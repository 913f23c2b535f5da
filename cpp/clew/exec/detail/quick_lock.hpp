// exec/detail/quick_lock.hpp: for locks that are held for some tens of nanoseconds.
#pragma once

#include "clew/base/mutex.hpp"

namespace clew::detail {

// Tells the processor that this is a loop that waits.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Holds a Mutex for a scope. Tries a few times before it sleeps, since going to sleep and being
// woken costs a thousand times what the holder needs to finish.
class CLEW_SCOPED_CAPABILITY QuickLock {
 public:
  explicit QuickLock(Mutex& mutex) CLEW_ACQUIRE(mutex) : mutex_(mutex) { take(); }
  ~QuickLock() CLEW_RELEASE() { mutex_.unlock(); }
  QuickLock(const QuickLock&) = delete;
  QuickLock& operator=(const QuickLock&) = delete;

 private:
  static constexpr int tries_max = 40;

  void take() CLEW_NO_ANALYSIS {
    for (int i = 0; i < tries_max; ++i) {
      if (mutex_.try_lock()) return;
      relax();
    }
    mutex_.lock();
  }

  Mutex& mutex_;
};

}  // namespace clew::detail
