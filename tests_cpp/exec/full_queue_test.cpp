// What submit() does when the queue is full.
#include "exec/support.hpp"

namespace clew::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

// One slot that a gate holds, and a queue of one that is full.
class FullQueue : public ::testing::Test {
 protected:
  void fill(FullPolicy policy) {
    pool =
        start_pool({.threads = 1, .queue_max = 1, .full = policy, .block_max = seconds(30)}, clock);
    occupy(*pool, gate);
    ASSERT_TRUE(pool->submit({.call = [this](Turn) { ran.add("queued"); }}));
  }
  Result<void> submit(const std::string& name, KeyLimit limit = {}) {
    return pool->submit({.call =
                             [this, name](Turn turn) {
                               ran.add(turn == Turn::run ? name : name + " dropped");
                               ran_on.add(std::this_thread::get_id());
                             },
                         .limit = limit});
  }

  ManualClock clock;
  Gate gate;
  Log<std::string> ran;
  Log<std::thread::id> ran_on;
  std::unique_ptr<ThreadPool> pool;
};

// Parity: queue bound
TEST_F(FullQueue, reject_says_so_and_never_calls_the_task) {
  fill(FullPolicy::reject);
  const auto refused = submit("late");
  ASSERT_EQ(code_of_result(refused), Code::rejected);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_EQ(pool->stats().rejected, 1);
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("queued"));
  EXPECT_EQ(pool->stats().submitted, 2);
}

TEST_F(FullQueue, try_submit_never_waits_and_leaves_what_it_does_not_take) {
  fill(FullPolicy::block);
  Task task{.call = [this](Turn) { ran.add("tried"); }};
  EXPECT_FALSE(pool->try_submit(task));
  ASSERT_TRUE(static_cast<bool>(task.call));
  task.unbounded = true;
  EXPECT_TRUE(pool->try_submit(task));
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("queued", "tried"));
  Task late{.call = [this](Turn) { ran.add("late"); }};
  EXPECT_FALSE(pool->try_submit(late));
  EXPECT_EQ(ran.items().size(), 2U);
}

TEST_F(FullQueue, block_waits_for_room) {
  fill(FullPolicy::block);
  auto waiting = std::async(std::launch::async, [this] { return submit("late"); });
  ASSERT_TRUE(clock.await_waiters(1));
  EXPECT_EQ(pool->queue_depth(), 1);
  gate.open();
  EXPECT_TRUE(waiting.get().has_value());
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("queued", "late"));
}

TEST_F(FullQueue, block_lets_every_waiter_in) {
  fill(FullPolicy::block);
  std::vector<std::future<Result<void>>> waiting;
  for (int i = 0; i < 6; ++i) {
    waiting.push_back(std::async(std::launch::async, [this] { return submit("late"); }));
  }
  ASSERT_TRUE(clock.await_waiters(6));
  gate.open();
  for (auto& submitted : waiting) EXPECT_TRUE(submitted.get().has_value());
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_EQ(ran.items().size(), 7U);
}

TEST(FullQueueOfMany, room_for_many_lets_many_in_at_once) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1, .queue_max = 3}, clock);
  Gate first;
  Gate second;
  occupy(*pool, first);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool->submit({.call = [](Turn) {}}));
  ASSERT_TRUE(pool->submit({.call = [&second](Turn) { second.wait(); }}));
  std::vector<std::future<Result<void>>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(
        std::async(std::launch::async, [&pool] { return pool->submit({.call = [](Turn) {}}); }));
  }
  ASSERT_TRUE(clock.await_waiters(3));
  first.open();  // then the queue moves on by three and stands still
  for (auto& submitted : waiting) EXPECT_TRUE(submitted.get().has_value());
  EXPECT_EQ(pool->queue_depth(), 3);
  second.open();
  EXPECT_TRUE(stop_drained(*pool));
}

TEST_F(FullQueue, block_gives_up_at_its_deadline_and_not_before) {
  fill(FullPolicy::block);
  auto waiting = std::async(std::launch::async, [this] { return submit("late"); });
  ASSERT_TRUE(clock.await_waiters(1));
  clock.advance(seconds(30) - Duration(1));
  ASSERT_TRUE(clock.await_waiters(1));
  EXPECT_EQ(pool->stats().rejected, 0);
  clock.advance(Duration(1));
  const auto refused = waiting.get();
  ASSERT_EQ(code_of_result(refused), Code::rejected);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_EQ(pool->stats().rejected, 1);
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("queued"));
}

