#include "clew/exec/timers.hpp"

#include <sys/prctl.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/exec/detail/failure.hpp"
#include "clew/exec/detail/indexed_heap.hpp"
#include "clew/exec/detail/quick_lock.hpp"

namespace clew {
namespace {

constexpr std::uint32_t none = UINT32_MAX;

// A pending timer, or room for one. The callable lives here; the heap moves only small items.
struct Entry {
  Function<void()> wake;
  std::uint32_t generation = 1;  // of the timers that had this entry
  std::uint32_t heap_index = none;
  std::uint32_t next_unused = none;
};

struct Due {
  Timestamp at;
  std::uint64_t order = 0;  // of registration
  std::uint32_t entry = 0;
};

struct DueBefore {
  bool operator()(const Due& a, const Due& b) const {
    return a.at != b.at ? a.at < b.at : a.order < b.order;
  }
};

struct NoteIndex {
  std::deque<Entry>* entries;
  void operator()(const Due& due, std::uint32_t index) const {
    (*entries)[due.entry].heap_index = index;
  }
};

// The timers in order, and by id. An id is an entry and its generation; an entry whose generations
// are used up is retired, so that no id ever comes back. External: its owner locks.
class TimerTable {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  Timestamp first() const { return heap_.empty() ? Timestamp::never() : heap_.top().at; }

  TimerId add(Timestamp due, Function<void()> wake) {
    const auto index = take_unused();
    auto& entry = entries_[index];
    entry.wake = std::move(wake);
    heap_.push({due, ++registered_, index});
    return id_of(index);
  }

  // An id that names no timer.
  TimerId spent_id() {
    const auto index = take_unused();
    const auto id = id_of(index);
    release(index);
    return id;
  }

  // Empty when the id names no pending timer.
  Function<void()> remove(TimerId id) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= entries_.size() || id_of(index) != id) return nullptr;
    if (entries_[index].heap_index == none) return nullptr;
    return take(index);
  }

  Function<void()> remove_first() { return take(heap_.top().entry); }

 private:
  TimerId id_of(std::uint32_t index) const {
    return (TimerId{entries_[index].generation} << 32U) | index;
  }

  std::uint32_t take_unused() {
    if (unused_ == none) {
      CLEW_CHECK(entries_.size() < none);
      entries_.emplace_back();
      return static_cast<std::uint32_t>(entries_.size() - 1);
    }
    return std::exchange(unused_, entries_[unused_].next_unused);
  }

  void release(std::uint32_t index) {
    auto& entry = entries_[index];
    if (entry.generation == UINT32_MAX) return;
    ++entry.generation;
    entry.next_unused = std::exchange(unused_, index);
  }

  Function<void()> take(std::uint32_t index) {
    heap_.erase(entries_[index].heap_index);
    auto wake = std::move(entries_[index].wake);
    release(index);
    return wake;
  }

  std::deque<Entry> entries_;
  std::uint32_t unused_ = none;
  std::uint64_t registered_ = 0;
  detail::IndexedHeap<Due, DueBefore, NoteIndex> heap_{NoteIndex{&entries_}};
};

// The timers of which the calling thread is the thread.
thread_local constinit const void* timers_of_thread = nullptr;

class HeapTimers final : public Timers {
 public:
  explicit HeapTimers(Clock& clock) : clock_(clock) {}
  ~HeapTimers() override { stop(StopMode::cancel, Timestamp::never()); }

  std::string_view service_name() const override { return "clew-timers"; }
  Result<void> start() override;
  bool stop(StopMode mode, Timestamp deadline) override;
  TimerId at(Timestamp due, Function<void()> wake) override;
  bool cancel(TimerId id) override;
  std::size_t pending() const override;
  void await_idle() override;
  bool on_timer_thread() const override { return timers_of_thread == this; }

 private:
  void run();
  bool await_end(Timestamp deadline);
  std::vector<Function<void()>> take_all() CLEW_REQUIRES(mutex_);
  bool has_due() CLEW_REQUIRES(mutex_) { return !table_.empty() && table_.first() <= clock_.now(); }

  Clock& clock_;
  mutable Mutex mutex_;
  TimerTable table_ CLEW_GUARDED_BY(mutex_);
  bool started_ CLEW_GUARDED_BY(mutex_) = false;
  bool ended_ CLEW_GUARDED_BY(mutex_) = false;  // the thread
  bool closing_ CLEW_GUARDED_BY(mutex_) = false;
  Timestamp drain_until_ CLEW_GUARDED_BY(mutex_);  // once closing
  bool asleep_ CLEW_GUARDED_BY(mutex_) = false;
  bool firing_ CLEW_GUARDED_BY(mutex_) = false;
  Condition changed_;  // the thread has reason to look again
  Condition idle_;     // the thread goes to sleep or ends

