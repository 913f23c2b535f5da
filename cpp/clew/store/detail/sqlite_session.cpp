#include "clew/store/detail/sqlite_session.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "clew/store/detail/sqlite_errors.hpp"
#include "clew/store/detail/sqlite_row.hpp"

namespace clew::store::detail {
namespace {

// Pages in the log (16 MiB) before they are moved into the file: rare enough that no group feels
// it, small enough that opening after a crash is quick.
constexpr int log_pages_max = 4000;
constexpr int log_pages_step = 1000;  // before trying again, when readers held some back
// Steps of SQLite's machine between two looks whether to go on: mostly well below a millisecond.
constexpr int steps_per_look = 2000;

struct HookWord {
  std::string_view name;
  std::string_view text;
};
constexpr HookWord hook_words[] = {
    {"integer", "INTEGER"},
    {"real", "REAL"},
    {"blob", "BLOB"},
    {"identity", "INTEGER PRIMARY KEY"},
    {"identity_forever", "INTEGER PRIMARY KEY AUTOINCREMENT"},
    {"table", "STRICT"},
    {"clustered", "STRICT, WITHOUT ROWID"},
    {"for_update", ""},
    {"skip_locked", ""},
};

std::optional<std::string_view> sqlite_hook(std::string_view name) {
  for (const auto& word : hook_words) {
    if (word.name == name) return word.text;
  }
  return std::nullopt;
}

// Pragmas that a reader may ask; they change nothing.
constexpr std::string_view harmless_pragmas[] = {
    "table_info",  "table_xinfo",      "table_list",   "index_list", "index_info",
    "index_xinfo", "foreign_key_list", "user_version", "page_count", "page_size",
    "quick_check",  // adding a column asks for it
};

bool is_harmless_pragma(const char* name) {
  return name != nullptr && std::ranges::find(harmless_pragmas, std::string_view(name)) !=
                                std::ranges::end(harmless_pragmas);
}

int bind_one(sqlite3_stmt* statement, int at, const Arg& arg) {
  struct Binder {
    sqlite3_stmt* statement;
    int at;
    int operator()(std::nullptr_t) const { return sqlite3_bind_null(statement, at); }
    int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, at, value); }
    int operator()(double value) const { return sqlite3_bind_double(statement, at, value); }
    // The caller's bytes are borrowed: the statement is reset before the call returns. An empty
    // view may have no address, which SQLite would take for NULL.
    int operator()(std::string_view text) const {
      return sqlite3_bind_text64(statement, at, text.data() == nullptr ? "" : text.data(),
                                 text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int operator()(Blob blob) const {
      if (blob.bytes.empty()) return sqlite3_bind_zeroblob(statement, at, 0);
      return sqlite3_bind_blob64(statement, at, blob.bytes.data(), blob.bytes.size(),
                                 SQLITE_STATIC);
    }
  };
  return std::visit(Binder{statement, at}, arg.data());
}

Error in_doubt(const Error& why) {
  auto doubt = error(Code::unknown_outcome,
                     "whether this was committed shows when opened again: {}", why.message());
  for (const auto& [key, value] : why.context()) doubt = doubt.with(key, value);
  return doubt;
}

}  // namespace

const Dialect& sqlite_dialect() {
  static constexpr Dialect dialect = {sqlite_hook,
                                      [](int number) { return fmt::format("?{}", number); }};
  return dialect;
}

// A cached statement, or, when a visitor runs the statement that it is visiting, one more.
struct SqliteSession::Use {
  explicit Use(sqlite3_stmt* cached) : statement(cached) {}
  explicit Use(Prepared extra) : statement(extra.get()), own(std::move(extra)) {}
  Use(Use&& other) noexcept
      : statement(std::exchange(other.statement, nullptr)), own(std::move(other.own)) {}
  Use& operator=(Use&&) = delete;
  ~Use() {
    if (statement != nullptr) sqlite3_reset(statement);
  }
  sqlite3_stmt* statement;
  Prepared own;
};

SqliteSession::SqliteSession(Connection db, const SqliteSessionOptions& options)
    : db_(std::move(db)), options_(options) {
  sqlite3_busy_handler(db_.get(), &SqliteSession::on_busy, this);
  sqlite3_set_authorizer(db_.get(), &SqliteSession::on_authorize, this);
  if (options_.is_writer) sqlite3_wal_hook(db_.get(), &SqliteSession::on_commit_to_log, this);
}

SqliteSession::~SqliteSession() {
  // Closing moves the log into the file, which after a failed sync would trust what may not be
  // there.
  if (broken_) leave_log_on_close(true);
  end_watch();
}

void SqliteSession::leave_log_on_close(bool leave) {
  sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave ? 1 : 0, nullptr);
}

