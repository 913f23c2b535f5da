// The log in memory, and waiting. What this process publishes wakes its sleepers directly. What
// other processes publish in the same store is looked for by one thread when the database tells it
// to, and every 50 ms, and only while somebody waits.
#include "clew/capability/detail/event_log.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "clew/base/json.hpp"

namespace clew::detail {
namespace {

// Newest events of a file that are kept for those who follow it live.
constexpr std::size_t tail_max = 4096;
constexpr Duration look_every = std::chrono::milliseconds(50);

std::uint64_t hash_of(const Event& event) {
  const std::hash<std::string_view> hash;
  return hash(event.id) ^ (hash(event.type) << 1U);
}

}  // namespace

EventLog::EventLog(store::Database& database, Clock& clock, EventRetention retention)
    : database_(database), clock_(clock), retention_(retention), is_memory_(database.is_memory()) {}

// Whom a change has woken: taken under the lock, told without it.
EventLog::Woken EventLog::woken() {
  Woken woken{waiting_ > 0, {}};
  if (!sleepers_.empty()) woken.ready = take_ready();
  return woken;
}

void EventLog::tell(Woken woken) {
  if (woken.has_waiting) changed_.notify_all();
  for (auto& ready : woken.ready) ready();
}

// ---- the events

void EventLog::append(std::span<Appended> events) {
  const auto now = clock_.now();
  Woken told;
  {
    const Lock lock(mutex_);
    for (auto& wanted : events) append_one(wanted, now);
    trim(now);
    told = woken();
  }
  tell(std::move(told));
}

void EventLog::append_one(Appended& wanted, Timestamp now) {
  Event& event = *wanted.event;
  if (!tail_.empty() && tail_.front()->time <= retention_.expired(now)) trim(now);
  const auto hash = hash_of(event);
  const auto* const tail = &tail_;
  const auto first = tail_.empty() ? 0 : tail_.front()->cursor;
  const auto there = ids_.find(hash, [&](Cursor cursor) {
    const Event& other = *(*tail)[static_cast<std::size_t>(cursor - first)];
    return other.id == event.id && other.type == event.type;
  });
  if (there != 0) {
    wanted.is_duplicate = true;
    wanted.cursor = there;
    wanted.refused = differs(*tail_[static_cast<std::size_t>(there - first)], event);
    return;
  }
  ids_.insert(hash, last() + 1);
  time_ = std::max(time_, event.time);
  event.time = time_;
  event.cursor = wanted.cursor = last() + 1;
  tail_.push_back(wanted.event);
  last_.store(event.cursor, std::memory_order_release);
}

void EventLog::trim(Timestamp now) {
  const auto expired = retention_.expired(now);
  while (!tail_.empty() && (static_cast<std::int64_t>(tail_.size()) > retention_.count_max ||
                            tail_.front()->time <= expired)) {
    pop_front();
  }
}

void EventLog::pop_front() {
  if (is_memory_) ids_.erase(hash_of(*tail_.front()), tail_.front()->cursor);
  tail_.pop_front();
}

std::vector<EventPtr> EventLog::all(EventHead& head) {
  const auto now = clock_.now();
  const Lock lock(mutex_);
  trim(now);
  head.last = last();
  head.floor = tail_.empty() ? head.last : tail_.front()->cursor - 1;
  head.time = time_;
  return {tail_.begin(), tail_.end()};
}

void EventLog::advance(std::span<Appended* const> events) {
  Woken told;
  {
    const Lock lock(mutex_);
    for (const auto* appended : events) {
      if (appended->is_duplicate) continue;
      // What is not the next leaves a gap: readers find that on the disk.
      if (!tail_.empty() && appended->cursor <= tail_.back()->cursor) continue;
      if (!tail_.empty() && appended->cursor != tail_.back()->cursor + 1) tail_.clear();
      if (tail_.size() == tail_max) pop_front();
      tail_.push_back(appended->event);
      raise_last(appended->cursor);
    }
    told = woken();
  }
  tell(std::move(told));
}

void EventLog::advance_to(Cursor last_committed) {
  Woken told;
  {
    const Lock lock(mutex_);
    raise_last(last_committed);
    told = woken();
  }
  tell(std::move(told));
}

void EventLog::raise_last(Cursor to) {
  if (to > last()) last_.store(to, std::memory_order_release);
}

std::optional<std::vector<EventPtr>> EventLog::read(Cursor after, int limit) {
  const auto now = clock_.now();
  const Lock lock(mutex_);
  if (is_memory_) trim(now);
  std::vector<EventPtr> events;
  if (tail_.empty()) {
    if (is_memory_ || after >= last()) return events;
    return std::nullopt;
  }
  const auto first = tail_.front()->cursor;
  if (!is_memory_) {
    if (after + 1 < first || tail_.back()->cursor < last()) return std::nullopt;
    // Both bounds hold for a file too, whose rows are deleted a little later.
    if (after < last() - retention_.count_max) return std::nullopt;
    const auto next = static_cast<std::size_t>(after + 1 - first);
    if (next < tail_.size() && tail_[next]->time <= retention_.expired(now)) return std::nullopt;
  }
  const auto begin = static_cast<std::size_t>(std::max<Cursor>(after + 1 - first, 0));
  if (begin >= tail_.size()) return events;
  const auto count = std::min(tail_.size() - begin, static_cast<std::size_t>(limit));
  const auto from = tail_.begin() + static_cast<std::ptrdiff_t>(begin);
  events.assign(from, from + static_cast<std::ptrdiff_t>(count));
  return events;
}

// ---- waiting

bool EventLog::is_ready(const Sleep& sleep) const {
  return is_over_ || last() > sleep.after || sleep.over->load(std::memory_order_acquire) ||
         (sleep.wakes && *sleep.wakes != wakes());
}

std::vector<Function<void()>> EventLog::take_ready() {
  std::vector<Function<void()>> ready;
  const auto now = clock_.now();
  for (auto& sleeper : std::exchange(sleepers_, {})) {
    const bool is_due = sleeper.sleep.due != Timestamp::never() && now >= sleeper.sleep.due;
    if (is_due || is_ready(sleeper.sleep)) {
      ready.push_back(std::move(sleeper.ready));
    } else {
      sleepers_.push_back(std::move(sleeper));
    }
  }
  return ready;
}

bool EventLog::wait(const Sleep& sleep, Timestamp until, Clock& clock) {
  Lock lock(mutex_);
  ++waiting_;
  watch_for(Timestamp::never());
  bool is_late = false;
  while (!is_late && !is_ready(sleep)) is_late = clock.wait_until(changed_, lock, until);
  --waiting_;
  return !is_late || is_ready(sleep);
}

void EventLog::on_ready(Sleep sleep, Function<void()> ready) {
  {
    const Lock lock(mutex_);
    if (!is_ready(sleep)) {
      const auto due = sleep.due;
      sleepers_.push_back({std::move(sleep), std::move(ready)});
      watch_for(due);
      return;
    }
  }
  ready();
}

void EventLog::wake() {
  Woken told;
  {
    const Lock lock(mutex_);
    wakes_.fetch_add(1, std::memory_order_release);
    told = woken();
  }
  tell(std::move(told));
}

void EventLog::stop_waits() {
  Woken told;
  {
    const Lock lock(mutex_);
    is_over_ = true;
    told = woken();
  }
  tell(std::move(told));
}

void EventLog::stop() {
  stop_waits();
  {
    const Lock lock(mutex_);
    is_stopped_ = true;
  }
  watch_.notify_all();
  threads_.join();
}

// ---- other processes, and claims that fall due

// Somebody has begun to wait, who is due at that instant: has the thread look in time.
void EventLog::watch_for(Timestamp due) {
  if (is_stopped_) return;
  if (!is_memory_) due = std::min(due, clock_.now() + look_every);
  if (due >= next_look_) return;
  next_look_ = due;
  if (!std::exchange(is_watched_, true)) {
    threads_.start("clew-events", [this] { run_watch(); });
  }
  watch_.notify_all();
}

void EventLog::run_watch() {
  std::shared_ptr<void> commits;  // of others, while somebody waits for events
  while (await_look()) {
    look();
    if (!is_awaited()) {
      commits.reset();
    } else if (!commits) {
      commits = database_.watch_commits([this] {
        {
          const Lock lock(mutex_);
          is_told_ = true;
          next_look_ = {};  // at once
        }
        watch_.notify_all();
      });
    }
  }
}

bool EventLog::is_awaited() {
  const Lock lock(mutex_);
  return !is_memory_ && (waiting_ > 0 || !sleepers_.empty());
}

// Until it is time to look; false: never again.
bool EventLog::await_look() {
  Lock lock(mutex_);
  next_look_ = std::exchange(is_told_, false) ? Timestamp{} : Timestamp::never();
  for (const auto& sleeper : sleepers_) next_look_ = std::min(next_look_, sleeper.sleep.due);
  if (!is_memory_ && (waiting_ > 0 || !sleepers_.empty())) {
    next_look_ = std::min(next_look_, clock_.now() + look_every);
  }
  while (!is_stopped_) {
    if (clock_.wait_until(watch_, lock, next_look_)) return !is_stopped_;
  }
  return false;
}

void EventLog::look() {
  Cursor last_committed = 0;
  bool is_changed = false;
  const auto read = [&]() -> Result<void> {
    if (is_memory_) return {};
    CLEW_TRY(const auto version, database_.data_version());
    is_changed = std::exchange(seen_version_, version) != version;
    if (!is_changed) return {};
    return database_.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto head, read_event_head(tx));
      last_committed = head.last;
      return {};
    });
  };
  if (!read()) is_changed = true;  // whoever reads next meets the error himself
  Woken told;
  {
    const Lock lock(mutex_);
    raise_last(last_committed);
    if (is_changed) wakes_.fetch_add(1, std::memory_order_release);
    told = woken();
  }
  tell(std::move(told));
}

}  // namespace clew::detail
