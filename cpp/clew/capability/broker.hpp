// capability/broker.hpp: events, published once and read by whoever wants them. Read this first.
//
//   event.hpp           Event, EventType, EventPattern
//   event_catalog.hpp   which types there are
//   broker.hpp          Broker: publishing; Subscription: reading
//   event_rows.cpp, event_group_rows.cpp   the tables
//   event_writer.cpp    publishers of a file share commits; event_log.cpp: what is in memory
//   subscription.cpp, event_group.cpp      readers of their own, and those that share a position
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/function.hpp"
#include "clew/capability/event.hpp"
#include "clew/capability/event_catalog.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew {

// An event on its way into the log, and what became of it.
struct Appended {
  std::shared_ptr<Event> event;  // shared with nobody until it is committed
  std::string data;              // as JSON text; empty for a log in memory
  // Set by Broker::append(), anew each time it runs.
  Cursor cursor = 0;
  Timestamp time{};
  bool is_duplicate = false;  // it was there: `cursor` is the first one's
  std::optional<Error> refused{};
};

// Events that enter the log together or not at all. Made by Broker::make_batch().
struct EventBatch {
  enum class Fate : std::uint8_t { queued, written, withdrawn };
  std::vector<Appended> events;
  std::atomic<Fate> fate{Fate::queued};
  // Of a publisher: its types are looked at once more as it is written, since another process may
  // have moved them on. What a call has emitted was admitted when it was.
  bool is_published = false;
  std::optional<Error> rejected{};  // then; set anew each time it is written
};
using EventBatchPtr = std::shared_ptr<EventBatch>;

enum class StartAt : std::uint8_t { now, start, cursor };

struct SubscribeOptions {
  std::string pattern;  // see EventPattern
  StartAt start = StartAt::now;
  Cursor after = 0;            // for StartAt::cursor: events after this one
  std::string subject{};       // exactly this one; empty: any
  std::string group{};         // empty: a position of its own
  std::int64_t queue_max = 0;  // most events it may be behind; 0: as many as are retained
  Duration ack_timeout = std::chrono::seconds(30);  // of groups
};

// An event as a subscription hands it out.
struct Delivery {
  EventPtr event;
  std::int64_t attempt = 0;  // of a group: from 1; to be acknowledged. 0: nothing to acknowledge
};

// Reads events in the order of their cursors. Nothing is pushed: it is a position in the log, so a
// slow reader costs no memory. Thread-safe, but two threads that poll one share its events out.
// Owned by whoever subscribed; outliving the broker, it answers `closed`.
//
// What retention (or `queue_max`) took before it was read stands in the stream as one event of the
// type clew.backlog_dropped with {"count", "from", "to", "exact"}. Once it is four fifths of its
// bound behind it says so with clew.backlog_warning {"behind", "bound"}: once, until it has caught
// up to half of it.
class Subscription {
 public:
  virtual ~Subscription() = default;  // cancels

  // Up to `max` events that are there now; empty when there is none. Blocks for the disk. Errors:
  // `closed` after cancel() or when the runtime closes; `not_found` at the first read when the
  // cursor it starts from is too old, with `oldest`, the oldest that can be used, in the context:
  // the next read goes on from there; `corrupt`.
  virtual Result<std::vector<Delivery>> take(int max) = 0;
  // Blocks until take() may have something, it was cancelled, the broker stops, or `until` by
  // `clock`; true unless the time was up.
  virtual bool wait(Timestamp until, Clock& clock) = 0;
  // take(), and wait() until there is something or `until` by the injected clock: then it is empty.
  virtual Result<std::vector<Delivery>> poll(int max, Timestamp until) = 0;
  // Calls `ready` once, when take() may have something (now, when that is so) or it is over. On any
  // thread; it must be short.
  virtual void on_ready(Function<void()> ready) = 0;

