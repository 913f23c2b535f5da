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
  std::string workspace;
};

// Inserts a run; nothing when there is one of that id, or of that workflow and key, already.
Result<std::optional<std::int64_t>> insert_run(store::Transaction& tx, const NewRun& run);
// How a run ended.
Result<void> end_run(store::Transaction& tx, std::int64_t number, const RunState& state);
Result<std::optional<RunRow>> find_run(store::Transaction& tx, const std::string& id);
Result<std::optional<RunRow>> find_run(store::Transaction& tx, std::int64_t number);
struct StartKey {
  std::string workspace;
  std::string workflow;
  std::string key;
};
Result<std::optional<RunRow>> find_run_by_key(store::Transaction& tx, const StartKey& key);
Result<std::vector<RunRow>> list_runs(store::Transaction& tx, const RunQuery& query);

Result<void> keep_definition(store::Transaction& tx, const Definition& definition);
// The definition of that digest. `corrupt` when it is not kept, or is not what its row says.
Result<DefinitionPtr> read_definition(store::Transaction& tx, const std::string& digest);
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
// Events as users see them. Errors as store::read_events and from_stream_event().
Result<std::vector<EventInfo>> read_event_infos(store::Transaction& tx,
                                                const Definition& definition, std::int64_t number,
                                                std::int64_t after, int limit);

// What a run was started with.
struct Pinned {
  Value pins;  // step → exact reference
  Value lock;  // exact reference → digest; null of runs that have none
};
struct LoadedState {
  RunState state;
  Pinned pinned;
};
// All events of a run, folded. `corrupt` naming the sequence where it cannot be.
Result<LoadedState> load_state(store::Transaction& tx, const Definition& definition,
                               std::int64_t number);

// Whether a run's row says what its events lead to; `corrupt` naming what differs.
Result<void> check_row(const RunRow& row, const Definition& definition, const RunState& state);

// Reads every row of runs, workflows and published, and reports each that cannot be.
Result<void> check_rows(store::Transaction& tx, const store::ReportRow& report);
// The same for events.
Result<void> check_events(store::Transaction& tx, const store::ReportRow& report);
// The numbers of runs above `after`, ascending, at most `limit`.
Result<std::vector<std::int64_t>> run_numbers(store::Transaction& tx, std::int64_t after,
                                              int limit);

}  // namespace clew::workflow
