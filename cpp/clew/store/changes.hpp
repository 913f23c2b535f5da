// store/changes.hpp: waiting for what somebody commits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/time.hpp"
#include "clew/store/store.hpp"

namespace clew::store {

// Lets threads wait until a look at the database finds what they wait for. Commits of this handle
// wake them through tell(), those of other processes through the database's own watch; others on
// the same database in memory are noticed within 20 ms of real time. Thread-safe. Both are
// borrowed.
class Changes {
 public:
  Changes(Database& database, Clock& clock) : database_(database), clock_(clock) {}

  // Something was committed here that somebody may wait for.
  void tell() {
    const Lock lock(mutex_);
    ++told_;
    changed_.notify_all();
    for (auto* const listener : listeners_) listener->changed();
  }

  // For whoever cannot wait on a thread: calls `changed` at each commit that wakes look_until(), as
  // long as the handle lives, which must not outlive this. On any thread and under a lock: it must
  // be short, must not throw, and must come to nothing here. What others commit to a database in
  // memory, and what a watch misses, it does not tell of.
  std::shared_ptr<void> listen(Function<void()> changed) {
    auto listener = std::make_shared<Listener>();
    listener->changed = std::move(changed);
    listener->watch = watch();
    {
      const Lock lock(mutex_);
      listeners_.push_back(listener.get());
    }
    return {listener.get(), [this, listener](void*) mutable {
              {
                const Lock lock(mutex_);
                std::erase(listeners_, listener.get());
              }
              listener.reset();
            }};
  }

  // Calls `look`, a Result<bool>(), at once and after every change, until it is true or fails.
  // False once `until` has come. Blocks.
  template <typename Look>
  Result<bool> look_until(Timestamp until, Look look) {
    bool is_first = true;
    std::shared_ptr<void> watch;  // costs something: only when it has to wait
    std::int64_t version_seen = 0;
    std::int64_t told_seen = 0;
    for (;;) {
      const auto told = count();
      CLEW_TRY(const auto version, database_.data_version());
      if (is_first || version != version_seen || told != told_seen) {
        is_first = false;
        version_seen = version;
        told_seen = told;
        CLEW_TRY(const bool found, look());
        if (found) return true;
      }
      const auto now = clock_.now();
      if (now >= until) return false;
      if (!watch) {
        watch = this->watch();
        if (watch) continue;  // somebody may have committed before it
      }
      const auto pause = watch ? look_seldom : look_every;
      Lock lock(mutex_);
      if (told_ != told) continue;
      const auto rest = std::min(until.us - now.us, pause.count());
      (void)real_->wait_until(changed_, lock, real_->now() + Duration(rest));
    }
  }

 private:
  struct Listener {
    Function<void()> changed;
    std::shared_ptr<void> watch;
  };

  // One for all who wait; null for a database in memory, and once it is closed.
  std::shared_ptr<void> watch() {
    if (database_.is_memory()) return nullptr;
    const Lock lock(watch_mutex_);
    auto found = watch_.lock();
    if (!found) watch_ = found = database_.watch_commits([this] { tell(); });
    return found;
  }

  static constexpr Duration look_every = std::chrono::milliseconds(20);
  static constexpr Duration look_seldom = std::chrono::milliseconds(500);  // should a watch fail

  std::int64_t count() {
    const Lock lock(mutex_);
    return told_;
  }

  Database& database_;
  Clock& clock_;
  const std::unique_ptr<Clock> real_ = make_real_clock();
  Mutex mutex_;
  Condition changed_;
  std::int64_t told_ CLEW_GUARDED_BY(mutex_) = 0;
  std::vector<Listener*> listeners_ CLEW_GUARDED_BY(mutex_);
  Mutex watch_mutex_;
  std::weak_ptr<void> watch_ CLEW_GUARDED_BY(watch_mutex_);
};

}  // namespace clew::store
