// session/head.hpp: the head row of a session, and who may change it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "clew/session/records.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

struct Head {
  std::int64_t revision = 0;  // 0: nothing was committed yet
  SessionConfig config;
  std::string current_frame_id;
  std::string leaf_node_id;
  std::string checkpoint_ref;
  std::int64_t last_position = 0;  // of a node or an entry of the ledger
  bool is_deleted = false;
};

// Locks the session until the transaction ends, whether it has a head or not. `conflict` for one
// that was deleted: such an id never comes back.
Result<Head> lock_head(store::Transaction& tx, std::string_view session_id);
// Changes a head that is locked.
Result<void> update_head(store::Transaction& tx, std::string_view session_id, const Head& head);
// Nothing for a session of which nobody has heard.
Result<std::optional<Head>> find_head(store::Transaction& tx, std::string_view session_id);
// `conflict` when the session was deleted. Sees a deletion that has ended; to exclude one that goes
// on, hold a lock that deleting takes too.
Result<void> check_not_deleted(store::Transaction& tx, std::string_view session_id);
// Sessions with a head that were not deleted, by id after `after`, at most `limit`.
Result<std::vector<std::string>> list_heads(store::Transaction& tx, std::string_view after,
                                            int limit);
// Marks a locked head: from then on the id is refused.
Result<void> mark_deleted(store::Transaction& tx, std::string_view session_id, Timestamp now);

}  // namespace clew::session
