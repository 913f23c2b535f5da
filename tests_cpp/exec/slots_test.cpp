// Slots of callers: entering, nesting, lending.
#include <stdexcept>

#include "exec/support.hpp"

namespace clew::testing {
namespace {

using ::testing::ElementsAre;

class Slots : public ::testing::Test {
 protected:
  // What another thread gets, as whether it got a slot.
  bool other_thread_enters(KeyLimit limit = {}) {
    return std::async(std::launch::async, [&] { return static_cast<bool>(pool->try_enter(limit)); })
        .get();
  }
  void start(int threads) { pool = start_pool({.threads = threads}, clock); }

  ManualClock clock;
  std::unique_ptr<ThreadPool> pool;
};

TEST_F(Slots, a_caller_takes_a_free_slot_and_gives_it_back) {
  start(1);
  EXPECT_FALSE(pool->in_slot());
  {
    const auto slot = pool->try_enter({});
    ASSERT_TRUE(slot);
    EXPECT_TRUE(pool->in_slot());
    EXPECT_EQ(pool->stats().running, 1);
    EXPECT_FALSE(other_thread_enters());
  }
  EXPECT_FALSE(pool->in_slot());
  EXPECT_EQ(pool->stats().running, 0);
  EXPECT_TRUE(other_thread_enters());
  EXPECT_EQ(pool->stats().inline_runs, 2);
  EXPECT_EQ(pool->stats().running_max, 1);
}

TEST_F(Slots, a_task_does_not_start_while_callers_hold_all_slots) {
  start(1);
  Gate ran;
  auto slot = pool->try_enter({});
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran.open(); }}));
  EXPECT_EQ(pool->queue_depth(), 1);
  EXPECT_FALSE(ran.is_open());
  slot = {};
  ran.wait();
  EXPECT_TRUE(stop_drained(*pool));
}

TEST_F(Slots, moving_a_slot_does_not_release_it) {
  start(1);
  auto first = pool->try_enter({});
  PoolSlot second = std::move(first);
  EXPECT_FALSE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(pool->stats().running, 1);
  auto& alias = second;
  second = std::move(alias);
  EXPECT_EQ(pool->stats().running, 1);
  second = {};
  EXPECT_EQ(pool->stats().running, 0);
}

TEST_F(Slots, queued_tasks_came_first) {
  pool = make_pool({.threads = 1}, clock);
  ASSERT_TRUE(pool->submit({.call = [](Turn) {}}));
  EXPECT_FALSE(pool->try_enter({}));
  EXPECT_EQ(pool->stats().inline_runs, 0);
}

TEST_F(Slots, tasks_of_a_saturated_key_do_not_keep_others_out) {
  start(2);
  const KeyLimit limit{.key = 4, .max = 1};
  Gate gate;
  occupy(*pool, gate, limit);
  ASSERT_TRUE(pool->submit({.call = [](Turn) {}, .limit = limit}));
  EXPECT_FALSE(pool->try_enter(limit));
  EXPECT_TRUE(pool->try_enter({}));
  EXPECT_TRUE(pool->try_enter({.key = 5, .max = 1}));
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
}

TEST_F(Slots, nested_entry_needs_no_second_slot) {
  start(1);
  Log<int> running;
  Gate done;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    auto nested = pool->try_enter({});
    auto deeper = pool->try_enter({});
    EXPECT_TRUE(nested && deeper);
    running.add(pool->stats().running);
    nested = {};  // in any order
    EXPECT_TRUE(pool->in_slot());
    deeper = {};
    running.add(pool->stats().running);
    EXPECT_TRUE(pool->in_slot());
    done.open();
  }}));
  done.wait();
  EXPECT_THAT(running.items(), ElementsAre(1, 1));
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(pool->stats().running, 0);
}

TEST_F(Slots, the_slot_lasts_until_the_last_of_its_holders) {
  start(1);
  auto outer = pool->try_enter({});
  auto nested = pool->try_enter({});
  outer = {};
  EXPECT_TRUE(pool->in_slot());
  EXPECT_FALSE(other_thread_enters());
  nested = {};
  EXPECT_FALSE(pool->in_slot());
  EXPECT_TRUE(other_thread_enters());
}

TEST_F(Slots, nested_entry_respects_the_limit) {
  start(2);
  const KeyLimit once{.key = 8, .max = 1};
  const KeyLimit twice{.key = 9, .max = 2};
  auto outer = pool->try_enter(once);
  ASSERT_TRUE(outer);
  EXPECT_FALSE(pool->try_enter(once));
  const auto first = pool->try_enter(twice);
  const auto second = pool->try_enter(twice);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(pool->try_enter(twice));
  outer = {};
  EXPECT_TRUE(pool->try_enter(once));
  EXPECT_THROW(pool->try_enter({.key = 8, .max = 0}), CheckFailure);
}

