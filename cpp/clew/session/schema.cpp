#include "clew/session/schema.hpp"

namespace clew::session {
namespace {

// sessions: the head of a session, whose row is locked by whoever changes the session. Revision 0:
// nothing was committed yet. With deleted_us the session is gone for ever; only this row is left.
// session_nodes: position is the order of insertion; with tombstone_us a node waits for the vacuum.
// attachments: what a session wants stored (an intent), and has. attachment_files: the files that
// hold large ones, whoever's; a generation that is being removed is never written to again.
constexpr const char* tables_sql = R"sql(
CREATE TABLE sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  head_revision {integer} NOT NULL,
  provider_id TEXT NOT NULL,
  model TEXT NOT NULL,
  current_frame TEXT NOT NULL,
  leaf_node TEXT NOT NULL,
  checkpoint_ref TEXT NOT NULL,
  last_position {integer} NOT NULL,
  deleted_us {integer}
) {clustered};

CREATE TABLE session_meta (
  session_id TEXT NOT NULL PRIMARY KEY,
  meta TEXT NOT NULL
) {clustered};

CREATE TABLE session_frames (
  session_id TEXT NOT NULL,
  position {integer} NOT NULL,
  frame_id TEXT NOT NULL,
  frame TEXT NOT NULL,
  PRIMARY KEY (session_id, position)
) {clustered};

CREATE TABLE session_nodes (
  session_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  position {integer} NOT NULL,
  parent_id TEXT NOT NULL,
  node TEXT NOT NULL,
  tombstone_us {integer},
  PRIMARY KEY (session_id, node_id)
) {table};
CREATE UNIQUE INDEX session_nodes_position ON session_nodes (session_id, position);
CREATE INDEX session_nodes_parent ON session_nodes (session_id, parent_id);

CREATE TABLE session_usage (
  session_id TEXT NOT NULL,
  position {integer} NOT NULL,
  source TEXT NOT NULL,
  model TEXT NOT NULL,
  input_tokens {integer} NOT NULL,
  output_tokens {integer} NOT NULL,
  cached_input_tokens {integer} NOT NULL,
  reasoning_tokens {integer} NOT NULL,
  PRIMARY KEY (session_id, source, model)
) {clustered};

CREATE TABLE session_turns (
  session_id TEXT NOT NULL,
  turn_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  result TEXT NOT NULL,
  PRIMARY KEY (session_id, turn_id)
) {clustered};

CREATE TABLE queued_batches (
  session_id TEXT NOT NULL,
  batch_id TEXT NOT NULL,
  batch TEXT NOT NULL,
  PRIMARY KEY (session_id, batch_id)
) {clustered};

CREATE TABLE attachments (
  session_id TEXT NOT NULL,
  attachment_id TEXT NOT NULL,
  uri TEXT NOT NULL,
  intent_us {integer} NOT NULL,
  committed_us {integer},
  place TEXT NOT NULL,
  meta TEXT,
  PRIMARY KEY (session_id, attachment_id)
) {clustered};
CREATE INDEX attachments_intent ON attachments (intent_us) WHERE committed_us IS NULL;
CREATE INDEX attachments_id ON attachments (attachment_id);

CREATE TABLE attachment_files (
  attachment_id TEXT NOT NULL PRIMARY KEY,
  generation {integer} NOT NULL,
  state TEXT NOT NULL,
  touched_us {integer} NOT NULL
) {clustered};

CREATE TABLE artifacts (
  module_ref TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  stored_us {integer} NOT NULL
) {clustered};

CREATE TABLE trigger_subscriptions (
  number {identity_forever},
  subscription_id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  source_type TEXT NOT NULL,
  source_key TEXT NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  draft TEXT NOT NULL,
  enabled {integer} NOT NULL,
  created_us {integer} NOT NULL,
  updated_us {integer} NOT NULL
) {table};
CREATE INDEX trigger_subscriptions_source
  ON trigger_subscriptions (source_type, source_key) WHERE enabled = 1;
CREATE INDEX trigger_subscriptions_session ON trigger_subscriptions (session_id);

CREATE TABLE host_events (
  occurrence_id TEXT NOT NULL PRIMARY KEY,
  source_type TEXT NOT NULL,
  source_key TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  payload TEXT NOT NULL,
  source TEXT,
  occurred_us {integer} NOT NULL
) {clustered};
CREATE INDEX host_events_time ON host_events (occurred_us);

CREATE TABLE trigger_deliveries (
  occurrence_id TEXT NOT NULL,
  number {integer} NOT NULL,
  process_id TEXT NOT NULL,
  reserved_us {integer} NOT NULL,
  registered_us {integer},
  PRIMARY KEY (occurrence_id, number)
) {clustered};
CREATE UNIQUE INDEX trigger_deliveries_process ON trigger_deliveries (process_id);
CREATE INDEX trigger_deliveries_open
  ON trigger_deliveries (reserved_us) WHERE registered_us IS NULL;
)sql";

}  // namespace

store::Migration session_migration(int version) { return {version, "sessions", tables_sql}; }

}  // namespace clew::session
