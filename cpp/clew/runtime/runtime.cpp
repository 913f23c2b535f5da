#include "clew/runtime/runtime.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "clew/base/fault.hpp"
#include "clew/base/json.hpp"
#include "clew/capability/contract_rows.hpp"
#include "clew/exec/timers.hpp"
#include "clew/runtime/inspect.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/runtime/verify.hpp"
#include "clew/store/migrate.hpp"

namespace clew {

namespace {

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

// In the order in which they start; they stop and die in the reverse order. A run that outlives its
// runtime keeps them, to be told that all is closed.
struct Parts {
  std::unique_ptr<Env> env;
  Registry registry;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<Timers> timers;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<TraceStore> traces;
  std::unique_ptr<Broker> broker;
  std::unique_ptr<IdempotencyKeys> keys;
  Mutex wasm_mutex;
  std::unique_ptr<wasm::Host> wasm CLEW_GUARDED_BY(wasm_mutex);  // made when first used
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<workflow::Engine> engine;
  std::unique_ptr<Stores> stores;
};

// The parts live as long as the pointer.
workflow::RunPtr keeping(const std::shared_ptr<Parts>& parts, workflow::RunPtr run) {
  struct Kept {
    std::shared_ptr<Parts> parts;
    workflow::RunPtr run;
  };
  const auto kept = std::make_shared<Kept>(Kept{parts, std::move(run)});
  return {kept, kept->run.get()};
}

class RuntimeImpl final : public Runtime {
 public:
  explicit RuntimeImpl(RuntimeOptions options) : options_(std::move(options)) {}
  ~RuntimeImpl() override { close(false, std::chrono::seconds(5)); }

  Result<void> open() {
    CLEW_TRY(arm_faults_from_environment());
    parts_->env =
        options_.clock != nullptr ? std::make_unique<ClockedEnv>(*options_.clock) : make_real_env();
    CLEW_TRY(parts_->pool,
             make_thread_pool(pool_options(), parts_->env->clock()));  // refuses bad bounds first
    store::DatabaseOptions database;
    database.url = options_.store;
    database.relaxed_window = options_.relaxed_window;
    CLEW_TRY(parts_->database,
             store::Database::open(std::move(database), store_migrations(), *parts_->env));
    CLEW_TRY(restore_contracts());
    parts_->timers = make_timers(parts_->env->clock());
    CLEW_TRY(parts_->timers->start());
    CLEW_TRY(parts_->pool->start());
    parts_->traces = make_trace_store(*parts_->database, *parts_->env, options_.traces);
    const auto name = options_.name.empty() ? fmt::format("clew-{}", ::getpid()) : options_.name;
    CLEW_TRY(parts_->broker, open_broker(*parts_->database, *parts_->env,
                                         {options_.events, options_.durability, name}));
    parts_->keys = make_idempotency_keys(*parts_->database, *parts_->env,
                                         {options_.idempotency_ttl, options_.durability},
                                         [parts = parts_.get()] { return parts->engine->owner(); });
    parts_->dispatcher =
        make_dispatcher({*parts_->env, parts_->registry, *parts_->pool, *parts_->timers,
                         *parts_->traces, parts_->keys.get(), parts_->broker.get()});
    CLEW_TRY(parts_->dispatcher->add_executor(make_native_executor(*parts_->pool)));
    workflow::EngineOptions engine;
    engine.owner_name = name;
    engine.lease_ttl = options_.lease_ttl;
    engine.durability = options_.durability;
    CLEW_TRY(parts_->engine,
             workflow::Engine::open(
                 {*parts_->env, *parts_->database, *parts_->dispatcher, parts_->registry,
                  *parts_->traces, *parts_->timers, *parts_->broker, *parts_->pool},
                 engine));
    CLEW_TRY(restore_composites());
    CLEW_TRY(parts_->stores, Stores::open(*parts_->database, *parts_->env, *parts_->timers, name,
                                          options_.retention));
    open_.store(true);
    if (options_.start) {
      parts_->engine->begin_recovery();
      parts_->stores->start();
    }
    return {};
  }

  Result<Registration> add(Contract contract, std::shared_ptr<const Handler> handler,
                           Placing where) override {
    CLEW_TRY(check_open());
    CLEW_TRY(auto done, parts_->registry.add(std::move(contract), std::move(handler),
                                             add_options(std::move(where)), persist()));
    parts_->engine->registry_changed();
    return done;
  }
  Result<void> set_lifecycle(const std::string& exact, Lifecycle to, Placing where) override {
    CLEW_TRY(check_open());
    CLEW_TRY(parts_->registry.set_lifecycle(exact, to, add_options(std::move(where)), persist()));
    parts_->engine->registry_changed();
    return {};
  }

