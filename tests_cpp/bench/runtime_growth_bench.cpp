// Hypothesis: every statement goes by an index, so that what a store's operation costs grows by the
// depth of a tree: at a million rows within twice of what it is at a thousand. Defends, on a SQLite
// file: an append to a stream, the cycle of a queue's row, a lease, and a request under its key.
// Each figure is the time within a transaction of many, without its sync.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "clew/runtime/schema.hpp"
#include "clew/store/idempotency.hpp"
#include "clew/store/store.hpp"
#include "clew/store/stream.hpp"
#include "clew/store/timed_lease.hpp"
#include "clew/store/work_queue.hpp"

namespace clew::store {
namespace {

constexpr int in_one = 200;  // operations of a transaction

struct World {
  World() {
    // In a folder of its own below the working one: /tmp may be memory.
    const auto folder = std::filesystem::current_path() / "bench-growth";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    database =
        Database::open({.url = (folder / "clew.db").string()}, store_migrations(), *env).value();
  }
  std::unique_ptr<Env> env = make_real_env();
  std::unique_ptr<Database> database;
};

World& world() {
  static World made;
  return made;
}

// One kind of row: makes the one of that number, and does what is measured when there are `rows`.
struct Work {
  Result<void> (*make)(Transaction& tx, std::int64_t number);
  Result<void> (*act)(Transaction& tx, std::int64_t rows, std::int64_t n);
};

std::int64_t picked(std::int64_t rows, std::int64_t n) { return n * 7919 % rows + 1; }

Result<void> append(Transaction& tx) {
  CLEW_TRY(const auto last, last_sequence(tx, 1));
  return append_next(tx, 1, {last + 1, Timestamp{last + 1}, "line", "", R"({"n":1})"});
}

Result<void> enqueue(Transaction& tx, std::int64_t number) {
  const auto id = fmt::format("work-{:09}", number);
  CLEW_TRY(enqueue_work(tx, {"bench", "lane"}, {id, id, "", Timestamp{}}, Timestamp{1}));
  return {};
}

// The lane keeps its length: one comes for one that is done.
Result<void> cycle(Transaction& tx, std::int64_t /*rows*/, std::int64_t n) {
  const Lane lane{"bench", "lane"};
  CLEW_TRY(lock_lane(tx, lane));
  CLEW_TRY(auto rows, list_work(tx, lane, 0, 1));
  const auto id = rows.front().id;
  CLEW_TRY(const auto claim,
           claim_found(tx, lane, std::move(rows),
                       {"claim-" + id, "me", "token", Timestamp{2}, Timestamp{3}}));
  CLEW_TRY(complete_claim(tx, lane, held(claim), Timestamp{2}));
  const auto again = fmt::format("again-{:09}", n);
  CLEW_TRY(enqueue_work(tx, lane, {again, again, "", Timestamp{}}, Timestamp{3}));
  return {};
}

Result<void> lease(Transaction& tx, std::int64_t number) {
  const auto id = fmt::format("lease-{:09}", number);
  CLEW_TRY(claim_timed_lease(tx, {"bench", id}, {"me", id, Timestamp{1}, Duration(1)}));
  return {};
}

Result<void> lease_again(Transaction& tx, std::int64_t rows, std::int64_t n) {
  const auto id = fmt::format("lease-{:09}", picked(rows, n));
  CLEW_TRY(claim_timed_lease(tx, {"bench", id},
                             {"you", fmt::format("{}-{}", id, n), Timestamp{n + 10}, Duration(1)}));
  return {};
}

Result<void> request(Transaction& tx, std::int64_t number) {
  const auto id = fmt::format("request-{:09}", number);
  return remember_request(tx, {"bench", "scope", id}, Value(1), Value(2), Timestamp{number});
}

Result<void> request_again(Transaction& tx, std::int64_t rows, std::int64_t n) {
  const auto id = fmt::format("request-{:09}", picked(rows, n));
  CLEW_TRY(const auto found, find_request(tx, {"bench", "scope", id}, Value(1)));
  if (!found) return error(Code::internal, "{} was forgotten", id);
  return {};
}

// What runs of a case have done so far. Each sees the rows of those before, so they go from few to
// many.
struct Done {
  std::int64_t made = 0;
  std::int64_t acted = 0;
};

Result<void> fill(const Work& work, Done& done, std::int64_t rows) {
  constexpr std::int64_t in_a_commit = 20'000;
  while (done.made < rows) {
    const auto until = std::min(done.made + in_a_commit, rows);
    CLEW_TRY(world().database->write([&](Transaction& tx) -> Result<void> {
      for (auto number = done.made + 1; number <= until; ++number) CLEW_TRY(work.make(tx, number));
      return {};
    }));
    done.made = until;
  }
  return {};
}

void growth(benchmark::State& state, const Work& work, Done& so_far) {
  const auto rows = state.range(0);
  auto done = fill(work, so_far, rows);
  for (auto _ : state) {
    std::chrono::steady_clock::duration taken{};
    const auto info = world().database->write([&](Transaction& tx) -> Result<void> {
      const auto begun = std::chrono::steady_clock::now();
      for (int i = 0; i < in_one; ++i) CLEW_TRY(work.act(tx, rows, ++so_far.acted));
      taken = std::chrono::steady_clock::now() - begun;
      return {};
    });
    if (done && !info) done = info.error();
    state.SetIterationTime(std::chrono::duration<double>(taken).count());
  }
  if (!done) state.SkipWithError(done.error().to_string().c_str());
  state.SetItemsProcessed(state.iterations() * in_one);
}

void stream_append(benchmark::State& state) {
  static Done done;
  const Work work{[](Transaction& tx, std::int64_t) { return append(tx); },
                  [](Transaction& tx, std::int64_t, std::int64_t) { return append(tx); }};
  growth(state, work, done);
}
void queue_cycle(benchmark::State& state) {
  static Done done;
  growth(state, {enqueue, cycle}, done);
}
void lease_claim(benchmark::State& state) {
  static Done done;
  growth(state, {lease, lease_again}, done);
}
void request_found(benchmark::State& state) {
  static Done done;
  growth(state, {request, request_again}, done);
}

#define CLEW_GROWTH(name) \
  BENCHMARK(name)->UseManualTime()->RangeMultiplier(10)->Range(1'000, 1'000'000)
CLEW_GROWTH(stream_append);
CLEW_GROWTH(queue_cycle);
CLEW_GROWTH(lease_claim);
CLEW_GROWTH(request_found);
#undef CLEW_GROWTH

}  // namespace
}  // namespace clew::store

BENCHMARK_MAIN();
