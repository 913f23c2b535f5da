// session/graph.hpp: the nodes of a session. Functions that change it need the head locked.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "clew/session/head.hpp"

namespace clew::session {

// Applies what a commit does to the graph and moves the head's leaf. A node that was tombstoned
// comes back with its new content; one that stands there with the same content stays.
// Errors, each with its path below `graph`: `conflict` for a node that stands there with other
// content; `invalid_input` for a parent or leaf that is not in the graph, an id that occurs twice
// and parents in a circle.
Result<void> apply_delta(store::Transaction& tx, std::string_view session_id, Head& head,
                         const GraphDelta& delta);

// A node that is not tombstoned, or nothing.
Result<std::optional<SessionNode>> find_node(store::Transaction& tx, std::string_view session_id,
                                             std::string_view node_id);
// All nodes, or the way from a root to a leaf. Errors: `not_found` for a leaf that is given and not
// in the graph; `corrupt` for a way that leads nowhere or in a circle.
Result<SessionGraph> read_graph(store::Transaction& tx, std::string_view session_id,
                                const Head& head, const ReadScope& scope);

// Takes a node out of the graph; its row waits for the vacuum. False when it is not in the graph. A
// leaf that is taken out hands over to its parent. `conflict` naming a child that the graph still
// has: nodes go from the leaves inwards.
Result<bool> tombstone_node(store::Transaction& tx, std::string_view session_id, Head& head,
                            std::string_view node_id, Timestamp now);
// Removes the rows of tombstoned nodes. `corrupt` when one still has a living child.
Result<VacuumReport> vacuum_nodes(store::Transaction& tx, std::string_view session_id);
Result<void> remove_nodes(store::Transaction& tx, std::string_view session_id);

}  // namespace clew::session
