#include "clew/store/detail/sqlite_backend.hpp"

#include <algorithm>
#include <filesystem>

#include "clew/store/detail/sqlite_errors.hpp"
#include "clew/store/detail/sqlite_file.hpp"
#include "clew/store/detail/sqlite_schema.hpp"
#include "clew/store/migrate.hpp"

namespace clew::store::detail {
namespace {

// Up to this size the whole file is checked at open (tens of milliseconds at most).
constexpr std::int64_t check_whole_file_max = 32LL * 1024 * 1024;

// No memory mapping: a file that another program cuts short would kill the process instead of
// failing a read. The log is cut back to 64 MiB after a burst.
constexpr const char* writer_pragmas =
    "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536; PRAGMA journal_size_limit=67108864;"
    "PRAGMA foreign_keys=ON;";
constexpr const char* reader_pragmas =
    "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384; PRAGMA query_only=ON;";

class SqliteBackend final : public Backend {
 public:
  SqliteBackend(const DatabaseOptions& options, std::vector<Migration> migrations);
  Result<std::unique_ptr<Session>> connect_writer() override;
  Result<std::unique_ptr<Session>> connect_reader() override;
  bool has_one_session() const override { return is_memory_; }

 private:
  Result<std::unique_ptr<SqliteSession>> connect(int flags, bool is_writer, bool leave_log);
  Result<std::unique_ptr<SqliteSession>> connect_readable(const SqliteFile& file);
  Result<std::unique_ptr<SqliteSession>> connect_writable(const SqliteFile& file);
  Result<void> examine_further(SqliteSession& session);
  Result<void> check_soundness(SqliteSession& session, std::int64_t size);
  Result<void> claim(SqliteSession& session);
  Result<void> use_log(SqliteSession& session);

