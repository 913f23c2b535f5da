// How a pool ends.
#include "exec/support.hpp"

namespace clew::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

std::string word(Turn turn) { return turn == Turn::run ? "run" : "drop"; }

// Parity: shutdown
TEST(PoolStop, drain_runs_all_that_was_accepted) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 2}, clock);
  Gate gate;
  const KeyLimit limit{.key = 1, .max = 1};
  occupy(*pool, gate, limit);
  std::atomic<int> ran{0};
  std::atomic<int> dropped{0};
  for (int i = 0; i < 100; ++i) {  // half of them wait for the key
    ASSERT_TRUE(pool->submit({.call = [&](Turn turn) { ++(turn == Turn::run ? ran : dropped); },
                              .limit = i % 2 == 0 ? limit : KeyLimit{}}));
  }
  auto stopped = std::async(std::launch::async, [&] { return stop_drained(*pool); });
  ASSERT_TRUE(await([&] { return ran == 50; }));
  gate.open();
  EXPECT_TRUE(stopped.get());
  EXPECT_EQ(ran, 100);
  EXPECT_EQ(dropped, 0);
  const auto stats = pool->stats();
  EXPECT_EQ(stats.submitted, 101);
  EXPECT_EQ(stats.completed, 101);
  EXPECT_EQ(stats.dropped, 0);
  EXPECT_EQ(stats.threads, 0);
}

TEST(PoolStop, drain_ends_tasks_that_wait_for_queued_ones) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate submitted;
  Gate inner_ran;
  Log<std::string> log;
  ASSERT_TRUE(pool->submit({.call = [&](Turn) {
    EXPECT_TRUE(pool->submit({.call = [&](Turn turn) {
      log.add("inner " + word(turn));
      inner_ran.open();
    }}));
    submitted.open();
    EXPECT_TRUE(await([&] { return !pool->submit({.call = [](Turn) {}}).has_value(); }));
    EXPECT_TRUE(pool->try_enter({}));  // nested calls go on
    pool->blocking([&] { inner_ran.wait(); });
    log.add("outer ends");
  }}));
  submitted.wait();
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(log.items(), ElementsAre("inner run", "outer ends"));
  EXPECT_EQ(pool->stats().dropped, 0);
}

TEST(PoolStop, cancel_drops_the_queue_in_order_on_the_stopping_thread) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate gate;
  const KeyLimit limit{.key = 1, .max = 1};
  occupy(*pool, gate, limit);
  Log<std::string> log;
  Log<std::thread::id> threads;
  Gate all_dropped;
  for (const int i : {0, 1, 2, 3}) {
    ASSERT_TRUE(pool->submit({.call =
                                  [&, i](Turn turn) {
                                    log.add(word(turn) + std::to_string(i));
                                    threads.add(std::this_thread::get_id());
                                    EXPECT_FALSE(pool->submit({.call = [](Turn) {}}));
                                    if (i == 3) all_dropped.open();
                                  },
                              .limit = i % 2 == 0 ? limit : KeyLimit{}}));
  }
  std::thread::id stopper;
  auto stopped = std::async(std::launch::async, [&] {
    stopper = std::this_thread::get_id();
    return pool->stop(StopMode::cancel, Timestamp::never());
  });
  all_dropped.wait();
  gate.open();
  EXPECT_TRUE(stopped.get());
  EXPECT_THAT(log.items(), ElementsAre("drop0", "drop1", "drop2", "drop3"));
  EXPECT_THAT(threads.items(), ElementsAre(stopper, stopper, stopper, stopper));
  EXPECT_EQ(pool->stats().dropped, 4);
  EXPECT_EQ(pool->stats().completed, 1);
}

TEST(PoolStop, after_its_deadline_drain_drops_what_is_queued_and_awaits_what_runs) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate gate;
  occupy(*pool, gate);
  Gate dropped;
  std::atomic<bool> ran = false;
  ASSERT_TRUE(pool->submit({.call = [&](Turn turn) {
    if (turn == Turn::run) ran = true;
    dropped.open();
  }}));
  const auto deadline = clock.now() + seconds(5);
  auto stopped =
      std::async(std::launch::async, [&] { return pool->stop(StopMode::drain, deadline); });
  ASSERT_TRUE(clock.await_waiters(1));
  clock.advance(seconds(5) - Duration(1));
  EXPECT_FALSE(dropped.is_open());
  clock.advance(Duration(1));
  dropped.wait();
  EXPECT_EQ(stopped.wait_for(seconds(0)), std::future_status::timeout);
  gate.open();
  EXPECT_FALSE(stopped.get());
  EXPECT_FALSE(ran);
}

