#include "clew/runtime/runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "clew/base/fault.hpp"
#include "clew/base/json.hpp"
#include "clew/exec/timers.hpp"
#include "clew/runtime/inspect.hpp"
#include "clew/store/migrate.hpp"

namespace clew {
namespace {

// The schema of the whole store, in the order in which it grew.
std::vector<store::Migration> all_migrations() {
  auto migrations = store::core_migrations();
  migrations.push_back(trace_migration(static_cast<int>(migrations.size()) + 1));
  migrations.push_back(workflow::run_migration(static_cast<int>(migrations.size()) + 1));
  return migrations;
}

// An Env over a borrowed clock: chance and ids from the system, time from a test.
class ClockedEnv final : public Env {
 public:
  explicit ClockedEnv(Clock& clock) : clock_(clock), real_(make_real_env()) {}
  Clock& clock() override { return clock_; }
  IdSource& ids() override { return real_->ids(); }
  Random& random(std::string_view label) override { return real_->random(label); }

 private:
  Clock& clock_;
  std::unique_ptr<Env> real_;
};

int default_workers() {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(2 * cores, 4, 256);
}

// Members in the order in which they start; they stop and die in the reverse order.
class RuntimeImpl final : public Runtime {
 public:
  explicit RuntimeImpl(RuntimeOptions options) : options_(std::move(options)) {}
  ~RuntimeImpl() override { close(false, std::chrono::seconds(5)); }

  Result<void> open() {
    CLEW_TRY(arm_faults_from_environment());
    env_ =
        options_.clock != nullptr ? std::make_unique<ClockedEnv>(*options_.clock) : make_real_env();
    CLEW_TRY(pool_, make_thread_pool(pool_options(), env_->clock()));  // refuses bad bounds first
    store::DatabaseOptions database;
    database.url = options_.store;
    database.relaxed_window = options_.relaxed_window;
    CLEW_TRY(database_, store::Database::open(std::move(database), all_migrations(), *env_));
    timers_ = make_timers(env_->clock());
    CLEW_TRY(timers_->start());
    CLEW_TRY(pool_->start());
    traces_ = make_trace_store(*database_, *env_, options_.traces);
    dispatcher_ = make_dispatcher({*env_, registry_, *pool_, *timers_, *traces_});
    CLEW_TRY(dispatcher_->add_executor(make_native_executor(*pool_)));
    workflow::EngineOptions engine;
    engine.owner_name = options_.name.empty() ? fmt::format("clew-{}", ::getpid()) : options_.name;
    engine.lease_ttl = options_.lease_ttl;
    engine.durability = options_.durability;
    CLEW_TRY(engine_,
             workflow::Engine::open(
                 {*env_, *database_, *dispatcher_, registry_, *traces_, *timers_}, engine));
    open_.store(true);
    if (options_.start) engine_->begin_recovery();
    return {};
  }

  Result<Registration> add(Contract contract, std::shared_ptr<const Handler> handler) override {
    CLEW_TRY(check_open());
    CLEW_TRY(auto done, registry_.add(std::move(contract), std::move(handler), options_.replace));
    engine_->registry_changed();
    return done;
  }

  Result<void> add_executor(std::shared_ptr<CapabilityExecutor> executor) override {
    CLEW_TRY(check_open());
    return dispatcher_->add_executor(std::move(executor));
  }

  Outcome execute(Request request) override {
    return dispatcher_->execute(with_parent(std::move(request)));
  }
  InvocationPtr submit(Request request) override {
    return dispatcher_->submit(with_parent(std::move(request)));
  }

  Result<workflow::RunPtr> start(const workflow::StartRequest& request) override {
    struct Answer {
      Mutex mutex;
      Condition given;
      std::optional<Result<workflow::RunPtr>> result CLEW_GUARDED_BY(mutex);
    };
    const auto answer = std::make_shared<Answer>();
    start_async(request, [answer](Result<workflow::RunPtr> run) {
      const Lock lock(answer->mutex);
      answer->result = std::move(run);
      answer->given.notify_all();
    });
    std::optional<Result<workflow::RunPtr>> result;
    pool_->blocking([&] {
      Lock lock(answer->mutex);
      while (!answer->result) answer->given.wait(lock);
      result = std::move(answer->result);
    });
    return std::move(*result);
  }

  void start_async(workflow::StartRequest request,
                   Function<void(Result<workflow::RunPtr>)> started) override {
    if (auto open = check_open(); !open) return started(std::move(open).error());
    engine_->start(std::move(request), std::move(started));
  }

