// capability/detail/event_rows.hpp: events, their types and consumer groups as rows. The only place
// that knows these tables.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clew/capability/broker.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::detail {

// ---- types

Result<void> each_event_type(store::Transaction& tx, const std::function<void(EventTypePtr)>& take);
Result<EventTypePtr> find_event_type(store::Transaction& tx, const std::string& id,
                                     const std::string& version);  // null: none
// The same, and nobody else changes it before the commit.
Result<EventTypePtr> lock_event_type(store::Transaction& tx, const std::string& id,
                                     const std::string& version);
Result<std::optional<EventLifecycle>> event_lifecycle(store::Transaction& tx, const std::string& id,
                                                      const std::string& version);
// False when there is one of that id and version.
Result<bool> insert_event_type(store::Transaction& tx, const EventType& type);
Result<void> update_event_lifecycle(store::Transaction& tx, const EventType& type);

// ---- the log

// Where the log stands. `floor`: everything up to it has been deleted.
struct EventHead {
  Cursor last = 0;
  Cursor floor = 0;
  Timestamp time;  // of the last event
};
Result<EventHead> read_event_head(store::Transaction& tx);

// Gives each event the next cursor and stores it. One whose type and id are retained already is not
// stored again; when its content differs it is refused with `conflict`. Deletes some of what is not
// retained any more.
Result<void> append_log(store::Transaction& tx, std::span<Appended* const> events,
                        const EventRetention& retention, Timestamp now);
// The refusal for an id that stands for something else; nothing when both are the same event.
std::optional<Error> differs(const Event& stored, const Event& given);

// Events after `after` in their order, at most `limit`, none of which is over; those are left out.
// `corrupt` for a hole in the log.
Result<std::vector<EventPtr>> read_log(store::Transaction& tx, Cursor after, int limit,
                                       const EventRetention& retention, Timestamp now);
// Null when it is not retained.
Result<EventPtr> read_log_at(store::Transaction& tx, Cursor cursor, const EventRetention& retention,
                             Timestamp now);
// For a log in memory that somebody wants to read with SQL: makes the table hold just `events`.
Result<void> mirror_log(store::Transaction& tx, std::span<const EventPtr> events,
                        const EventHead& head);

// Reads every row, and reports what cannot be or does not fit the head.
Result<void> check_log(store::Transaction& tx, const store::ReportRow& report);

// ---- consumer groups

struct EventGroup {
  std::string name;
  std::string pattern;
  std::string subject;
  Cursor position = 0;  // everything up to it was claimed or was not for the group
};
Result<std::optional<EventGroup>> find_group(store::Transaction& tx, const std::string& name);
// False when there is one of that name.
Result<bool> insert_group(store::Transaction& tx, const EventGroup& group);
// False when the position was not `from` any more: somebody else has moved it.
Result<bool> move_group(store::Transaction& tx, const std::string& name, Cursor from, Cursor to);

// An event that a member holds until it is acknowledged or `due`.
struct EventClaim {
  Cursor cursor = 0;
  std::int64_t delivery = 1;
  Timestamp due;
};
Result<void> insert_claim(store::Transaction& tx, const std::string& group,
                          const std::string& member, const EventClaim& claim);
// Claims that are due, in the order of their events.
Result<std::vector<EventClaim>> due_claims(store::Transaction& tx, const std::string& group,
                                           Timestamp now, int limit);
// Takes a due claim over; false when somebody else has.
Result<bool> renew_claim(store::Transaction& tx, const std::string& group,
                         const std::string& member, const EventClaim& claim, Timestamp now);
// When the next claim of the group is due; never() without claims.
Result<Timestamp> next_due(store::Transaction& tx, const std::string& group);
// Ends the claim of that delivery; false when there is none.
Result<bool> end_claim(store::Transaction& tx, const std::string& group, Cursor cursor,
                       std::int64_t delivery);
// The claim of an event, whoever holds it.
Result<std::optional<EventClaim>> find_claim(store::Transaction& tx, const std::string& group,
                                             Cursor cursor);
// Makes all claims of a member due at `now`.
Result<void> release_claims(store::Transaction& tx, const std::string& group,
                            const std::string& member, Timestamp now);

}  // namespace clew::detail
