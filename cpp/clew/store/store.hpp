// store/store.hpp: durable state. Read this first.
//
//   sql.hpp           Statement, Arg, Row; dialect.hpp: what differs between databases
//   column.hpp        columns that may be damaged, checked
//   transaction.hpp   Transaction: the only way to read or change stored state
//   session.hpp       Session: one connection; Backend: makes them (detail/sqlite_*, postgres_*)
//   commit_queue.cpp  group commit: many writers, one transaction, one sync
//   migrate.hpp       schema version and migrations
//   owner.hpp         who is alive; lease.hpp: who may change a thing, with fencing tokens
//   stream.hpp        events of one thing: a dense sequence from 1
//   timed_lease.hpp   leases that end at a time; work_queue.hpp: lanes of work and its claims
//   idempotency.hpp   a request made twice happens once; outbox.hpp: what follows from a commit
//   blob.hpp          bytes named by their digest; due.hpp: when a thing is next to be looked at
//   changes.hpp       waiting for commits; invariant.hpp: rules that verify() checks
//   transfer.hpp      moving a whole store to another database
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/function.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

// When a commit is acknowledged: after its sync, or when written (a killed process then loses
// nothing, a power cut may lose up to `relaxed_window`).
enum class Durability : std::uint8_t { sync, relaxed };

// A position in the order of commits of this process: rises by one for each commit. 0: nothing.
using CommitNumber = std::uint64_t;

struct CommitInfo {
  CommitNumber number = 0;  // of the group's commit
  int group_size = 1;       // writers that shared it
  int runs = 0;             // of the apply; what it counts outside its transaction counts them all
  Duration queued{0};       // from submission until its transaction began
  Duration committed{0};    // from there until acknowledged
};

using Apply = Function<Result<void>(Transaction&)>;

// What may end a reader early: asked on the reader's own thread, again and again while it waits or
// a statement of it runs, at least every 50 ms of real time. Its error becomes the reader's. No
// lock is held meanwhile; it must not use the database.
using GoOn = Function<Result<void>()>;
using Committed = Function<void(Result<CommitInfo>)>;

// One unit of change. `apply` runs inside the group's transaction; its error undoes only what it
// did itself. It may run more than once (see Transaction). `done` is called exactly once: with the
// error of `apply`, with the commit's, or after the commit is acknowledged; on the writer's thread,
// outside every lock. It must be short and must not wait for another commit.
struct Write {
  Apply apply;
  Committed done;
  Durability durability = Durability::sync;
};

// A step of the schema: `version` counts from 1 without gaps. Statements run in one transaction
// together with the change of the stored version.
struct Migration {
  int version = 0;
  const char* name = "";
  const char* sql = "";
};

struct DatabaseOptions {
  // ":memory:", the path of a SQLite file, or "postgresql://…" as libpq takes it
  std::string url = ":memory:";
  Duration relaxed_window = std::chrono::milliseconds(20);
  int group_max = 512;      // writers in one transaction
  int queue_max = 100'000;  // writes waiting; beyond it submit() blocks its caller
  int readers_max = 4;      // snapshot connections kept
  Duration busy_timeout = std::chrono::seconds(5);  // another process holds a lock
  bool read_only = false;
};

struct DatabaseStats {
  std::int64_t commits = 0;  // groups
  std::int64_t writes = 0;   // acknowledged
  std::int64_t refused = 0;  // whose apply failed
  std::int64_t syncs = 0;
  std::int64_t reruns = 0;  // applies run again because their group failed
  int queued = 0;
  int group_largest = 0;
  std::map<std::string, std::int64_t> to_map() const;
};