  Result<workflow::RunPtr> run(const std::string& id) override {
    CLEW_TRY(check_open());
    return engine_->find(id);
  }
  Result<workflow::RunPage> runs(const workflow::RunQuery& query) override {
    CLEW_TRY(check_open());
    return engine_->list(query);
  }
  Result<void> publish_workflow(workflow::DefinitionPtr definition) override {
    CLEW_TRY(check_open());
    return engine_->publish(std::move(definition));
  }
  Result<workflow::DefinitionPtr> find_workflow(const std::string& reference) override {
    CLEW_TRY(check_open());
    return engine_->find_definition(reference);
  }
  std::vector<workflow::Problem> check(const workflow::Definition& definition) override {
    return engine_->check(definition);
  }

  Result<TracePage> traces(const TraceQuery& query) override {
    CLEW_TRY(check_open());
    return traces_->query(query);
  }
  Result<Trace> trace(const Id& id) override {
    CLEW_TRY(check_open());
    return traces_->find(id);
  }
  Result<std::vector<Value>> sql(const std::string& query,
                                 const std::vector<Value>& parameters) override {
    CLEW_TRY(check_open());
    CLEW_TRY(traces_->flush());
    return read_sql(*database_, query, parameters);
  }

  Value stats() override { return stats_of(*database_, *pool_, *dispatcher_, *traces_, *engine_); }

  Value health() override {
    std::vector<Value> problems;
    if (closed()) problems.emplace_back("the runtime is closed");
    if (const Value* failing = engine_->stats().find("last_error")) problems.push_back(*failing);
    const bool ok = problems.empty();
    return Value::object(
        {{"status", ok ? "ok" : "failing"}, {"problems", Value::array(std::move(problems))}});
  }

  Result<std::vector<Violation>> verify() override {
    CLEW_TRY(check_open());
    CLEW_TRY(traces_->flush());
    std::vector<Violation> violations;
    CLEW_TRY(const auto damage, database_->check_integrity());
    for (const auto& each : damage) violations.push_back({"database.integrity", each});
    CLEW_TRY(auto runs, engine_->verify());
    for (auto& [invariant, detail] : runs) violations.push_back({invariant, detail});
    return violations;
  }

  bool close(bool drain, Duration timeout) override {
    const Lock lock(closing_);  // a second caller waits until the first is done
    open_.store(false);
    if (dispatcher_) dispatcher_->begin_stop();
    if (!database_ || !engine_) {
      if (pool_) pool_->stop(StopMode::cancel, Timestamp::never());
      if (timers_) timers_->stop(StopMode::cancel, Timestamp::never());
      return true;
    }
    if (finished_) return true;
    finished_ = true;
    const auto deadline = env_->clock().now() + timeout;
    bool kept = engine_->stop(drain, deadline);
    kept = dispatcher_->stop(drain, deadline) && kept;
    kept = pool_->stop(drain ? StopMode::drain : StopMode::cancel, deadline) && kept;
    timers_->stop(StopMode::cancel, deadline);
    registry_.clear();
    traces_->close();
    return database_->close(deadline) && kept;
  }
  bool closed() const override { return !open_.load(); }

  ThreadPool& pool() override { return *pool_; }
  Env& env() override { return *env_; }
  Registry& registry() override { return registry_; }
  Dispatcher& dispatcher() override { return *dispatcher_; }
  store::Database& database() override { return *database_; }

 private:
  PoolOptions pool_options() const {
    PoolOptions pool;
    pool.threads = options_.workers == 0 ? default_workers() : options_.workers;
    pool.queue_max = options_.queue_max;
    pool.on_thread_start = options_.on_thread_start;
    pool.on_thread_stop = options_.on_thread_stop;
    return pool;
  }

  Result<void> check_open() const {
    if (!open_.load()) return error(Code::closed, "the runtime is closed");
    return {};
  }

  static Request with_parent(Request request) {
    if (!request.parent) request.parent = Dispatcher::current();
    return request;
  }

  RuntimeOptions options_;
  std::atomic<bool> open_{false};
  Mutex closing_;
  bool finished_ = false;
  std::unique_ptr<Env> env_;
  Registry registry_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<TraceStore> traces_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<workflow::Engine> engine_;
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(RuntimeOptions options) {
  auto runtime = std::make_unique<RuntimeImpl>(std::move(options));
  CLEW_TRY(runtime->open());
  return std::unique_ptr<Runtime>(std::move(runtime));
}

}  // namespace clew
