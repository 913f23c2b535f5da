// base/snapshot.hpp: read-mostly data that readers never wait for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "clew/base/mutex.hpp"

namespace clew {

// Holds the current version of an immutable T. Thread-safe. `load` copies a shared pointer under a
// lock held for a few instructions; `Cached` reads avoid even that. Publishing replaces the whole
// value; a reader keeps the version that it loaded for as long as it needs it.
// (std::atomic<std::shared_ptr> is not lock-free in libstdc++ 12, and ThreadSanitizer reports it.)
template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> first) : current_(std::move(first)) {}

  std::shared_ptr<const T> load() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

  void publish(std::shared_ptr<const T> next) {
    std::shared_ptr<const T> old;  // released outside the lock
    const std::lock_guard lock(mutex_);
    old = std::exchange(current_, std::move(next));
    version_.fetch_add(1, std::memory_order_release);
  }

  // Changes with each publish.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> current_;
  std::atomic<std::uint64_t> version_{1};
};

// A reader's own hold on a Snapshot, renewed when that has changed: a read costs one atomic load.
// Confined to one thread; the Snapshot must outlive it. Keeps the version last read alive.
template <typename T>
class Cached {
 public:
  explicit Cached(const Snapshot<T>& snapshot) : snapshot_(snapshot) {}

  // The version that was current at this call or later. The reference lives until the next call.
  const std::shared_ptr<const T>& get() {
    // The version is read first: a publication in between only means one more load next time.
    if (const auto version = snapshot_.version(); version != version_) [[unlikely]] {
      current_ = snapshot_.load();
      version_ = version;
    }
    return current_;
  }

 private:
  const Snapshot<T>& snapshot_;
  std::shared_ptr<const T> current_;
  std::uint64_t version_ = 0;  // a Snapshot's first is 1
};

}  // namespace clew
