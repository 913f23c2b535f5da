// The types and the consumer groups as rows; event_rows.cpp has the log.
#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/capability/detail/event_rows.hpp"

namespace clew::detail {
namespace {

using store::in_row;
using store::instant_at;
using store::integer_at;
using store::Row;
using store::Statement;
using store::text_at;
using store::word_at;

const Statement all_types_sql(R"sql(
    SELECT type, version, lifecycle, summary, schema_json, defined_us FROM event_types
     ORDER BY type, version)sql");
const Statement find_type_sql(R"sql(
    SELECT type, version, lifecycle, summary, schema_json, defined_us FROM event_types
     WHERE type = :type AND version = :version)sql");
const Statement lock_type_sql(R"sql(
    SELECT type, version, lifecycle, summary, schema_json, defined_us FROM event_types
     WHERE type = :type AND version = :version {for_update})sql");
const Statement type_lifecycle_sql(
    "SELECT lifecycle FROM event_types WHERE type = :type AND version = :version");
const Statement insert_type_sql(R"sql(
    INSERT INTO event_types (type, version, lifecycle, summary, schema_json, defined_us)
    VALUES (:type, :version, :lifecycle, :summary, :schema, :defined)
    ON CONFLICT (type, version) DO NOTHING)sql");
const Statement update_type_sql(R"sql(
    UPDATE event_types SET lifecycle = :lifecycle WHERE type = :type AND version = :version)sql");

const Statement find_group_sql(
    "SELECT name, pattern, subject, position FROM event_groups WHERE name = :name");
const Statement insert_group_sql(R"sql(
    INSERT INTO event_groups (name, pattern, subject, position)
    VALUES (:name, :pattern, :subject, :position) ON CONFLICT (name) DO NOTHING)sql");
const Statement move_group_sql(R"sql(
    UPDATE event_groups SET position = :to WHERE name = :name AND position = :from)sql");

const Statement insert_claim_sql(R"sql(
    INSERT INTO event_claims (group_name, event_cursor, member, delivery, due_us)
    VALUES (:group, :cursor, :member, :delivery, :due))sql");
const Statement due_claims_sql(R"sql(
    SELECT event_cursor, delivery, due_us FROM event_claims
     WHERE group_name = :group AND due_us <= :now ORDER BY event_cursor LIMIT :limit)sql");
const Statement renew_claim_sql(R"sql(
    UPDATE event_claims SET member = :member, delivery = delivery + 1, due_us = :due
     WHERE group_name = :group AND event_cursor = :cursor AND delivery = :delivery
       AND due_us <= :now)sql");
const Statement next_due_sql(
    "SELECT MIN(due_us) AS due_us FROM event_claims WHERE group_name = :group");
const Statement end_claim_sql(R"sql(
    DELETE FROM event_claims
     WHERE group_name = :group AND event_cursor = :cursor AND delivery = :delivery)sql");
const Statement find_claim_sql(R"sql(
    SELECT event_cursor, delivery, due_us FROM event_claims
     WHERE group_name = :group AND event_cursor = :cursor)sql");
const Statement release_sql(R"sql(
    UPDATE event_claims SET due_us = :now
     WHERE group_name = :group AND member = :member AND due_us > :now)sql");

Result<EventTypePtr> decode_type(const Row& row) {
  auto type = std::make_shared<EventType>();
  CLEW_TRY(type->id, word_at(row, 0));
  CLEW_TRY(type->version_text, word_at(row, 1));
  CLEW_TRY(type->version, Version::parse(type->version_text));
  CLEW_TRY(const auto lifecycle, word_at(row, 2));
  CLEW_TRY(type->lifecycle, parse_event_lifecycle(lifecycle));
  CLEW_TRY(type->summary, text_at(row, 3));
  CLEW_TRY(const auto schema, store::json_at(row, 4));
  CLEW_TRY(type->schema, Schema::compile(schema, "schema"));
  CLEW_TRY(type->defined, instant_at(row, 5));
  return EventTypePtr(std::move(type));
}

Result<EventTypePtr> type_of(const Row& row) {
  auto type = decode_type(row);
  if (type) return type;
  // Whatever is wrong with what we wrote ourselves is damage.
  return in_row(Error(Code::corrupt, type.error().message()), "event_types",
                fmt::format("{}@{}", store::shown_at(row, 0), store::shown_at(row, 1)));
}

Result<EventClaim> claim_of(const Row& row) {
  EventClaim claim;
  CLEW_TRY(claim.cursor, integer_at(row, 0, 1));
  CLEW_TRY(claim.delivery, integer_at(row, 1, 1));
  CLEW_TRY(claim.due.us, row.integer(2));
  return claim;
}

}  // namespace

Result<void> each_event_type(store::Transaction& tx,
                             const std::function<void(EventTypePtr)>& take) {
  return tx.each(all_types_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto type, type_of(row));
    take(std::move(type));
    return {};
  });
}