// Waits longer with each try, at most 10 ms: the locks of other processes last one group's commit.
int SqliteSession::on_busy(void* self, int tries) {
  static constexpr std::array<int, 8> delays_us = {50, 100, 200, 500, 1000, 2000, 5000, 10'000};
  auto& session = *static_cast<SqliteSession*>(self);
  if (tries == 0) session.waited_us_ = 0;
  if (session.waited_us_ >= session.options_.busy_timeout.count()) return 0;
  if (session.abandoned_.load(std::memory_order_relaxed) || session.is_told_to_stop()) return 0;
  const auto delay = delays_us[std::min<std::size_t>(static_cast<std::size_t>(tries), 7)];
  auto* system = sqlite3_vfs_find(nullptr);
  system->xSleep(system, delay);
  session.waited_us_ += delay;
  return 1;
}

void SqliteSession::heed(GoOn* go_on) {
  go_on_ = go_on;
  told_.reset();
  sqlite3_progress_handler(db_.get(), go_on == nullptr ? 0 : steps_per_look,
                           go_on == nullptr ? nullptr : &SqliteSession::on_progress, this);
}

bool SqliteSession::is_told_to_stop() {
  if (go_on_ == nullptr) return false;
  if (!told_) {
    if (auto answer = (*go_on_)(); !answer) told_ = answer.error();
  }
  return told_.has_value();
}

int SqliteSession::on_progress(void* self) {
  return static_cast<SqliteSession*>(self)->is_told_to_stop() ? 1 : 0;
}

int SqliteSession::on_commit_to_log(void* self, sqlite3*, const char*, int pages) {
  static_cast<SqliteSession*>(self)->log_pages_ = pages;
  return SQLITE_OK;
}

// Foreign text works inside the transaction that it is given and must not end it, reach other files
// or change how the connection works.
int SqliteSession::on_authorize(void* self, int action, const char* a, const char*, const char*,
                                const char*) {
  const auto& session = *static_cast<SqliteSession*>(self);
  if (!session.is_foreign_text_) return SQLITE_OK;
  switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
      return SQLITE_DENY;
    case SQLITE_PRAGMA:
      // ALTER TABLE asks with it whether the rows that are there fit a new column.
      if (!session.is_reading_ && a != nullptr && std::string_view(a) == "quick_check") {
        return SQLITE_OK;
      }
      return is_harmless_pragma(a) ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_OK;
  }
}

// Makes the error and notes when it ended the transaction.
Error SqliteSession::fail(int code, std::string_view doing) {
  auto why = told_ ? *told_ : sqlite_error(code, doing, sqlite3_errmsg(db_.get()));
  const bool ended = ends_transaction(code) || sqlite3_get_autocommit(db_.get()) != 0;
  if (!is_reading_ && ended && !lost_) lost_ = why;
  return why;
}

Result<void> SqliteSession::control(Prepared& statement, const char* sql) {
  if (!statement) {
    CLEW_TRY(statement, prepare(sql, SQLITE_PREPARE_PERSISTENT, nullptr));
  }
  const int code = sqlite3_step(statement.get());
  if (code == SQLITE_DONE || code == SQLITE_ROW) {
    sqlite3_reset(statement.get());
    return {};
  }
  auto why = fail(code, sql);
  sqlite3_reset(statement.get());
  return why;
}

// NORMAL: a commit writes to the log without syncing it, so the system keeps it when the process is
// killed. The log is a chain of checksums of which recovery takes the longest sound beginning, so
// what a power cut takes is a tail of commits; any later sync of the log, by a commit with FULL or
// by sync(), covers all that stands before. Moving the log into the file always syncs it first.
Result<void> SqliteSession::set_synchronous(Durability durability) {
  if (options_.is_memory || synchronous_ == durability) return {};
  CLEW_TRY(execute(durability == Durability::sync ? "PRAGMA synchronous=FULL"
                                                  : "PRAGMA synchronous=NORMAL"));
  synchronous_ = durability;
  return {};
}

Result<void> SqliteSession::begin(Access access, Durability durability) {
  lost_.reset();
  is_reading_ = access == Access::snapshot;
  Result<void> begun;
  if (is_reading_) {
    begun = control(begin_read_, "BEGIN");
    // BEGIN alone takes no snapshot; the first read does.
    if (begun) begun = control(fix_snapshot_, "SELECT 1 FROM sqlite_schema LIMIT 1");
  } else {
    begun = set_synchronous(durability);
    if (begun) begun = control(begin_write_, "BEGIN IMMEDIATE");
  }
  if (!begun) rollback();
  return begun;
}

