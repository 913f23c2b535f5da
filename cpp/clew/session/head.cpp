#include "clew/session/head.hpp"

#include "clew/session/detail/fields.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

const Statement make_sql(R"sql(
    INSERT INTO sessions (session_id, head_revision, provider_id, model, current_frame, leaf_node,
                          checkpoint_ref, last_position, deleted_us)
    VALUES (:session, 0, '', '', '', '', '', 0, NULL)
    ON CONFLICT (session_id) DO NOTHING)sql");
const Statement lock_sql(R"sql(
    SELECT head_revision, provider_id, model, current_frame, leaf_node, checkpoint_ref,
           last_position, deleted_us
      FROM sessions WHERE session_id = :session {for_update})sql");
const Statement find_sql(R"sql(
    SELECT head_revision, provider_id, model, current_frame, leaf_node, checkpoint_ref,
           last_position, deleted_us
      FROM sessions WHERE session_id = :session)sql");
const Statement update_sql(R"sql(
    UPDATE sessions SET head_revision = :revision, provider_id = :provider, model = :model,
                        current_frame = :frame, leaf_node = :leaf, checkpoint_ref = :checkpoint,
                        last_position = :position
     WHERE session_id = :session)sql");
const Statement delete_sql(R"sql(
    UPDATE sessions SET head_revision = 0, provider_id = '', model = '', current_frame = '',
                        leaf_node = '', checkpoint_ref = '', deleted_us = :now
     WHERE session_id = :session)sql");
const Statement list_sql(R"sql(
    SELECT session_id FROM sessions
     WHERE session_id > :after AND head_revision > 0 AND deleted_us IS NULL
     ORDER BY session_id LIMIT :limit)sql");

Result<Head> decode(const Row& row) {
  Head head;
  CLEW_TRY(head.revision, store::integer_at(row, 0, 0, INT64_MAX - 1));
  CLEW_TRY(head.config.provider_id, row.text(1));
  CLEW_TRY(head.config.model, row.text(2));
  CLEW_TRY(head.current_frame_id, row.text(3));
  CLEW_TRY(head.leaf_node_id, row.text(4));
  CLEW_TRY(head.checkpoint_ref, row.text(5));
  CLEW_TRY(head.last_position, store::integer_at(row, 6, 0));
  head.is_deleted = !row.is_null(7);
  return head;
}

Result<std::optional<Head>> read(store::Transaction& tx, const Statement& statement,
                                 std::string_view session_id) {
  std::optional<Head> head;
  CLEW_TRY(tx.first(
      statement,
      [&](const Row& row) -> Result<void> {
        auto made = decode(row);
        if (!made) return store::in_row(made.error(), "sessions", session_id);
        head = *std::move(made);
        return {};
      },
      session_id));
  return head;
}

Error deleted(std::string_view session_id) {
  return error(Code::conflict, "session {} was deleted", session_id)
      .with("session_id", session_id)
      .with("deleted", true);
}

}  // namespace

Result<Head> lock_head(store::Transaction& tx, std::string_view session_id) {
  CLEW_TRY(detail::check_id("session_id", session_id));
  CLEW_TRY(tx.post(make_sql, session_id));
  CLEW_TRY(auto head, read(tx, lock_sql, session_id));
  CLEW_CHECK(head.has_value());
  if (head->is_deleted) return deleted(session_id);
  return *std::move(head);
}

Result<void> update_head(store::Transaction& tx, std::string_view session_id, const Head& head) {
  CLEW_TRY(const auto changed, tx.run(update_sql, head.revision, head.config.provider_id,
                                      head.config.model, head.current_frame_id, head.leaf_node_id,
                                      head.checkpoint_ref, head.last_position, session_id));
  CLEW_CHECK(changed == 1);
  return {};
}

Result<std::optional<Head>> find_head(store::Transaction& tx, std::string_view session_id) {
  return read(tx, find_sql, session_id);
}

Result<void> check_not_deleted(store::Transaction& tx, std::string_view session_id) {
  CLEW_TRY(const auto head, find_head(tx, session_id));
  if (head && head->is_deleted) return deleted(session_id);
  return {};
}

Result<std::vector<std::string>> list_heads(store::Transaction& tx, std::string_view after,
                                            int limit) {
  std::vector<std::string> ids;
  CLEW_TRY(tx.each(
      list_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(const auto id, row.text(0));
        ids.emplace_back(id);
        return {};
      },
      after, limit));
  return ids;
}

Result<void> mark_deleted(store::Transaction& tx, std::string_view session_id, Timestamp now) {
  CLEW_TRY(const auto changed, tx.run(delete_sql, now, session_id));
  CLEW_CHECK(changed == 1);
  return {};
}

}  // namespace clew::session