  const DatabaseOptions options_;
  const std::vector<Migration> migrations_;
  const int newest_version_;
  const bool is_memory_;
  const std::string path_;  // absolute: never taken for a URI, and independent of later chdir()
  bool is_immutable_ = false;
};

std::string absolute_path(const std::string& url) {
  std::error_code failed;
  const auto path = std::filesystem::absolute(url, failed);
  return failed ? url : path.lexically_normal().string();
}

SqliteBackend::SqliteBackend(const DatabaseOptions& options, std::vector<Migration> migrations)
    : options_(options),
      migrations_(std::move(migrations)),
      newest_version_(newest_version(migrations_)),
      is_memory_(options.url == ":memory:"),
      path_(is_memory_ ? options.url : absolute_path(options.url)) {}

// A file on a medium that takes no companion files can still be read when nothing writes to it.
std::string as_immutable(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

Result<std::unique_ptr<SqliteSession>> SqliteBackend::connect(int flags, bool is_writer,
                                                              bool leave_log) {
  sqlite3* raw = nullptr;
  const auto name = is_immutable_ ? as_immutable(path_) : path_;
  const int uri = is_immutable_ ? SQLITE_OPEN_URI : 0;
  const int code = sqlite3_open_v2(
      name.c_str(), &raw, flags | uri | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Connection db(raw);
  if (code != SQLITE_OK) {
    return sqlite_error(code, "open " + path_, raw == nullptr ? "" : sqlite3_errmsg(raw))
        .with("path", path_);
  }
  // A schema in a foreign file must not make us run its functions; double quotes are for names.
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  const SqliteSessionOptions how{
      .busy_timeout = options_.busy_timeout, .is_writer = is_writer, .is_memory = is_memory_};
  auto session = std::make_unique<SqliteSession>(std::move(db), how);
  session->leave_log_on_close(leave_log);
  if (auto set = session->execute(is_writer ? writer_pragmas : reader_pragmas); !set) {
    return set.error().with("path", path_);
  }
  return session;
}

// Asks the same as examine_file, now with what stands in the log.
Result<void> SqliteBackend::examine_further(SqliteSession& session) {
  CLEW_TRY(const auto id, session.ask("PRAGMA application_id"));
  CLEW_TRY(const auto version, session.ask("PRAGMA user_version"));
  CLEW_TRY(const auto tables, session.ask("SELECT COUNT(*) FROM sqlite_schema"));
  const bool is_ours = id == clew_application_id;
  if (!is_ours && (id != 0 || tables != 0 || version != 0)) {
    return foreign_database(path_, static_cast<std::uint32_t>(id));
  }
  if (version > newest_version_) return newer_schema(path_, version, newest_version_);
  return {};
}

Result<void> SqliteBackend::check_soundness(SqliteSession& session, std::int64_t size) {
  if (size <= check_whole_file_max) {
    CLEW_TRY(const auto findings, session.quick_check());
    if (!findings.empty()) {
      return error(Code::corrupt, "{} is damaged: {}", path_, findings.front()).with("path", path_);
    }
  }
  return check_schema(session, migrations_, path_);
}

// Marks a new file as ours. Before the log is in use, so that the file itself shows it.
Result<void> SqliteBackend::claim(SqliteSession& session) {
  CLEW_TRY(const auto before, session.ask("PRAGMA application_id"));
  if (before == clew_application_id) return {};
  CLEW_TRY(session.begin(Access::write, Durability::sync));
  auto known = examine_further(session);  // again, now that nobody else can change it
  if (known) {
    known = session.execute(fmt::format("PRAGMA application_id={}", clew_application_id).c_str());
  }
  if (!known) {
    session.rollback();
    return known;
  }
  return session.commit();
}

// Changing the mode needs the file alone, which another process that opens it now may prevent; the
// library's own patience does not cover that.
Result<void> SqliteBackend::use_log(SqliteSession& session) {
  const auto clock = make_real_clock();
  const auto until = clock->now() + options_.busy_timeout;
  for (int pause_ms = 1;; pause_ms = std::min(2 * pause_ms, 50)) {
    auto mode = session.ask_text("PRAGMA journal_mode=WAL");
    if (mode && *mode == "wal") return {};
    if (mode) {
      return error(Code::unsupported, "{} cannot have a write-ahead log (its journal mode is {})",
                   path_, *mode)
          .with("path", path_);
    }
    if (!mode.error().retryable() || clock->now() >= until) return mode.error().with("path", path_);
    sqlite3_sleep(pause_ms);
  }
}

Result<std::unique_ptr<SqliteSession>> SqliteBackend::connect_readable(const SqliteFile& file) {
  if (file.size == 0) {
    return error(Code::unavailable, "{} is empty or missing and must only be read", path_)
        .with("path", path_);
  }
  // Opened for writing where the system permits it, though nothing is written: only then does the
  // last to close take away the companion files that reading needs.
  auto session = connect(SQLITE_OPEN_READWRITE, false, file.has_log);
  auto known = session ? examine_further(**session) : Result<void>(session.error());
  if (!known && known.error().code() != Code::corrupt && !file.has_log) {
    // A folder that takes no companion files. With nothing in a log the file alone is all there is,
    // unless somebody who may write there begins to.
    is_immutable_ = true;
    session = connect(SQLITE_OPEN_READONLY, false, false);
    known = session ? examine_further(**session) : Result<void>(session.error());
  }
  CLEW_TRY(std::move(known));
  CLEW_TRY(check_soundness(**session, file.size));
  return session;
}

Result<std::unique_ptr<SqliteSession>> SqliteBackend::connect_writable(const SqliteFile& file) {
  const bool is_new = file.size == 0;
  CLEW_TRY(auto session,
           connect(SQLITE_OPEN_READWRITE | (is_new ? SQLITE_OPEN_CREATE : 0), true, file.has_log));
  if (sqlite3_db_readonly(session->handle(), "main") == 1) {
    return error(Code::unsupported, "{} cannot be written to; open it read-only", path_)
        .with("path", path_);
  }
  if (!is_new) {
    CLEW_TRY(examine_further(*session));
    CLEW_TRY(check_soundness(*session, file.size));
  }
  // Until here nothing was written.
  CLEW_TRY(claim(*session));
  CLEW_TRY(use_log(*session));
  if (file.has_log) CLEW_TRY(session->secure_log());
  if (is_new) CLEW_TRY(sync_folder_of(path_));
  session->leave_log_on_close(false);
  return session;
}

Result<std::unique_ptr<Session>> SqliteBackend::connect_writer() {
  std::unique_ptr<SqliteSession> session;
  if (is_memory_) {
    CLEW_TRY(session, connect(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, true, false));
  } else {
    CLEW_TRY(const auto file, examine_file(path_, newest_version_));
    CLEW_TRY(session, options_.read_only ? connect_readable(file) : connect_writable(file));
  }
  return std::unique_ptr<Session>(std::move(session));
}

Result<std::unique_ptr<Session>> SqliteBackend::connect_reader() {
  CLEW_CHECK(!is_memory_);
  CLEW_TRY(auto session, connect(SQLITE_OPEN_READONLY, false, false));
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace

std::unique_ptr<Backend> make_sqlite_backend(const DatabaseOptions& options,
                                             std::vector<Migration> migrations) {
  return std::make_unique<SqliteBackend>(options, std::move(migrations));
}

}  // namespace clew::store::detail
