// A warm call of a WebAssembly module costs tens of microseconds: an instance of its own for each
// call, no thread hand-off. Defends 30,000 calls a second on one core.
#include <benchmark/benchmark.h>

#include <memory>

#include "clew/capability/dispatch.hpp"
#include "clew/store/migrate.hpp"
#include "clew/wasm/wasm.hpp"

namespace clew::wasm {
namespace {

constexpr const char* echo = R"((module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))))";

struct World {
  World() {
    auto migrations = store::core_migrations();
    migrations.push_back(trace_migration(static_cast<int>(migrations.size()) + 1));
    migrations.push_back(module_migration(static_cast<int>(migrations.size()) + 1));
    database = store::Database::open({}, migrations, *env).value();
    timers = make_timers(env->clock());
    pool = make_thread_pool({}, env->clock()).value();
    (void)timers->start();
    (void)pool->start();
    traces = make_trace_store(*database, *env, {});
    host = Host::open({*env, *database}, {}).value();
    dispatcher = make_dispatcher({*env, registry, *pool, *timers, *traces});
    (void)dispatcher->add_executor(host->executor());
    contract.id = "b.echo";
    contract.version = Version::parse("1.0.0").value();
    ModuleSource source;
    source.bytes = echo;
    (void)registry.add(contract, host->admit(contract, source).value().handler);
    capability = registry.snapshot()->resolve("b.echo").value();
  }
  ~World() {
    dispatcher->stop(false, Timestamp::never());
    pool->stop(StopMode::cancel, Timestamp::never());
    timers->stop(StopMode::cancel, Timestamp::never());
    traces->close();
  }

  std::unique_ptr<Env> env = make_real_env();
  Registry registry;
  Contract contract;
  CapabilityPtr capability;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<Timers> timers;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<TraceStore> traces;
  std::unique_ptr<Host> host;
  std::unique_ptr<Dispatcher> dispatcher;
};

World& world() {
  static World made;
  return made;
}

void warm_call(benchmark::State& state) {
  for (auto _ : state) {
    Request request;
    request.capability = world().capability;
    request.input = Value::object({{"n", 1}});
    if (!world().dispatcher->execute(std::move(request)).result) state.SkipWithError("it failed");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(warm_call)->ThreadRange(1, 2)->UseRealTime();

// What a registration costs: read, hash, compile, check.
void compile(benchmark::State& state) {
  int n = 0;
  for (auto _ : state) {
    ModuleSource source;
    source.bytes = echo;  // and something that no other module has
    source.bytes.insert(source.bytes.size() - 1, fmt::format("(global i32 (i32.const {}))", ++n));
    const auto admitted = world().host->admit(world().contract, source);
    if (!admitted) state.SkipWithError(admitted.error().message().c_str());
  }
}
BENCHMARK(compile)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace clew::wasm

BENCHMARK_MAIN();
