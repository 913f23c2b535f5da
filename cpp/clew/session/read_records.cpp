// The records from JSON; records.cpp writes them.
#include "clew/session/detail/fields.hpp"
#include "clew/session/detail/words.hpp"
#include "clew/session/records.hpp"

namespace clew::session {
namespace {

using detail::Fields;
using detail::Word;

Result<TokenUsage> usage_from(const Value& value, const std::string& path) {
  TokenUsage usage;
  if (value.is_null()) return usage;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(usage.input_tokens, in.integer("input_tokens", 0, 0));
  CLEW_TRY(usage.output_tokens, in.integer("output_tokens", 0, 0));
  CLEW_TRY(usage.cached_input_tokens, in.integer("cached_input_tokens", 0, 0));
  CLEW_TRY(usage.reasoning_tokens, in.integer("reasoning_tokens", 0, 0));
  CLEW_TRY(in.end());
  return usage;
}

Result<TokenLedgerEntry> entry_from(const Value& value, const std::string& path) {
  TokenLedgerEntry entry;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(entry.source, in.id("source"));
  CLEW_TRY(entry.model, in.id("model"));
  CLEW_TRY(entry.usage, usage_from(in.value("usage"), in.path_of("usage")));
  CLEW_TRY(in.end());
  return entry;
}

Result<Part<Value>> json_part(Fields& in, std::string_view key) {
  Part<Value> part;
  if (!in.has(key)) return part;
  CLEW_TRY(auto fields, Fields::of(in.value(key), in.path_of(key)));
  CLEW_TRY(part.ref, fields.id_if_given("ref"));
  if (fields.has("body")) part.body = fields.value("body");
  CLEW_TRY(fields.end());
  return part;
}

Result<Part<std::string>> bytes_part(Fields& in, std::string_view key) {
  Part<std::string> part;
  if (!in.has(key)) return part;
  CLEW_TRY(auto fields, Fields::of(in.value(key), in.path_of(key)));
  CLEW_TRY(part.ref, fields.id_if_given("ref"));
  if (fields.has("body")) {
    CLEW_TRY(part.body, detail::from_base64(fields.path_of("body"), fields.value("body")));
  }
  CLEW_TRY(fields.end());
  return part;
}

Result<Checkpoint> checkpoint_from(const Value& value, const std::string& path) {
  Checkpoint made;
  if (value.is_null()) return made;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(made.turn_index, in.integer("turn_index", 0, 0));
  CLEW_TRY(made.token_usage, usage_from(in.value("token_usage"), in.path_of("token_usage")));
  made.last_prompt_usage = in.value("last_prompt_usage");
  made.protocol_turn_options = in.value("protocol_turn_options");
  CLEW_TRY(made.tool_state, json_part(in, "tool_state"));
  CLEW_TRY(made.plugin_snapshot, json_part(in, "plugin_snapshot"));
  CLEW_TRY(made.plugin_snapshot_revision, in.integer("plugin_snapshot_revision", 0, 0));
  CLEW_TRY(made.execution_state, bytes_part(in, "execution_state"));
  CLEW_TRY(in.end());
  return made;
}

Result<GraphDelta> delta_from(const Value& value, const std::string& path) {
  GraphDelta delta;
  if (value.is_null()) return delta;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(delta.kind, in.word("kind", detail::delta_kinds));
  CLEW_TRY(delta.nodes, in.list<SessionNode>("nodes", node_from_value));
  if (in.has("leaf_node_id")) {
    CLEW_TRY(delta.leaf_node_id, in.id("leaf_node_id"));
  }
  CLEW_TRY(in.end());
  if (delta.kind == GraphDelta::Kind::unchanged && !delta.nodes.empty()) {
    return invalid_input(in.path_of("nodes"), in.value("nodes"), "none when nothing changes");
  }
  return delta;
}

Result<SessionConfig> config_from(const Value& value, const std::string& path) {
  SessionConfig config;
  if (value.is_null()) return config;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(config.provider_id, in.text("provider_id"));
  CLEW_TRY(config.model, in.text("model"));
  CLEW_TRY(in.end());
  return config;
}

Result<TurnStamp> stamp_from(const Value& value, const std::string& path) {
  TurnStamp stamp;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(stamp.session_id, in.id("session_id"));
  CLEW_TRY(stamp.turn_id, in.id("turn_id"));
  CLEW_TRY(stamp.turn_commit_hash, in.id("turn_commit_hash"));
  CLEW_TRY(in.end());
  return stamp;
}

Result<std::string> id_from(const Value& value, const std::string& path) {
  if (!value.is_string()) return invalid_input(path, value, "text that is not blank");
  CLEW_TRY(detail::check_id(path, value.as_string()));
  return std::string(value.as_string());
}

}  // namespace

Result<SessionNode> node_from_value(const Value& value, const std::string& path) {
  SessionNode node;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(node.node_id, in.id("node_id"));
  CLEW_TRY(node.parent_node_id, in.id_if_given("parent_node_id"));
  node.caused_by = in.value("caused_by");
  CLEW_TRY(node.agent_frame_id, in.id_if_given("agent_frame_id"));
  CLEW_TRY(node.timestamp, in.instant_if_given("timestamp"));
  node.payload = in.value("payload");
  CLEW_TRY(in.end());
  return node;
}

Result<AgentFrame> frame_from_value(const Value& value, const std::string& path) {
  AgentFrame frame;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(frame.frame_id, in.id("frame_id"));
  CLEW_TRY(frame.session_id, in.id("session_id"));
  CLEW_TRY(frame.previous_frame_id, in.id_if_given("previous_frame_id"));
  CLEW_TRY(frame.status, in.word("status", detail::frame_statuses, FrameStatus::active));
  CLEW_TRY(frame.reason, in.text("reason"));
  frame.caused_by = in.value("caused_by");
  CLEW_TRY(frame.created_at, in.instant_if_given("created_at"));
  frame.assignment = in.value("assignment");
  frame.protocol_turn_options = in.value("protocol_turn_options");
  CLEW_TRY(frame.execution_state, bytes_part(in, "execution_state"));
  CLEW_TRY(in.end());
  return frame;
}

Result<QueuedWorkCompletion> completion_from_value(const Value& value, const std::string& path) {
  QueuedWorkCompletion completion;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(completion.session_id, in.id("session_id"));
  CLEW_TRY(completion.claim_id, in.id("claim_id"));
  CLEW_TRY(completion.lease_token, in.id("lease_token"));
  CLEW_TRY(completion.batch_ids, in.list<std::string>("batch_ids", id_from));
  CLEW_TRY(in.end());
  return completion;
}

Result<SessionMeta> meta_from_value(const Value& value, const std::string& path) {
  SessionMeta meta;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(meta.session_id, in.id("session_id"));
  CLEW_TRY(meta.session_name, in.text("session_name"));
  CLEW_TRY(meta.created_at, in.instant_if_given("created_at"));
  CLEW_TRY(meta.model, in.text("model"));
  CLEW_TRY(meta.cwd, in.text("cwd"));
  CLEW_TRY(meta.relation, in.word("relation", detail::relations, Relation::root));
  CLEW_TRY(meta.parent_session_id, in.id_if_given("parent_session_id"));
  meta.caused_by = in.value("caused_by");
  CLEW_TRY(in.end());
  const bool is_child = meta.relation == Relation::child;
  if (is_child == meta.parent_session_id.empty()) {
    return invalid_input(in.path_of("parent_session_id"), Value(meta.parent_session_id),
                         is_child ? "the parent of a child" : "none for a root");
  }
  return meta;
}

Result<ReadScope> scope_from_value(const Value& value, const std::string& path) {
  ReadScope scope;
  if (value.is_null()) return scope;
  CLEW_TRY(auto in, Fields::of_kind(value, path));
  constexpr Word<bool> kinds[] = {{false, "full_graph"}, {true, "active_path"}};
  CLEW_TRY(scope.is_active_path, in.word("kind", kinds));
  CLEW_TRY(scope.leaf_node_id, in.id_if_given("leaf_node_id"));
  CLEW_TRY(in.end());
  return scope;
}

Result<RuntimeCommit> commit_from_value(const Value& value, const std::string& path) {
  RuntimeCommit made;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(made.session_id, in.id("session_id"));
  if (in.has("expected_head_revision")) {
    CLEW_TRY(made.expected_head_revision, in.integer("expected_head_revision", 0));
  }
  CLEW_TRY(made.config, config_from(in.value("config"), in.path_of("config")));
  CLEW_TRY(made.agent_frames, in.list<AgentFrame>("agent_frames", frame_from_value));
  CLEW_TRY(made.current_agent_frame_id, in.id_if_given("current_agent_frame_id"));
  for (auto& frame : made.agent_frames) {  // which one is current is said once
    frame.status = frame.frame_id == made.current_agent_frame_id ? FrameStatus::active
                                                                 : FrameStatus::superseded;
  }
  CLEW_TRY(made.graph, delta_from(in.value("graph"), in.path_of("graph")));
  CLEW_TRY(made.checkpoint, checkpoint_from(in.value("checkpoint"), in.path_of("checkpoint")));
  CLEW_TRY(made.usage_deltas, in.list<TokenLedgerEntry>("usage_deltas", entry_from));
  if (in.has("turn_commit")) {
    CLEW_TRY(made.turn_commit, stamp_from(in.value("turn_commit"), in.path_of("turn_commit")));
  }
  CLEW_TRY(made.completed_queue_claims,
           in.list<QueuedWorkCompletion>("completed_queue_claims", completion_from_value));
  CLEW_TRY(made.committed_attachment_ids,
           in.list<std::string>("committed_attachment_ids", id_from));
  CLEW_TRY(in.end());
  return made;
}

}  // namespace clew::session