  Result<Registration> add_wasm(Contract contract, const wasm::ModuleSource& source) override {
    CLEW_TRY(check_open());
    CLEW_TRY(auto* const host, wasm_host(source.library));
    CLEW_TRY(auto admitted, host->admit(contract, source));
    CLEW_TRY(auto done, add(std::move(contract), std::move(admitted.handler), {}));
    done.warning = std::move(admitted.warning);
    return done;
  }

  Result<Registration> add_workflow(Contract contract, workflow::DefinitionPtr definition,
                                    Placing where) override {
    CLEW_TRY(check_open());
    if (contract.max_concurrency != 0) {
      return invalid_input("max_concurrency", contract.max_concurrency,
                           "nothing: a workflow takes no thread, its steps do");
    }
    CLEW_TRY(serve_composites());
    CLEW_TRY(parts_->engine->publish(definition));
    auto options = add_options(std::move(where));
    options.workflow = definition->digest;
    CLEW_TRY(auto done, parts_->registry.add(std::move(contract),
                                             workflow::make_workflow_handler(std::move(definition)),
                                             std::move(options), persist()));
    parts_->engine->registry_changed();
    return done;
  }

  Result<void> add_executor(std::shared_ptr<CapabilityExecutor> executor) override {
    CLEW_TRY(check_open());
    return parts_->dispatcher->add_executor(std::move(executor));
  }

  Outcome execute(Request request) override {
    return parts_->dispatcher->execute(with_parent(std::move(request)));
  }
  InvocationPtr submit(Request request) override {
    return parts_->dispatcher->submit(with_parent(std::move(request)));
  }

  Result<workflow::RunPtr> start(const workflow::StartRequest& request) override {
    struct Answer {
      Mutex mutex;
      Condition given;
      std::optional<Result<workflow::RunPtr>> result CLEW_GUARDED_BY(mutex);
    };
    const auto answer = std::make_shared<Answer>();
    start_async(request, [answer](Result<workflow::RunPtr> run) {
      {
        const Lock lock(answer->mutex);
        answer->result = std::move(run);
      }
      answer->given.notify_all();
    });
    std::optional<Result<workflow::RunPtr>> result;
    parts_->pool->blocking([&] {
      Lock lock(answer->mutex);
      while (!answer->result) answer->given.wait(lock);
      result = std::move(answer->result);
    });
    return std::move(*result);
  }

  void start_async(workflow::StartRequest request,
                   Function<void(Result<workflow::RunPtr>)> started) override {
    if (auto open = check_open(); !open) return started(std::move(open).error());
    parts_->engine->start(
        std::move(request), [parts = std::weak_ptr(parts_),
                             started = std::move(started)](Result<workflow::RunPtr> run) mutable {
          const auto kept = parts.lock();
          started(run && kept ? keeping(kept, std::move(run).value()) : std::move(run));
        });
  }

  Result<workflow::RunPtr> run(const std::string& id) override {
    CLEW_TRY(check_open());
    CLEW_TRY(auto run, parts_->engine->find(id));
    return keeping(parts_, std::move(run));
  }
  Result<workflow::RunPage> runs(const workflow::RunQuery& query) override {
    CLEW_TRY(check_open());
    return parts_->engine->list(query);
  }
  Result<void> publish_workflow(workflow::DefinitionPtr definition) override {
    CLEW_TRY(check_open());
    return parts_->engine->publish(std::move(definition));
  }
  Result<workflow::DefinitionPtr> find_workflow(const std::string& reference) override {
    CLEW_TRY(check_open());
    return parts_->engine->find_definition(reference);
  }
  std::vector<workflow::Problem> check(const workflow::Definition& definition,
                                       const std::string& workspace) override {
    return parts_->engine->check(definition, workspace);
  }

  Result<EventTypePtr> define_event(const EventDefinition& definition) override {
    CLEW_TRY(check_open());
    return parts_->broker->catalog().define(definition);
  }
  Result<EventTypePtr> set_event_lifecycle(const std::string& type,
                                           EventLifecycle lifecycle) override {
    CLEW_TRY(check_open());
    return parts_->broker->catalog().set_lifecycle(type, lifecycle);
  }
  Result<EventTypePtr> event_type(const std::string& reference) override {
    CLEW_TRY(check_open());
    return parts_->broker->catalog().find(reference);
  }
  Result<std::vector<EventTypePtr>> event_types() override {
    CLEW_TRY(check_open());
    CLEW_TRY(parts_->broker->catalog().load());  // other processes' too
    std::vector<EventTypePtr> types;
    for (const auto& [id, versions] : parts_->broker->catalog().snapshot()->by_id) {
      types.insert(types.end(), versions.begin(), versions.end());
    }
    return types;
  }
  Result<Cursor> publish(EventDraft draft, std::optional<Duration> timeout) override {
    CLEW_TRY(check_open());
    return parts_->broker->publish(with_call(std::move(draft)), timeout);
  }
  void publish_async(EventDraft draft, Function<void(Result<Cursor>)> done) override {
    if (auto open = check_open(); !open) return done(open.error());
    parts_->broker->publish_async(with_call(std::move(draft)), std::move(done));
  }
  Result<SubscriptionPtr> subscribe(SubscribeOptions options) override {
    CLEW_TRY(check_open());
    return parts_->broker->subscribe(std::move(options));
  }

