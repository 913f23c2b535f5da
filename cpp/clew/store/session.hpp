// store/session.hpp: one connection to a database. What stands above it (commit queue, migrations,
// readers) knows no particular database; each database brings a Backend and a Dialect.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clew/store/store.hpp"

namespace clew::store {

enum class Access : std::uint8_t { write, snapshot };

// One connection. A Transaction is open from begin() until commit() or rollback(); store functions
// see only that part. External: one thread at a time, any thread; only abandon_waits() may be
// called beside others. Owned by the commit queue or the pool of readers.
class Session : public Transaction {
 public:
  // Waits for another process's lock at most DatabaseOptions::busy_timeout of real time (a lock of
  // the operating system is no matter of virtual time). A snapshot is fixed when this returns; in
  // it every statement that would write answers `unsupported`. `durability` says whether commit()
  // syncs.
  virtual Result<void> begin(Access access, Durability durability) = 0;
  // On error nothing is committed and the transaction is over, but see is_broken(); with
  // `unknown_outcome` nobody knows.
  virtual Result<void> commit() = 0;
  virtual void rollback() = 0;  // no effect when none is open

  // Waits for the answers that somebody expects (Transaction::expect): the first that is refused,
  // or the failure that came before it. The transaction is then of no more use. commit() and
  // release_savepoint() ask first.
  virtual Result<void> settle() { return {}; }

  // One level inside the open transaction.
  virtual Result<void> savepoint() = 0;
  virtual Result<void> release_savepoint() = 0;
  virtual Result<void> rollback_to_savepoint() = 0;

  // The failure that ended the open transaction as a whole (disk full, I/O error, lost connection),
  // so that rolling back to the savepoint does not help; nullptr while there is none. Until
  // rollback() all statements answer with it.
  virtual const Error* lost() const = 0;
  // True when the transaction that has failed last was right, and may be run again whole: a lost
  // connection, a deadlock. Until the next begin().
  virtual bool may_run_again() const { return false; }
  // True after a failed sync, or a commit that failed so that nobody knows what is on the disk. The
  // session must only be destroyed then; that writes nothing.
  virtual bool is_broken() const = 0;

  // Makes durable what commits without sync have written.
  virtual Result<void> sync() = 0;
  // True when maintain() has something to do that should not wait for long.
  virtual bool is_maintenance_due() const = 0;
  // Between transactions: moves the log into the file. An error that is no danger is swallowed.
  virtual Result<void> maintain() = 0;

  // The version of the schema; 0 in a fresh database. Setting it is part of the open transaction.
  virtual Result<int> schema_version() = 0;
  virtual Result<void> set_schema_version(int version) = 0;

  virtual Result<std::vector<std::string>> check_integrity() = 0;
  // Changes whenever another connection has committed.
  virtual Result<std::int64_t> data_version() = 0;
  // Waits for a commit of another process, at most so long of real time, or until abandon_waits().
  // True when there was one since the last call, or when that cannot be known.
  virtual bool await_change(Duration at_most) = 0;

  // From now on statements and waits for locks ask `go_on` at least every 50 ms and end with its
  // error; nullptr: they run to their end. Borrowed until the next call.
  virtual void heed(GoOn* go_on) = 0;

  // ---- moving a whole database (transfer.hpp)

  // Keeps everybody else from changing these tables until the open transaction ends.
  virtual Result<void> exclude_writers(const std::vector<std::string>& tables) = 0;
  // The highest number that a row of `table` ever got in `column`, its {identity}, as far as the
  // database must remember it. 0 for a column that it does not number.
  virtual Result<std::int64_t> last_identity(const std::string& table,
                                             const std::string& column) = 0;
  // Has the numbers of new rows begin after `number`, at least. Part of the open transaction, or
  // not: a gap is no harm. No effect for a column that it does not number.
  virtual Result<void> set_last_identity(const std::string& table, const std::string& column,
                                         std::int64_t number) = 0;

  // Lets begin() give up waiting for locks, and whatever waits for a lost database or for others'
  // commits, now and later. Thread-safe.
  virtual void abandon_waits() = 0;
};

// Makes the sessions of one database. Thread-safe after connect_writer().
class Backend {
 public:
  virtual ~Backend() = default;
  // Examines what is there, makes it when nothing is, and connects. First and only once. Errors as
  // Database::open; the database is then as it was.
  virtual Result<std::unique_ptr<Session>> connect_writer() = 0;
  virtual Result<std::unique_ptr<Session>> connect_reader() = 0;
  // True when readers must share the writer's session: a database in memory.
  virtual bool has_one_session() const = 0;
  // False when text must be UTF-8 without zero characters.
  virtual bool keeps_any_text() const { return true; }
};

// The backend of `options.url`. `migrations`: the schema that this program knows; a database that
// is newer, or that lacks what its version promises, is refused. Error: `invalid_input` for a url
// that is none, `unsupported` for a database that this build does not have.
Result<std::unique_ptr<Backend>> make_backend(const DatabaseOptions& options,
                                              const std::vector<Migration>& migrations);

}  // namespace clew::store
