// capability/detail/event_log.hpp: the part of the log that is in memory, and whoever waits for
// more.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/capability/detail/event_ids.hpp"
#include "clew/capability/detail/event_rows.hpp"

namespace clew::detail {

// The newest events, and who waits for newer ones. For a file a tail of it, which may lag behind
// the disk; for memory the log itself. Thread-safe.
class EventLog {
 public:
  EventLog(store::Database& database, Clock& clock, EventRetention retention);
  ~EventLog() { stop(); }
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  Cursor last() const { return last_.load(std::memory_order_acquire); }

  // Memory: gives each event its cursor and time, or finds that its id is there.
  void append(std::span<Appended> events);
  // Memory: everything retained, and the head that goes with it.
  std::vector<EventPtr> all(EventHead& head);
  // A file: these are committed. Batches may come in any order, for cursors are dense: when one is
  // committed, all before it are.
  void advance(std::span<Appended* const> events);
  // A file: so much is committed, by whomever.
  void advance_to(Cursor last);

  // Events after `after`, at most `limit`; nothing when they must be read from the file. Leaves out
  // what is over; in memory an empty answer means that there is nothing.
  std::optional<std::vector<EventPtr>> read(Cursor after, int limit);

  // What somebody waits for: an event after `after`, its end, or (groups) a wake or an instant.
  struct Sleep {
    Cursor after = 0;
    std::shared_ptr<const std::atomic<bool>> over;
    std::optional<std::uint64_t> wakes{};  // as they were before it looked
    Timestamp due = Timestamp::never();    // by the log's clock
  };
  // True unless `until` by `clock` came first.
  bool wait(const Sleep& sleep, Timestamp until, Clock& clock);
  void on_ready(Sleep sleep, Function<void()> ready);
  std::uint64_t wakes() const { return wakes_.load(std::memory_order_acquire); }
  // Groups look again; so does whoever may be over.
  void wake();

  // Ends every wait.
  void stop_waits();
  // Joins the thread. Idempotent.
  void stop();

 private:
  struct Sleeper {
    Sleep sleep;
    Function<void()> ready;
  };

  void append_one(Appended& wanted, Timestamp now) CLEW_REQUIRES(mutex_);
  void trim(Timestamp now) CLEW_REQUIRES(mutex_);
  void pop_front() CLEW_REQUIRES(mutex_);
  bool is_ready(const Sleep& sleep) const CLEW_REQUIRES(mutex_);
  std::vector<Function<void()>> take_ready() CLEW_REQUIRES(mutex_);
  struct Woken {
    bool has_waiting = false;
    std::vector<Function<void()>> ready;
  };
  Woken woken() CLEW_REQUIRES(mutex_);
  void tell(Woken woken) CLEW_EXCLUDES(mutex_);
  void raise_last(Cursor to) CLEW_REQUIRES(mutex_);
  void watch_for(Timestamp due) CLEW_REQUIRES(mutex_);
  void run_watch();
  bool await_look();
  bool is_awaited();
  void look();

  store::Database& database_;
  Clock& clock_;
  const EventRetention retention_;
  const bool is_memory_;
  std::atomic<Cursor> last_{0};
  std::atomic<std::uint64_t> wakes_{0};

  mutable Mutex mutex_;
  Condition changed_;                                  // sleepers in wait()
  std::deque<EventPtr> tail_ CLEW_GUARDED_BY(mutex_);  // cursors without gaps, the newest last
  Timestamp time_ CLEW_GUARDED_BY(mutex_);             // of the newest event of a log in memory
  EventIds ids_ CLEW_GUARDED_BY(mutex_);               // of a log in memory
  std::vector<Sleeper> sleepers_ CLEW_GUARDED_BY(mutex_);
  int waiting_ CLEW_GUARDED_BY(mutex_) = 0;
  bool is_over_ CLEW_GUARDED_BY(mutex_) = false;     // nobody waits any more
  bool is_watched_ CLEW_GUARDED_BY(mutex_) = false;  // the thread runs
  bool is_stopped_ CLEW_GUARDED_BY(mutex_) = false;
  Condition watch_;
  Timestamp next_look_ CLEW_GUARDED_BY(mutex_) = Timestamp::never();
  bool is_told_ CLEW_GUARDED_BY(mutex_) = false;  // of a commit since the last look
  std::int64_t seen_version_ = -1;                // of the data; the thread's own
  Threads threads_;
};

}  // namespace clew::detail