  Result<TracePage> traces(const TraceQuery& query) override {
    CLEW_TRY(check_open());
    return parts_->traces->query(query);
  }
  Result<Trace> trace(const Id& id) override {
    CLEW_TRY(check_open());
    return parts_->traces->find(id);
  }
  Result<std::vector<Value>> sql(const std::string& query, const std::vector<Value>& parameters,
                                 SqlOptions options) override {
    CLEW_TRY(check_open());
    CLEW_TRY(parts_->traces->flush());
    CLEW_TRY(parts_->broker->flush());
    auto go_on =
        patience_for(options.timeout, [this] { return check_open(); }, std::move(options.heed));
    return read_sql(*parts_->database, query, parameters, std::move(go_on));
  }

  Value stats() override {
    return stats_of(*parts_->database, *parts_->pool, *parts_->dispatcher, *parts_->traces,
                    *parts_->engine, *parts_->broker, wasm_stats());
  }

  Value health() override {
    std::vector<Value> problems;
    if (closed()) problems.emplace_back("the runtime is closed");
    const Value runs = parts_->engine->stats();
    if (const Value* failing = runs.find("last_error")) problems.push_back(*failing);
    for (const auto& each : damaged_contracts_) problems.emplace_back(each);
    const bool ok = problems.empty();
    return Value::object(
        {{"status", ok ? "ok" : "failing"}, {"problems", Value::array(std::move(problems))}});
  }

  Result<std::vector<Violation>> verify() override {
    CLEW_TRY(check_open());
    CLEW_TRY(parts_->traces->flush());
    CLEW_TRY(parts_->broker->flush());
    return verify_database(*parts_->database);
  }

  bool close(bool drain, Duration timeout) override {
    open_.store(false);
    if (!drain) stop_draining();
    const Lock lock(closing_);  // a second caller waits until the first is done
    if (parts_->dispatcher) parts_->dispatcher->begin_stop();
    if (!parts_->database || !parts_->stores) {
      if (parts_->pool) parts_->pool->stop(StopMode::cancel, Timestamp::never());
      if (parts_->timers) parts_->timers->stop(StopMode::cancel, Timestamp::never());
      return true;
    }
    if (finished_) return true;
    finished_ = true;
    const auto deadline = parts_->env->clock().now() + timeout;
    if (drain) parts_->engine->drain_calls(deadline);
    parts_->broker->stop_reading();  // calls that wait for events end; those in flight may emit
    bool kept = parts_->engine->stop(drain, deadline);
    kept = parts_->dispatcher->stop(drain, deadline) && kept;
    const bool drains = drain && !draining_stopped_.load();
    kept = parts_->pool->stop(drains ? StopMode::drain : StopMode::cancel, deadline) && kept;
    parts_->timers->stop(StopMode::cancel, deadline);
    parts_->stores->stop();
    parts_->registry.clear();
    parts_->dispatcher->connectors().clear();
    parts_->traces->close();
    parts_->broker->close();
    return parts_->database->close(deadline) && kept;
  }
  void stop_draining() override {
    draining_stopped_.store(true);
    if (parts_->engine) parts_->engine->stop_draining();
    if (parts_->dispatcher) parts_->dispatcher->stop_draining();
  }
  bool closed() const override { return !open_.load(); }

  ThreadPool& pool() override { return *parts_->pool; }
  Env& env() override { return *parts_->env; }
  Registry& registry() override { return parts_->registry; }
  Dispatcher& dispatcher() override { return *parts_->dispatcher; }
  Broker& broker() override { return *parts_->broker; }
  store::Database& database() override { return *parts_->database; }
  Stores& stores() override { return *parts_->stores; }

 private:
  PoolOptions pool_options() const {
    PoolOptions pool;
    pool.threads = options_.workers == 0 ? default_workers() : options_.workers;
    pool.queue_max = options_.queue_max;
    // Callers hear of a full queue at once: waiting for room would heed neither their deadline nor
    // Ctrl-C, and stop an event loop. Steps and maps keep bounds of their own.
    pool.full = FullPolicy::reject;
    pool.on_thread_start = options_.on_thread_start;
    pool.on_thread_stop = options_.on_thread_stop;
    return pool;
  }

