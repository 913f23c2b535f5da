#include "clew/session/graph.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

const Statement find_sql(R"sql(
    SELECT node_id, parent_id, node, tombstone_us, position FROM session_nodes
     WHERE session_id = :session AND node_id = :node)sql");
const Statement all_sql(R"sql(
    SELECT node_id, parent_id, node, tombstone_us, position FROM session_nodes
     WHERE session_id = :session AND tombstone_us IS NULL ORDER BY position)sql");
const Statement put_sql(R"sql(
    INSERT INTO session_nodes (session_id, node_id, position, parent_id, node, tombstone_us)
    VALUES (:session, :node_id, :position, :parent, :node, NULL)
    ON CONFLICT (session_id, node_id) DO UPDATE SET
      position = excluded.position, parent_id = excluded.parent_id, node = excluded.node,
      tombstone_us = NULL)sql");
const Statement child_sql(R"sql(
    SELECT node_id FROM session_nodes
     WHERE session_id = :session AND parent_id = :node AND tombstone_us IS NULL
     ORDER BY position LIMIT 1)sql");
const Statement tombstone_sql(R"sql(
    UPDATE session_nodes SET tombstone_us = :now
     WHERE session_id = :session AND node_id = :node AND tombstone_us IS NULL)sql");
const Statement orphan_sql(R"sql(
    SELECT c.node_id, c.parent_id FROM session_nodes c JOIN session_nodes p
        ON p.session_id = c.session_id AND p.node_id = c.parent_id
     WHERE c.session_id = :session AND c.tombstone_us IS NULL AND p.tombstone_us IS NOT NULL
     ORDER BY c.position LIMIT 1)sql");
const Statement vacuum_sql(
    "DELETE FROM session_nodes WHERE session_id = :session AND tombstone_us IS NOT NULL");
const Statement clear_sql("DELETE FROM session_nodes WHERE session_id = :session");

struct Stored {
  SessionNode node;
  bool is_tombstoned = false;
};

Error in_node(const Error& why, std::string_view session_id, std::string_view node_id) {
  return store::in_row(why, "session_nodes", fmt::format("{}/{}", session_id, node_id));
}

Result<Stored> decode(const Row& row, std::string_view session_id) {
  const auto read = [&]() -> Result<Stored> {
    Stored stored;
    CLEW_TRY(const auto id, store::word_at(row, 0));
    CLEW_TRY(const auto parent, row.text(1));
    CLEW_TRY(const auto value, store::json_at(row, 2));
    CLEW_TRY(store::integer_at(row, 4, 1));
    auto node = node_from_value(value, "node");
    if (!node) return Error(Code::corrupt, node.error().message());
    if (node->node_id != id) return store::corrupt_column(row, 0, "the id of its node");
    if (node->parent_node_id != parent) {
      return store::corrupt_column(row, 1, "the parent of its node");
    }
    stored.node = *std::move(node);
    stored.is_tombstoned = !row.is_null(3);
    return stored;
  };
  auto stored = read();
  if (stored) return stored;
  return in_node(stored.error(), session_id, store::shown_at(row, 0));
}

Result<std::optional<Stored>> find_stored(store::Transaction& tx, std::string_view session_id,
                                          std::string_view node_id) {
  std::optional<Stored> stored;
  CLEW_TRY(tx.first(
      find_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(stored, decode(row, session_id));
        return {};
      },
      session_id, node_id));
  return stored;
}

std::string path_of(std::size_t index, std::string_view key) {
  return fmt::format("graph.nodes[{}].{}", index, key);
}

// Ids occur once, and no node of the delta is its own ancestor.
Result<std::map<std::string_view, std::size_t>> index_nodes(const GraphDelta& delta) {
  std::map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < delta.nodes.size(); ++i) {
    if (index.try_emplace(delta.nodes[i].node_id, i).second) continue;
    return invalid_input(path_of(i, "node_id"), Value(delta.nodes[i].node_id),
                         "an id that occurs once");
  }
  std::vector<int> seen(delta.nodes.size(), 0);  // 0: not yet, else the walk that met it
  for (std::size_t i = 0; i < delta.nodes.size(); ++i) {
    const auto walk = static_cast<int>(i) + 1;
    for (auto at = i; seen[at] == 0;) {
      seen[at] = walk;
      const auto next = index.find(delta.nodes[at].parent_node_id);
      if (next == index.end()) break;
      at = next->second;
      if (seen[at] == walk) {
        return invalid_input(path_of(at, "parent_node_id"), Value(delta.nodes[at].parent_node_id),
                             "a parent that is no descendant");
      }
    }
  }
  return index;
}

Result<void> put_node(store::Transaction& tx, std::string_view session_id, Head& head,
                      const SessionNode& node, std::size_t index) {
  CLEW_TRY(const auto stored, find_stored(tx, session_id, node.node_id));
  if (stored && !stored->is_tombstoned) {
    const auto difference = first_difference(to_value(stored->node), to_value(node));
    if (!difference.found) return {};
    return error(Code::conflict, "node {} stands there with other content: {} is {}, not {}",
                 node.node_id, difference.path, preview(difference.left), preview(difference.right))
        .with("path", path_of(index, difference.path))
        .with("node_id", node.node_id);
  }
  CLEW_TRY(tx.post(put_sql, session_id, node.node_id, ++head.last_position, node.parent_node_id,
                   to_json(to_value(node))));
  return {};
}

