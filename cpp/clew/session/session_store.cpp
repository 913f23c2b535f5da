#include "clew/session/session_store.hpp"

#include "clew/base/json.hpp"
#include "clew/session/detail/ask.hpp"
#include "clew/session/graph.hpp"
#include "clew/session/head.hpp"

namespace clew::session {

using detail::ask;
using detail::change;
using store::Transaction;

Result<void> SessionStore::check_bound(const std::string& session_id) const {
  if (session_id == id_) return {};
  return error(Code::conflict, "the handle is bound to session {}, not {}", id_, session_id)
      .with("bound", id_)
      .with("attempted", session_id);
}

// Claims are told apart by ids that nobody can guess.
QueuedWorkTerms SessionStore::terms(const std::string& owner_id, Duration ttl) const {
  auto& random = env_.random("session.claims");
  return {env_.ids().next().to_string(), owner_id,
          fmt::format("{:016x}{:016x}", random.next(), random.next()), env_.clock().now(), ttl};
}

Result<CommitResult> SessionStore::commit(const RuntimeCommit& commit) {
  CLEW_TRY(check_bound(commit.session_id));
  CLEW_TRY(check_commit(commit, limits_));
  const auto now = env_.clock().now();
  return change<CommitResult>(database_,
                              [&](Transaction& tx) { return commit_session(tx, commit, now); });
}

Result<std::optional<PersistedSession>> SessionStore::load(const ReadScope& scope) {
  return ask<std::optional<PersistedSession>>(
      database_, [&](Transaction& tx) { return load_session(tx, id_, scope); });
}

Result<std::optional<SessionNode>> SessionStore::load_node(const std::string& node_id) {
  return ask<std::optional<SessionNode>>(
      database_, [&](Transaction& tx) { return find_node(tx, id_, node_id); });
}

Result<bool> SessionStore::tombstone_node(const std::string& node_id) {
  const auto now = env_.clock().now();
  return change<bool>(database_, [&](Transaction& tx) -> Result<bool> {
    CLEW_TRY(auto head, lock_head(tx, id_));
    CLEW_TRY(const bool was_there, session::tombstone_node(tx, id_, head, node_id, now));
    if (was_there) CLEW_TRY(update_head(tx, id_, head));
    return was_there;
  });
}

Result<std::int64_t> SessionStore::tombstone_nodes(const std::vector<std::string>& node_ids) {
  const auto now = env_.clock().now();
  return change<std::int64_t>(database_, [&](Transaction& tx) -> Result<std::int64_t> {
    CLEW_TRY(auto head, lock_head(tx, id_));
    std::int64_t removed = 0;
    for (auto left = node_ids; !left.empty();) {
      // From behind: parents mostly come first. What has a child yet gets another turn.
      std::vector<std::string> refused;
      std::optional<Error> why;
      for (auto id = left.rbegin(); id != left.rend(); ++id) {
        const auto was_there = session::tombstone_node(tx, id_, head, *id, now);
        if (!was_there && was_there.error().code() != Code::conflict) return was_there.error();
        if (!was_there) {
          why = was_there.error();
          refused.push_back(*id);
        } else if (*was_there) {
          ++removed;
        }
      }
      if (refused.size() == left.size()) return *why;
      left = std::move(refused);
    }
    if (removed > 0) CLEW_TRY(update_head(tx, id_, head));
    return removed;
  });
}

Result<VacuumReport> SessionStore::vacuum() {
  return change<VacuumReport>(database_, [&](Transaction& tx) -> Result<VacuumReport> {
    CLEW_TRY(lock_head(tx, id_));
    return vacuum_nodes(tx, id_);
  });
}

Result<void> SessionStore::save_meta(const SessionMeta& meta) {
  CLEW_TRY(check_bound(meta.session_id));
  CLEW_TRY(database_.write([&](Transaction& tx) { return session::save_meta(tx, meta); }));
  return {};
}

Result<std::optional<SessionMeta>> SessionStore::load_meta() {
  return ask<std::optional<SessionMeta>>(
      database_, [&](Transaction& tx) { return session::load_meta(tx, id_); });
}

Result<bool> SessionStore::remove() {
  const auto now = env_.clock().now();
  return change<bool>(database_, [&](Transaction& tx) { return delete_session(tx, id_, now); });
}

Result<QueuedWorkReceipt> SessionStore::enqueue(const QueuedWorkDraft& draft, bool strict) {
  CLEW_TRY(check_bound(draft.session_id));
  const auto now = env_.clock().now();
  const auto id = env_.ids().next_at(now).to_string();
  return change<QueuedWorkReceipt>(
      database_, [&](Transaction& tx) { return enqueue_batch(tx, draft, id, now, strict); });
}

Result<std::vector<QueuedWorkBatch>> SessionStore::list_queued() {
  return ask<std::vector<QueuedWorkBatch>>(database_,
                                           [&](Transaction& tx) { return list_batches(tx, id_); });
}

Result<std::vector<QueuedWorkBatch>> SessionStore::list_pending() {
  const auto now = env_.clock().now();
  return ask<std::vector<QueuedWorkBatch>>(
      database_, [&](Transaction& tx) { return list_pending_batches(tx, id_, now); });
}

Result<std::optional<QueuedWorkBatch>> SessionStore::cancel_queued(const std::string& batch_id) {
  const auto now = env_.clock().now();
  return change<std::optional<QueuedWorkBatch>>(
      database_, [&](Transaction& tx) { return cancel_batch(tx, id_, batch_id, now); });
}

Result<std::optional<QueuedWorkClaim>> SessionStore::claim(ClaimBoundary boundary,
                                                           const std::string& owner_id,
                                                           Duration ttl, int max) {
  const auto wanted = terms(owner_id, ttl);
  return change<std::optional<QueuedWorkClaim>>(
      database_, [&](Transaction& tx) { return claim_ready(tx, id_, boundary, max, wanted); });
}

Result<std::optional<QueuedWorkClaim>> SessionStore::claim_batches(
    ClaimBoundary boundary, const std::string& owner_id, Duration ttl,
    const std::vector<std::string>& batch_ids) {
  const auto wanted = terms(owner_id, ttl);
  return change<std::optional<QueuedWorkClaim>>(database_, [&](Transaction& tx) {
    return session::claim_batches(tx, id_, boundary, batch_ids, wanted);
  });
}

Result<QueuedWorkClaim> SessionStore::renew(const QueuedWorkClaim& claim, Duration ttl) {
  CLEW_TRY(check_bound(claim.session_id));
  const auto now = env_.clock().now();
  return change<QueuedWorkClaim>(
      database_, [&](Transaction& tx) { return renew_batches(tx, claim, now, ttl); });
}

Result<void> SessionStore::abandon(const QueuedWorkClaim& claim) {
  CLEW_TRY(check_bound(claim.session_id));
  CLEW_TRY(
      database_.write([&](Transaction& tx) { return abandon_batches(tx, claim.completion()); }));
  return {};
}

Result<void> SessionStore::complete(const QueuedWorkCompletion& claim) {
  CLEW_TRY(check_bound(claim.session_id));
  const auto now = env_.clock().now();
  CLEW_TRY(database_.write([&](Transaction& tx) { return complete_batches(tx, claim, now); }));
  return {};
}

Result<std::vector<std::string>> list_sessions(store::Database& database, const std::string& after,
                                               int limit) {
  return ask<std::vector<std::string>>(
      database, [&](Transaction& tx) { return list_heads(tx, after, limit); });
}

Result<GcReport> collect_garbage(store::Database& database, Timestamp before) {
  return change<GcReport>(database, [&](Transaction& tx) { return gc_unreachable(tx, before); });
}

}  // namespace clew::session