TEST_F(Slots, a_place_of_a_key_that_a_caller_leaves_starts_a_task) {
  start(2);
  const KeyLimit limit{.key = 4, .max = 1};
  auto slot = pool->try_enter(limit);
  Gate ran;
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran.open(); }, .limit = limit}));
  Gate passed;
  ASSERT_TRUE(pool->submit({.call = [&passed](Turn) { passed.open(); }}));
  passed.wait();
  EXPECT_FALSE(ran.is_open());
  slot = {};
  ran.wait();
  EXPECT_TRUE(stop_drained(*pool));
}

TEST_F(Slots, one_thread_may_be_in_the_slots_of_many_pools) {
  start(1);
  const auto other = start_pool({.threads = 1}, clock);
  const auto slot = pool->try_enter({});
  EXPECT_FALSE(other->in_slot());
  {
    const auto second = other->try_enter({});
    EXPECT_TRUE(second && other->in_slot() && pool->in_slot());
  }
  EXPECT_TRUE(pool->in_slot());
  EXPECT_FALSE(other->in_slot());
}

// ---- blocking

TEST_F(Slots, blocking_outside_a_slot_just_runs) {
  start(1);
  bool ran = false;
  pool->blocking([&] { ran = true; });
  EXPECT_TRUE(ran);
  EXPECT_EQ(pool->stats().running_max, 0);
}

TEST_F(Slots, a_lent_slot_is_somebody_elses) {
  start(1);
  const auto slot = pool->try_enter({});
  pool->blocking([&] {
    EXPECT_FALSE(pool->in_slot());
    EXPECT_EQ(pool->stats().running, 0);
    EXPECT_TRUE(other_thread_enters());
    Gate ran;
    EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ran.open(); }}));
    ran.wait();
  });
  EXPECT_TRUE(pool->in_slot());
  EXPECT_FALSE(other_thread_enters());
  EXPECT_EQ(pool->stats().running_max, 1);
}

TEST_F(Slots, entering_while_the_slot_is_lent_takes_a_real_one) {
  start(1);
  const auto slot = pool->try_enter({});
  pool->blocking([&] {
    const auto inner = pool->try_enter({});
    EXPECT_TRUE(inner);
    EXPECT_FALSE(other_thread_enters());
    pool->blocking([&] { EXPECT_TRUE(other_thread_enters()); });
    EXPECT_TRUE(pool->in_slot());
  });
  EXPECT_TRUE(pool->in_slot());
  EXPECT_EQ(pool->stats().running, 1);
}

TEST_F(Slots, a_wait_that_throws_takes_the_slot_back) {
  start(1);
  const auto slot = pool->try_enter({});
  EXPECT_THROW(pool->blocking([] { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_TRUE(pool->in_slot());
  EXPECT_EQ(pool->stats().running, 1);
}

TEST_F(Slots, whoever_comes_back_goes_before_the_queue) {
  start(1);
  Gate gate;
  Log<std::string> order;
  Gate done;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    pool->blocking([&gate] { gate.wait(); });
    order.add("came back");
  }}));
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    EXPECT_TRUE(pool->submit({.call =
                                  [&](Turn) {
                                    order.add("queued");
                                    done.open();
                                  },
                              .priority = 9}));
    gate.open();
    EXPECT_TRUE(await([&] { return pool->stats().waiting == 1; }));
    order.add("lender's slot");
  }}));
  done.wait();
  EXPECT_THAT(order.items(), ElementsAre("lender's slot", "came back", "queued"));
  EXPECT_TRUE(stop_drained(*pool));
}

TEST_F(Slots, a_chain_of_tasks_that_wait_for_the_next_ends) {
  start(1);
  constexpr int depth = 50;
  Log<int> ended;
  std::function<void(int)> link = [&](int level) {
    if (level < depth) {
      Gate next_ended;
      EXPECT_TRUE(pool->submit({.call = [&](Turn) {
        link(level + 1);
        next_ended.open();
      }}));
      pool->blocking([&next_ended] { next_ended.wait(); });
    }
    ended.add(level);
  };
  Gate all;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    link(1);
    all.open();
  }}));
  all.wait();
  EXPECT_TRUE(stop_drained(*pool));
  std::vector<int> expected;
  for (int level = depth; level >= 1; --level) expected.push_back(level);
  EXPECT_EQ(ended.items(), expected);
  EXPECT_EQ(pool->stats().running_max, 1);
}

TEST_F(Slots, spare_threads_are_bounded) {
  start(1);
  Gate gate;
  Gate all_in;
  std::atomic<int> waiting{0};
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(pool->submit({.call = [&](Turn) {
      pool->blocking([&] {
        if (++waiting == 257) all_in.open();
        gate.wait();
      });
    }}));
  }
  all_in.wait();
  EXPECT_EQ(pool->queue_depth(), 300 - 257);
  EXPECT_EQ(pool->stats().threads, 257);
  EXPECT_EQ(pool->stats().running, 0);
  EXPECT_FALSE(pool->try_enter({}));  // the queue came first
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(pool->stats().completed, 300);
  EXPECT_EQ(pool->stats().running_max, 1);
}

}  // namespace
}  // namespace clew::testing
