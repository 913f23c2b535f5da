#include "clew/store/sql.hpp"
#include "clew/workflow/detail/run_rows.hpp"

namespace clew::workflow {
namespace {

using store::Row;
using store::Statement;

// Each query names what breaks its invariant, one row a violation.
struct Invariant {
  const char* name;
  const char* says;
  Statement broken;
};

const Invariant invariants[] = {
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
    {"published.kept", "every published workflow is kept", Statement(R"sql(
        SELECT p.name FROM published p LEFT JOIN workflows w ON w.digest = p.digest
         WHERE w.digest IS NULL)sql")},
};

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> verify_runs(store::Transaction& tx) {
  std::vector<std::pair<std::string, std::string>> violations;
  for (const auto& invariant : invariants) {
    CLEW_TRY(tx.each(invariant.broken, [&](const Row& row) -> Result<void> {
      CLEW_TRY(const auto key, row.text(0));
      violations.emplace_back(invariant.name,
                              fmt::format("{}: not so for \"{}\"", invariant.says, key));
      return {};
    }));
  }
  return violations;
}

}  // namespace clew::workflow
