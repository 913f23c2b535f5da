#include "clew/capability/detail/event_writer.hpp"

#include <map>
#include <utility>

namespace clew::detail {
namespace {

Error closed() { return {Code::closed, "the runtime is closed"}; }

// Rejects each batch with a type that may not be published any more.
Result<void> check_types(store::Transaction& tx, std::span<const EventBatchPtr> batches) {
  std::map<std::pair<std::string, std::string>, std::optional<Error>> judged;
  for (const auto& batch : batches) {
    batch->rejected.reset();
    if (!batch->is_published) continue;
    for (const auto& appended : batch->events) {
      const Event& event = *appended.event;
      const auto [found, is_new] = judged.try_emplace({event.type, event.version});
      if (is_new) {
        CLEW_TRY(const auto lifecycle, event_lifecycle(tx, event.type, event.version));
        if (lifecycle != EventLifecycle::active) {
          found->second = not_active(fmt::format("{}@{}", event.type, event.version), lifecycle);
        }
      }
      if (found->second) batch->rejected = found->second;
    }
  }
  return {};
}

// The events of the batches that nobody has withdrawn or rejected.
std::vector<Appended*> stored_of(std::span<const EventBatchPtr> batches) {
  std::vector<Appended*> events;
  for (const auto& batch : batches) {
    if (batch->rejected || batch->fate.load() == EventBatch::Fate::withdrawn) continue;
    for (auto& appended : batch->events) events.push_back(&appended);
  }
  return events;
}

}  // namespace

EventWriter::EventWriter(store::Database& database, Clock& clock, EventLog& log,
                         EventRetention retention, store::Durability durability)
    : database_(database),
      clock_(clock),
      log_(log),
      retention_(retention),
      durability_(durability) {
  next_.round = std::make_shared<Round>();
}

Result<void> EventWriter::append(store::Transaction& tx, EventBatch& batch) const {
  std::vector<Appended*> events;
  for (auto& appended : batch.events) events.push_back(&appended);
  return append_log(tx, events, retention_, clock_.now());
}

void EventWriter::announce(std::span<Appended* const> events) {
  for (auto* appended : events) {
    if (appended->is_duplicate) continue;
    appended->event->cursor = appended->cursor;
    appended->event->time = appended->time;
  }
  log_.advance(events);
}

// False: refused. `is_first`: nobody else will write it, so the caller must.
bool EventWriter::push(const EventBatchPtr& batch, Done done, RoundPtr& round, bool& is_first) {
  const Lock lock(mutex_);
  if (is_stopped_) return false;
  next_.batches.push_back(batch);
  if (done) next_.asked.push_back({batch, std::move(done)});
  round = next_.round;
  is_first = !std::exchange(is_writing_, true);
  return true;
}

Result<void> EventWriter::write(const EventBatchPtr& batch, std::optional<Duration> timeout) {
  const auto until = timeout ? clock_.now() + *timeout : Timestamp::never();
  RoundPtr round;
  bool is_first = false;
  if (!push(batch, nullptr, round, is_first)) return closed();
  // Who has all the time may do the work himself, when the database is idle.
  if (is_first) write_next(!timeout);
  Lock lock(round->mutex);
  while (!round->result) {
    if (clock_.wait_until(round->over, lock, until) && !round->result) {
      auto queued = EventBatch::Fate::queued;
      if (batch->fate.compare_exchange_strong(queued, EventBatch::Fate::withdrawn)) {
        return error(Code::timeout, "the event was still queued after {}: it is withdrawn",
                     to_string(*timeout))
            .with("withdrawn", true)
            .with_retryable(true);
      }
      return error(Code::unknown_outcome,
                   "the event was being written after {}: whether it is stored is unknown",
                   to_string(*timeout));
    }
  }
  return *round->result;
}

void EventWriter::submit(EventBatchPtr batch, Done done) {
  RoundPtr round;
  bool is_first = false;
  auto shared = std::make_shared<Done>(std::move(done));
  const bool taken =
      push(batch, [shared](Result<void> result) { (*shared)(std::move(result)); }, round, is_first);
  if (!taken) return (*shared)(closed());
  if (is_first) write_next(false);
}

// Hands what has gathered to the database; `here`: this thread may commit it.
void EventWriter::write_next(bool here) {
  auto group = std::make_shared<Group>();
  {
    const Lock lock(mutex_);
    group->batches = std::exchange(next_.batches, {});
    group->asked = std::exchange(next_.asked, {});
    group->round = std::exchange(next_.round, std::make_shared<Round>());
  }
  store::Write write{[this, group](store::Transaction& tx) -> Result<void> {
                       for (const auto& batch : group->batches) {
                         auto queued = EventBatch::Fate::queued;
                         batch->fate.compare_exchange_strong(queued, EventBatch::Fate::written);
                       }
                       CLEW_TRY(check_types(tx, group->batches));
                       return append_log(tx, stored_of(group->batches), retention_, clock_.now());
                     },
                     [this, group](Result<store::CommitInfo> result) {
                       finish(*group, result ? Result<void>() : Result<void>(result.error()));
                     },
                     durability_};
  if (here) {
    database_.submit_or_commit(std::move(write));
  } else {
    database_.submit(std::move(write));
  }
}

// The group is committed, or never will be. Those who gathered meanwhile are next.
void EventWriter::finish(Group& group, const Result<void>& result) {
  if (result) announce(stored_of(group.batches));
  bool is_more = false;
  {
    const Lock lock(mutex_);
    is_more = !next_.batches.empty();
    is_writing_ = is_more;
  }
  if (is_more) {
    write_next(false);
  } else {
    idle_.notify_all();
  }
  {
    const Lock lock(group.round->mutex);
    group.round->result = result;
  }
  group.round->over.notify_all();
  for (auto& asked : group.asked) asked.done(result);
}

void EventWriter::stop() {
  Lock lock(mutex_);
  is_stopped_ = true;
  while (is_writing_) idle_.wait(lock);
}

}  // namespace clew::detail
