#include <utility>

#include "clew/base/fault.hpp"
#include "clew/store/detail/commit_queue.hpp"
#include "clew/store/detail/commit_watch.hpp"
#include "clew/store/detail/reader_pool.hpp"
#include "clew/store/migrate.hpp"

namespace clew::store {
namespace {

FaultPoint fault_open("store.open");

class OpenDatabase final : public Database {
 public:
  OpenDatabase(DatabaseOptions options, std::unique_ptr<Backend> backend,
               std::unique_ptr<Session> writer, Clock& clock)
      : options_(std::move(options)),
        backend_(std::move(backend)),
        readers_(*backend_, options_.readers_max),
        queue_(std::move(writer), options_, backend_->has_one_session(), clock),
        commits_(*backend_) {
    queue_.start();
  }
  ~OpenDatabase() override { (void)close(Timestamp::never()); }

  bool close(Timestamp deadline) override;
  void submit(Write write) override { queue_.submit(std::move(write)); }
  Result<CommitInfo> write(Apply apply, Durability durability) override {
    return queue_.write(std::move(apply), durability);
  }
  void submit_or_commit(Write write) override { queue_.submit_or_commit(std::move(write)); }
  Result<void> read(Function<Result<void>(Transaction&)> use, GoOn go_on) override;
  CommitNumber written_up_to() const override { return queue_.written_up_to(); }
  CommitNumber durable_up_to() const override { return queue_.durable_up_to(); }
  Result<void> await_durable(CommitNumber number, Timestamp deadline) override {
    return queue_.await_durable(number, deadline);
  }
  Result<std::vector<std::string>> check_integrity() override;
  Result<std::int64_t> data_version() override;
  std::shared_ptr<void> watch_commits(Function<void()> changed) override {
    return backend_->has_one_session() ? nullptr : commits_.add(std::move(changed));
  }
  DatabaseStats stats() const override { return queue_.stats(); }
  bool is_memory() const override { return backend_->has_one_session(); }
  const std::string& url() const override { return options_.url; }

 private:
  Result<void> with_reader(Function<Result<void>(Session&)> use, GoOn& go_on);

  const DatabaseOptions options_;
  const std::unique_ptr<Backend> backend_;
  detail::ReaderPool readers_;
  detail::CommitQueue queue_;
  detail::CommitWatch commits_;
  // Which commits of others a session has seen is its own matter, so one session must answer all.
  // Its mutex is held while it asks, as SQLite's own would be: a look at shared memory.
  Mutex watch_mutex_;
  std::unique_ptr<Session> watch_ CLEW_GUARDED_BY(watch_mutex_);
  bool is_watch_over_ CLEW_GUARDED_BY(watch_mutex_) = false;
};

// The writer's connection is closed last, for then it moves the log into the file.
bool OpenDatabase::close(Timestamp deadline) {
  const bool in_time = queue_.close(deadline);
  commits_.close();
  readers_.close();
  {
    const Lock lock(watch_mutex_);
    is_watch_over_ = true;
    watch_.reset();
  }
  queue_.disconnect();
  return in_time;
}

Result<void> OpenDatabase::with_reader(Function<Result<void>(Session&)> use, GoOn& go_on) {
  if (backend_->has_one_session()) return queue_.exclusively(std::move(use), go_on);
  CLEW_TRY(auto borrowed, readers_.borrow(go_on));
  struct GiveBack {
    detail::ReaderPool& pool;
    std::unique_ptr<Session> session;
    ~GiveBack() { pool.give_back(std::move(session)); }
  } const held{readers_, std::move(borrowed)};
  return use(*held.session);
}

Result<void> OpenDatabase::read(Function<Result<void>(Transaction&)> use, GoOn go_on) {
  const auto* scope = detail::ThreadScope::find(&queue_);
  CLEW_CHECK(scope == nullptr || scope->doing() != detail::Doing::apply);
  // A read within a read stands on the same snapshot.
  if (scope != nullptr && scope->doing() == detail::Doing::read) return use(*scope->session());
  const auto read = [&](Session& session) -> Result<void> {
    struct End {
      Session& session;
      ~End() {
        session.heed(nullptr);
        session.rollback();
      }
    } const end{session};
    session.heed(go_on ? &go_on : nullptr);
    CLEW_TRY(session.begin(Access::snapshot, Durability::relaxed));
    const detail::ThreadScope reading(&queue_, detail::Doing::read, &session);
    return use(session);
  };
  return with_reader(read, go_on);
}

Result<std::vector<std::string>> OpenDatabase::check_integrity() {
  std::vector<std::string> findings;
  GoOn unbounded;
  const auto check = [&findings](Session& session) -> Result<void> {
    CLEW_TRY(findings, session.check_integrity());
    return {};
  };
  CLEW_TRY(with_reader(check, unbounded));
  return findings;
}

Result<std::int64_t> OpenDatabase::data_version() {
  const Lock lock(watch_mutex_);
  if (is_watch_over_) return Error(Code::closed, "the database was closed");
  if (backend_->has_one_session()) return static_cast<std::int64_t>(queue_.written_up_to());
  if (!watch_) {
    CLEW_TRY(watch_, backend_->connect_reader());
  }
  return watch_->data_version();
}

Result<void> check_options(const DatabaseOptions& options) {
  const std::pair<const char*, int> bounds[] = {{"group_max", options.group_max},
                                                {"queue_max", options.queue_max},
                                                {"readers_max", options.readers_max}};
  for (const auto& [name, value] : bounds) {
    if (value < 1) return invalid_input(name, value, "at least 1");
  }
  return {};
}

// A reader cannot migrate, so that it must find the schema that its program knows.
Result<void> check_version(Session& session, int known) {
  CLEW_TRY(const int found, session.schema_version());
  if (found == known) return {};
  return error(
             Code::unsupported,
             "the database has schema version {}, this program reads {}: open it for writing once",
             found, known)
      .with("found", found)
      .with("known", known);
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(DatabaseOptions options,
                                                 const std::vector<Migration>& migrations,
                                                 Env& env) {
  CLEW_TRY(check_options(options));
  CLEW_TRY(fault_open.hit());
  CLEW_TRY(auto backend, make_backend(options, migrations));
  CLEW_TRY(auto writer, backend->connect_writer());
  if (options.read_only) {
    CLEW_TRY(check_version(*writer, newest_version(migrations)));
  } else {
    CLEW_TRY(migrate(*writer, migrations));
  }
  return std::unique_ptr<Database>(std::make_unique<OpenDatabase>(
      std::move(options), std::move(backend), std::move(writer), env.clock()));
}

std::map<std::string, std::int64_t> DatabaseStats::to_map() const {
  return {{"commits", commits},
          {"writes", writes},
          {"refused", refused},
          {"syncs", syncs},
          {"reruns", reruns},
          {"queued", queued},
          {"group_largest", group_largest}};
}

}  // namespace clew::store