Result<void> check_parent(store::Transaction& tx, std::string_view session_id,
                          const SessionNode& node, std::size_t index) {
  if (node.parent_node_id.empty()) return {};
  CLEW_TRY(const auto parent, find_node(tx, session_id, node.parent_node_id));
  if (parent) return {};
  return invalid_input(path_of(index, "parent_node_id"), Value(node.parent_node_id),
                       "a node of the graph");
}

}  // namespace

Result<void> apply_delta(store::Transaction& tx, std::string_view session_id, Head& head,
                         const GraphDelta& delta) {
  using Kind = GraphDelta::Kind;
  if (delta.kind == Kind::unchanged && !delta.nodes.empty()) {
    return invalid_input("graph.nodes", Value(static_cast<std::int64_t>(delta.nodes.size())),
                         "no nodes when nothing changes");
  }
  CLEW_TRY(index_nodes(delta));
  if (delta.kind == Kind::replace_full) CLEW_TRY(remove_nodes(tx, session_id));
  for (std::size_t i = 0; i < delta.nodes.size(); ++i) {
    CLEW_TRY(put_node(tx, session_id, head, delta.nodes[i], i));
  }
  // A parent may come after its child, so they are looked for once all are there.
  for (std::size_t i = 0; i < delta.nodes.size(); ++i) {
    CLEW_TRY(check_parent(tx, session_id, delta.nodes[i], i));
  }
  if (delta.leaf_node_id || delta.kind != Kind::unchanged) {
    head.leaf_node_id = delta.leaf_node_id.value_or("");
  }
  if (head.leaf_node_id.empty()) return {};
  CLEW_TRY(const auto leaf, find_node(tx, session_id, head.leaf_node_id));
  if (leaf) return {};
  return invalid_input("graph.leaf_node_id", Value(head.leaf_node_id), "a node of the graph");
}

Result<std::optional<SessionNode>> find_node(store::Transaction& tx, std::string_view session_id,
                                             std::string_view node_id) {
  CLEW_TRY(auto stored, find_stored(tx, session_id, node_id));
  if (!stored || stored->is_tombstoned) return std::optional<SessionNode>();
  return std::optional<SessionNode>(std::move(stored->node));
}

namespace {

Result<std::vector<SessionNode>> path_to(store::Transaction& tx, std::string_view session_id,
                                         const std::string& leaf) {
  std::vector<SessionNode> path;
  std::set<std::string> met;
  for (auto id = leaf; !id.empty();) {
    CLEW_TRY(auto node, find_node(tx, session_id, id));
    if (!node) {
      return in_node(error(Code::corrupt, "node {} has a parent that is not there: {}",
                           path.empty() ? "" : path.back().node_id, id),
                     session_id, id);
    }
    if (!met.insert(id).second) {
      return in_node(error(Code::corrupt, "node {} is its own ancestor", id), session_id, id);
    }
    id = node->parent_node_id;
    path.push_back(*std::move(node));
  }
  std::ranges::reverse(path);
  return path;
}

}  // namespace

Result<SessionGraph> read_graph(store::Transaction& tx, std::string_view session_id,
                                const Head& head, const ReadScope& scope) {
  SessionGraph graph;
  graph.leaf_node_id = head.leaf_node_id;
  if (scope.is_active_path) {
    if (!scope.leaf_node_id.empty()) {
      graph.leaf_node_id = scope.leaf_node_id;
      CLEW_TRY(const auto leaf, find_node(tx, session_id, scope.leaf_node_id));
      if (!leaf) {
        return error(Code::not_found, "session {} has no node {}", session_id, scope.leaf_node_id)
            .with("session_id", session_id)
            .with("node_id", scope.leaf_node_id);
      }
    }
    CLEW_TRY(graph.nodes, path_to(tx, session_id, graph.leaf_node_id));
    return graph;
  }
  CLEW_TRY(tx.each(
      all_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(auto stored, decode(row, session_id));
        graph.nodes.push_back(std::move(stored.node));
        return {};
      },
      session_id));
  return graph;
}

Result<bool> tombstone_node(store::Transaction& tx, std::string_view session_id, Head& head,
                            std::string_view node_id, Timestamp now) {
  CLEW_TRY(const auto node, find_node(tx, session_id, node_id));
  if (!node) return false;
  std::string child;
  CLEW_TRY(tx.first(
      child_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(child, store::word_at(row, 0));
        return {};
      },
      session_id, node_id));
  if (!child.empty()) {
    return error(Code::conflict, "node {} has a child: {}", node_id, child)
        .with("session_id", session_id)
        .with("node_id", node_id)
        .with("child", child);
  }
  CLEW_TRY(tx.post(tombstone_sql, now, session_id, node_id));
  if (head.leaf_node_id == node_id) head.leaf_node_id = node->parent_node_id;
  return true;
}

Result<VacuumReport> vacuum_nodes(store::Transaction& tx, std::string_view session_id) {
  std::optional<Error> orphan;
  CLEW_TRY(tx.first(
      orphan_sql,
      [&](const Row& row) -> Result<void> {
        orphan = in_node(error(Code::corrupt, "node {} hangs on {}, which was taken out",
                               store::shown_at(row, 0), store::shown_at(row, 1)),
                         session_id, store::shown_at(row, 0));
        return {};
      },
      session_id));
  if (orphan) return *orphan;
  CLEW_TRY(const auto removed, tx.run(vacuum_sql, session_id));
  return VacuumReport{removed};
}

Result<void> remove_nodes(store::Transaction& tx, std::string_view session_id) {
  CLEW_TRY(tx.post(clear_sql, session_id));
  return {};
}

}  // namespace clew::session