Result<void> SqliteSession::commit() {
  if (lost_) {
    auto why = *lost_;
    rollback();
    return why;
  }
  const bool fills = !options_.is_memory && !is_reading_ && synchronous_ == Durability::sync;
  if (fills) filler_.fill(db_.get(), log_pages_, log_pages_max);
  auto done = control(commit_, "COMMIT");
  if (done) {
    is_reading_ = false;
    return {};
  }
  // The log may hold the whole commit all the same, which whoever opens the file next would find.
  if (leaves_disk_unknown(sqlite3_extended_errcode(db_.get()))) {
    broken_ = true;
    done = in_doubt(done.error());
  }
  rollback();
  return done;
}

void SqliteSession::rollback() {
  if (sqlite3_get_autocommit(db_.get()) == 0) {
    // Its errors say nothing new: the transaction ends in any case.
    (void)control(rollback_, "ROLLBACK");
  }
  lost_.reset();
  is_reading_ = false;
}

Result<void> SqliteSession::rollback_to_savepoint() {
  CLEW_TRY(control(rollback_to_, "ROLLBACK TO w"));
  return control(release_, "RELEASE w");
}

Result<void> SqliteSession::sync() {
  if (options_.is_memory) return {};
  const int code = sync_log(db_.get());
  if (code == SQLITE_OK) return {};
  broken_ = true;
  return sqlite_error(code, "sync", sqlite3_errstr(code));
}

Result<void> SqliteSession::secure_log() {
  abandoned_ = true;
  auto begun = begin(Access::write, Durability::sync);
  abandoned_ = false;
  if (!begun) return begun.error().retryable() ? Result<void>() : begun;
  const int code = rewrite_log(db_.get());
  rollback();
  if (code == SQLITE_OK) return {};
  return sqlite_error(code, "write the log again", sqlite3_errstr(code));
}

bool SqliteSession::is_maintenance_due() const {
  return log_pages_ >= log_pages_max && log_pages_ >= log_pages_tried_ + log_pages_step;
}

Result<void> SqliteSession::maintain() {
  int in_log = 0;
  int moved = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(db_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
  const bool all_moved = code == SQLITE_OK && moved == in_log;
  log_pages_tried_ = all_moved ? 0 : log_pages_;
  if (all_moved) log_pages_ = 0;
  // A full disk or a lock leaves the pages in the log, where they are safe.
  if (code == SQLITE_OK || !leaves_disk_unknown(code)) return {};
  broken_ = true;
  return sqlite_error(code, "checkpoint", sqlite3_errmsg(db_.get()));
}

Result<std::int64_t> SqliteSession::ask(const char* sql) {
  std::int64_t answer = 0;
  CLEW_TRY(auto statement, prepare(sql, 0, nullptr));
  const int code = sqlite3_step(statement.get());
  if (code == SQLITE_ROW) {
    answer = sqlite3_column_int64(statement.get(), 0);
  } else if (code != SQLITE_DONE) {
    return fail(code, sql);
  }
  return answer;
}

Result<std::string> SqliteSession::ask_text(const char* sql) {
  CLEW_TRY(auto statement, prepare(sql, 0, nullptr));
  const int code = sqlite3_step(statement.get());
  if (code != SQLITE_ROW) return fail(code, sql);
  return std::string(SqliteRow(statement.get()).text(0).value_or(""));
}

Result<void> SqliteSession::execute(const char* sql) {
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  return fail(code, sql);
}

Result<int> SqliteSession::schema_version() {
  CLEW_TRY(const auto version, ask("PRAGMA user_version"));
  return static_cast<int>(version);
}

Result<void> SqliteSession::set_schema_version(int version) {
  return execute(fmt::format("PRAGMA user_version={}", version).c_str());
}

Result<std::vector<std::string>> SqliteSession::check_integrity() {
  return findings_of("PRAGMA integrity_check");
}

Result<std::vector<std::string>> SqliteSession::findings_of(const char* sql) {
  std::vector<std::string> findings;
  CLEW_TRY(auto statement, prepare(sql, 0, nullptr));
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
    if (text != nullptr && std::string_view(text) != "ok") findings.emplace_back(text);
  }
  // A file too damaged to be checked is a finding, not a failure of the check.
  if ((code & 0xff) == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    findings.emplace_back(sqlite3_errmsg(db_.get()));
  } else if (code != SQLITE_DONE) {
    return fail(code, sql);
  }
  return findings;
}