  Value wasm_stats() {
    const Lock lock(parts_->wasm_mutex);
    return parts_->wasm ? parts_->wasm->stats() : Value::object({});
  }

  // Made by the first who registers a module; lives as long as the runtime.
  Result<wasm::Host*> wasm_host(const std::string& library) {
    const Lock lock(parts_->wasm_mutex);
    if (parts_->wasm) return parts_->wasm.get();
    auto options = options_.wasm;
    if (options.library.empty()) options.library = library;
    options.services.connect = [](Invocation& call, const std::string& name, Value request,
                                  Timestamp deadline) {
      return call.connect(name, std::move(request), deadline);
    };
    options.services.emit = [](Invocation& call, const std::string& type, Value data) {
      return call.emit({.type = type, .data = std::move(data)});
    };
    options.on_thread_start = options_.on_thread_start;
    options.on_thread_stop = options_.on_thread_stop;
    CLEW_TRY(auto host, wasm::Host::open({*parts_->env, *parts_->database}, std::move(options)));
    CLEW_TRY(parts_->dispatcher->add_executor(host->executor()));
    parts_->wasm = std::move(host);
    return parts_->wasm.get();
  }

  // What was registered before is known again; its handlers come when they are registered.
  Result<void> restore_contracts() {
    std::vector<Capability> stored;
    const store::ReportRow damaged = [this](const Error& why) {
      damaged_contracts_.push_back(why.to_string());
    };
    CLEW_TRY(parts_->database->read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(stored, load_contracts(tx, damaged));
      return {};
    }));
    // What workflows carry out comes once those can be read.
    const auto composites = std::ranges::partition(
        stored, [](const Capability& each) { return each.workflow.empty(); });
    composites_.assign(composites.begin(), composites.end());
    stored.erase(composites.begin(), stored.end());
    return parts_->registry.restore(std::move(stored));
  }

  // From the first composite on: before, no call need look at its executor.
  Result<void> serve_composites() {
    const Lock lock(composites_mutex_);
    if (serves_composites_) return {};
    CLEW_TRY(parts_->dispatcher->add_executor(parts_->engine->executor()));
    serves_composites_ = true;
    return {};
  }

  Result<void> restore_composites() {
    auto composites = std::exchange(composites_, {});
    if (!composites.empty()) {
      CLEW_TRY(serve_composites());
    }
    for (auto& each : composites) {
      auto definition = parts_->engine->kept_definition(each.workflow);
      if (definition) {
        each.handler = workflow::make_workflow_handler(std::move(definition).value());
      } else {
        damaged_contracts_.push_back(
            fmt::format("{}: {}", each.reference(), definition.error().to_string()));
      }
    }
    return parts_->registry.restore(std::move(composites));
  }
  AddOptions add_options(Placing where) const {
    return {options_.replace, where.scope, std::move(where.workspace)};
  }
  // A contract comes back by itself when its code registers it again: it need not be synced.
  Persist persist() {
    return [this](const Capability& changed) -> Result<Lifecycle> {
      const bool may_replace = options_.replace != Replace::nothing;
      const auto now = parts_->env->clock().now();
      auto stored = changed.lifecycle;
      CLEW_TRY(parts_->database->write(
          [&](store::Transaction& tx) -> Result<void> {
            CLEW_TRY(stored, store_contract(tx, changed, may_replace, now));
            return {};
          },
          store::Durability::relaxed));
      return stored;
    };
  }

  Result<void> check_open() const {
    if (!open_.load()) return error(Code::closed, "the runtime is closed");
    return {};
  }

  static Request with_parent(Request request) {
    if (!request.parent) request.parent = Dispatcher::current();
    return request;
  }

  // What a handler publishes belongs to what its call belongs to.
  static EventDraft with_call(EventDraft draft) {
    const auto call = Dispatcher::current();
    if (!call) return draft;
    if (draft.correlation_id.empty()) draft.correlation_id = call->correlation_id();
    if (draft.causation_id.empty()) draft.causation_id = call->id().to_string();
    return draft;
  }

  RuntimeOptions options_;
  std::atomic<bool> open_{false};
  std::atomic<bool> draining_stopped_{false};
  Mutex closing_;
  bool finished_ = false;
  std::vector<std::string> damaged_contracts_;  // written while opening only
  std::vector<Capability> composites_;          // the same: to be restored
  Mutex composites_mutex_;
  bool serves_composites_ CLEW_GUARDED_BY(composites_mutex_) = false;
  std::shared_ptr<Parts> parts_ = std::make_shared<Parts>();
};

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(RuntimeOptions options) {
  auto runtime = std::make_unique<RuntimeImpl>(std::move(options));
  CLEW_TRY(runtime->open());
  return std::unique_ptr<Runtime>(std::move(runtime));
}

}  // namespace clew