  // Ends the claim of a group's delivery for good. Durable when it returns. The same again is fine.
  // `stale_lease` when it was delivered again meanwhile, `invalid_input` without a group.
  virtual Result<void> ack(Cursor cursor, std::int64_t attempt) = 0;
  // Ends it; what a member of a group holds is delivered to others at once. Idempotent. Blocks.
  virtual void cancel() = 0;
  virtual bool cancelled() const = 0;
  // Everything up to here was read.
  virtual Cursor cursor() const = 0;
  virtual const SubscribeOptions& options() const = 0;
};
using SubscriptionPtr = std::shared_ptr<Subscription>;

struct BrokerStats {
  std::int64_t published = 0;  // by this process
  std::int64_t duplicates = 0;
  std::int64_t delivered = 0;
  std::int64_t redelivered = 0;  // to groups, again
  std::int64_t dropped = 0;      // gone before a subscription read them
  std::int64_t warnings = 0;
  std::int64_t withdrawn = 0;  // timed out while queued
  std::int64_t subscriptions = 0;
  Cursor last = 0;  // as far as is known here
};

struct BrokerOptions {
  EventRetention retention;
  store::Durability durability = store::Durability::sync;
  std::string source = "clew";  // of events that name none
};

// One log of events over one store. Thread-safe. In a file each event is a row, written in a
// transaction that publishers share; in memory the log is a ring. What other processes publish on
// the same file is found within 50 ms by whoever waits, and at once by whoever reads.
class Broker {
 public:
  virtual ~Broker() = default;  // close() must have been called

  virtual EventCatalog& catalog() = 0;

  // Makes an event of a draft. Errors: those of EventCatalog::admit; `invalid_input` for data that
  // does not fit the schema (path "data…") and for texts beyond 1000 bytes.
  virtual Result<std::shared_ptr<Event>> prepare(EventDraft draft) = 0;

  // Publishes and gives the event's cursor; acknowledged as the options' durability says. An id
  // that is retained under the same type is published once: the first cursor is given, or
  // `conflict` when the content differs. Blocks. With a timeout: `timeout` when it was still
  // queued, it is then never stored; `unknown_outcome` when it was being written.
  virtual Result<Cursor> publish(EventDraft draft, std::optional<Duration> timeout = {}) = 0;
  // The same without blocking: `done` is called on this thread or another one.
  virtual void publish_async(EventDraft draft, Function<void(Result<Cursor>)> done) = 0;
  // Publishes what prepare() made, all or nothing. Blocks.
  virtual Result<void> publish_all(std::vector<std::shared_ptr<Event>> events) = 0;

  // For transactions of others: append() within, committed() once that is acknowledged. Events of a
  // transaction that did not commit never were.
  virtual EventBatchPtr make_batch(std::vector<std::shared_ptr<Event>> events) = 0;
  virtual Result<void> append(store::Transaction& tx, EventBatch& batch) = 0;
  virtual void committed(EventBatch& batch) = 0;

  // Errors: `invalid_input` for a pattern that is none, a cursor above the newest, a bound below 1;
  // `conflict` for a group that reads another pattern or subject. Blocks for the disk.
  virtual Result<SubscriptionPtr> subscribe(SubscribeOptions options) = 0;

  // Where the log stands now, what other processes have published included. Blocks for the disk.
  virtual Result<Cursor> newest() = 0;
  virtual const EventRetention& retention() const = 0;

  // Lets SQL see a log that is in memory.
  virtual Result<void> flush() = 0;
  virtual Result<void> check(const store::ReportRow& report) = 0;
  virtual BrokerStats stats() const = 0;

  // Ends every wait and every later read with `closed`; calls that are in flight still publish.
  virtual void stop_reading() = 0;
  // Refuses everything, gives up what members of groups hold, joins the thread. Idempotent; blocks.
  virtual void close() = 0;
};

// `database` and `env` are borrowed and outlive the broker.
Result<std::unique_ptr<Broker>> open_broker(store::Database& database, Env& env,
                                            BrokerOptions options);

// The tables and views of events, one migration: `v_published`, `v_event_types` for readers of SQL.
store::Migration event_migration(int version);

// Reads every row of a log that is on the disk, and reports what cannot be.
Result<void> check_event_log(store::Transaction& tx, const store::ReportRow& report);

}  // namespace clew