Result<std::int64_t> SqliteSession::data_version() {
  if (!data_version_) {
    CLEW_TRY(data_version_, prepare("PRAGMA data_version", SQLITE_PREPARE_PERSISTENT, nullptr));
  }
  const int code = sqlite3_step(data_version_.get());
  const auto version = sqlite3_column_int64(data_version_.get(), 0);
  Result<std::int64_t> answer = version;
  if (code != SQLITE_ROW) answer = fail(code, "data version");
  sqlite3_reset(data_version_.get());
  return answer;
}

namespace {

// The table is there once a table asks to never use a number again.
const Statement has_sequences_sql(
    "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'");
const Statement sequence_sql("SELECT MAX(seq) FROM sqlite_sequence WHERE name = :name");
const Statement raise_sequence_sql(
    "UPDATE sqlite_sequence SET seq = :number WHERE name = :name AND seq < :number");
const Statement add_sequence_sql(R"sql(
    INSERT INTO sqlite_sequence (name, seq)
    SELECT t.name, :number FROM sqlite_schema t
     WHERE t.type = 'table' AND t.name = :name AND t.sql LIKE '%AUTOINCREMENT%'
       AND NOT EXISTS (SELECT 1 FROM sqlite_sequence s WHERE s.name = t.name))sql");

}  // namespace

Result<std::int64_t> SqliteSession::last_identity(const std::string& table, const std::string&) {
  std::int64_t last = 0;
  VisitRow take = [&last](const Row& row) -> Result<void> {
    if (row.is_null(0)) return {};
    CLEW_TRY(last, row.integer(0));
    return {};
  };
  CLEW_TRY(each_args(has_sequences_sql, {}, take));
  if (last == 0) return 0;
  last = 0;
  const Arg name[] = {Arg(table)};
  CLEW_TRY(each_args(sequence_sql, name, take));
  return last;
}

Result<void> SqliteSession::set_last_identity(const std::string& table, const std::string&,
                                              std::int64_t number) {
  if (number < 1) return {};
  CLEW_TRY(run(raise_sequence_sql, number, table));
  CLEW_TRY(run(add_sequence_sql, number, table));
  return {};
}

Result<Prepared> SqliteSession::prepare(std::string_view sql, unsigned flags,
                                        std::string_view* tail) {
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), flags,
                                      &statement, &rest);
  Prepared prepared(statement);
  if (code != SQLITE_OK) return fail(code, "statement").with("sql", sql);
  if (tail != nullptr) *tail = sql.substr(static_cast<std::size_t>(rest - sql.data()));
  return prepared;
}

Result<SqliteSession::Use> SqliteSession::use(const Statement& statement) {
  const auto index = static_cast<std::size_t>(statement.index());
  if (index >= cache_.size()) cache_.resize(index + 1);
  auto& cached = cache_[index];
  if (cached && sqlite3_stmt_busy(cached.get()) == 0) [[likely]]
    return Use(cached.get());

  auto rendered = render(statement.sql(), sqlite_dialect());
  if (!rendered) return Error(Code::internal, rendered.error().message());
  const bool in_use = cached != nullptr;
  CLEW_TRY(auto prepared,
           prepare(rendered->text, in_use ? 0U : SQLITE_PREPARE_PERSISTENT, nullptr));
  if (in_use) return Use(std::move(prepared));
  cached = std::move(prepared);
  return Use(cached.get());
}

Result<void> SqliteSession::permit(sqlite3_stmt* statement) {
  if (lost_) return *lost_;
  if (is_reading_ && sqlite3_stmt_readonly(statement) == 0) {
    return Error(Code::unsupported, "a reader cannot write").with("sql", sqlite3_sql(statement));
  }
  return {};
}

Result<void> SqliteSession::bind_all(sqlite3_stmt* statement, std::span<const Arg> args) {
  CLEW_TRY(permit(statement));
  const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
  if (wanted != args.size()) {
    return error(Code::internal, "the statement takes {} arguments, not {}", wanted, args.size())
        .with("sql", sqlite3_sql(statement));
  }
  for (std::size_t i = 0; i < args.size(); ++i) {
    const int code = bind_one(statement, static_cast<int>(i) + 1, args[i]);
    if (code != SQLITE_OK) return fail(code, "argument").with("sql", sqlite3_sql(statement));
  }
  return {};
}

