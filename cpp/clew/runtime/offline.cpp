#include "clew/runtime/offline.hpp"

#include "clew/base/fault.hpp"
#include "clew/runtime/inspect.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/session/attachment_move.hpp"
#include "clew/session/attachments.hpp"
#include "clew/store/migrate.hpp"
#include "clew/store/owner.hpp"

namespace clew {
namespace {

FaultPoint fault_commit("transfer.commit.before");  // all is checked, nothing is committed

using SessionPtr = std::unique_ptr<store::Session>;

Result<std::unique_ptr<store::Database>> open_to_read(const std::string& url, Env& env) {
  store::DatabaseOptions options;
  options.url = url;
  options.read_only = true;
  return store::Database::open(std::move(options), store_migrations(), env);
}

Result<SessionPtr> connect(const std::string& url, bool read_only) {
  store::DatabaseOptions options;
  options.url = url;
  options.read_only = read_only;
  CLEW_TRY(const auto backend, store::make_backend(options, store_migrations()));
  return backend->connect_writer();
}

// Ends what is open when it goes.
struct OpenSession {
  SessionPtr session;
  store::GoOn* heed = nullptr;

  OpenSession(SessionPtr opened, store::GoOn* go_on) : session(std::move(opened)), heed(go_on) {
    session->heed(*heed ? heed : nullptr);
  }
  ~OpenSession() {
    session->heed(nullptr);
    session->rollback();
  }
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;
};

Result<SessionPtr> open_source(const std::string& url) {
  const auto migrations = store_migrations();
  CLEW_TRY(auto session, connect(url, true));
  CLEW_TRY(const int version, session->schema_version());
  if (version == store::newest_version(migrations)) return session;
  session.reset();
  CLEW_TRY(auto writer, connect(url, false));
  CLEW_TRY(store::migrate(*writer, migrations));
  writer.reset();
  return connect(url, true);
}

// Each open runtime is an owner, and renews that it is alive.
Result<void> check_nobody_has_it(store::Transaction& tx, Timestamp now) {
  CLEW_TRY(const auto owners, store::list_owners(tx));
  for (const auto& each : owners) {
    if (each.expires_at <= now || !store::may_be_alive(each.process)) continue;
    return error(Code::conflict, "{} has the store open (process {} on {}): close it first",
                 each.name, each.process.pid, each.process.host)
        .with("owner", each.name)
        .with("pid", each.process.pid)
        .with("host", each.process.host);
  }
  return {};
}

struct Destination {
  std::string from;
  std::string to;
  const store::Tables& tables;
  store::Session& source;
  store::GoOn* heed;
};

Result<void> fill(const Destination& move, store::Session& to, Export& made, Timestamp now) {
  CLEW_TRY(to.exclude_writers(move.tables.names()));
  CLEW_TRY(move.tables.check_empty(to));
  CLEW_TRY(move.tables.copy(move.source, to));
  CLEW_TRY(const auto found, move.tables.digest(to));
  CLEW_TRY(store::check_same(made.content, found));
  const session::AttachmentFolders folders{session::attachment_folder(move.from),
                                           session::attachment_folder(move.to)};
  CLEW_TRY(const auto moved, session::move_attachments(to, folders, now));
  made.attachments = moved.count;
  made.attachment_bytes = moved.bytes;
  made.is_in_database = folders.to.empty();
  return fault_commit.hit();
}

Result<void> write_destination(const Destination& move, Export& made, Timestamp now) {
  store::DatabaseOptions options;
  options.url = move.to;
  const auto migrations = store_migrations();
  CLEW_TRY(const auto backend, store::make_backend(options, migrations));
  if (made.content.unusual_text && !backend->keeps_any_text()) {
    return made.content.unusual_text->with("expected", "text that PostgreSQL keeps");
  }
  CLEW_TRY(auto session, backend->connect_writer());
  CLEW_TRY(store::migrate(*session, migrations));
  const OpenSession to(std::move(session), move.heed);
  CLEW_TRY(to.session->begin(store::Access::write, store::Durability::sync));
  CLEW_TRY(fill(move, *to.session, made, now));
  return to.session->commit();
}

Result<void> check_place(const char* which, const std::string& url) {
  if (url != ":memory:") return {};
  return invalid_input(which, url, "a file or a PostgreSQL URL: what is in memory is gone with it");
}

}  // namespace

Result<std::vector<Violation>> verify_store(const std::string& url, Heed heed) {
  CLEW_TRY(check_place("store", url));
  const auto env = make_real_env();
  CLEW_TRY(const auto database, open_to_read(url, *env));
  return verify_database(*database, std::move(heed));
}

Result<std::vector<Value>> query_store(const std::string& url, const std::string& query,
                                       const std::vector<Value>& parameters, Heed heed) {
  CLEW_TRY(check_place("store", url));
  const auto env = make_real_env();
  CLEW_TRY(const auto database, open_to_read(url, *env));
  return read_sql(*database, query, parameters, std::move(heed));
}

Result<Export> export_store(const std::string& from, const std::string& to, Heed heed) {
  CLEW_TRY(arm_faults_from_environment());
  CLEW_TRY(check_place("store", from));
  CLEW_TRY(check_place("to", to));
  CLEW_TRY(const auto tables, store::Tables::of(store_migrations()));
  CLEW_TRY(auto session, open_source(from));
  const OpenSession source(std::move(session), &heed);
  CLEW_TRY(source.session->begin(store::Access::snapshot, store::Durability::relaxed));
  const auto now = make_real_clock()->now();
  CLEW_TRY(check_nobody_has_it(*source.session, now));
  Export made;
  CLEW_TRY(made.content, tables->digest(*source.session));
  const Destination move{from, to, *tables, *source.session, &heed};
  CLEW_TRY(write_destination(move, made, now));
  return made;
}

}  // namespace clew
