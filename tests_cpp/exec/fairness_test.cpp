// Tenants on real threads. How time is shared exactly: shares_test.cpp.
#include <array>
#include <map>

#include "exec/support.hpp"

namespace clew {
namespace {

using testing::await;
using testing::Gate;
using testing::Log;
using testing::occupy;
using testing::start_pool;
using testing::stop_drained;
using testing::test_seed;

class Fairness : public ::testing::Test {
 protected:
  const std::unique_ptr<Clock> clock_ = make_real_clock();
};

// Parity: fairness
TEST_F(Fairness, when_half_is_done_each_of_two_tenants_has_half_of_it) {
  constexpr int each = 2000;
  ManualClock still;  // so that a thread that the system stops is not charged for it
  for (const int threads : {1, 4}) {
    SCOPED_TRACE(threads);
    const auto pool = start_pool({.threads = threads}, still);
    Gate gate;
    for (int i = 0; i < threads; ++i) occupy(*pool, gate);
    Log<std::uint32_t> order;
    for (const std::uint32_t tenant : {1U, 2U}) {
      for (int i = 0; i < each; ++i) {
        // The first asks for more, and waits longer.
        pool->submit({.call = [&order, tenant](Turn) { order.add(tenant); },
                      .priority = tenant == 1 ? 9 : 0,
                      .tenant = tenant})
            .value();
      }
    }
    gate.open();
    ASSERT_TRUE(stop_drained(*pool));
    const auto all = order.items();
    ASSERT_EQ(all.size(), 2U * each);
    const auto of_first = std::count(all.begin(), all.begin() + each, 1U);
    EXPECT_NEAR(static_cast<double>(of_first), each / 2.0, each / 20.0);
  }
}

TEST_F(Fairness, callers_take_no_slot_that_another_tenants_task_waits_for) {
  const auto pool = start_pool({.threads = 1}, *clock_);
  Gate gate;
  occupy(*pool, gate);
  std::atomic<bool> has_run{false};
  pool->submit({.call = [&](Turn) { has_run = true; }, .tenant = 2}).value();
  gate.open();
  while (!has_run) {
    const auto slot = pool->try_enter({}, 1);
    EXPECT_TRUE(!slot || has_run);
  }
  EXPECT_TRUE(await([&] { return static_cast<bool>(pool->try_enter({}, 1)); }));
}

TEST_F(Fairness, who_runs_its_tasks_itself_lets_other_tenants_go_in_their_turn) {
  ManualClock still;
  const auto pool =
      start_pool({.threads = 1, .queue_max = 1, .full = FullPolicy::caller_runs}, still);
  Gate gate;
  occupy(*pool, gate);
  Log<std::uint32_t> order;
  const auto task = [&](std::uint32_t tenant) {
    return Task{.call = [&order, tenant](Turn) { order.add(tenant); }, .tenant = tenant};
  };
  constexpr int each = 200;
  constexpr int callers = 3;
  std::atomic<int> left{callers * each};
  for (int i = 0; i < each; ++i) {
    auto queued = task(2);
    queued.unbounded = true;
    pool->submit(std::move(queued)).value();
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < callers; ++t) {
    threads.emplace_back([&] {
      while (left.fetch_sub(1) > 0) pool->submit(task(1)).value();
    });
  }
  EXPECT_TRUE(await([&] { return pool->stats().waiting == callers; }));
  gate.open();
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(stop_drained(*pool));
  const auto all = order.items();
  ASSERT_EQ(all.size(), static_cast<std::size_t>((1 + callers) * each));
  const auto of_queue = std::count(all.begin(), all.begin() + each, 2U);
  EXPECT_GE(of_queue, each * 2 / 5);  // and more whenever no caller has come back yet
  EXPECT_LT(of_queue, each);
}

TEST_F(Fairness, a_queue_that_one_tenant_has_filled_still_takes_the_part_of_another) {
  const auto pool =
      start_pool({.threads = 1, .queue_max = 10, .full = FullPolicy::reject}, *clock_);
  Gate gate;
  occupy(*pool, gate);
  const auto fill = [&](std::uint32_t tenant) {
    int accepted = 0;
    while (pool->submit({.call = [](Turn) {}, .tenant = tenant})) ++accepted;
    Task task{.call = [](Turn) {}, .tenant = tenant};
    EXPECT_FALSE(pool->try_submit(task));
    return accepted;
  };
  EXPECT_EQ(fill(1), 10);
  EXPECT_EQ(fill(2), 3);  // three tenants are here: 0 is in the slot
  EXPECT_EQ(fill(3), 2);
  EXPECT_EQ(fill(1), 0);
  EXPECT_EQ(pool->stats().rejected, 4);
  gate.open();
  ASSERT_TRUE(stop_drained(*pool));
  EXPECT_EQ(pool->stats().completed, 16);
}

TEST_F(Fairness, with_many_tenants_limits_and_callers_each_task_runs_once) {
  std::mt19937_64 random(test_seed());
  constexpr int tasks = 20'000;
  const auto pool = start_pool({.threads = 4, .queue_max = 64}, *clock_);
  std::vector<std::atomic<int>> runs(tasks);
  std::atomic<int> inline_runs{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&, t, seed = random()] {
      std::mt19937_64 own(seed);
      for (int i = t; i < tasks; i += 4) {
        const auto tenant = static_cast<std::uint32_t>(own() % 5);
        const KeyLimit limit =
            own() % 2 == 0 ? KeyLimit{} : KeyLimit{.key = 1 + own() % 3, .max = 2};
        if (const auto slot = pool->try_enter(limit, tenant)) {
          ++runs[static_cast<std::size_t>(i)];
          if (own() % 8 == 0) pool->blocking([] { std::this_thread::yield(); });
          ++inline_runs;
          continue;
        }
        const bool lends = own() % 8 == 0;
        pool->submit({.call =
                          [&, i, lends](Turn turn) {
                            EXPECT_EQ(turn, Turn::run);
                            if (lends) pool->blocking([] { std::this_thread::yield(); });
                            ++runs[static_cast<std::size_t>(i)];
                          },
                      .priority = static_cast<int>(own() % 3),
                      .tenant = tenant,
                      .limit = limit})
            .value();
      }
    });
  }
  for (auto& caller : callers) caller.join();
  ASSERT_TRUE(stop_drained(*pool));
  for (int i = 0; i < tasks; ++i) ASSERT_EQ(runs[static_cast<std::size_t>(i)].load(), 1) << i;
  const auto stats = pool->stats();
  EXPECT_EQ(stats.completed + inline_runs.load(), tasks);
  EXPECT_LE(stats.running_max, 4);
  EXPECT_EQ(stats.running, 0);
}

}  // namespace
}  // namespace clew
