#include "clew/process/registry.hpp"
#include "clew/store/invariant.hpp"

namespace clew::process {
namespace {

using store::Statement;

// 72057594037927936 is store::stream_kind_unit: the streams of processes begin there.
const store::Invariant invariants[] = {
    {"processes.dense", "the events of a process are numbered from 1 to its last without gaps",
     Statement(R"sql(
        SELECT p.id FROM processes p
          LEFT JOIN events e ON e.stream = p.number + 72057594037927936
         WHERE p.pruned_us IS NULL GROUP BY p.id, p.last_seq
        HAVING COUNT(e.seq) <> p.last_seq OR COALESCE(MAX(e.seq), 0) <> p.last_seq)sql")},
    {"processes.events", "every event of a process belongs to a process that is there",
     Statement(R"sql(
        SELECT e.stream || '/' || e.seq FROM events e
          LEFT JOIN processes p ON p.number = e.stream - 72057594037927936
               AND p.pruned_us IS NULL
         WHERE e.stream >= 72057594037927936 AND p.number IS NULL)sql")},
    {"processes.output", "a process has an output if and only if it has ended", Statement(R"sql(
        SELECT id FROM processes
         WHERE pruned_us IS NULL AND (status = 'running') <> (output IS NULL))sql")},
    {"processes.grants", "every handle is of a process that is there", Statement(R"sql(
        SELECT g.session_id || '/' || g.process_id FROM process_grants g
          LEFT JOIN processes p ON p.id = g.process_id AND p.pruned_us IS NULL
         WHERE p.id IS NULL)sql")},
    {"processes.wakes", "every wake that waits is of an event that is there", Statement(R"sql(
        SELECT w.process || '/' || w.seq FROM process_wakes w
          LEFT JOIN events e ON e.stream = w.process + 72057594037927936 AND e.seq = w.seq
         WHERE e.seq IS NULL)sql")},
    {"processes.leases", "every lease on a process is on one that is there", Statement(R"sql(
        SELECT l.id FROM timed_leases l LEFT JOIN processes p ON p.id = l.id
         WHERE l.kind = 'process' AND p.id IS NULL)sql")},
};

}  // namespace

std::span<const store::Invariant> process_invariants() { return invariants; }

Result<void> verify_processes(Transaction& tx, store::ReportViolation& report) {
  CLEW_TRY(store::check_rows(tx, check_processes, report));
  return store::check_invariants(tx, invariants, report);
}

}  // namespace clew::process
