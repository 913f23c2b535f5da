// session/sessions.hpp: the state of sessions. Read this first, then the header of the noun you
// need.
//
//   records.hpp      what is kept; head.hpp: the row that orders a session's changes
//   graph.hpp        nodes; checkpoint.hpp: state as content-addressed parts
//   queued_work.hpp  what waits to enter a session
//   manifest.hpp     which attachments it has; attachments.hpp: their bytes
//   triggers.hpp     host events and who wants to hear of them; artifacts.hpp: program modules
//   session_store.hpp, …: thread-safe fronts of all that, over a database
//
// Functions here take a transaction, so that several stores can change in one. A session that was
// deleted never comes back: whatever would change it answers `conflict`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/session/records.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {

// What a commit may hold, checked before its transaction begins.
struct CommitLimits {
  std::size_t bytes_max = std::size_t{64} << 20U;  // of all of it, in memory
};
// What can be said of a commit without the store. `invalid_input` with the path; a stamp whose hash
// is not that of the commit is refused. `resource_exhausted` for one beyond the limits.
Result<void> check_commit(const RuntimeCommit& commit, const CommitLimits& limits = {});

// Applies a commit that check_commit() passes. In this order:
//   1. a turn that is known: its first result, and nothing else happens; `conflict` with session
//   and
//      turn when its hash differs
//   2. `expected_head_revision` against the head, nothing meaning that there is none: `conflict`
//   with
//      `expected` and `actual`
//   3. every completed claim: `stale_lease`
//   4. the state itself, the head one further, attachments and the turn stamped
// Other errors: those of graph, checkpoint and manifest. A refused commit changes nothing, once the
// caller gives its error back.
Result<CommitResult> commit_session(store::Transaction& tx, const RuntimeCommit& commit,
                                    Timestamp now);

// The session as its last commit left it; nothing before the first, and after its end.
Result<std::optional<PersistedSession>> load_session(store::Transaction& tx,
                                                     std::string_view session_id,
                                                     const ReadScope& scope);

// Sessions have a name and the like also before their first commit.
Result<void> save_meta(store::Transaction& tx, const SessionMeta& meta);
Result<std::optional<SessionMeta>> load_meta(store::Transaction& tx, std::string_view session_id);

// Forgets all that the session stores have of a session, its queue, attachments and subscriptions
// included, and its id for ever. False when it was deleted before.
Result<bool> delete_session(store::Transaction& tx, std::string_view session_id, Timestamp now);

// Deletes the blobs that nobody has needed since `before`.
Result<GcReport> gc_unreachable(store::Transaction& tx, Timestamp before);

// Reads every row, and reports those that cannot be.
Result<void> check_sessions(store::Transaction& tx, const store::ReportRow& report);

}  // namespace clew::session
