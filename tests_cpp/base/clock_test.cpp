#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/time.hpp"

namespace clew {
namespace {

using namespace std::chrono_literals;

// One thread's wait on a ManualClock, with the condition and lock that it needs.
struct Sleeper {
  Mutex mutex;
  Condition condition;
  bool notified = false;

  // True when the deadline came, false when notified before.
  bool sleep(Clock& clock, Timestamp deadline) {
    Lock lock(mutex);
    while (!notified) {
      if (clock.wait_until(condition, lock, deadline)) return true;
    }
    return false;
  }
  void notify() {
    const Lock lock(mutex);
    notified = true;
    condition.notify_one();
  }
};

TEST(RealClock, never_goes_back_and_counts_from_the_epoch) {
  const auto clock = make_real_clock();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&clock] {
      auto last = clock->now();
      auto last_ticks = clock->ticks_ns();
      for (int i = 0; i < 20'000; ++i) {
        const auto now = clock->now();
        const auto ticks = clock->ticks_ns();
        ASSERT_GE(now, last);
        ASSERT_GE(ticks, last_ticks);
        last = now;
        last_ticks = ticks;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(clock->now().us, 1'700'000'000'000'000);   // 2023
  EXPECT_LT(clock->now().us, 10'000'000'000'000'000);  // 2286
}

TEST(RealClock, waits_until_the_deadline_and_not_less) {
  const auto clock = make_real_clock();
  Sleeper sleeper;
  const auto deadline = clock->now() + 5ms;
  EXPECT_TRUE(sleeper.sleep(*clock, deadline));
  EXPECT_GE(clock->now(), deadline);
  EXPECT_TRUE(sleeper.sleep(*clock, clock->now()));  // due at the very instant
  EXPECT_TRUE(sleeper.sleep(*clock, Timestamp{0}));  // and long ago
}

TEST(RealClock, wakes_when_notified_however_far_the_deadline) {
  const auto clock = make_real_clock();
  for (const auto deadline : {Timestamp::never(), Timestamp{INT64_MAX - 1}, clock->now() + 24h}) {
    Sleeper sleeper;
    std::thread other([&sleeper] { sleeper.notify(); });
    EXPECT_FALSE(sleeper.sleep(*clock, deadline));
    other.join();
  }
}

TEST(ManualClock, stands_still_until_moved) {
  ManualClock clock({1000});
  EXPECT_EQ(clock.now().us, 1000);
  EXPECT_EQ(clock.ticks_ns(), 1'000'000);
  clock.advance(5us);
  clock.advance(0us);
  EXPECT_EQ(clock.now().us, 1005);
  EXPECT_EQ(clock.ticks_ns(), 1'005'000);
  EXPECT_THROW(clock.advance(-1us), CheckFailure);
  EXPECT_EQ(clock.now().us, 1005);
  clock.advance(Duration::max());
  EXPECT_EQ(clock.now(), Timestamp::never());
}

TEST(ManualClock, wakes_exactly_those_whose_deadline_has_come) {
  ManualClock clock({0});
  Sleeper early;
  Sleeper late;
  std::atomic<int> woken{0};
  std::thread first([&] {
    EXPECT_TRUE(early.sleep(clock, {10}));
    ++woken;
  });
  std::thread second([&] {
    EXPECT_TRUE(late.sleep(clock, {20}));
    ++woken;
  });
  ASSERT_TRUE(clock.await_waiters(2));
  EXPECT_EQ(clock.next_deadline().us, 10);
  clock.advance(9us);
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(clock.next_deadline().us, 10);
  clock.advance(1us);  // at the very instant
  first.join();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(clock.next_deadline().us, 20);
  EXPECT_TRUE(clock.await_waiters(1));
  clock.advance(1h);
  second.join();
  EXPECT_EQ(clock.next_deadline(), Timestamp::never());
}

TEST(ManualClock, waits_for_a_past_deadline_end_at_once) {
  ManualClock clock({100});
  Sleeper sleeper;
  EXPECT_TRUE(sleeper.sleep(clock, {100}));
  EXPECT_TRUE(sleeper.sleep(clock, {99}));
}

TEST(ManualClock, a_notified_wait_is_not_due) {
  ManualClock clock({0});
  Sleeper sleeper;
  std::thread thread([&] { EXPECT_FALSE(sleeper.sleep(clock, {50})); });
  ASSERT_TRUE(clock.await_waiters(1));
  sleeper.notify();
  thread.join();
  EXPECT_EQ(clock.next_deadline(), Timestamp::never());
}

TEST(ManualClock, endless_waits_do_not_count_as_pending) {
  ManualClock clock({0});
  Sleeper endless;
  Sleeper timed;
  std::thread first([&] { EXPECT_FALSE(endless.sleep(clock, Timestamp::never())); });
  std::thread second([&] { EXPECT_TRUE(timed.sleep(clock, {5})); });
  ASSERT_TRUE(clock.await_waiters(1));
  EXPECT_EQ(clock.next_deadline().us, 5);
  clock.advance(5us);
  second.join();
  EXPECT_EQ(clock.next_deadline(), Timestamp::never());
  endless.notify();
  first.join();
}

// Sleepers that come and go, with conditions that die at once, while others advance and notify: no
// wake may be lost (the test would hang) and nothing that died may be touched (sanitizers tell).
TEST(ManualClock, loses_no_wake_under_load) {
  ManualClock clock({0});
  constexpr int sleepers = 4;
  constexpr int rounds = 60;
  std::atomic<int> running{sleepers};
  std::vector<std::thread> threads;
  for (int t = 0; t < sleepers; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        const auto sleeper = std::make_unique<Sleeper>();
        if (t % 2 == 0) {
          const auto deadline = clock.now() + Duration(1 + i % 3);
          EXPECT_TRUE(sleeper->sleep(clock, deadline));
          EXPECT_GE(clock.now(), deadline);
        } else {
          std::thread waker([&] { sleeper->notify(); });
          sleeper->sleep(clock, clock.now() + Duration(1));
          waker.join();
        }
      }
      --running;
    });
  }
  while (running > 0) {
    clock.advance(1us);
    std::this_thread::yield();
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(clock.next_deadline(), Timestamp::never());
}

}  // namespace
}  // namespace clew
