// The records as JSON; read_records.cpp reads them.
#include "clew/session/records.hpp"

#include <algorithm>

#include "clew/session/detail/fields.hpp"
#include "clew/session/detail/words.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {
namespace {

using detail::object_of;
using detail::text_or_null;

Value instant_or_null(const std::optional<Timestamp>& at) { return at ? Value(at->us) : Value(); }

template <typename T>
Value values_of(const std::vector<T>& all) {
  std::vector<Value> values;
  values.reserve(all.size());
  for (const auto& each : all) values.push_back(to_value(each));
  return Value::array(std::move(values));
}

Value words_of(const std::vector<std::string>& all) {
  return Value::array({all.begin(), all.end()});
}

Value part_value(const Part<Value>& part) {
  if (part.is_absent()) return {};
  return object_of({{"ref", text_or_null(part.ref)}, {"body", part.body.value_or(Value())}});
}

Value part_value(const Part<std::string>& part) {
  if (part.is_absent()) return {};
  return object_of({{"ref", text_or_null(part.ref)},
                    {"body", part.body ? Value(detail::to_base64(*part.body)) : Value()}});
}

template <typename T>
std::string ref_of(const Part<T>& part) {
  if (!part.body) return part.ref;
  if constexpr (std::is_same_v<T, Value>) {
    return store::blob_id(canonical_json(*part.body));
  } else {
    return store::blob_id(*part.body);
  }
}

Value delta_value(const GraphDelta& delta) {
  return object_of(
      {{"kind", Value(detail::word_of(delta.kind, detail::delta_kinds))},
       {"nodes", delta.kind == GraphDelta::Kind::unchanged ? Value() : values_of(delta.nodes)},
       {"leaf_node_id", delta.leaf_node_id ? Value(*delta.leaf_node_id) : Value()}});
}

// What a repeated turn makes anew: ids of nodes and messages, and clocks.
bool is_transient(const Value& object, std::string_view key) {
  if (key == "node_id" || key == "parent_node_id" || key == "leaf_node_id" || key == "timestamp") {
    return true;
  }
  const auto has = [&](std::string_view name) { return object.find(name) != nullptr; };
  const bool is_message = has("role") && has("parts");
  const bool is_part = has("kind") && has("content") && has("prune_state");
  return key == "id" && (is_message || is_part);
}

Value without_transients(const Value& value) {
  if (value.is_array()) {
    std::vector<Value> items;
    for (const auto& each : value.items()) items.push_back(without_transients(each));
    return Value::array(std::move(items));
  }
  if (!value.is_object()) return value;
  std::vector<Member> members;
  for (const auto& [key, each] : value.members()) {
    if (!is_transient(value, key)) members.push_back({key, without_transients(each)});
  }
  return Value::object(std::move(members));
}

}  // namespace

Value to_value(const TokenUsage& usage) {
  return Value::object({{"input_tokens", usage.input_tokens},
                        {"output_tokens", usage.output_tokens},
                        {"cached_input_tokens", usage.cached_input_tokens},
                        {"reasoning_tokens", usage.reasoning_tokens}});
}

Value to_value(const TokenLedgerEntry& entry) {
  return Value::object(
      {{"source", entry.source}, {"model", entry.model}, {"usage", to_value(entry.usage)}});
}

Value to_value(const Checkpoint& checkpoint) {
  return object_of({{"turn_index", checkpoint.turn_index},
                    {"token_usage", to_value(checkpoint.token_usage)},
                    {"last_prompt_usage", checkpoint.last_prompt_usage},
                    {"protocol_turn_options", checkpoint.protocol_turn_options},
                    {"tool_state", part_value(checkpoint.tool_state)},
                    {"plugin_snapshot", part_value(checkpoint.plugin_snapshot)},
                    {"plugin_snapshot_revision", checkpoint.plugin_snapshot_revision},
                    {"execution_state", part_value(checkpoint.execution_state)}});
}

Value to_value(const AgentFrame& frame) {
  return object_of({{"frame_id", frame.frame_id},
                    {"session_id", frame.session_id},
                    {"previous_frame_id", text_or_null(frame.previous_frame_id)},
                    {"status", Value(detail::word_of(frame.status, detail::frame_statuses))},
                    {"reason", frame.reason},
                    {"caused_by", frame.caused_by},
                    {"created_at", instant_or_null(frame.created_at)},
                    {"assignment", frame.assignment},
                    {"protocol_turn_options", frame.protocol_turn_options},
                    {"execution_state", part_value(frame.execution_state)}});
}

