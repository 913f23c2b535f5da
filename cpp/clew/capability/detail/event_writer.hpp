// capability/detail/event_writer.hpp: how publishers of a file share commits.
#pragma once

#include <optional>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/detail/event_log.hpp"

namespace clew::detail {

// While one group of batches is being committed the next one gathers; all of a group is one write
// of the database's queue. Thread-safe.
class EventWriter {
 public:
  using Done = Function<void(Result<void>)>;
  EventWriter(store::Database& database, Clock& clock, EventLog& log, EventRetention retention,
              store::Durability durability);

  // Writes a batch and waits. Errors: those of the commit; with a timeout, `timeout` when the batch
  // was withdrawn and `unknown_outcome` when it was too late for that.
  Result<void> write(const EventBatchPtr& batch, std::optional<Duration> timeout);
  // The same without waiting. `done` is called once, on any thread; it must be short.
  void submit(EventBatchPtr batch, Done done);
  // Within somebody's transaction.
  Result<void> append(store::Transaction& tx, EventBatch& batch) const;

  // These are committed: they get their cursors, and readers hear of them.
  void announce(std::span<Appended* const> events);

  // Refuses new batches; waits for those that are under way.
  void stop();

 private:
  // Whoever waits for one group sleeps here.
  struct Round {
    Mutex mutex;
    Condition over;
    std::optional<Result<void>> result CLEW_GUARDED_BY(mutex);
  };
  using RoundPtr = std::shared_ptr<Round>;
  struct Asked {
    EventBatchPtr batch;
    Done done;
  };
  struct Group {
    std::vector<EventBatchPtr> batches;
    std::vector<Asked> asked;
    RoundPtr round;
  };

  bool push(const EventBatchPtr& batch, Done done, RoundPtr& round, bool& is_first);
  void write_next(bool here);
  void finish(Group& group, const Result<void>& result);

  store::Database& database_;
  Clock& clock_;
  EventLog& log_;
  const EventRetention retention_;
  const store::Durability durability_;

  Mutex mutex_;
  Condition idle_;
  Group next_ CLEW_GUARDED_BY(mutex_);
  bool is_writing_ CLEW_GUARDED_BY(mutex_) = false;
  bool is_stopped_ CLEW_GUARDED_BY(mutex_) = false;
};

}  // namespace clew::detail
