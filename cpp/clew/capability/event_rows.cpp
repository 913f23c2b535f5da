// Cursors are dense and retention takes from the front only, so that what is retained is always one
// stretch of the log: nothing is ever counted.
#include "clew/capability/detail/event_rows.hpp"

#include <algorithm>
#include <utility>

#include "clew/base/json.hpp"

namespace clew {

// event_head has one row, which every append reads and writes: cursors rise in the order of
// commits, and are never used again, however empty the log is.
store::Migration event_migration(int version) {
  return {version, "event broker", R"sql(
CREATE TABLE event_types (
  type TEXT NOT NULL,
  version TEXT NOT NULL,
  lifecycle TEXT NOT NULL,
  summary TEXT NOT NULL,
  schema_json TEXT NOT NULL,
  defined_us {integer} NOT NULL,
  PRIMARY KEY (type, version)
) {clustered};

CREATE TABLE event_head (
  id {integer} NOT NULL PRIMARY KEY,
  last_cursor {integer} NOT NULL,
  floor_cursor {integer} NOT NULL,
  time_us {integer} NOT NULL
) {table};
INSERT INTO event_head (id, last_cursor, floor_cursor, time_us) VALUES (1, 0, 0, 0);

CREATE TABLE event_log (
  event_cursor {integer} NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  version TEXT NOT NULL,
  source TEXT NOT NULL,
  time_us {integer} NOT NULL,
  subject TEXT,
  ordering_key TEXT,
  correlation_id TEXT,
  causation_id TEXT,
  data TEXT NOT NULL
) {table};
CREATE UNIQUE INDEX event_log_ids ON event_log (id, type);

CREATE TABLE event_groups (
  name TEXT NOT NULL PRIMARY KEY,
  pattern TEXT NOT NULL,
  subject TEXT NOT NULL,
  position {integer} NOT NULL
) {clustered};

CREATE TABLE event_claims (
  group_name TEXT NOT NULL,
  event_cursor {integer} NOT NULL,
  member TEXT NOT NULL,
  delivery {integer} NOT NULL,
  due_us {integer} NOT NULL,
  PRIMARY KEY (group_name, event_cursor)
) {clustered};

CREATE VIEW v_published AS
SELECT event_cursor, id, type, version, source, time_us, subject, ordering_key, correlation_id,
       causation_id, data
  FROM event_log;

CREATE VIEW v_event_types AS
SELECT type, version, lifecycle, summary, schema_json, defined_us FROM event_types;
)sql"};
}

namespace detail {
namespace {

using store::Arg;
using store::in_row;
using store::instant_at;
using store::integer_at;
using store::json_at;
using store::Row;
using store::Statement;
using store::text_at;
using store::word_at;

// So many rows at the front are looked at for their age, or deleted, in one append at the most.
constexpr int trim_max = 512;

const Statement head_sql("SELECT last_cursor, floor_cursor, time_us FROM event_head WHERE id = 1");
const Statement lock_head_sql(
    "SELECT last_cursor, floor_cursor, time_us FROM event_head WHERE id = 1 {for_update}");
const Statement set_head_sql(R"sql(
    UPDATE event_head SET last_cursor = :last, floor_cursor = :floor, time_us = :time WHERE id = 1)sql");

const Statement insert_sql(R"sql(
    INSERT INTO event_log (event_cursor, id, type, version, source, time_us, subject, ordering_key,
                           correlation_id, causation_id, data)
    VALUES (:cursor, :id, :type, :version, :source, :time, :subject, :key, :correlation, :causation,
            :data)
    ON CONFLICT (id, type) DO NOTHING)sql");

const Statement by_id_sql(R"sql(
    SELECT event_cursor, id, type, version, source, time_us, subject, ordering_key, correlation_id,
           causation_id, data
      FROM event_log WHERE id = :id AND type = :type)sql");

const Statement at_sql(R"sql(
    SELECT event_cursor, id, type, version, source, time_us, subject, ordering_key, correlation_id,
           causation_id, data
      FROM event_log WHERE event_cursor = :cursor)sql");

const Statement after_sql(R"sql(
    SELECT event_cursor, id, type, version, source, time_us, subject, ordering_key, correlation_id,
           causation_id, data
      FROM event_log WHERE event_cursor > :after AND time_us > :expired
     ORDER BY event_cursor LIMIT :limit)sql");

const Statement all_sql(R"sql(
    SELECT event_cursor, id, type, version, source, time_us, subject, ordering_key, correlation_id,
           causation_id, data
      FROM event_log ORDER BY event_cursor)sql");

const Statement front_sql(R"sql(
    SELECT event_cursor, time_us FROM event_log WHERE event_cursor > :floor
     ORDER BY event_cursor LIMIT :limit)sql");

const Statement delete_upto_sql("DELETE FROM event_log WHERE event_cursor <= :floor");
const Statement delete_behind_sql("DELETE FROM event_log WHERE event_cursor > :last");
const Statement delete_all_sql("DELETE FROM event_log");

Arg text_or_null(const std::string& text) { return text.empty() ? Arg(nullptr) : Arg(text); }

Result<EventPtr> decode(const Row& row) {
  auto event = std::make_shared<Event>();
  CLEW_TRY(event->cursor, integer_at(row, 0, 1));
  CLEW_TRY(event->id, word_at(row, 1));
  CLEW_TRY(event->type, word_at(row, 2));
  CLEW_TRY(event->version, word_at(row, 3));
  CLEW_TRY(event->source, text_at(row, 4));
  CLEW_TRY(event->time, instant_at(row, 5));
  CLEW_TRY(event->subject, text_at(row, 6));
  CLEW_TRY(event->key, text_at(row, 7));
  CLEW_TRY(event->correlation_id, text_at(row, 8));
  CLEW_TRY(event->causation_id, text_at(row, 9));
  CLEW_TRY(event->data, json_at(row, 10));
  return EventPtr(std::move(event));
}

// An error names the table and the key.
Result<EventPtr> event_of(const Row& row) {
  auto event = decode(row);
  if (event) return event;
  return in_row(event.error(), "event_log", store::shown_at(row, 0));
}

std::vector<Arg> row_of(Cursor cursor, Timestamp time, const Event& event,
                        const std::string& data) {
  return {cursor,
          event.id,
          event.type,
          event.version,
          event.source,
          time,
          text_or_null(event.subject),
          text_or_null(event.key),
          text_or_null(event.correlation_id),
          text_or_null(event.causation_id),
          data};
}

std::vector<Arg> row_of(const Appended& placed) {
  return row_of(placed.cursor, placed.time, *placed.event, placed.data);
}

// Gives an event the next place after `head`.
void place(Appended& wanted, const EventHead& head) {
  wanted.refused.reset();
  wanted.is_duplicate = false;
  wanted.time = std::max(wanted.event->time, head.time);
  wanted.cursor = head.last + 1;
}

void advance(EventHead& head, const Appended& stored) {
  head.last = stored.cursor;
  head.time = stored.time;
}

Result<void> write_head(store::Transaction& tx, const EventHead& head) {
  CLEW_TRY(tx.post(set_head_sql, head.last, head.floor, head.time));
  return {};
}

bool is_over(const Event& event, Cursor last, const EventRetention& retention, Timestamp now) {
  return event.cursor <= last - retention.count_max || event.time <= retention.expired(now);
}

// Stores one event after `head`, which then names it; or finds it there.
Result<void> append_one(store::Transaction& tx, Appended& wanted, EventHead& head,
                        const EventRetention& retention, Timestamp now) {
  const Event& event = *wanted.event;
  place(wanted, head);
  CLEW_TRY(auto rows, tx.run_args(insert_sql, row_of(wanted)));
  if (rows == 0) {
    EventPtr stored;
    CLEW_TRY(tx.first(
        by_id_sql,
        [&](const Row& row) -> Result<void> {
          CLEW_TRY(stored, event_of(row));
          return {};
        },
        event.id, event.type));
    if (!stored) return error(Code::corrupt, "the index of event_log does not fit its rows");
    if (!is_over(*stored, head.last, retention, now)) {
      wanted.is_duplicate = true;
      wanted.cursor = stored->cursor;
      wanted.refused = differs(*stored, event);
      return {};
    }
    // Over, though not deleted yet; the rows before it are over too, and go with it.
    CLEW_TRY(tx.post(delete_upto_sql, stored->cursor));
    head.floor = std::max(head.floor, stored->cursor);
    CLEW_TRY(rows, tx.run_args(insert_sql, row_of(wanted)));
  }
  advance(head, wanted);
  return {};
}

// Stores events up to the first that is there already; how many.
Result<std::size_t> append_new(store::Transaction& tx, std::span<Appended* const> events,
                               EventHead& head) {
  auto behind = head;
  std::vector<std::vector<Arg>> rows;
  for (auto* wanted : events) {
    place(*wanted, behind);
    advance(behind, *wanted);
    rows.push_back(row_of(*wanted));
  }
  CLEW_TRY(const auto added, tx.run_each(insert_sql, rows));
  const auto known = std::ranges::find(added, 0) - added.begin();
  if (known > 0) advance(head, *events[static_cast<std::size_t>(known) - 1]);
  // Those behind it have the wrong places.
  if (head.last != behind.last) CLEW_TRY(tx.post(delete_behind_sql, head.last));
  return static_cast<std::size_t>(known);
}

// Deletes from the front what is not retained any more. What is left is left out by readers.
Result<void> trim(store::Transaction& tx, EventHead& head, const EventRetention& retention,
                  Timestamp now) {
  auto floor = head.floor;
  const auto excess = head.last - head.floor - retention.count_max;
  if (excess > 0) {
    floor += std::min<std::int64_t>(excess, trim_max);
  } else {
    bool is_first_over = false;
    const auto look = [&](const Row& row) -> Result<void> {
      CLEW_TRY(const auto time, row.integer(1));
      is_first_over = time <= retention.expired(now).us;
      return {};
    };
    CLEW_TRY(tx.each(front_sql, look, head.floor, 1));
    if (!is_first_over) return {};
    const auto take = [&](const Row& row) -> Result<void> {
      CLEW_TRY(const auto cursor, row.integer(0));
      CLEW_TRY(const auto time, row.integer(1));
      if (time <= retention.expired(now).us) floor = cursor;
      return {};
    };
    CLEW_TRY(tx.each(front_sql, take, head.floor, trim_max));
  }
  if (floor == head.floor) return {};
  CLEW_TRY(tx.post(delete_upto_sql, floor));
  head.floor = floor;
  return {};
}

Result<EventHead> head_by(const Statement& statement, store::Transaction& tx) {
  EventHead head;
  CLEW_TRY(const bool found, tx.first(statement, [&](const Row& row) -> Result<void> {
    CLEW_TRY(head.last, integer_at(row, 0, 0));
    CLEW_TRY(head.floor, integer_at(row, 1, 0));
    CLEW_TRY(head.time, instant_at(row, 2));
    return {};
  }));
  if (!found) return in_row(Error(Code::corrupt, "the head of the log is gone"), "event_head", "1");
  if (head.floor > head.last) {
    return in_row(
        error(Code::corrupt, "floor {} lies above the last cursor {}", head.floor, head.last),
        "event_head", "1");
  }
  return head;
}

// Held until the commit, so that cursors become visible in their order.
Result<EventHead> lock_event_head(store::Transaction& tx) { return head_by(lock_head_sql, tx); }

}  // namespace

Result<EventHead> read_event_head(store::Transaction& tx) { return head_by(head_sql, tx); }

std::optional<Error> differs(const Event& stored, const Event& given) {
  const auto document = [](const Event& event) {
    return Value::object({{"version", event.version},
                          {"subject", event.subject},
                          {"key", event.key},
                          {"data", event.data}});
  };
  if (stored.version == given.version && stored.subject == given.subject &&
      stored.key == given.key && stored.data == given.data) {
    return std::nullopt;
  }
  const auto at = first_difference(document(stored), document(given));
  return error(Code::conflict, "event \"{}\" was published with other content: {} is {}, not {}",
               given.id, at.path, preview(at.left), preview(at.right))
      .with("id", given.id)
      .with("cursor", stored.cursor)
      .with("path", at.path);
}

Result<void> append_log(store::Transaction& tx, std::span<Appended* const> events,
                        const EventRetention& retention, Timestamp now) {
  CLEW_TRY(auto head, lock_event_head(tx));
  const auto before = head;
  CLEW_TRY(const auto done, append_new(tx, events, head));
  for (auto* wanted : events.subspan(done)) {
    CLEW_TRY(append_one(tx, *wanted, head, retention, now));
  }
  if (head.last == before.last && head.floor == before.floor) return {};
  CLEW_TRY(trim(tx, head, retention, now));
  return write_head(tx, head);
}

Result<std::vector<EventPtr>> read_log(store::Transaction& tx, Cursor after, int limit,
                                       const EventRetention& retention, Timestamp now) {
  CLEW_TRY(const auto head, read_event_head(tx));
  const auto from = std::max({after, head.floor, head.last - retention.count_max});
  std::vector<EventPtr> events;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto event, event_of(row));
    if (!events.empty() && event->cursor != events.back()->cursor + 1) {
      return in_row(error(Code::corrupt, "the log has no event {}", events.back()->cursor + 1),
                    "event_log", std::to_string(events.back()->cursor + 1));
    }
    events.push_back(std::move(event));
    return {};
  };
  CLEW_TRY(tx.each(after_sql, take, from, retention.expired(now), limit));
  return events;
}

