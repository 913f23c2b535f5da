// store/detail/sqlite_session.hpp: a Session on SQLite.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/store/detail/sqlite_log.hpp"
#include "clew/store/detail/wait_handle.hpp"
#include "clew/store/dialect.hpp"
#include "clew/store/session.hpp"

namespace clew::store::detail {

const Dialect& sqlite_dialect();

struct CloseConnection {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Connection = std::unique_ptr<sqlite3, CloseConnection>;

struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Prepared = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

struct SqliteSessionOptions {
  Duration busy_timeout{0};
  bool is_writer = false;
  bool is_memory = false;
};

// Confined as Session. SQLite's own mutexes are off (SQLITE_OPEN_NOMUTEX): whoever owns the session
// gives it to one thread at a time.
class SqliteSession final : public Session {
 public:
  SqliteSession(Connection db, const SqliteSessionOptions& options);
  ~SqliteSession() override;

  Result<void> begin(Access access, Durability durability) override;
  Result<void> commit() override;
  void rollback() override;
  Result<void> savepoint() override { return control(savepoint_, "SAVEPOINT w"); }
  Result<void> release_savepoint() override { return control(release_, "RELEASE w"); }
  Result<void> rollback_to_savepoint() override;
  const Error* lost() const override { return lost_ ? &*lost_ : nullptr; }
  bool is_broken() const override { return broken_; }

  Result<void> sync() override;
  bool is_maintenance_due() const override;
  Result<void> maintain() override;
  Result<int> schema_version() override;
  Result<void> set_schema_version(int version) override;
  Result<std::vector<std::string>> check_integrity() override;
  Result<std::int64_t> data_version() override;
  bool await_change(Duration at_most) override;
  // Whoever writes has the file for itself.
  Result<void> exclude_writers(const std::vector<std::string>&) override { return {}; }
  Result<std::int64_t> last_identity(const std::string& table, const std::string& column) override;
  Result<void> set_last_identity(const std::string& table, const std::string& column,
                                 std::int64_t number) override;
  void heed(GoOn* go_on) override;
  void abandon_waits() override;

  Result<std::int64_t> run_text(std::string_view sql, std::span<const Arg> args) override;
  Result<void> each_text(std::string_view sql, std::span<const Arg> args, VisitRow& visit) override;
  Result<std::int64_t> run_args(const Statement& statement, std::span<const Arg> args) override;
  Result<void> each_args(const Statement& statement, std::span<const Arg> args,
                         VisitRow& visit) override;
  Result<bool> first_args(const Statement& statement, std::span<const Arg> args,
                          VisitRow& visit) override;

  // One integer that `sql` (of ours) answers with.
  Result<std::int64_t> ask(const char* sql);
  Result<std::string> ask_text(const char* sql);
  // Executes text of ours: set-up pragmas.
  Result<void> execute(const char* sql);
  // The first thing that is wrong with the file's structure, or nothing. Reads all of it.
  Result<std::vector<std::string>> quick_check() { return findings_of("PRAGMA quick_check(1)"); }
  // Sees to it that all that can be read of the log is on the disk. Waits for nobody: who holds the
  // lock has seen to it.
  Result<void> secure_log();
  // Whether closing leaves the log as it is instead of moving it into the file.
  void leave_log_on_close(bool leave);
  sqlite3* handle() { return db_.get(); }

 private:
  struct Use;  // a statement in use, reset at the end
  enum class Rows : std::uint8_t { none, all, first };

  Result<void> control(Prepared& statement, const char* sql);
  Result<std::vector<std::string>> findings_of(const char* sql);
  Result<void> set_synchronous(Durability durability);
  Result<Prepared> prepare(std::string_view sql, unsigned flags, std::string_view* tail);
  Result<Use> use(const Statement& statement);
  Result<std::int64_t> step_none(sqlite3_stmt* statement);
  Result<bool> step_rows(sqlite3_stmt* statement, VisitRow& visit, Rows rows);
  Result<void> bind_all(sqlite3_stmt* statement, std::span<const Arg> args);
  Result<void> permit(sqlite3_stmt* statement);
  Error fail(int code, std::string_view doing);

  bool is_told_to_stop();
  void end_watch();

  static int on_busy(void* self, int tries);
  static int on_progress(void* self);
  static int on_commit_to_log(void* self, sqlite3*, const char*, int pages);
  static int on_authorize(void* self, int action, const char* a, const char* b, const char*,
                          const char*);

  Connection db_;
  const SqliteSessionOptions options_;
  std::vector<Prepared> cache_;  // by Statement::index()
  Prepared begin_write_, begin_read_, fix_snapshot_, commit_, rollback_;
  Prepared savepoint_, release_, rollback_to_, data_version_;

  std::optional<Error> lost_;
  GoOn* go_on_ = nullptr;
  std::optional<Error> told_;  // what go_on_ has answered
  bool broken_ = false;
  bool is_reading_ = false;
  bool is_foreign_text_ = false;  // the text being prepared came from outside
  std::optional<Durability> synchronous_;
  std::int64_t waited_us_ = 0;  // for locks, in the present wait
  int log_pages_ = 0;           // in the write-ahead log, after the last commit
  LogFiller filler_;
  int log_pages_tried_ = 0;  // when moving them was last tried in vain
  std::atomic<bool> abandoned_{false};
  WaitHandle waits_;          // raised with `abandoned_`
  std::optional<int> watch_;  // the descriptor that tells of changes to the log; below 0: none
  std::optional<std::int64_t> version_watched_;
  int close_looks_ = 0;  // still due after the last change of the log
};

}  // namespace clew::store::detail
