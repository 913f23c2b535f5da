// Hypothesis: what commits at the same time shares a sync, so the stores do many times what one
// commit a row does; what is recorded needs no disk at all. Defends, on a SQLite file: appends of
// 64 writers, the cycle of a queue with 64 in flight, commits of a session with ten nodes and a
// checkpoint, and replays of recorded effects, beside a row a commit on the same disk.
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <memory>

#include "clew/runtime/runtime.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/session/session_store.hpp"

namespace clew {
namespace {

constexpr int writers = 64;

// In a folder of its own below the working one: /tmp may be memory, where a sync costs nothing.
std::string file(const char* name) {
  static const auto folder = [] {
    auto path = std::filesystem::current_path() / "bench-stores";
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    return path;
  }();
  return (folder / name).string();
}

// One for all threads of all benchmarks; closed at exit.
Runtime& world() {
  static const auto made = [] {
    RuntimeOptions options;
    options.store = file("clew.db");
    return Runtime::open(options).value();
  }();
  return *made;
}

template <typename T>
bool failed(benchmark::State& state, const Result<T>& done) {
  if (!done) state.SkipWithError(done.error().to_string().c_str());
  return !done;
}

void naive_commit_a_row(benchmark::State& state) {
  sqlite3* db = nullptr;
  sqlite3_open(file("naive.db").c_str(), &db);
  sqlite3_exec(db,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
               "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, data TEXT)",
               nullptr, nullptr, nullptr);
  for (auto _ : state) {
    if (sqlite3_exec(db, "INSERT INTO events (data) VALUES ('{\"n\": 1}')", nullptr, nullptr,
                     nullptr) != SQLITE_OK) {
      state.SkipWithError(sqlite3_errmsg(db));
    }
  }
  state.SetItemsProcessed(state.iterations());
  sqlite3_close(db);
}
BENCHMARK(naive_commit_a_row)->UseRealTime();

// Each writer appends to a process of its own, and waits until that is durable.
void process_append(benchmark::State& state) {
  auto& processes = world().stores().processes();
  process::Registration registration;
  registration.id = fmt::format("writer-{}", state.thread_index());
  registration.event_types.push_back({.name = "line", .semantics = {}});
  if (failed(state, processes.register_process(registration))) return;
  process::AppendRequest request;
  request.event_type = "line";
  request.payload = Value::object({{"n", 1}});
  for (auto _ : state) {
    if (failed(state, processes.append_event(registration.id, request))) return;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(process_append)->Threads(1)->Threads(writers)->UseRealTime();

// Enqueue, claim, complete, in a session of its own.
void queue_cycle(benchmark::State& state) {
  const auto id = fmt::format("queue-{}", state.thread_index());
  session::SessionStore store(world().database(), world().env(), id);
  session::QueuedWorkDraft draft;
  draft.session_id = id;
  draft.payloads.push_back({session::PayloadKind::turn_input, Value::object({{"n", 1}})});
  for (auto _ : state) {
    if (failed(state, store.enqueue(draft))) return;
    const auto claim =
        store.claim(session::ClaimBoundary::idle, "worker", std::chrono::minutes(1), 1);
    if (failed(state, claim)) return;
    if (!*claim) return state.SkipWithError("nothing to claim");
    if (failed(state, store.complete((*claim)->completion()))) return;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(queue_cycle)->Threads(1)->Threads(writers)->UseRealTime();

// Ten nodes, and a checkpoint whose state is new each time, in a session of its own.
void session_commit(benchmark::State& state) {
  constexpr int nodes = 10;
  static std::atomic<int> next{0};  // the library calls this several times
  const auto id = fmt::format("session-{}", next.fetch_add(1));
  session::SessionStore store(world().database(), world().env(), id);
  session::RuntimeCommit commit;
  commit.session_id = id;
  std::string leaf;
  std::int64_t turn = 0;
  for (auto _ : state) {
    commit.graph = {};
    commit.graph.kind = session::GraphDelta::Kind::append;
    for (int i = 0; i < nodes; ++i) {
      session::SessionNode node;
      node.node_id = fmt::format("{}-{}", turn, i);
      node.parent_node_id = leaf;
      node.payload = Value::object({{"text", "what was said in this turn of the conversation"}});
      leaf = node.node_id;
      commit.graph.nodes.push_back(std::move(node));
    }
    commit.graph.leaf_node_id = leaf;
    commit.checkpoint.turn_index = ++turn;
    commit.checkpoint.execution_state.body = fmt::format("{}:{}", id, turn);
    const auto done = store.commit(commit);
    if (failed(state, done)) return;
    commit.expected_head_revision = done->head_revision;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(session_commit)->Threads(1)->Threads(writers)->UseRealTime();

// A recorded outcome, asked for again.
void effect_replay(benchmark::State& state) {
  const auto scope = effect::Scope::turn("bench", "turn").value();
  static const auto controller = world().stores().effects().scoped(scope);
  const auto invocation = Value::object(
      {{"scope", Value::object({{"session_id", "bench"}})},
       {"subject", Value::object({{"type", "effect"}, {"effect_id", "e"}, {"kind", "exec_code"}})},
       {"replay", Value::object({{"key", "bench:turn:e"}})}});
  const auto command = Value::object({{"type", "exec_code"}, {"code", "work()"}});
  const auto envelope = effect::Envelope::make(invocation, command).value();
  const auto run = [](const effect::EffectRun&) -> Result<Value> { return Value(1); };
  if (failed(state, controller->execute_effect(envelope, run))) return;
  for (auto _ : state) {
    if (failed(state, controller->execute_effect(envelope, nullptr))) return;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(effect_replay)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace clew

BENCHMARK_MAIN();
