// session/session_store.hpp: one session of a store that has many.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/session/sessions.hpp"

namespace clew::session {

// A handle on one session, which need not exist yet: it refuses records of another, with `conflict`
// naming `bound` and `attempted`. Any number of handles, of any processes, may be live at once;
// each sees what the others have committed. Thread-safe; borrows what it is made with. Everything
// blocks for the disk. The contracts are those of the functions in sessions.hpp, graph.hpp and
// queued_work.hpp.
class SessionStore {
 public:
  SessionStore(store::Database& database, Env& env, std::string session_id,
               CommitLimits limits = {})
      : database_(database), env_(env), id_(std::move(session_id)), limits_(limits) {}
  const std::string& session_id() const { return id_; }

  Result<CommitResult> commit(const RuntimeCommit& commit);
  Result<std::optional<PersistedSession>> load(const ReadScope& scope = {});
  Result<std::optional<SessionNode>> load_node(const std::string& node_id);
  Result<bool> tombstone_node(const std::string& node_id);
  // Takes out all or none of these, in whatever order they are named: how many were there.
  Result<std::int64_t> tombstone_nodes(const std::vector<std::string>& node_ids);
  Result<VacuumReport> vacuum();
  Result<void> save_meta(const SessionMeta& meta);
  Result<std::optional<SessionMeta>> load_meta();
  // Forgets the session, and its id for ever. False when that was done before.
  Result<bool> remove();

  Result<QueuedWorkReceipt> enqueue(const QueuedWorkDraft& draft, bool strict = false);
  Result<std::vector<QueuedWorkBatch>> list_queued();
  Result<std::vector<QueuedWorkBatch>> list_pending();
  Result<std::optional<QueuedWorkBatch>> cancel_queued(const std::string& batch_id);
  Result<std::optional<QueuedWorkClaim>> claim(ClaimBoundary boundary, const std::string& owner_id,
                                               Duration ttl, int max);
  Result<std::optional<QueuedWorkClaim>> claim_batches(ClaimBoundary boundary,
                                                       const std::string& owner_id, Duration ttl,
                                                       const std::vector<std::string>& batch_ids);
  Result<QueuedWorkClaim> renew(const QueuedWorkClaim& claim, Duration ttl);
  Result<void> abandon(const QueuedWorkClaim& claim);
  // Completes a claim by itself; a turn completes it in its commit.
  Result<void> complete(const QueuedWorkCompletion& claim);

 private:
  Result<void> check_bound(const std::string& session_id) const;
  QueuedWorkTerms terms(const std::string& owner_id, Duration ttl) const;

  store::Database& database_;
  Env& env_;
  const std::string id_;
  const CommitLimits limits_;
};

// Of all sessions: those with a head, by id after `after`, at most `limit`.
Result<std::vector<std::string>> list_sessions(store::Database& database, const std::string& after,
                                               int limit);
// Deletes the blobs that nobody has needed since `before`. Blocks.
Result<GcReport> collect_garbage(store::Database& database, Timestamp before);

}  // namespace clew::session
