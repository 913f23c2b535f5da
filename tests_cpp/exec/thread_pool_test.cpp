#include "clew/exec/thread_pool.hpp"

#include <pthread.h>

#include <barrier>
#include <set>
#include <stdexcept>

#include "exec/support.hpp"

namespace clew::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ThreadPoolOptions, what_is_out_of_bounds_is_refused_by_name) {
  ManualClock clock;
  const struct {
    PoolOptions options;
    std::string path;
    std::string value;
    std::string expected;
  } cases[] = {
      {{.threads = 0}, "threads", "0", "1 to 256"},
      {{.threads = -1}, "threads", "-1", "1 to 256"},
      {{.threads = 257}, "threads", "257", "1 to 256"},
      {{.queue_max = 0}, "queue_max", "0", "at least 1"},
      {{.block_max = Duration(-1)}, "block_max", "-", "at least 0"},
  };
  for (const auto& wrong : cases) {
    const auto pool = make_thread_pool(wrong.options, clock);
    ASSERT_FALSE(pool.has_value()) << wrong.path;
    EXPECT_EQ(pool.error().code(), Code::invalid_input);
    EXPECT_THAT(pool.error().to_string(), HasSubstr(wrong.path));
    EXPECT_THAT(pool.error().to_string(), HasSubstr(wrong.value));
    EXPECT_THAT(pool.error().to_string(), HasSubstr(wrong.expected));
  }
}

TEST(ThreadPoolOptions, the_bounds_themselves_work) {
  ManualClock clock;
  for (const int threads : {1, 256}) {
    const auto pool = start_pool({.threads = threads, .queue_max = 1}, clock);
    Gate ran;
    ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran.open(); }}));
    ran.wait();
    EXPECT_EQ(pool->stats().capacity, threads);
    EXPECT_EQ(pool->stats().threads, threads);
    EXPECT_TRUE(stop_drained(*pool));
    EXPECT_EQ(pool->stats().threads, 0);
  }
}

// Parity: parallel/serial
TEST(ThreadPool, two_slots_overlap) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 2}, clock);
  std::barrier both(2);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool->submit({.call = [&both](Turn) { both.arrive_and_wait(); }}));
  }
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(pool->stats().running_max, 2);
}

TEST(ThreadPool, tasks_that_wait_get_every_slot_although_short_ones_flow) {
  ManualClock clock;  // naps are in real time
  constexpr int slots = 4;
  const auto pool = start_pool({.threads = slots}, clock);
  std::barrier all(slots);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(pool->submit({.call = [](Turn) {}}));
    for (int i = 0; i < slots; ++i) {
      ASSERT_TRUE(pool->submit({.call = [&all](Turn) { all.arrive_and_wait(); }}));
    }
  }
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(pool->stats().running_max, slots);
}

TEST(ThreadPool, a_task_that_runs_on_keeps_no_later_one_waiting) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 2}, clock);
  for (int round = 0; round < 200; ++round) {
    Gate gate;
    Gate passed;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(pool->submit({.call = [](Turn) {}}));
    occupy(*pool, gate);
    ASSERT_TRUE(pool->submit({.call = [&passed](Turn) { passed.open(); }}));
    passed.wait();
  }
}

TEST(ThreadPool, what_an_ending_task_leaves_behind_runs_without_anybody_else) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 2}, clock);
  for (int round = 0; round < 200; ++round) {
    Gate first;
    Gate second;
    ASSERT_TRUE(pool->submit({.call = [&](Turn) {
      pool->ending();
      for (auto* gate : {&first, &second}) {
        EXPECT_TRUE(pool->submit({.call = [gate](Turn) { gate->open(); }, .follows = true}));
      }
    }}));
    first.wait();
    second.wait();
  }
}

TEST(ThreadPool, an_ending_task_that_waits_nevertheless_keeps_nothing_from_running) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate over;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    Gate ran;
    pool->ending();
    EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ran.open(); }, .follows = true}));
    pool->blocking([&ran] { ran.wait(); });
    over.open();
  }}));
  over.wait();
  EXPECT_TRUE(stop_drained(*pool));
}

TEST(ThreadPool, one_slot_never_overlaps) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Crowd crowd;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(pool->submit({.call = [&crowd](Turn) {
      crowd.come();
      crowd.go();
    }}));
  }
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(crowd.most(), 1);
  EXPECT_EQ(pool->stats().running_max, 1);
}

TEST(ThreadPool, higher_priorities_run_first_and_equal_ones_in_order) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate gate;
  occupy(*pool, gate);
  Log<std::string> ran;
  const std::pair<int, std::string> tasks[] = {{0, "a"}, {5, "b"}, {-1, "c"}, {5, "d"}, {0, "e"}};
  for (const auto& [priority, name] : tasks) {
    ASSERT_TRUE(
        pool->submit({.call = [&ran, name](Turn) { ran.add(name); }, .priority = priority}));
  }
  EXPECT_EQ(pool->queue_depth(), 5);
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("b", "d", "a", "e", "c"));
  EXPECT_EQ(pool->queue_depth(), 0);
}