  Mutex threads_mutex_;  // never taken under the other one
  Threads threads_ CLEW_GUARDED_BY(threads_mutex_);
};

Result<void> HeapTimers::start() {
  const Lock threads_lock(threads_mutex_);
  {
    const Lock lock(mutex_);
    if (closing_) return error(Code::closed, "the timers were stopped");
    if (std::exchange(started_, true)) return {};
  }
  try {
    threads_.start(std::string(service_name()), [this] { run(); });
    return {};
  } catch (const std::system_error&) {
    const Lock lock(mutex_);
    closing_ = true;
    ended_ = true;
    return error(Code::resource_exhausted, "the system has no thread for {}", service_name());
  }
}

TimerId HeapTimers::at(Timestamp due, Function<void()> wake) {
  CLEW_CHECK(static_cast<bool>(wake));
  TimerId id = 0;
  bool is_first = false;
  {
    const detail::QuickLock lock(mutex_);
    if (closing_) return table_.spent_id();
    is_first = asleep_ && (table_.empty() || due < table_.first());
    if (is_first) asleep_ = false;  // one wake-up is enough
    id = table_.add(due, std::move(wake));
  }
  if (is_first) changed_.notify_one();
  return id;
}

bool HeapTimers::cancel(TimerId id) {
  Function<void()> removed;  // destroyed outside the lock
  const detail::QuickLock lock(mutex_);
  removed = table_.remove(id);
  return static_cast<bool>(removed);
}

std::size_t HeapTimers::pending() const {
  const Lock lock(mutex_);
  return table_.size();
}

void HeapTimers::await_idle() {
  CLEW_CHECK(timers_of_thread != this);
  Lock lock(mutex_);
  CLEW_CHECK(started_ || closing_);
  while (!closing_ && (firing_ || has_due())) idle_.wait(lock);
}

void HeapTimers::run() {
  timers_of_thread = this;
  prctl(PR_SET_TIMERSLACK, 1UL);  // by default the kernel may wake us 50 microseconds late
  Lock lock(mutex_);
  Timestamp now{INT64_MIN};
  while (!closing_ || (!table_.empty() && table_.first() <= drain_until_)) {
    const auto due = table_.first();
    if (table_.empty() || due > now) now = clock_.now();
    if (!table_.empty() && due <= now) {
      auto wake = table_.remove_first();
      firing_ = true;
      lock.unlock();
      detail::call_contained(wake, {});
      lock.lock();
      firing_ = false;
      continue;
    }
    asleep_ = true;
    idle_.notify_all();
    clock_.wait_until(changed_, lock, due);
    asleep_ = false;
  }
  ended_ = true;
  idle_.notify_all();
}

bool HeapTimers::stop(StopMode mode, Timestamp deadline) {
  CLEW_CHECK(timers_of_thread != this);
  const auto now = clock_.now();
  std::vector<Function<void()>> discarded;
  {
    const Lock lock(mutex_);
    if (!std::exchange(closing_, true)) drain_until_ = now;
    if (mode == StopMode::cancel) discarded = take_all();
    changed_.notify_all();
    idle_.notify_all();
  }
  discarded.clear();  // outside the lock, as always
  const bool kept = await_end(deadline);
  {
    const Lock lock(threads_mutex_);
    threads_.join();
  }
  const Lock lock(mutex_);
  discarded = take_all();
  return kept;
}

// True when the thread ended before the deadline.
bool HeapTimers::await_end(Timestamp deadline) {
  bool kept = true;
  std::vector<Function<void()>> discarded;
  Lock lock(mutex_);
  while (started_ && !ended_) {
    if (!kept || deadline == Timestamp::never()) {
      idle_.wait(lock);
    } else if (clock_.wait_until(idle_, lock, deadline) && !ended_) {
      kept = false;
      discarded = take_all();
    }
  }
  return kept;
}

std::vector<Function<void()>> HeapTimers::take_all() {
  std::vector<Function<void()>> all;
  all.reserve(table_.size());
  while (!table_.empty()) all.push_back(table_.remove_first());
  return all;
}

}  // namespace

std::unique_ptr<Timers> make_timers(Clock& clock) { return std::make_unique<HeapTimers>(clock); }

}  // namespace clew
