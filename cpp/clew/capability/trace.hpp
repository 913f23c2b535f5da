// capability/trace.hpp: the record that every call leaves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/json.hpp"
#include "clew/base/time.hpp"
#include "clew/capability/call_path.hpp"
#include "clew/capability/contract.hpp"
#include "clew/capability/trace_context.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew {

// Where a call belongs when it is a step of a run.
struct StepTag {
  std::string run{};   // id of the run; empty: a bare call
  std::string step{};  // name of the step
  int item = -1;       // index within for_each
  int attempt = 1;
};

// SHA-256 of the canonical form of what went in and came out.
struct TraceDigests {
  Digest input{};
  std::optional<Digest> output;
};

// What a finished call leaves, as it is handed to the TraceStore. Cheap to make: digests and text
// are made later, off the caller's path. A value.
struct TraceRecord {
  Id id;
  Id parent;                 // nil: none
  CapabilityPtr capability;  // null when none was found
  std::string reference;     // what the caller named, when `capability` is null
  std::string target;
  std::string executor;
  CallPath path;
  CallOutcome outcome = CallOutcome::success;
  std::optional<Code> code;  // of the error
  Timestamp started;
  std::int64_t queue_ns = 0;
  std::int64_t run_ns = 0;
  std::int64_t ended_ns = 0;  // the clock's ticks at the end of the call; 0: not known
  // Kept only until the digests are taken; large ones are digested at once by the store.
  Value input;
  Value output;
  bool has_output = false;
  std::shared_ptr<const StepTag> tag;  // null for a bare call
  std::string correlation_id;
  TraceContext context;  // its trace nil: that of the call's own id
  // What was considered for the reference, and by whom it might have run; null where there was no
  // choice. As Trace has them.
  Value versions;
  Value executors;
  std::shared_ptr<const TraceDigests> digests;  // once taken; `input` and `output` are unused then
};

// Takes the digests and lets go of the payloads. No effect on a record that has digests. insert()
// spares its transaction that work for a record that was prepared so.
void take_digests(TraceRecord& record);

// A trace as a reader sees it. A value.
struct Trace {
  Id id;
  std::optional<Id> parent;
  std::string capability;  // id, or the reference that was not found
  std::string version;     // empty when none was found
  std::string target;
  std::string executor;
  CallOutcome outcome = CallOutcome::success;
  std::string code;  // empty on success
  Timestamp started;
  std::int64_t queue_us = 0;
  std::int64_t run_us = 0;
  std::int64_t commit_us = 0;  // from the end of the call until its row was written; 0 in memory
  std::string input_sha256;
  std::string output_sha256;  // empty without output
  int attempt = 1;
  std::string run;
  std::string step;
  int item = -1;
  std::string correlation_id;
  std::string traceparent;    // what the call hands on, as W3C Trace Context has it
  std::string remote_parent;  // the span of another process that asked for it; may be empty
  CallPath path;              // empty for a trace of an older version
  // [{version, scope, lifecycle, rejected}], highest first, and [{executor, target, load,
  // rejected}] by name: null where there was no choice; `rejected` is null for what was taken. At
  // most considered_max of each.
  Value versions;
  Value executors;
};
// Which traces to read; all conditions must hold. `invalid_input` names a field that is wrong: a
// version or code that is none, a limit out of range, a cursor that no page gave.
struct TraceQuery {
  std::string capability{};  // exact id; empty: all
  std::string version{};
  std::optional<CallOutcome> outcome{};
  std::string code{};
  std::optional<Timestamp> since{};  // started in [since, until)
  std::optional<Timestamp> until{};
  std::string run{};
  int limit = 100;       // 1 to 10,000
  std::string cursor{};  // of an earlier page
};

struct TracePage {
  std::vector<Trace> traces;  // newest first: by start of the call, then id
  // Empty on the last page. Goes on below the last trace of this page, whatever came meanwhile.
  std::string next_cursor;
};

// How much is kept. Both are positive.
struct TraceRetention {
  std::int64_t count_max = 100'000;
  Duration age_max = std::chrono::hours(24 * 30);  // over at now >= started + age_max
};

struct TraceStats {
  std::int64_t recorded = 0;  // by record()
  std::int64_t dropped_by_retention = 0;
  std::int64_t pending = 0;  // recorded and not yet in the database
  std::int64_t lost = 0;     // recorded after close(), or what close() could not write
  std::string last_error{};  // why the last write failed; empty when it did not
};

// Reads every stored trace, and reports those that cannot be.
Result<void> check_traces(store::Transaction& tx, const store::ReportRow& report);

// The tables and views of traces, one migration (`v_traces` for readers of SQL).
store::Migration trace_migration(int version);
// What was added later: how a call went, and whose trace it belongs to.
store::Migration trace_path_migration(int version);

// Keeps the traces of all calls in the database, bounded by retention. Thread-safe.
// record() is called by every call: it takes a lock for a few instructions and never waits for the
// disk. In a file store a flusher writes pending traces in groups within `flush_within`, so that a
// killed process loses at most the bare calls of that window (steps of runs commit their traces
// themselves, with insert()). In memory, pending traces stay in a ring of `count_max` until someone
// asks. No payload is ever stored: only digests.
// What a failed write could not store stays pending and is tried again. Whenever more than
// `count_max` are pending, the oldest go, as they would from the database.
// The number of rows may exceed `count_max` a little between two flushes. What is older than
// `age_max` no reader sees; its rows are deleted soon after they expire (in a file), at the next
// read (in memory), or after the store is opened again.
class TraceStore {
 public:
  virtual ~TraceStore() = default;
  // A second record with an id that stands there is ignored, here and in insert().
  virtual void record(TraceRecord record) = 0;
  // Writes one trace within the caller's transaction, and deletes the oldest if they are more
  // than a few too many. `dropped_by_retention` counts these each time that it is run.
  virtual Result<void> insert(store::Transaction& tx, const TraceRecord& record) = 0;
  // What was recorded before the call is seen. Blocks for the disk. Besides TraceQuery's errors,
  // those of the database; `corrupt` names the row.
  virtual Result<TracePage> query(const TraceQuery& query) = 0;
  // `not_found` naming the id.
  virtual Result<Trace> find(const Id& id) = 0;
  // Writes what is pending and applies retention: at its end no more than `count_max` are there,
  // but for those that others added meanwhile. Blocks.
  virtual Result<void> flush() = 0;
  virtual TraceStats stats() const = 0;
  // Joins the flusher and writes what is pending, except in memory, where nobody could read it
  // later. Readers still work while the database does. Idempotent; blocks.
  virtual void close() = 0;
};

// `database` and `env` are borrowed and outlive the store.
std::unique_ptr<TraceStore> make_trace_store(store::Database& database, Env& env,
                                             TraceRetention retention,
                                             Duration flush_within = std::chrono::milliseconds(5));

}  // namespace clew