namespace {

Result<EventTypePtr> type_by(const Statement& statement, store::Transaction& tx,
                             const std::string& id, const std::string& version) {
  EventTypePtr found;
  CLEW_TRY(tx.first(
      statement,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(found, type_of(row));
        return {};
      },
      id, version));
  return found;
}

}  // namespace

Result<EventTypePtr> find_event_type(store::Transaction& tx, const std::string& id,
                                     const std::string& version) {
  return type_by(find_type_sql, tx, id, version);
}

Result<EventTypePtr> lock_event_type(store::Transaction& tx, const std::string& id,
                                     const std::string& version) {
  return type_by(lock_type_sql, tx, id, version);
}

Result<std::optional<EventLifecycle>> event_lifecycle(store::Transaction& tx, const std::string& id,
                                                      const std::string& version) {
  std::optional<EventLifecycle> found;
  CLEW_TRY(tx.first(
      type_lifecycle_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(const auto lifecycle, word_at(row, 0));
        auto parsed = parse_event_lifecycle(lifecycle);
        if (!parsed) {
          return in_row(Error(Code::corrupt, parsed.error().message()), "event_types",
                        fmt::format("{}@{}", id, version));
        }
        found = *parsed;
        return {};
      },
      id, version));
  return found;
}

Result<bool> insert_event_type(store::Transaction& tx, const EventType& type) {
  CLEW_TRY(const auto added,
           tx.run(insert_type_sql, type.id, type.version_text, name(type.lifecycle), type.summary,
                  to_json(type.schema->document()), type.defined));
  return added == 1;
}

Result<void> update_event_lifecycle(store::Transaction& tx, const EventType& type) {
  CLEW_TRY(tx.post(update_type_sql, name(type.lifecycle), type.id, type.version_text));
  return {};
}

Result<std::optional<EventGroup>> find_group(store::Transaction& tx, const std::string& name) {
  std::optional<EventGroup> found;
  CLEW_TRY(tx.first(
      find_group_sql,
      [&](const Row& row) -> Result<void> {
        EventGroup group;
        CLEW_TRY(group.name, word_at(row, 0));
        CLEW_TRY(group.pattern, word_at(row, 1));
        CLEW_TRY(group.subject, text_at(row, 2));
        CLEW_TRY(group.position, integer_at(row, 3, 0));
        found = std::move(group);
        return {};
      },
      name));
  return found;
}

Result<bool> insert_group(store::Transaction& tx, const EventGroup& group) {
  CLEW_TRY(const auto added,
           tx.run(insert_group_sql, group.name, group.pattern, group.subject, group.position));
  return added == 1;
}

Result<bool> move_group(store::Transaction& tx, const std::string& name, Cursor from, Cursor to) {
  CLEW_TRY(const auto moved, tx.run(move_group_sql, to, name, from));
  return moved == 1;
}

Result<void> insert_claim(store::Transaction& tx, const std::string& group,
                          const std::string& member, const EventClaim& claim) {
  CLEW_TRY(tx.post(insert_claim_sql, group, claim.cursor, member, claim.delivery, claim.due));
  return {};
}

Result<std::vector<EventClaim>> due_claims(store::Transaction& tx, const std::string& group,
                                           Timestamp now, int limit) {
  std::vector<EventClaim> claims;
  CLEW_TRY(tx.each(
      due_claims_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(auto claim, claim_of(row));
        claims.push_back(claim);
        return {};
      },
      group, now, limit));
  return claims;
}

Result<bool> renew_claim(store::Transaction& tx, const std::string& group,
                         const std::string& member, const EventClaim& claim, Timestamp now) {
  CLEW_TRY(const auto renewed, tx.run(renew_claim_sql, member, claim.due, group, claim.cursor,
                                      claim.delivery - 1, now));
  return renewed == 1;
}

Result<Timestamp> next_due(store::Transaction& tx, const std::string& group) {
  auto due = Timestamp::never();
  CLEW_TRY(tx.first(
      next_due_sql,
      [&](const Row& row) -> Result<void> {
        if (row.is_null(0)) return {};
        CLEW_TRY(due.us, row.integer(0));
        return {};
      },
      group));
  return due;
}

Result<bool> end_claim(store::Transaction& tx, const std::string& group, Cursor cursor,
                       std::int64_t delivery) {
  CLEW_TRY(const auto ended, tx.run(end_claim_sql, group, cursor, delivery));
  return ended == 1;
}

Result<std::optional<EventClaim>> find_claim(store::Transaction& tx, const std::string& group,
                                             Cursor cursor) {
  std::optional<EventClaim> found;
  CLEW_TRY(tx.first(
      find_claim_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(found, claim_of(row));
        return {};
      },
      group, cursor));
  return found;
}

Result<void> release_claims(store::Transaction& tx, const std::string& group,
                            const std::string& member, Timestamp now) {
  CLEW_TRY(tx.post(release_sql, now, group, member));
  return {};
}

}  // namespace clew::detail