Result<EventPtr> read_log_at(store::Transaction& tx, Cursor cursor, const EventRetention& retention,
                             Timestamp now) {
  CLEW_TRY(const auto head, read_event_head(tx));
  EventPtr found;
  CLEW_TRY(tx.first(
      at_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(found, event_of(row));
        return {};
      },
      cursor));
  if (found && is_over(*found, head.last, retention, now)) found = nullptr;
  return found;
}

Result<void> mirror_log(store::Transaction& tx, std::span<const EventPtr> events,
                        const EventHead& head) {
  CLEW_TRY(const auto stored, lock_event_head(tx));
  if (events.empty()) {
    CLEW_TRY(tx.post(delete_all_sql));
  } else {
    CLEW_TRY(tx.post(delete_upto_sql, events.front()->cursor - 1));
  }
  for (const auto& event : events) {
    if (event->cursor <= stored.last) continue;
    const auto data = to_json(event->data);
    CLEW_TRY(tx.run_args(insert_sql, row_of(event->cursor, event->time, *event, data)));
  }
  return write_head(tx, head);
}

Result<void> check_log(store::Transaction& tx, const store::ReportRow& report) {
  const auto head = read_event_head(tx);
  if (!head) {
    report(head.error());
    return {};
  }
  Cursor expected = head->floor + 1;
  CLEW_TRY(tx.each(all_sql, [&](const Row& row) -> Result<void> {
    const auto event = event_of(row);
    if (!event) report(event.error());
    const auto cursor = row.integer(0).value_or(0);
    if (cursor != expected) {
      report(in_row(error(Code::corrupt, "event {} stands where {} belongs", cursor, expected),
                    "event_log", std::to_string(cursor)));
    }
    expected = cursor + 1;
    return {};
  }));
  if (expected != head->last + 1) {
    report(in_row(
        error(Code::corrupt, "the log ends before event {}, its last is {}", expected, head->last),
        "event_head", "1"));
  }
  return {};
}

}  // namespace detail
}  // namespace clew
