// runtime/janitor.hpp: what nobody will ask for any more goes, a little at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/store/outbox.hpp"
#include "clew/store/store.hpp"

namespace clew {

// How long a store remembers what is over. Traces, events and idempotency keys of calls have times
// of their own.
struct StoreRetention {
  // That something was done, so that it is not done again: source keys of work that is done, host
  // events whose deliveries are all registered, the effects of a scope in which nothing has
  // happened for so long. Effects of a process stay as long as it; the replay keys of its events
  // too.
  Duration keys_age = std::chrono::hours(24 * 30);
  // Processes that have ended, with their events and effects; their ids never come back. Nothing:
  // for ever.
  std::optional<Duration> processes_age;
};

// How many of each went.
struct Tidied {
  std::int64_t effects = 0;
  std::int64_t leases = 0;  // of effects; nobody has them
  std::int64_t source_keys = 0;
  std::int64_t host_events = 0;
  std::int64_t processes = 0;
  friend bool operator==(const Tidied&, const Tidied&) = default;
};

// Removes processes that ended before `before`, at most `limit`, with all that is theirs: their
// events, grants and leases, and what their effects have recorded. Their ids, never used again.
Result<std::vector<std::string>> prune_processes(store::Transaction& tx, Timestamp before,
                                                 int limit);

// Looks every 15 seconds whether another process has left messages in the outbox, and tidies every
// ten minutes, on a thread of its own. Thread-safe. Owned by Stores.
class Janitor {
 public:
  static constexpr int batch_max = 1000;  // rows of a kind in one transaction

  virtual ~Janitor() = default;  // stops
  virtual void start() = 0;
  // Ends the thread; a batch that is under way ends first. Idempotent. A tidy() after it, or that
  // runs, does no further batch.
  virtual void stop() = 0;
  // Removes what is past its time at `now`, batch by batch. Blocks for the disk.
  virtual Result<Tidied> tidy(Timestamp now) = 0;
};

// All borrowed.
std::unique_ptr<Janitor> make_janitor(store::Database& database, Env& env,
                                      store::OutboxDriver& outbox, StoreRetention retention);

}  // namespace clew
