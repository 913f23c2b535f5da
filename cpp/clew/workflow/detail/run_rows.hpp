// workflow/detail/run_rows.hpp: what the database holds of runs, and the only SQL about them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/store/lease.hpp"
#include "clew/store/store.hpp"
#include "clew/store/stream.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::workflow {

inline constexpr std::string_view run_kind = "run";  // of leases

// A run's row. `number` is its key in the database: its stream of events and its lease go by it.
struct RunRow {
  std::int64_t number = 0;
  std::string digest;  // of its definition
  RunInfo info;
  store::Durability durability = store::Durability::sync;
};

struct NewRun {
  std::string id;
  const Definition* definition = nullptr;
  std::string input;  // JSON
  std::string tags;   // JSON
  int priority = 0;
  store::Durability durability = store::Durability::sync;
  Timestamp created;
  std::string key;  // may be empty
};

// Inserts a run; nothing when there is one of that id, or of that workflow and key, already.
Result<std::optional<std::int64_t>> insert_run(store::Transaction& tx, const NewRun& run);
// How a run ended.
Result<void> end_run(store::Transaction& tx, std::int64_t number, const RunState& state);
Result<std::optional<RunRow>> find_run(store::Transaction& tx, const std::string& id);
Result<std::optional<RunRow>> find_run(store::Transaction& tx, std::int64_t number);
Result<std::optional<RunRow>> find_run_by_key(store::Transaction& tx, const std::string& workflow,
                                              const std::string& key);
Result<std::vector<RunRow>> list_runs(store::Transaction& tx, const RunQuery& query);

Result<void> keep_definition(store::Transaction& tx, const Definition& definition);
// The document of that digest.
Result<std::optional<std::string>> find_document(store::Transaction& tx, const std::string& digest);
// `conflict` when that name and version has another digest.
Result<void> publish_definition(store::Transaction& tx, const Definition& definition,
                                Timestamp now);
struct Published {
  std::string version;
  std::string digest;
};
Result<std::vector<Published>> published_versions(store::Transaction& tx, const std::string& name);

// An event in the form in which it is stored. Text is made here, off the writer's thread.
store::StreamEvent to_stream_event(const Definition& definition, const RunEvent& event,
                                   std::int64_t seq);
// `corrupt` for an event that this definition cannot have.
Result<RunEvent> from_stream_event(const Definition& definition, const store::StreamEvent& event);
Result<EventInfo> to_event_info(const store::StreamEvent& event);

struct LoadedState {
  RunState state;
  Value pins;  // step → exact reference, as the run was started with
};
// All events of a run, folded. `corrupt` naming the sequence where it cannot be.
Result<LoadedState> load_state(store::Transaction& tx, const Definition& definition,
                               std::int64_t number);

// What is wrong with the stored runs: (invariant, detail) pairs.
Result<std::vector<std::pair<std::string, std::string>>> verify_runs(store::Transaction& tx);

}  // namespace clew::workflow
