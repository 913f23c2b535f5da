// Hypotheses, on two cores:
//   - a worker that takes its lock once per task, is woken only when it sleeps, and looks around
//     before it sleeps, runs 1.5 to 3 million tiny tasks a second from one submitter;
//   - entering and leaving a free slot costs at most 60 ns, so calls need no hand-off;
//   - a thousand waiting tasks of a saturated key cost the others nothing;
//   - a timer fires within 0.2 ms of its instant, and costs under 1 µs to set and cancel, also with
//     a million others pending.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <semaphore>
#include <vector>

#include "clew/exec/thread_pool.hpp"
#include "clew/exec/timers.hpp"

namespace clew {
namespace {

constexpr int batch = 20'000;

std::unique_ptr<ThreadPool> started_pool(Clock& clock, int threads) {
  auto pool = make_thread_pool({.threads = threads}, clock).value();
  pool->start().value();
  return pool;
}

// Counts down; the last one wakes the waiter.
class CountDown {
 public:
  explicit CountDown(int count) : left_(count) {}
  void hit() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.release();
  }
  void wait() { done_.acquire(); }

 private:
  std::atomic<int> left_;
  std::binary_semaphore done_{0};
};

void tiny_tasks(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, static_cast<int>(state.range(0)));
  for (auto _ : state) {
    CountDown all(batch);
    for (int i = 0; i < batch; ++i) {
      pool->submit({.call = [&all](Turn) { all.hit(); }}).value();
    }
    all.wait();
  }
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(tiny_tasks)->Arg(1)->Arg(2)->Arg(4)->Arg(16)->UseRealTime();

void tiny_tasks_past_a_saturated_key(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  const KeyLimit limit{.key = 7, .max = 1};
  std::binary_semaphore gate{0};
  std::binary_semaphore entered{0};
  pool->submit({.call =
                    [&](Turn) {
                      entered.release();
                      gate.acquire();
                    },
                .limit = limit})
      .value();
  entered.acquire();
  for (int i = 0; i < 10'000; ++i) pool->submit({.call = [](Turn) {}, .limit = limit}).value();
  for (auto _ : state) {
    CountDown all(batch);
    for (int i = 0; i < batch; ++i) {
      pool->submit({.call = [&all](Turn) { all.hit(); }}).value();
    }
    all.wait();
  }
  gate.release();
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(tiny_tasks_past_a_saturated_key)->UseRealTime();

void keyed_tasks(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  for (auto _ : state) {
    CountDown all(batch);
    for (int i = 0; i < batch; ++i) {
      const KeyLimit limit{.key = 1 + static_cast<std::uint64_t>(i % 8), .max = 2};
      pool->submit({.call = [&all](Turn) { all.hit(); }, .limit = limit}).value();
    }
    all.wait();
  }
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(keyed_tasks)->UseRealTime();

// A task and its answer, one after the other: the cost of two hand-offs.
void round_trip(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  std::binary_semaphore done{0};
  for (auto _ : state) {
    pool->submit({.call = [&done](Turn) { done.release(); }}).value();
    done.acquire();
  }
}
BENCHMARK(round_trip)->UseRealTime();

void enter_and_leave(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  for (auto _ : state) benchmark::DoNotOptimize(pool->try_enter({}));
}
BENCHMARK(enter_and_leave);

void enter_and_leave_with_key(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  const KeyLimit limit{.key = 7, .max = 3};
  for (auto _ : state) benchmark::DoNotOptimize(pool->try_enter(limit));
}
BENCHMARK(enter_and_leave_with_key);

void lend_and_take_back(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto pool = started_pool(*clock, 4);
  const auto slot = pool->try_enter({});
  for (auto _ : state) pool->blocking([] {});
}
BENCHMARK(lend_and_take_back);

void set_and_cancel_timer(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto timers = make_timers(*clock);
  timers->start().value();
  const auto start = clock->now();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    timers->at(start + std::chrono::hours(1) + Duration((i * 7919) % 1'000'003), [] {});
  }
  std::int64_t i = 0;
  for (auto _ : state) {
    const auto due = start + std::chrono::hours(1) + Duration((++i * 7919) % 1'000'003);
    timers->cancel(timers->at(due, [] {}));
  }
}
BENCHMARK(set_and_cancel_timer)->Arg(0)->Arg(1'000'000);

void fire_a_million_timers(benchmark::State& state) {
  constexpr int count = 1'000'000;
  for (auto _ : state) {
    state.PauseTiming();
    ManualClock clock;
    const auto timers = make_timers(clock);
    const auto start = clock.now();
    int fired = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      timers->at(start + Duration((i * 7919) % 1'000'003), [&fired] { ++fired; });
    }
    clock.advance(std::chrono::seconds(2));
    state.ResumeTiming();
    timers->start().value();
    timers->await_idle();
    if (fired != count) state.SkipWithError("timers are missing");
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(fire_a_million_timers)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(2);

// How late a lone timer fires; the time of an iteration means nothing.
void timer_lag(benchmark::State& state) {
  const auto clock = make_real_clock();
  const auto timers = make_timers(*clock);
  timers->start().value();
  std::vector<double> lags_us;
  for (auto _ : state) {
    std::binary_semaphore fired{0};
    Timestamp at;
    const auto due = clock->now() + std::chrono::milliseconds(1);
    timers->at(due, [&] {
      at = clock->now();
      fired.release();
    });
    fired.acquire();
    lags_us.push_back(static_cast<double>((at - due).count()));
  }
  std::ranges::sort(lags_us);
  state.counters["median_us"] = lags_us[lags_us.size() / 2];
  state.counters["p99_us"] = lags_us[lags_us.size() * 99 / 100];
}
BENCHMARK(timer_lag)->Iterations(500)->UseRealTime();

}  // namespace
}  // namespace clew

BENCHMARK_MAIN();