Result<std::int64_t> SqliteSession::step_none(sqlite3_stmt* statement) {
  const auto before = sqlite3_total_changes64(db_.get());
  const int code = sqlite3_step(statement);
  if (code == SQLITE_DONE) {
    // changes() still tells of an earlier statement after one that changes no rows.
    return sqlite3_total_changes64(db_.get()) == before ? 0 : sqlite3_changes64(db_.get());
  }
  if (code == SQLITE_ROW) {
    return Error(Code::internal, "a statement that was run returns rows")
        .with("sql", sqlite3_sql(statement));
  }
  return fail(code, "statement").with("sql", sqlite3_sql(statement));
}

Result<bool> SqliteSession::step_rows(sqlite3_stmt* statement, VisitRow& visit, Rows rows) {
  const SqliteRow row(statement);
  bool found = false;
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return found;
    if (code != SQLITE_ROW) return fail(code, "query").with("sql", sqlite3_sql(statement));
    if (found && rows == Rows::first) continue;  // a change that returns rows must come to its end
    found = true;
    CLEW_TRY(visit(row));
    if (rows == Rows::first && sqlite3_stmt_readonly(statement) != 0) return true;
  }
}

Result<std::int64_t> SqliteSession::run_args(const Statement& statement,
                                             std::span<const Arg> args) {
  CLEW_TRY(const auto used, use(statement));
  CLEW_TRY(bind_all(used.statement, args));
  return step_none(used.statement);
}

Result<void> SqliteSession::each_args(const Statement& statement, std::span<const Arg> args,
                                      VisitRow& visit) {
  CLEW_TRY(const auto used, use(statement));
  CLEW_TRY(bind_all(used.statement, args));
  CLEW_TRY(step_rows(used.statement, visit, Rows::all));
  return {};
}

Result<bool> SqliteSession::first_args(const Statement& statement, std::span<const Arg> args,
                                       VisitRow& visit) {
  CLEW_TRY(const auto used, use(statement));
  CLEW_TRY(bind_all(used.statement, args));
  return step_rows(used.statement, visit, Rows::first);
}

namespace {

// Foreign text that cannot be prepared or carried out is its author's mistake, not ours.
Error blame_text(const Error& why) {
  if (why.code() != Code::internal) return why;
  auto blamed = Error(Code::invalid_input, why.message());
  for (const auto& [key, value] : why.context()) blamed = blamed.with(key, value);
  return blamed;
}

class WhileSet {
 public:
  explicit WhileSet(bool& flag) : flag_(flag) { flag_ = true; }
  ~WhileSet() { flag_ = false; }
  WhileSet(const WhileSet&) = delete;
  WhileSet& operator=(const WhileSet&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Result<std::int64_t> SqliteSession::run_text(std::string_view sql, std::span<const Arg> args) {
  CLEW_TRY(const auto rendered, render(sql, sqlite_dialect()));
  const WhileSet foreign(is_foreign_text_);
  std::int64_t changed = 0;
  std::string_view rest(rendered.text);
  bool is_first = true;
  while (!rest.empty()) {
    auto statement = prepare(rest, 0, &rest);
    if (!statement) return blame_text(statement.error());
    if (*statement == nullptr) continue;  // blanks or a comment
    if (!is_first && !args.empty()) {
      return Error(Code::invalid_input, "arguments need a single statement");
    }
    is_first = false;
    CLEW_TRY(bind_all(statement->get(), args));
    const auto more = step_none(statement->get());
    if (!more) return blame_text(more.error());
    changed += *more;
  }
  return changed;
}

Result<void> SqliteSession::each_text(std::string_view sql, std::span<const Arg> args,
                                      VisitRow& visit) {
  CLEW_TRY(const auto rendered, render(sql, sqlite_dialect()));
  const WhileSet foreign(is_foreign_text_);
  std::string_view rest;
  auto statement = prepare(rendered.text, 0, &rest);
  if (!statement) return blame_text(statement.error());
  if (rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    return Error(Code::invalid_input, "a query is a single statement").with("rest", rest);
  }
  if (*statement == nullptr) return Error(Code::invalid_input, "the query is empty");
  const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement->get()));
  if (wanted != args.size()) {
    return error(Code::invalid_input, "the query takes {} arguments, not {}", wanted, args.size())
        .with("wanted", static_cast<std::int64_t>(wanted));
  }
  CLEW_TRY(bind_all(statement->get(), args));
  // What the statement itself gets wrong as it runs, such as an overflow, is its author's too.
  const auto done = step_rows(statement->get(), visit, Rows::all);
  if (!done) return blame_text(done.error());
  return {};
}

}  // namespace clew::store::detail