TEST_F(FullQueue, stop_refuses_those_who_wait) {
  for (const auto policy : {FullPolicy::block, FullPolicy::caller_runs}) {
    ManualClock own_clock;
    Gate own_gate;
    const auto full = start_pool({.threads = 1, .queue_max = 1, .full = policy}, own_clock);
    occupy(*full, own_gate);
    ASSERT_TRUE(full->submit({.call = [](Turn) {}}));
    bool called = false;
    auto waiting = std::async(std::launch::async, [&] {
      return full->submit({.call = [&called](Turn) { called = true; }});
    });
    ASSERT_TRUE(own_clock.await_waiters(1));
    auto stopped = std::async(std::launch::async, [&] { return stop_drained(*full); });
    EXPECT_EQ(code_of_result(waiting.get()), Code::closed);
    own_gate.open();
    EXPECT_TRUE(stopped.get());
    EXPECT_FALSE(called);
  }
}

TEST_F(FullQueue, caller_runs_waits_for_a_slot_and_goes_first) {
  fill(FullPolicy::caller_runs);
  std::thread::id caller;
  auto waiting = std::async(std::launch::async, [this, &caller] {
    caller = std::this_thread::get_id();
    return submit("by caller");
  });
  ASSERT_TRUE(clock.await_waiters(1));
  EXPECT_EQ(pool->stats().waiting, 1);
  gate.open();
  EXPECT_TRUE(waiting.get().has_value());
  EXPECT_THAT(ran_on.items(), ElementsAre(caller));
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("by caller", "queued"));
  EXPECT_EQ(pool->stats().running_max, 1);
  EXPECT_EQ(pool->stats().inline_runs, 1);
  EXPECT_EQ(pool->stats().submitted, 3);
  EXPECT_EQ(pool->stats().completed, 3);
}

TEST_F(FullQueue, caller_runs_gives_up_at_its_deadline) {
  fill(FullPolicy::caller_runs);
  auto waiting = std::async(std::launch::async, [this] { return submit("late"); });
  ASSERT_TRUE(clock.await_waiters(1));
  clock.advance(seconds(30));
  EXPECT_EQ(code_of_result(waiting.get()), Code::rejected);
  EXPECT_EQ(pool->stats().waiting, 0);
  gate.open();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("queued"));
}

TEST(FullQueueWithKeys, caller_runs_waits_for_a_place_of_the_key) {
  ManualClock clock;
  const KeyLimit limit{.key = 3, .max = 1};
  const auto pool =
      start_pool({.threads = 2, .queue_max = 1, .full = FullPolicy::caller_runs}, clock);
  Gate gate;
  Log<std::string> ran;
  occupy(*pool, gate, limit);
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran.add("queued"); }, .limit = limit}));
  auto waiting = std::async(std::launch::async, [&] {
    return pool->submit({.call = [&ran](Turn) { ran.add("by caller"); }, .limit = limit});
  });
  ASSERT_TRUE(clock.await_waiters(1));  // a slot is free, a place is not
  EXPECT_EQ(pool->stats().running, 1);
  EXPECT_TRUE(ran.items().empty());
  gate.open();
  EXPECT_TRUE(waiting.get().has_value());
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("by caller", "queued"));
}

TEST(FullQueueFromASlot, a_task_may_fill_its_own_queue) {
  ManualClock clock;
  for (const auto policy : {FullPolicy::block, FullPolicy::caller_runs}) {
    const auto pool = start_pool({.threads = 1, .queue_max = 1, .full = policy}, clock);
    std::atomic<int> ran{0};
    Gate submitted;
    ASSERT_TRUE(pool->submit({.call = [&](Turn) {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ++ran; }}));
        EXPECT_TRUE(pool->in_slot());
      }
      submitted.open();
    }}));
    submitted.wait();
    EXPECT_TRUE(stop_drained(*pool));
    EXPECT_EQ(ran, 20);
    EXPECT_EQ(pool->stats().running_max, 1);
  }
}

TEST(FullQueueFromASlot, caller_runs_is_nested_on_the_spot) {
  ManualClock clock;
  const auto pool =
      start_pool({.threads = 1, .queue_max = 1, .full = FullPolicy::caller_runs}, clock);
  Log<std::string> ran;
  Gate done;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ran.add("queued"); }}));
    EXPECT_TRUE(pool->submit({.call = [&ran](Turn) { ran.add("nested"); }}));
    ran.add("outer ends");
    done.open();
  }}));
  done.wait();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(ran.items(), ElementsAre("nested", "outer ends", "queued"));
}

}  // namespace
}  // namespace clew::testing
