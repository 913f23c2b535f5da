// testkit/conformance/session_world.hpp: what the cases of the session stores share.
#pragma once

#include <memory>
#include <string>

#include "clew/session/attachments.hpp"
#include "clew/session/session_store.hpp"
#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

// A fresh storage, one handle on it, and a clock that the case moves.
class World {
 public:
  explicit World(const Factory& fresh) : storage(fresh()), database(open()) {}

  std::unique_ptr<store::Database> open() { return must(storage.open(), "open the storage"); }
  session::SessionStore session(const std::string& id) { return session(*database, id); }
  session::SessionStore session(store::Database& handle, const std::string& id) {
    return {handle, *env, id};
  }
  session::AttachmentStore attachments(store::Database& handle) {
    return {handle, *env, {.folder = storage.folder, .inline_max = 64}};
  }
  session::AttachmentStore attachments() { return attachments(*database); }
  std::string dump() { return conformance::dump(*database, session_tables()); }
  void advance(Duration by) { clock.advance(by); }
  Timestamp now() { return clock.now(); }

  Storage storage;
  ManualClock clock;
  std::unique_ptr<Env> env = make_seeded_env(clock, 7);
  std::unique_ptr<store::Database> database;
};

// A commit of the first state of a session: one frame, one turn.
inline session::RuntimeCommit first_commit(const std::string& session_id) {
  session::RuntimeCommit commit;
  commit.session_id = session_id;
  commit.config = {"provider", "model"};
  session::AgentFrame frame;
  frame.frame_id = session::initial_frame_id(session_id);
  frame.session_id = session_id;
  frame.reason = "initial";
  session::append_frame(commit, std::move(frame));
  return commit;
}

// The same state, to be applied after `head_revision`.
inline session::RuntimeCommit next_commit(const std::string& session_id,
                                          std::int64_t head_revision) {
  auto commit = first_commit(session_id);
  commit.expected_head_revision = head_revision;
  return commit;
}

inline void stamp(session::RuntimeCommit& commit, const std::string& turn_id) {
  commit.turn_commit = {commit.session_id, turn_id, session::turn_commit_hash(commit)};
}

inline session::SessionNode node(const std::string& id, const std::string& parent = {}) {
  session::SessionNode made;
  made.node_id = id;
  made.parent_node_id = parent;
  made.payload = Value::object({{"kind", "event"}, {"text", id}});
  return made;
}

inline session::RuntimeCommit with_nodes(session::RuntimeCommit commit,
                                         std::vector<session::SessionNode> nodes,
                                         const std::string& leaf) {
  commit.graph = {session::GraphDelta::Kind::append, std::move(nodes), leaf};
  return commit;
}

inline std::vector<std::string> ids_of(const session::SessionGraph& graph) {
  std::vector<std::string> ids;
  for (const auto& each : graph.nodes) ids.push_back(each.node_id);
  return ids;
}

// A batch of one text; more is set by the case.
inline session::QueuedWorkDraft draft(const std::string& session_id, const std::string& text,
                                      const std::string& source_key = {}) {
  session::QueuedWorkDraft made;
  made.session_id = session_id;
  made.source_key = source_key;
  made.payloads.push_back({session::PayloadKind::turn_input, Value::object({{"text", text}})});
  return made;
}

inline std::string text_of(const session::QueuedWorkBatch& batch) {
  const auto* text = batch.items.at(0).payload.body.find("text");
  return text == nullptr ? "" : std::string(text->as_string());
}

inline std::vector<std::string> texts_of(const std::vector<session::QueuedWorkBatch>& batches) {
  std::vector<std::string> texts;
  for (const auto& each : batches) texts.push_back(text_of(each));
  return texts;
}

using Texts = std::vector<std::string>;
using Status = Result<void>;

// A refused step has to leave every table as it was.
template <typename T>
Error expect_no_trace(World& world, Function<Result<T>()> step, Code code, std::string_view rule) {
  const auto before = world.dump();
  const auto refused = expect_refused(step(), code, rule);
  expect(world.dump() == before, "a refused change leaves no trace", rule);
  return refused;
}

}  // namespace clew::conformance
