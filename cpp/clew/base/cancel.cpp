#include "clew/base/cancel.hpp"

#include <atomic>
#include <exception>
#include <list>
#include <thread>
#include <utility>

namespace clew {

// One subscription. Its fields are guarded by the State's mutex; `wake` belongs to whoever moved
// the entry out of the list.
struct CancelSubscription::Entry {
  enum class Phase : std::uint8_t { waiting, running, over };

  explicit Entry(Function<void()> call) : wake(std::move(call)) {}

  Function<void()> wake;
  Phase phase = Phase::waiting;
  std::thread::id runner;                             // while running
  std::list<std::shared_ptr<Entry>>::iterator place;  // while waiting
};

struct CancelToken::State {
  using Entry = CancelSubscription::Entry;
  using Phase = Entry::Phase;

  Mutex mutex;
  Condition finished;  // an entry went from running to over
  std::atomic<bool> cancelled{false};
  std::string reason CLEW_GUARDED_BY(mutex);
  std::list<std::shared_ptr<Entry>> waiting CLEW_GUARDED_BY(mutex);
  CancelSubscription parent;  // cancels this when the parent is; set once, before sharing

  bool cancel(std::string why) {
    {
      const Lock lock(mutex);
      if (cancelled.load(std::memory_order_relaxed)) return false;
      reason = std::move(why);
      cancelled.store(true, std::memory_order_release);
    }
    std::exception_ptr first_thrown;
    while (const auto entry = take_next()) {
      try {
        entry->wake();
      } catch (...) {
        if (!first_thrown) first_thrown = std::current_exception();
      }
      entry->wake = nullptr;  // what it captured dies before the subscription's destructor returns
      const Lock lock(mutex);
      entry->phase = Phase::over;
      finished.notify_all();
    }
    if (first_thrown) std::rethrow_exception(first_thrown);
    return true;
  }

  // The oldest waiting entry, now running on this thread; null when none is left.
  std::shared_ptr<Entry> take_next() {
    const Lock lock(mutex);
    if (waiting.empty()) return nullptr;
    auto entry = std::move(waiting.front());
    waiting.pop_front();
    entry->phase = Phase::running;
    entry->runner = std::this_thread::get_id();
    return entry;
  }

  // False when it is too late, because the request was made already.
  bool add(const std::shared_ptr<Entry>& entry) {
    const Lock lock(mutex);
    if (cancelled.load(std::memory_order_relaxed)) return false;
    entry->place = waiting.insert(waiting.end(), entry);
    return true;
  }

  // After it `entry` will not run, and does not run on another thread.
  void remove(Entry& entry) {
    Lock lock(mutex);
    if (entry.phase == Phase::waiting) {
      waiting.erase(entry.place);
      entry.phase = Phase::over;
    }
    if (entry.runner == std::this_thread::get_id()) return;
    while (entry.phase == Phase::running) finished.wait(lock);
  }
};

bool CancelToken::cancelled() const {
  return state_ != nullptr && state_->cancelled.load(std::memory_order_acquire);
}

std::string CancelToken::reason() const {
  if (state_ == nullptr) return {};
  const Lock lock(state_->mutex);
  return state_->reason;
}

CancelSource::CancelSource() : state_(std::make_shared<CancelToken::State>()) {}

CancelSource::CancelSource(const CancelToken& parent) : CancelSource() {
  // Weak, and the parent by its own pointer: a child keeps its parent alive, never the reverse.
  if (!parent.can_be_cancelled()) return;
  state_->parent = CancelSubscription(
      parent, [child = std::weak_ptr(state_), above = std::weak_ptr(parent.state_)] {
        const auto state = child.lock();
        const auto cause = above.lock();
        if (state == nullptr || cause == nullptr) return;
        std::string why;
        {
          const Lock lock(cause->mutex);
          why = cause->reason;
        }
        state->cancel(std::move(why));
      });
}

CancelToken CancelSource::token() const {
  CancelToken token;
  token.state_ = state_;
  return token;
}

bool CancelSource::cancel(std::string reason) {
  const auto state = state_;  // a subscriber may destroy this source
  return state->cancel(std::move(reason));
}

CancelSubscription::CancelSubscription(const CancelToken& token, Function<void()> wake) {
  if (token.state_ == nullptr) return;
  auto entry = std::make_shared<Entry>(std::move(wake));
  if (!token.state_->add(entry)) {
    entry->wake();
    return;
  }
  state_ = token.state_;
  entry_ = std::move(entry);
}

CancelSubscription::CancelSubscription(CancelSubscription&& other) noexcept
    : state_(std::move(other.state_)), entry_(std::move(other.entry_)) {}

CancelSubscription& CancelSubscription::operator=(CancelSubscription&& other) noexcept {
  if (this == &other) return *this;
  release();
  state_ = std::move(other.state_);
  entry_ = std::move(other.entry_);
  return *this;
}

CancelSubscription::~CancelSubscription() { release(); }

void CancelSubscription::release() noexcept {
  if (entry_ == nullptr) return;
  state_->remove(*entry_);
  entry_.reset();
  state_.reset();
}

}  // namespace clew