// One database: a SQLite file, memory, or PostgreSQL (the first schema of its search path).
// Thread-safe. Owned by the composition root. After a failed sync nothing written since is known to
// be safe: every later write answers `unavailable` naming the failure until the database is opened
// again. The writers whose own sync failed get `unknown_outcome`: their commit may be found when
// the database is opened again. A lost connection is made again instead, and what was under way is
// run again; only when nobody can tell any more whether a group was committed its writers get
// `unknown_outcome` too.
class Database {
 public:
  virtual ~Database() = default;
  // Opens (makes, when absent) and migrates. Blocks. Errors, the file being left as it was:
  // `corrupt` for a damaged file or one that is no database, `unsupported` for a newer schema or
  // another program's database (both named), `unavailable` when it cannot be opened or is locked,
  // `invalid_input` for a url that is none. Files up to 32 MiB are checked whole for damage, which
  // takes tens of milliseconds; of larger ones only header, length and schema (that each table,
  // column, index and view is there that the version promises): damage elsewhere shows as `corrupt`
  // where it is met, or in check_integrity(). A file that can be read but not written is
  // `unsupported` unless `read_only` is set; then an older schema is, which nobody may migrate.
  static Result<std::unique_ptr<Database>> open(DatabaseOptions options,
                                                const std::vector<Migration>& migrations, Env& env);

  // Refuses new writes with `closed`, commits and syncs what was accepted, joins the writer thread,
  // closes the connections. Idempotent; blocks. Readers that run are waited for. False when the
  // deadline came first: what was still queued then got `closed`.
  virtual bool close(Timestamp deadline) = 0;

  // Queues a write. Never fails itself; blocks only while the queue is full, and not even then when
  // called from a completion, which must not wait. After close() `done` gets `closed` on the
  // calling thread; likewise `unsupported` when read-only and `unavailable` after a failed sync. A
  // CLEW_CHECK fails when called from within an `apply` or a reader, as for the two below.
  virtual void submit(Write write) = 0;

  // Queues a write and waits for its acknowledgement. When the writer is idle the calling thread
  // does the work itself, without a hand-off. Called from a completion a CLEW_CHECK fails.
  virtual Result<CommitInfo> write(Apply apply, Durability durability = Durability::sync) = 0;

  // Like submit(), for a caller that may work: when nothing is queued and the writer is idle, the
  // calling thread commits itself and `done` is called before this returns.
  virtual void submit_or_commit(Write write) = 0;

  // Runs `use` on a snapshot of what is committed; later commits are not seen by it. Blocks no
  // writer (but in memory, where readers and writers take turns). `use` must not write. A read
  // within a read stands on the same snapshot. Waits while `readers_max` others read. Error:
  // `closed`; those of `use` and of `go_on`, which bounds it (empty: nothing does).
  virtual Result<void> read(Function<Result<void>(Transaction&)> use, GoOn go_on = nullptr) = 0;

  // The last commit that is written, and the last that is synced.
  virtual CommitNumber written_up_to() const = 0;
  virtual CommitNumber durable_up_to() const = 0;
  // Blocks until everything up to `number` is synced, and has it synced now if it is written;
  // `timeout` at `deadline`, `unavailable` after a failed sync.
  virtual Result<void> await_durable(CommitNumber number, Timestamp deadline) = 0;

  // What the database's own integrity check finds; empty when sound. Blocks, reads everything.
  virtual Result<std::vector<std::string>> check_integrity() = 0;

  // Changes whenever any process has committed. Cheap; to notice others' work. Error: `closed`.
  virtual Result<std::int64_t> data_version() = 0;

  // Calls `changed` soon after each commit of another process (and perhaps more often), as long as
  // the handle lives; null for a database in memory, and once closed. On a thread of the database's
  // own, outside every lock; it must be short and must not use the database. It is not called any
  // more once the handle is gone, which must not go within it. Costs something while it lives only.
  virtual std::shared_ptr<void> watch_commits(Function<void()> changed) = 0;

  virtual DatabaseStats stats() const = 0;
  virtual bool is_memory() const = 0;
  virtual const std::string& url() const = 0;
};

}  // namespace clew::store
