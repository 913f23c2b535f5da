// Hypothesis: writes that are in flight together share one sync, so that the cost of one falls from
// that of a sync to that of its SQL, and the runtime adds at most 1.5 µs to each.
// Defends, on two cores of an EPYC VM: 150,000 one-row writes a second with 512 in flight, 4,500
// from a lone write() loop (where a bare SQLite loop gives as many).
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/store/migrate.hpp"

namespace clew::store {
namespace {

constexpr const char* table_sql = "CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
const Statement insert_sql("INSERT INTO rows (body) VALUES (:body)");
const std::string body(200, 'x');

// A fresh folder, removed at the end. CLEW_BENCH_DIR says where.
class Folder {
 public:
  Folder() {
    const char* parent = std::getenv("CLEW_BENCH_DIR");
    std::string name = std::string(parent != nullptr ? parent : "/tmp") + "/clew-bench-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file() const { return path_ + "/bench.db"; }

 private:
  std::string path_;
};

struct Bench {
  explicit Bench(bool is_memory = false) {
    const std::vector<Migration> migrations = {{1, "rows", table_sql}};
    auto opened = Database::open({.url = is_memory ? ":memory:" : folder.file()}, migrations, *env);
    opened.value();
    db = *std::move(opened);
  }
  static Result<void> insert(Transaction& tx) {
    CLEW_TRY(tx.run(insert_sql, body));
    return {};
  }
  Folder folder;
  std::unique_ptr<Env> env = make_real_env();
  std::unique_ptr<Database> db;
};

// What SQLite alone takes for groups of range(0) rows.
void raw_sqlite(benchmark::State& state) {
  const Folder folder;
  sqlite3* db = nullptr;
  sqlite3_open_v2(folder.file().c_str(), &db,
                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  sqlite3_exec(db,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
               "PRAGMA wal_autocheckpoint=4000",
               nullptr, nullptr, nullptr);
  sqlite3_exec(db, table_sql, nullptr, nullptr, nullptr);
  const char* sql[] = {"BEGIN IMMEDIATE", "INSERT INTO rows (body) VALUES (?)", "COMMIT"};
  sqlite3_stmt* statements[3] = {};
  for (int i = 0; i < 3; ++i) sqlite3_prepare_v2(db, sql[i], -1, &statements[i], nullptr);
  const auto step = [&](int i) {
    sqlite3_step(statements[i]);
    sqlite3_reset(statements[i]);
  };
  for (auto _ : state) {
    step(0);
    for (int i = 0; i < state.range(0); ++i) {
      sqlite3_bind_text(statements[1], 1, body.data(), static_cast<int>(body.size()),
                        SQLITE_STATIC);
      step(1);
    }
    step(2);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  for (auto* statement : statements) sqlite3_finalize(statement);
  sqlite3_close(db);
}

void lone_write(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  for (auto _ : state) {
    if (!bench.db->write(&Bench::insert)) std::abort();
  }
  state.SetItemsProcessed(state.iterations());
}

void lone_relaxed_write(benchmark::State& state) {
  Bench bench;
  for (auto _ : state) {
    if (!bench.db->write(&Bench::insert, Durability::relaxed)) std::abort();
  }
  state.SetItemsProcessed(state.iterations());
}

// Each completion submits the next, so that `in_flight` are always on their way.
struct Chain {
  Bench& bench;
  std::int64_t left;
  int in_flight;
  Mutex mutex;
  Condition over;

  void next() {
    bench.db->submit({.apply = &Bench::insert, .done = [this](Result<CommitInfo> info) {
                        if (!info) std::abort();
                        const Lock lock(mutex);
                        if (--left < in_flight) {
                          if (left == 0) over.notify_all();
                          return;
                        }
                        mutex.unlock();
                        next();
                        mutex.lock();
                      }});
  }
};

void writes_in_flight(benchmark::State& state) {
  Bench bench(state.range(1) != 0);
  const int in_flight = static_cast<int>(state.range(0));
  constexpr std::int64_t count = 100'000;
  for (auto _ : state) {
    Chain chain{.bench = bench, .left = count, .in_flight = in_flight, .mutex = {}, .over = {}};
    for (int i = 0; i < in_flight; ++i) chain.next();
    Lock lock(chain.mutex);
    while (chain.left > 0) chain.over.wait(lock);
  }
  state.SetItemsProcessed(state.iterations() * count);
  const auto stats = bench.db->stats();
  state.counters["group"] = static_cast<double>(stats.writes) / static_cast<double>(stats.commits);
}

// Threads that each wait for their own write.
void threads_writing(benchmark::State& state) {
  Bench bench;
  constexpr int count = 20'000;
  for (auto _ : state) {
    std::atomic<int> left{count};
    Threads threads;
    for (int i = 0; i < state.range(0); ++i) {
      threads.start("writer", [&] {
        while (left.fetch_sub(1) > 0) {
          if (!bench.db->write(&Bench::insert)) std::abort();
        }
      });
    }
    threads.join();
  }
  state.SetItemsProcessed(state.iterations() * count);
  const auto stats = bench.db->stats();
  state.counters["group"] = static_cast<double>(stats.writes) / static_cast<double>(stats.commits);
}

// A lone writer beside busy threads: what the writer thread's priority is for.
void submits_beside_busy_threads(benchmark::State& state) {
  Bench bench;
  std::atomic<bool> stop{false};
  Threads busy;
  for (int i = 0; i < 2; ++i) {
    busy.start("busy", [&stop] {
      std::uint64_t sum = 0;
      while (!stop.load(std::memory_order_relaxed)) benchmark::DoNotOptimize(++sum);
    });
  }
  constexpr std::int64_t count = 2'000;
  for (auto _ : state) {
    Chain chain{.bench = bench, .left = count, .in_flight = 1, .mutex = {}, .over = {}};
    chain.next();
    Lock lock(chain.mutex);
    while (chain.left > 0) chain.over.wait(lock);
  }
  stop = true;
  state.SetItemsProcessed(state.iterations() * count);
}

BENCHMARK(raw_sqlite)->Arg(1)->Arg(64)->Arg(512)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(lone_write)->Arg(0)->Arg(1)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(lone_relaxed_write)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(writes_in_flight)
    ->Args({64, 0})
    ->Args({512, 0})
    ->Args({512, 1})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(threads_writing)
    ->Arg(2)
    ->Arg(4)
    ->Arg(16)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(submits_beside_busy_threads)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace clew::store

BENCHMARK_MAIN();