Value to_value(const SessionNode& node) {
  return object_of({{"node_id", node.node_id},
                    {"parent_node_id", text_or_null(node.parent_node_id)},
                    {"caused_by", node.caused_by},
                    {"agent_frame_id", text_or_null(node.agent_frame_id)},
                    {"timestamp", instant_or_null(node.timestamp)},
                    {"payload", node.payload}});
}

Value to_value(const SessionGraph& graph) {
  return object_of(
      {{"nodes", values_of(graph.nodes)}, {"leaf_node_id", text_or_null(graph.leaf_node_id)}});
}

Value to_value(const SessionMeta& meta) {
  return object_of({{"session_id", meta.session_id},
                    {"session_name", meta.session_name},
                    {"created_at", instant_or_null(meta.created_at)},
                    {"model", meta.model},
                    {"cwd", text_or_null(meta.cwd)},
                    {"relation", Value(detail::word_of(meta.relation, detail::relations))},
                    {"parent_session_id", text_or_null(meta.parent_session_id)},
                    {"caused_by", meta.caused_by}});
}

Value to_value(const CommitResult& result) {
  return Value::object({{"head_revision", result.head_revision},
                        {"checkpoint_ref", result.checkpoint_ref},
                        {"manifest", result.manifest}});
}

Value to_value(const PersistedSession& session) {
  return Value::object({{"session_id", session.session_id},
                        {"head_revision", session.head_revision},
                        {"config", Value::object({{"provider_id", session.config.provider_id},
                                                  {"model", session.config.model}})},
                        {"agent_frames", values_of(session.agent_frames)},
                        {"current_agent_frame_id", text_or_null(session.current_agent_frame_id)},
                        {"graph", to_value(session.graph)},
                        {"checkpoint_ref", session.checkpoint_ref},
                        {"checkpoint", to_value(session.checkpoint)},
                        {"token_ledger", values_of(session.token_ledger)}});
}

Value to_value(const QueuedWorkCompletion& completion) {
  return Value::object({{"session_id", completion.session_id},
                        {"claim_id", completion.claim_id},
                        {"lease_token", completion.lease_token},
                        {"batch_ids", words_of(completion.batch_ids)}});
}

Value to_value(const RuntimeCommit& commit) {
  Value stamp;
  if (commit.turn_commit) {
    stamp = Value::object({{"session_id", commit.turn_commit->session_id},
                           {"turn_id", commit.turn_commit->turn_id},
                           {"turn_commit_hash", commit.turn_commit->turn_commit_hash}});
  }
  return object_of(
      {{"session_id", commit.session_id},
       {"expected_head_revision",
        commit.expected_head_revision ? Value(*commit.expected_head_revision) : Value()},
       {"config", Value::object({{"provider_id", commit.config.provider_id},
                                 {"model", commit.config.model}})},
       {"agent_frames", values_of(commit.agent_frames)},
       {"current_agent_frame_id", text_or_null(commit.current_agent_frame_id)},
       {"graph", delta_value(commit.graph)},
       {"checkpoint", to_value(commit.checkpoint)},
       {"usage_deltas", values_of(commit.usage_deltas)},
       {"turn_commit", stamp},
       {"completed_queue_claims", values_of(commit.completed_queue_claims)},
       {"committed_attachment_ids", words_of(commit.committed_attachment_ids)}});
}

std::string turn_commit_hash(const RuntimeCommit& commit) {
  auto covered = commit;
  covered.expected_head_revision.reset();
  covered.turn_commit.reset();
  covered.completed_queue_claims.clear();
  const auto by_ref = [](auto& part) {
    part.ref = ref_of(part);
    part.body.reset();
  };
  by_ref(covered.checkpoint.tool_state);
  by_ref(covered.checkpoint.plugin_snapshot);
  by_ref(covered.checkpoint.execution_state);
  for (auto& frame : covered.agent_frames) {
    frame.created_at = Timestamp{};
    by_ref(frame.execution_state);
  }
  return to_hex(digest_of(without_transients(to_value(covered))));
}

std::string initial_frame_id(std::string_view session_id) {
  return fmt::format("{}:frame:initial", session_id);
}

void append_frame(RuntimeCommit& commit, AgentFrame frame) {
  for (auto& each : commit.agent_frames) each.status = FrameStatus::superseded;
  frame.status = FrameStatus::active;
  commit.current_agent_frame_id = frame.frame_id;
  commit.agent_frames.push_back(std::move(frame));
}

void set_execution_state(RuntimeCommit& commit, std::string bytes) {
  for (auto& each : commit.agent_frames) {
    if (each.frame_id == commit.current_agent_frame_id) each.execution_state = {{}, bytes};
  }
  commit.checkpoint.execution_state = {{}, std::move(bytes)};
}

}  // namespace clew::session
