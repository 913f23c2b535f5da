// session/checkpoint.hpp: the state of a session as content-addressed parts and a manifest that
// names them. What the head needs is pinned for it, the rest is left to the collection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clew/session/records.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {

struct StoredCheckpoint {
  std::string ref;  // id of the manifest's blob
  Value manifest;
};

// Stores what has a body and pins all parts for the session's head, in place of those before; also
// the frames', whose execution states then have their ref. Errors, with the path of the part:
// `invalid_input` when a ref is not that of the body; `not_found` for a ref alone, which means "as
// stored before", of which no blob is there.
Result<StoredCheckpoint> store_checkpoint(store::Transaction& tx, std::string_view session_id,
                                          const Checkpoint& checkpoint,
                                          std::vector<AgentFrame>& frames, Timestamp now);
// The checkpoint of a manifest, with all bodies. `corrupt` naming the blob that is missing or
// damaged.
Result<Checkpoint> load_checkpoint(store::Transaction& tx, const std::string& ref);
// Gives the frame's execution state its body.
Result<void> hydrate_frame(store::Transaction& tx, AgentFrame& frame);
// The head needs nothing any more.
Result<void> release_checkpoint(store::Transaction& tx, std::string_view session_id);

}  // namespace clew::session
