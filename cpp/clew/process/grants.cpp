#include <algorithm>
#include <map>
#include <set>

#include "clew/process/detail/rows.hpp"

namespace clew::process {
namespace {

using store::Row;
using store::Statement;

const Statement grant_sql(R"sql(
    INSERT INTO process_grants (session_id, frame_id, process_id, kind, label)
    VALUES (:session, :frame, :process, :kind, :label)
    ON CONFLICT (session_id, frame_id, process_id)
    DO UPDATE SET kind = excluded.kind, label = excluded.label)sql");

const Statement revoke_sql(R"sql(
    DELETE FROM process_grants
     WHERE session_id = :session AND frame_id = :frame AND process_id = :process)sql");

const Statement find_sql(R"sql(
    SELECT session_id, frame_id, process_id, kind, label FROM process_grants
     WHERE session_id = :session AND frame_id = :frame AND process_id = :process)sql");

const Statement of_scope_sql(R"sql(
    SELECT session_id, frame_id, process_id, kind, label FROM process_grants
     WHERE session_id = :session AND frame_id = :frame ORDER BY process_id)sql");

const Statement live_of_scope_sql(R"sql(
    SELECT g.session_id, g.frame_id, g.process_id, g.kind, g.label
      FROM process_grants g JOIN processes p ON p.id = g.process_id
     WHERE g.session_id = :session AND g.frame_id = :frame AND p.status = 'running'
     ORDER BY g.process_id)sql");

const Statement of_process_sql(R"sql(
    SELECT session_id, frame_id, process_id, kind, label FROM process_grants
     WHERE process_id = :process ORDER BY session_id, frame_id)sql");

const Statement live_of_session_sql(R"sql(
    SELECT DISTINCT g.process_id, (SELECT COUNT(*) FROM process_grants o
                                    WHERE o.process_id = g.process_id
                                      AND o.session_id <> g.session_id) AS others
      FROM process_grants g JOIN processes p ON p.id = g.process_id
     WHERE g.session_id = :session AND p.status = 'running' ORDER BY g.process_id)sql");

const Statement revoke_all_sql("DELETE FROM process_grants WHERE session_id = :session");

Result<HandleGrant> decode(const Row& row) {
  HandleGrant grant;
  CLEW_TRY(grant.scope.session_id, store::word_at(row, 0));
  CLEW_TRY(grant.scope.agent_frame_id, store::text_at(row, 1));
  CLEW_TRY(grant.process_id, store::word_at(row, 2));
  CLEW_TRY(grant.kind, store::text_at(row, 3));
  CLEW_TRY(grant.label, store::text_at(row, 4));
  return grant;
}

template <typename... Args>
Result<std::vector<HandleGrant>> grants(Transaction& tx, const Statement& query,
                                        const Args&... args) {
  std::vector<HandleGrant> list;
  const auto take = [&](const Row& row) -> Result<void> {
    auto grant = decode(row);
    if (!grant) {
      return store::in_row(grant.error(), "process_grants",
                           fmt::format("{}/{}", store::shown_at(row, 0), store::shown_at(row, 2)));
    }
    list.push_back(*std::move(grant));
    return {};
  };
  CLEW_TRY(tx.each(query, take, args...));
  return list;
}

}  // namespace

Result<void> grant_handle(Transaction& tx, const HandleGrant& grant) {
  CLEW_TRY(load_row(tx, grant.process_id));
  CLEW_TRY(tx.post(grant_sql, grant.scope.session_id, grant.scope.agent_frame_id, grant.process_id,
                   grant.kind, grant.label));
  return {};
}

Result<bool> revoke_handle(Transaction& tx, const Scope& scope, std::string_view id) {
  CLEW_TRY(const auto revoked, tx.run(revoke_sql, scope.session_id, scope.agent_frame_id, id));
  return revoked == 1;
}

Result<bool> has_handle_grant(Transaction& tx, const Scope& scope, std::string_view id) {
  CLEW_TRY(const auto found, grants(tx, find_sql, scope.session_id, scope.agent_frame_id, id));
  return !found.empty();
}

Result<std::vector<HandleGrant>> list_handle_grants(Transaction& tx, const Scope& scope,
                                                    bool live_only) {
  return grants(tx, live_only ? live_of_scope_sql : of_scope_sql, scope.session_id,
                scope.agent_frame_id);
}

Result<std::vector<HandleGrant>> handle_grants_for_process(Transaction& tx, std::string_view id) {
  CLEW_TRY(load_row(tx, id));
  return grants(tx, of_process_sql, id);
}

Result<void> transfer_handle_grants(Transaction& tx, const Scope& from, const Scope& to,
                                    const std::vector<std::string>& ids) {
  for (const auto& id : ids) {
    CLEW_TRY(load_row(tx, id));
    CLEW_TRY(auto found, grants(tx, find_sql, from.session_id, from.agent_frame_id, id));
    CLEW_TRY(const bool revoked, revoke_handle(tx, from, id));
    if (found.empty() || !revoked) {
      return error(Code::not_found, "{} has no handle of process \"{}\"", from.id(), id)
          .with("process_id", id)
          .with("scope_id", from.id());
    }
    found.front().scope = to;
    CLEW_TRY(grant_handle(tx, found.front()));
  }
  return {};
}

Result<SessionDeleteReport> delete_session_process_state(Transaction& tx,
                                                         std::string_view session_id) {
  SessionDeleteReport report;
  report.session_id = session_id;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto id, store::word_at(row, 0));
    CLEW_TRY(const auto others, row.integer(1));
    (others == 0 ? report.cancel_process_ids : report.preserved_process_ids)
        .push_back(std::move(id));
    return {};
  };
  CLEW_TRY(tx.each(live_of_session_sql, take, session_id));
  CLEW_TRY(const auto revoked, tx.run(revoke_all_sql, session_id));
  report.revoked_handle_count = static_cast<int>(revoked);
  return report;
}

}  // namespace clew::process