TEST(PoolStop, a_second_stop_may_cancel_what_the_first_would_drain) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate gate;
  occupy(*pool, gate);
  Gate dropped;
  ASSERT_TRUE(pool->submit({.call = [&](Turn turn) {
    EXPECT_EQ(turn, Turn::drop);
    dropped.open();
  }}));
  const auto deadline = clock.now() + seconds(5);
  auto first =
      std::async(std::launch::async, [&] { return pool->stop(StopMode::drain, deadline); });
  ASSERT_TRUE(clock.await_waiters(1));
  auto second = std::async(std::launch::async,
                           [&] { return pool->stop(StopMode::cancel, Timestamp::never()); });
  dropped.wait();
  gate.open();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

TEST(PoolStop, afterwards_everything_is_refused) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  EXPECT_TRUE(stop_drained(*pool));
  bool called = false;
  EXPECT_EQ(code_of_result(pool->submit({.call = [&called](Turn) { called = true; }})),
            Code::closed);
  EXPECT_FALSE(called);
  EXPECT_FALSE(pool->try_enter({}));
  EXPECT_EQ(code_of_result(pool->start()), Code::closed);
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_TRUE(pool->stop(StopMode::cancel, {0}));
}

TEST(PoolStop, without_a_start_everything_is_dropped) {
  ManualClock clock;
  for (const auto mode : {StopMode::drain, StopMode::cancel}) {
    const auto pool = make_pool({.threads = 1}, clock);
    Log<std::string> log;
    ASSERT_TRUE(pool->submit({.call = [&log](Turn turn) { log.add(word(turn)); }}));
    EXPECT_TRUE(pool->stop(mode, Timestamp::never()));
    EXPECT_THAT(log.items(), ElementsAre("drop"));
  }
}

TEST(PoolStop, the_destructor_drops_what_is_left) {
  ManualClock clock;
  Log<std::string> log;
  {
    const auto pool = make_pool({.threads = 1}, clock);
    ASSERT_TRUE(pool->submit({.call = [&log](Turn turn) { log.add(word(turn)); }}));
  }
  EXPECT_THAT(log.items(), ElementsAre("drop"));
}

TEST(PoolStop, it_waits_for_inline_callers) {
  ManualClock clock;
  const auto pool = start_pool({.threads = 1}, clock);
  Gate entered;
  std::atomic<bool> left = false;
  auto caller = std::async(std::launch::async, [&] {
    const auto slot = pool->try_enter({});
    EXPECT_TRUE(slot);
    entered.open();
    // Only stop() ends the threads: now it waits for nothing but this caller.
    EXPECT_TRUE(await([&] { return pool->stats().threads == 0; }));
    left = true;
  });
  entered.wait();
  EXPECT_TRUE(pool->stop(StopMode::cancel, clock.now() + seconds(5)));
  EXPECT_TRUE(left);
  caller.get();
}

TEST(PoolStop, stopping_from_a_task_is_a_bug_and_not_a_deadlock) {
  ManualClock clock;
  Log<std::string> told;
  const auto pool = start_pool(
      {.threads = 1,
       .on_task_failure = [&told](std::string_view what) { told.add(std::string(what)); }},
      clock);
  ASSERT_TRUE(pool->submit({.call = [&](Turn) { stop_drained(*pool); }}));
  ASSERT_TRUE(pool->submit({.call = [&](Turn) { pool->blocking([&] { stop_drained(*pool); }); }}));
  ASSERT_TRUE(await([&] { return pool->stats().failures == 2; }));
  {
    const auto slot = pool->try_enter({});
    ASSERT_TRUE(slot);
    EXPECT_THROW(stop_drained(*pool), CheckFailure);
  }
  bool ran = false;  // the pool goes on
  ASSERT_TRUE(pool->submit({.call = [&ran](Turn) { ran = true; }}));
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_TRUE(ran);
}

TEST(PoolStop, what_a_dropped_task_throws_is_counted) {
  ManualClock clock;
  const auto pool = make_pool({.threads = 1, .on_task_failure = [](std::string_view) {}}, clock);
  Log<std::string> log;
  ASSERT_TRUE(pool->submit({.call = [](Turn) { throw 1; }}));
  ASSERT_TRUE(pool->submit({.call = [&log](Turn turn) { log.add(word(turn)); }}));
  EXPECT_TRUE(stop_drained(*pool));
  EXPECT_THAT(log.items(), ElementsAre("drop"));
  EXPECT_EQ(pool->stats().dropped, 2);
  EXPECT_EQ(pool->stats().failures, 1);
}

}  // namespace
}  // namespace clew::testing
