// base/mutex.hpp: locks that Clang's thread-safety analysis can see.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#if defined(__clang__)
#define CLEW_TSA(x) __attribute__((x))
#else
#define CLEW_TSA(x)
#endif
#define CLEW_CAPABILITY(x) CLEW_TSA(capability(x))
#define CLEW_SCOPED_CAPABILITY CLEW_TSA(scoped_lockable)
#define CLEW_GUARDED_BY(x) CLEW_TSA(guarded_by(x))
#define CLEW_PT_GUARDED_BY(x) CLEW_TSA(pt_guarded_by(x))
#define CLEW_REQUIRES(...) CLEW_TSA(requires_capability(__VA_ARGS__))
#define CLEW_EXCLUDES(...) CLEW_TSA(locks_excluded(__VA_ARGS__))
#define CLEW_ACQUIRE(...) CLEW_TSA(acquire_capability(__VA_ARGS__))
#define CLEW_RELEASE(...) CLEW_TSA(release_capability(__VA_ARGS__))
#define CLEW_TRY_ACQUIRE(...) CLEW_TSA(try_acquire_capability(__VA_ARGS__))
#define CLEW_NO_ANALYSIS CLEW_TSA(no_thread_safety_analysis)

namespace clew {

// A mutual exclusion lock. Never held while calling out: no callback, I/O or other lock under it.
class CLEW_CAPABILITY("mutex") Mutex {
 public:
  void lock() CLEW_ACQUIRE() { mutex_.lock(); }
  void unlock() CLEW_RELEASE() { mutex_.unlock(); }
  bool try_lock() CLEW_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

// Holds a Mutex for a scope; can let go of it and take it again.
class CLEW_SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) CLEW_ACQUIRE(mutex) : lock_(mutex.native()) {}
  ~Lock() CLEW_RELEASE() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void unlock() CLEW_RELEASE() { lock_.unlock(); }
  void lock() CLEW_ACQUIRE() { lock_.lock(); }
  std::unique_lock<std::mutex>& native() { return lock_; }

 private:
  std::unique_lock<std::mutex> lock_;
};

// Data that can only be reached while its lock is held.
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T data) : data_(std::move(data)) {}

  // Runs `use(data)` under the lock and returns what it returns. `use` must not call out.
  template <typename F>
  decltype(auto) with(F&& use) {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(use)(data_);
  }
  template <typename F>
  decltype(auto) with(F&& use) const {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(use)(data_);
  }

 private:
  mutable std::mutex mutex_;
  T data_{};
};

}  // namespace clew
