#include <unordered_map>

#include "clew/store/invariant.hpp"
#include "clew/store/owner.hpp"
#include "clew/workflow/detail/run_rows.hpp"
#include "clew/workflow/engine.hpp"

namespace clew::workflow {
namespace {

using store::Statement;

const store::Invariant invariants[] = {
    {"events.dense", "the events of a run are numbered from 1 without gaps", Statement(R"sql(
        SELECT r.id FROM runs r JOIN events e ON e.stream = r.run GROUP BY r.id
        HAVING MIN(e.seq) <> 1 OR MAX(e.seq) <> COUNT(*))sql")},
    {"runs.started", "the first event of every run is run.started", Statement(R"sql(
        SELECT r.id FROM runs r LEFT JOIN events e ON e.stream = r.run AND e.seq = 1
         WHERE e.type IS NULL OR e.type <> 'run.started')sql")},
    {"runs.ended_once", "a run has one ending event if and only if it has ended", Statement(R"sql(
        SELECT r.id FROM runs r LEFT JOIN events e ON e.stream = r.run
           AND e.type IN ('run.completed', 'run.failed', 'run.cancelled', 'run.unknown')
         GROUP BY r.id, r.status
        HAVING COUNT(e.seq) <> CASE WHEN r.status = 'running' THEN 0 ELSE 1 END)sql")},
    {"runs.status", "the status of a run is that of its ending event", Statement(R"sql(
        SELECT r.id FROM runs r JOIN events e ON e.stream = r.run
         WHERE e.type IN ('run.completed', 'run.failed', 'run.cancelled', 'run.unknown')
           AND e.type <> 'run.' || r.status)sql")},
    {"runs.silent_after_end", "nothing happens in a run after its end", Statement(R"sql(
        SELECT r.id FROM runs r JOIN events e ON e.stream = r.run
          JOIN events l ON l.stream = r.run AND l.seq > e.seq
         WHERE e.type IN ('run.completed', 'run.failed', 'run.cancelled', 'run.unknown'))sql")},
    {"runs.definition", "the definition of every run is kept", Statement(R"sql(
        SELECT r.id FROM runs r LEFT JOIN workflows w ON w.digest = r.digest
         WHERE w.digest IS NULL)sql")},
    {"runs.lease", "every run has one lease record", Statement(R"sql(
        SELECT r.id FROM runs r LEFT JOIN leases l ON l.kind = 'run' AND l.number = r.run
         WHERE l.number IS NULL)sql")},
    {"runs.lease_open", "the lease of a run is closed if and only if the run has ended",
     Statement(R"sql(
        SELECT r.id FROM runs r JOIN leases l ON l.kind = 'run' AND l.number = r.run
         WHERE (l.closed = 0) <> (r.status = 'running'))sql")},
    {"leases.run", "every lease is on a run that is there", Statement(R"sql(
        SELECT l.kind || '/' || l.number FROM leases l LEFT JOIN runs r ON r.run = l.number
         WHERE l.kind <> 'run' OR r.run IS NULL)sql")},
    // Up to store::stream_kind_unit: beyond it are the streams of other kinds.
    {"events.run", "every event of a run belongs to a run that is there", Statement(R"sql(
        SELECT e.stream || '/' || e.seq FROM events e LEFT JOIN runs r ON r.run = e.stream
         WHERE r.run IS NULL AND e.stream < 72057594037927936)sql")},
    {"published.kept", "every published workflow is kept", Statement(R"sql(
        SELECT p.name FROM published p LEFT JOIN workflows w ON w.digest = p.digest
         WHERE w.digest IS NULL)sql")},
};

// Definitions read during one check; beyond it they are read again.
constexpr std::size_t definitions_max = 256;
using Definitions = std::unordered_map<std::string, DefinitionPtr>;

Result<void> check_fold(store::Transaction& tx, const RunRow& row, Definitions& known) {
  auto found = known.find(row.digest);
  if (found == known.end()) {
    CLEW_TRY(auto definition, read_definition(tx, row.digest));
    if (known.size() >= definitions_max) known.clear();
    found = known.emplace(row.digest, std::move(definition)).first;
  }
  CLEW_TRY(const auto loaded, load_state(tx, *found->second, row.number));
  return check_row(row, *found->second, loaded.state);
}

// Every history can have happened: its events follow from one another (so that nothing completes
// twice), and lead to where the run's row says that it is.
Result<void> verify_folds(store::Transaction& tx, store::ReportViolation& report) {
  constexpr int page = 1000;
  std::int64_t after = INT64_MIN;
  Definitions definitions;
  for (;;) {
    const auto numbers = run_numbers(tx, after, page);
    if (!numbers) {  // damage of the file; the other checks say which
      return numbers.error().code() == Code::corrupt ? Result<void>() : numbers.error();
    }
    for (const auto number : *numbers) {
      after = number;
      const auto row = find_run(tx, number);
      if (!row || !*row) continue;  // as "runs.readable" says
      const auto sound = check_fold(tx, **row, definitions);
      if (sound) continue;
      report("runs.fold", fmt::format("run \"{}\": {}", (*row)->info.id, sound.error().message()));
    }
    if (numbers->size() < page) return {};
  }
}

}  // namespace

std::span<const store::Invariant> run_invariants() { return invariants; }

Result<void> verify_runs(store::Transaction& tx, store::ReportViolation& report) {
  for (const auto check : {store::check_owners, store::check_leases, check_rows, check_events}) {
    CLEW_TRY(store::check_rows(tx, check, report));
  }
  CLEW_TRY(store::check_invariants(tx, invariants, report));
  return verify_folds(tx, report);
}

}  // namespace clew::workflow