TEST(ThreadPool, an_urgent_task_overtakes_what_is_queued_already) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate gate;
  Log<std::string> ran;
  occupy(*pool, gate);
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    ran.add("first");
    EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ran.add("urgent"); }, .priority = 1}));
  }}));
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran.add("second"); }}));
  gate.open();
  ASSERT_TRUE(await([&] { return pool->stats().completed == 4; }));
  EXPECT_THAT(ran.items(), ElementsAre("first", "urgent", "second"));
}

TEST(ThreadPool, tasks_of_a_key_never_exceed_its_limit) {
  ManualClock clock;
  for (const int max : {1, 2, 3}) {
    const auto pool = start_pool({.threads = 4}, clock);
    Crowd crowd;
    std::barrier together(max);  // passes only if the limit is reached, too
    for (int i = 0; i < 60; ++i) {
      ASSERT_TRUE(pool->submit({.call =
                                    [&](Turn) {
                                      crowd.come();
                                      together.arrive_and_wait();
                                      crowd.go();
                                    },
                                .limit = {.key = 9, .max = max}}));
    }
    EXPECT_TRUE(stop_drained(*pool));
    EXPECT_EQ(crowd.most(), max);
  }
}

TEST(ThreadPool, a_saturated_key_holds_up_nobody_else) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 2}, clock);
  const KeyLimit limit{.key = 7, .max = 1};
  Gate gate;
  Log<int> order;
  occupy(*pool, gate, limit);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(pool->submit({.call = [&order, i](Turn) { order.add(i); }, .limit = limit}));
  }
  Gate passed;
  ASSERT_TRUE(pool->submit({.call = [&passed](Turn) { passed.open(); }, .priority = -5}));
  passed.wait();
  EXPECT_TRUE(order.items().empty());

  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  std::vector<int> expected(10'000);
  for (int i = 0; i < 10'000; ++i) expected[static_cast<std::size_t>(i)] = i;
  EXPECT_EQ(order.items(), expected);
}

TEST(ThreadPool, a_key_needs_a_limit) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  bool called = false;
  const auto refused =
      pool->submit({.call = [&called](Turn) { called = true; }, .limit = {.key = 7, .max = 0}});
  EXPECT_EQ(code_of_result(refused), Code::invalid_input);
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_FALSE(called);
  EXPECT_EQ(pool->stats().submitted, 0);
}

TEST(ThreadPool, what_a_task_throws_is_counted_told_and_survived) {
  ManualClock clock;
  Log<std::string> told;
  const auto pool = start_pool(
      {.threads = 1,
       .on_task_failure = [&told](std::string_view what) { told.add(std::string(what)); }},
      clock);
  ASSERT_TRUE(pool->submit({.call = [](Turn) { throw std::runtime_error("broken"); }}));
  ASSERT_TRUE(pool->submit({.call = [](Turn) { throw 7; }}));
  bool ran = false;
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran = true; }}));
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_TRUE(ran);
  EXPECT_THAT(told.items(), ElementsAre("broken", "not a std::exception"));
  EXPECT_EQ(pool->stats().failures, 2);
  EXPECT_EQ(pool->stats().completed, 3);
}

TEST(ThreadPool, captures_die_when_the_task_has_run) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  ASSERT_TRUE(pool->submit({.call = [held = std::move(held)](Turn) {}}));
  ASSERT_TRUE(await([&] { return pool->stats().completed == 1; }));
  EXPECT_TRUE(watched.expired());
}

TEST(ThreadPool, tasks_wait_for_the_start) {
  ManualClock clock;
  const auto pool = make_pool({.threads = 2}, clock);
  bool ran = false;
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran = true; }}));
  EXPECT_EQ(pool->queue_depth(), 1);
  EXPECT_FALSE(ran);
  ASSERT_TRUE(pool->start());
  EXPECT_TRUE(pool->start());
  EXPECT_EQ(pool->stats().threads, 2);
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_TRUE(ran);
}

TEST(ThreadPool, hooks_are_the_first_and_last_acts_of_every_thread) {
  ManualClock clock;
  Log<std::thread::id> begun;
  Log<std::thread::id> ended;
  Log<std::thread::id> used;
  Log<std::string> names;
  const auto pool =
      start_pool({.threads = 2,
                  .name = "a-pool-of-long-name",
                  .on_thread_start = [&begun] { begun.add(std::this_thread::get_id()); },
                  .on_thread_stop = [&ended] { ended.add(std::this_thread::get_id()); }},
                 clock);
  std::barrier all(4);
  for (int i = 0; i < 4; ++i) {  // two of them on spare threads
    ASSERT_TRUE(pool->submit({.call = [&](Turn) {
      used.add(std::this_thread::get_id());
      char name[16];
      pthread_getname_np(pthread_self(), name, sizeof name);
      names.add(name);
      pool->blocking([&all] { all.arrive_and_wait(); });
    }}));
  }
  EXPECT_TRUE(stop_drained(*pool));
  const auto set_of = [](const Log<std::thread::id>& log) {
    const auto items = log.items();
    return std::set<std::thread::id>(items.begin(), items.end());
  };
  EXPECT_EQ(begun.items().size(), 4U);
  EXPECT_EQ(ended.items().size(), 4U);
  EXPECT_EQ(set_of(begun), set_of(used));
  EXPECT_EQ(set_of(ended), set_of(used));
  for (const auto& name : names.items()) EXPECT_THAT(name, StartsWith("a-pool-of-lon-"));
}

}  // namespace
}  // namespace clew::testing
