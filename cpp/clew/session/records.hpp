// session/records.hpp: what the session stores keep. All are values; what comes as JSON is read by
// from_value(), which names the path of what is wrong, and written by to_value().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/base/time.hpp"

namespace clew::session {

struct TokenUsage {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cached_input_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  bool is_zero() const { return *this == TokenUsage(); }
  friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
};

struct TokenLedgerEntry {
  std::string source;
  std::string model;
  TokenUsage usage;
  friend bool operator==(const TokenLedgerEntry&, const TokenLedgerEntry&) = default;
};

// A part of a checkpoint: what it is, or under which id it is stored already, or both. A part with
// neither is absent.
template <typename T>
struct Part {
  std::string ref;  // id of the blob
  std::optional<T> body;
  bool is_absent() const { return ref.empty() && !body; }
  friend bool operator==(const Part&, const Part&) = default;
};

struct Checkpoint {
  std::int64_t turn_index = 0;
  TokenUsage token_usage;
  Value last_prompt_usage;  // null: none
  Value protocol_turn_options;
  Part<Value> tool_state;  // an object with `generation`
  Part<Value> plugin_snapshot;
  std::int64_t plugin_snapshot_revision = 0;
  Part<std::string> execution_state;  // opaque bytes
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

enum class FrameStatus : std::uint8_t { active, superseded };

struct AgentFrame {
  std::string frame_id;
  std::string session_id;
  std::string previous_frame_id;  // empty: none
  FrameStatus status = FrameStatus::active;
  std::string reason;  // open: initial, continue_as, compaction, …
  Value caused_by;
  std::optional<Timestamp> created_at;
  Value assignment;
  Value protocol_turn_options;
  Part<std::string> execution_state;
  friend bool operator==(const AgentFrame&, const AgentFrame&) = default;
};

struct SessionNode {
  std::string node_id;
  std::string parent_node_id;  // empty: a root
  Value caused_by;
  std::string agent_frame_id;
  std::optional<Timestamp> timestamp;
  Value payload;
  friend bool operator==(const SessionNode&, const SessionNode&) = default;
};

// Nodes in the order in which they were inserted, and where the conversation stands.
struct SessionGraph {
  std::vector<SessionNode> nodes;
  std::string leaf_node_id;  // empty: none
};

struct GraphDelta {
  enum class Kind : std::uint8_t { unchanged, append, replace_full };
  Kind kind = Kind::unchanged;
  std::vector<SessionNode> nodes;           // of append and replace_full
  std::optional<std::string> leaf_node_id;  // nothing: as it was (unchanged) or none
};

struct SessionConfig {
  std::string provider_id;
  std::string model;
  friend bool operator==(const SessionConfig&, const SessionConfig&) = default;
};

// Says which turn a commit is of, so that it is applied once.
struct TurnStamp {
  std::string session_id;
  std::string turn_id;
  std::string turn_commit_hash;  // turn_commit_hash() of the commit
};

// What a claim's owner shows when its batches are done: all of them.
struct QueuedWorkCompletion {
  std::string session_id;
  std::string claim_id;
  std::string lease_token;
  std::vector<std::string> batch_ids;
};

// The new state of a session, applied whole or not at all.
struct RuntimeCommit {
  std::string session_id;
  std::optional<std::int64_t> expected_head_revision;  // nothing: there must be no head yet
  SessionConfig config;
  std::vector<AgentFrame> agent_frames;
  std::string current_agent_frame_id;  // empty only without frames
  GraphDelta graph;
  Checkpoint checkpoint;
  std::vector<TokenLedgerEntry> usage_deltas;
  std::optional<TurnStamp> turn_commit;
  std::vector<QueuedWorkCompletion> completed_queue_claims;
  std::vector<std::string> committed_attachment_ids;
};

struct CommitResult {
  std::int64_t head_revision = 0;
  std::string checkpoint_ref;
  Value manifest;  // what the checkpoint consists of, by id
  friend bool operator==(const CommitResult&, const CommitResult&) = default;
};

enum class Relation : std::uint8_t { root, child };

struct SessionMeta {
  std::string session_id;
  std::string session_name;
  std::optional<Timestamp> created_at;
  std::string model;
  std::string cwd;  // empty: none
  Relation relation = Relation::root;
  std::string parent_session_id;  // of a child
  Value caused_by;                // of a child
  friend bool operator==(const SessionMeta&, const SessionMeta&) = default;
};

// Which part of the graph is read.
struct ReadScope {
  bool is_active_path = false;
  std::string leaf_node_id;  // of an active path; empty: the session's own leaf
};

struct PersistedSession {
  std::string session_id;
  std::int64_t head_revision = 0;
  SessionConfig config;
  std::vector<AgentFrame> agent_frames;
  std::string current_agent_frame_id;
  SessionGraph graph;
  std::string checkpoint_ref;
  Checkpoint checkpoint;
  std::vector<TokenLedgerEntry> token_ledger;
};

struct GcReport {
  std::int64_t root_count = 0;
  std::int64_t retained_blob_count = 0;
  std::int64_t deleted_blob_count = 0;
};

struct VacuumReport {
  std::int64_t removed_node_count = 0;
};

// The hash that a commit's stamp carries. It covers what the turn changes and not how it came to be
// committed: neither the expected revision, the stamp and the claims, nor clocks and the ids of
// nodes and messages, which a repeated turn makes anew. Bytes count by their ids.
std::string turn_commit_hash(const RuntimeCommit& commit);

// The id of a session's first frame.
std::string initial_frame_id(std::string_view session_id);
// Appends a frame, which becomes the current one and supersedes the one before.
void append_frame(RuntimeCommit& commit, AgentFrame frame);
// Sets the snapshot of the state and of the current frame.
void set_execution_state(RuntimeCommit& commit, std::string bytes);

Value to_value(const TokenUsage& usage);
Value to_value(const TokenLedgerEntry& entry);
Value to_value(const Checkpoint& checkpoint);
Value to_value(const AgentFrame& frame);
Value to_value(const SessionNode& node);
Value to_value(const SessionGraph& graph);
Value to_value(const SessionMeta& meta);
Value to_value(const CommitResult& result);
Value to_value(const PersistedSession& session);
Value to_value(const QueuedWorkCompletion& completion);
Value to_value(const RuntimeCommit& commit);

// The frame that is said to be the current one is active, all others are superseded.
Result<RuntimeCommit> commit_from_value(const Value& value, const std::string& path);
Result<SessionMeta> meta_from_value(const Value& value, const std::string& path);
Result<AgentFrame> frame_from_value(const Value& value, const std::string& path);
Result<SessionNode> node_from_value(const Value& value, const std::string& path);
Result<QueuedWorkCompletion> completion_from_value(const Value& value, const std::string& path);
Result<ReadScope> scope_from_value(const Value& value, const std::string& path);

}  // namespace clew::session
