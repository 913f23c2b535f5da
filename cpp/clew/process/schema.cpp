#include "clew/process/registry.hpp"

namespace clew::process {
namespace {

// processes: a pruned one keeps its row, so that its id never comes back.
// process_wakes: what was not acknowledged yet.
constexpr const char* sql = R"sql(
CREATE TABLE processes (
  number {identity_forever},
  id TEXT NOT NULL UNIQUE,
  owner_session TEXT NOT NULL,
  hash TEXT NOT NULL,
  registration TEXT NOT NULL,
  status TEXT NOT NULL,
  output TEXT,
  external_ref TEXT,
  last_seq {integer} NOT NULL,
  created_us {integer} NOT NULL,
  updated_us {integer} NOT NULL,
  pruned_us {integer}
) {table};
CREATE INDEX processes_live ON processes (id) WHERE status = 'running';
CREATE INDEX processes_ended ON processes (updated_us) WHERE status <> 'running' AND pruned_us IS NULL;

CREATE TABLE process_grants (
  session_id TEXT NOT NULL,
  frame_id TEXT NOT NULL,
  process_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  PRIMARY KEY (session_id, frame_id, process_id)
) {clustered};
CREATE INDEX grants_of_process ON process_grants (process_id, session_id, frame_id);

CREATE TABLE process_wakes (
  process {integer} NOT NULL,
  seq {integer} NOT NULL,
  PRIMARY KEY (process, seq)
) {clustered};

CREATE VIEW v_processes AS
  SELECT id, status, owner_session, registration, output, external_ref, last_seq, created_us,
         updated_us
    FROM processes WHERE pruned_us IS NULL;
CREATE VIEW v_process_events AS
  SELECT p.id AS process_id, e.seq, e.at_us, e.type, e.data
    FROM events e JOIN processes p ON e.stream = p.number + 72057594037927936;
)sql";

}  // namespace

store::Migration process_migration(int version) { return {version, "processes", sql}; }

}  // namespace clew::process
