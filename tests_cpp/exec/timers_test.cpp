#include "clew/exec/timers.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "exec/support.hpp"

namespace clew::testing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TimersTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(timers->start()); }
  TimerId set(Duration after, const std::string& name) {
    return timers->at(clock.now() + after, [this, name] { fired.add(name); });
  }
  void pass(Duration by) {
    clock.advance(by);
    timers->await_idle();
  }

  ManualClock clock;
  Log<std::string> fired;
  std::unique_ptr<Timers> timers = make_timers(clock);
};

TEST_F(TimersTest, fire_at_their_instant_and_not_before) {
  set(seconds(10), "ten");
  pass(seconds(10) - Duration(1));
  EXPECT_THAT(fired.items(), IsEmpty());
  EXPECT_EQ(timers->pending(), 1U);
  pass(Duration(1));
  EXPECT_THAT(fired.items(), ElementsAre("ten"));
  EXPECT_EQ(timers->pending(), 0U);
  pass(hours(1));
  EXPECT_THAT(fired.items(), ElementsAre("ten"));
}

TEST_F(TimersTest, fire_in_order_of_instants_then_of_registration) {
  set(seconds(3), "c1");
  set(seconds(1), "a1");
  set(seconds(2), "b1");
  set(seconds(1), "a2");
  set(seconds(3), "c2");
  set(seconds(1), "a3");
  pass(seconds(5));
  EXPECT_THAT(fired.items(), ElementsAre("a1", "a2", "a3", "b1", "c1", "c2"));
}

TEST_F(TimersTest, an_earlier_timer_wakes_the_sleeping_thread) {
  set(hours(5), "late");
  ASSERT_TRUE(clock.await_waiters(1));
  set(seconds(1), "early");
  pass(seconds(1));
  EXPECT_THAT(fired.items(), ElementsAre("early"));
}

TEST_F(TimersTest, what_is_due_already_fires_at_once) {
  set(Duration(0), "now");
  timers->await_idle();
  set(-hours(1), "past");
  timers->await_idle();
  timers->at({INT64_MIN}, [this] { fired.add("the beginning"); });
  timers->await_idle();
  EXPECT_THAT(fired.items(), ElementsAre("now", "past", "the beginning"));
}

TEST_F(TimersTest, never_is_never) {
  timers->at(Timestamp::never(), [this] { fired.add("never"); });
  pass(hours(24 * 365 * 100));
  EXPECT_THAT(fired.items(), IsEmpty());
  EXPECT_EQ(timers->pending(), 1U);
}

TEST_F(TimersTest, a_cancelled_timer_does_not_fire) {
  set(seconds(1), "a");
  const auto b = set(seconds(2), "b");
  const auto c = set(seconds(3), "c");
  EXPECT_TRUE(timers->cancel(b));
  EXPECT_FALSE(timers->cancel(b));
  EXPECT_EQ(timers->pending(), 2U);
  pass(seconds(3));
  EXPECT_THAT(fired.items(), ElementsAre("a", "c"));
  EXPECT_FALSE(timers->cancel(c));
}

TEST_F(TimersTest, cancelling_destroys_the_callable_at_once) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  const auto id = timers->at(clock.now() + hours(1), [held = std::move(held)] {});
  EXPECT_FALSE(watched.expired());
  EXPECT_TRUE(timers->cancel(id));
  EXPECT_TRUE(watched.expired());
}

TEST_F(TimersTest, ids_are_not_reused) {
  std::set<TimerId> ids;
  for (int i = 0; i < 1000; ++i) {
    const auto id = set(seconds(1), "x");
    EXPECT_NE(id, 0U);
    EXPECT_TRUE(ids.insert(id).second);
    if (i % 2 == 0) {
      EXPECT_TRUE(timers->cancel(id));
    }
  }
  pass(seconds(1));
  const auto fresh = set(seconds(1), "y");
  EXPECT_TRUE(ids.insert(fresh).second);
  for (const auto id : ids) EXPECT_EQ(timers->cancel(id), id == fresh);
  EXPECT_FALSE(timers->cancel(0));
  EXPECT_FALSE(timers->cancel(UINT64_MAX));
}

TEST_F(TimersTest, a_wake_may_set_and_cancel_timers) {
  const auto doomed = set(seconds(2), "doomed");
  timers->at(clock.now() + seconds(1), [&] {
    EXPECT_TRUE(timers->cancel(doomed));
    set(Duration(0), "at once");
    set(seconds(5), "later");
    fired.add("first");
  });
  pass(seconds(3));
  EXPECT_THAT(fired.items(), ElementsAre("first", "at once"));
  pass(seconds(5));
  EXPECT_THAT(fired.items(), ElementsAre("first", "at once", "later"));
}

TEST_F(TimersTest, a_timer_that_fires_now_cannot_be_cancelled) {
  Gate inside;
  Gate go_on;
  const auto id = timers->at(clock.now(), [&] {
    inside.open();
    go_on.wait();
  });
  inside.wait();
  EXPECT_FALSE(timers->cancel(id));
  EXPECT_EQ(timers->pending(), 0U);
  go_on.open();
  timers->await_idle();
}

TEST_F(TimersTest, what_a_wake_throws_stops_nobody) {
  ::testing::internal::CaptureStderr();
  timers->at(clock.now(), [] { throw std::runtime_error("broken wake"); });
  set(seconds(1), "next");
  pass(seconds(1));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), ::testing::HasSubstr("broken wake"));
  EXPECT_THAT(fired.items(), ElementsAre("next"));
}

TEST_F(TimersTest, drain_fires_what_is_due_and_cancel_nothing) {
  for (const auto mode : {StopMode::drain, StopMode::cancel}) {
    const auto own = make_timers(clock);
    ASSERT_TRUE(own->start());
    Gate inside;
    Gate go_on;
    Log<std::string> log;
    own->at(clock.now(), [&] {
      inside.open();
      go_on.wait();
    });
    inside.wait();
    own->at(clock.now(), [&log] { log.add("due"); });
    own->at(clock.now() + Duration(1), [&log] { log.add("not due"); });
    const auto deadline = clock.now() + seconds(1);
    auto stopped = std::async(std::launch::async, [&] { return own->stop(mode, deadline); });
    ASSERT_TRUE(clock.await_waiters(1));
    go_on.open();
    EXPECT_TRUE(stopped.get());
    EXPECT_EQ(log.items().size(), mode == StopMode::drain ? 1U : 0U);
    EXPECT_EQ(own->pending(), 0U);
  }
}

TEST_F(TimersTest, after_its_deadline_stop_fires_nothing_more) {
  Gate inside;
  Gate go_on;
  timers->at(clock.now(), [&] {
    inside.open();
    go_on.wait();
  });
  inside.wait();
  set(Duration(0), "due");
  auto stopped = std::async(std::launch::async, [this, by = clock.now() + seconds(1)] {
    return timers->stop(StopMode::drain, by);
  });
  ASSERT_TRUE(clock.await_waiters(1));
  clock.advance(seconds(1));
  ASSERT_TRUE(await([&] { return timers->pending() == 0; }));
  go_on.open();
  EXPECT_FALSE(stopped.get());
  EXPECT_THAT(fired.items(), IsEmpty());
}

TEST_F(TimersTest, after_stop_nothing_is_called) {
  bool destroyed_uncalled = true;
  timers->at(clock.now() + seconds(1), [&] { destroyed_uncalled = false; });
  EXPECT_TRUE(timers->stop(StopMode::drain, Timestamp::never()));
  EXPECT_TRUE(timers->stop(StopMode::cancel, Timestamp::never()));
  const auto id = set(Duration(0), "late");
  EXPECT_NE(id, 0U);
  EXPECT_FALSE(timers->cancel(id));
  clock.advance(hours(1));
  timers->await_idle();
  EXPECT_TRUE(destroyed_uncalled);
  EXPECT_THAT(fired.items(), IsEmpty());
  EXPECT_EQ(code_of_result(timers->start()), Code::closed);
}

TEST_F(TimersTest, a_wake_that_would_wait_for_itself_is_a_bug) {
  Log<std::string> log;
  timers->at(clock.now(), [&] {
    EXPECT_THROW(timers->await_idle(), CheckFailure);
    EXPECT_THROW(timers->stop(StopMode::cancel, Timestamp::never()), CheckFailure);
    log.add("done");
  });
  timers->await_idle();
  EXPECT_THAT(log.items(), ElementsAre("done"));
}

TEST(TimersBeforeStart, they_wait_for_it) {
  ManualClock clock;
  const auto timers = make_timers(clock);
  bool fired = false;
  timers->at(clock.now(), [&fired] { fired = true; });
  EXPECT_EQ(timers->pending(), 1U);
  EXPECT_THROW(timers->await_idle(), CheckFailure);
  ASSERT_TRUE(timers->start());
  ASSERT_TRUE(timers->start());
  timers->await_idle();
  EXPECT_TRUE(fired);
}

TEST(TimersBeforeStart, stop_discards_them) {
  ManualClock clock;
  const auto timers = make_timers(clock);
  bool fired = false;
  timers->at(clock.now(), [&fired] { fired = true; });
  EXPECT_TRUE(timers->stop(StopMode::drain, Timestamp::never()));
  EXPECT_FALSE(fired);
  EXPECT_EQ(timers->pending(), 0U);
}

// Random setting, cancelling and passing of time, against an ordered map.
TEST_F(TimersTest, agree_with_an_ordered_map) {
  const auto seed = test_seed();
  SCOPED_TRACE(::testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937 random(seed);
  Log<int> order;
  std::vector<int> expected;
  std::map<std::pair<std::int64_t, int>, TimerId> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto choice = random() % 100;
    if (choice < 60) {
      const auto due = clock.now() + Duration(1 + random() % 50);
      model[{due.us, i}] = timers->at(due, [&order, i] { order.add(i); });
    } else if (choice < 90 && !model.empty()) {
      auto victim = model.lower_bound({clock.now().us + static_cast<int>(random() % 50), 0});
      if (victim == model.end()) victim = model.begin();
      ASSERT_TRUE(timers->cancel(victim->second));
      model.erase(victim);
    } else {
      pass(Duration(random() % 20));
      while (!model.empty() && model.begin()->first.first <= clock.now().us) {
        expected.push_back(model.begin()->first.second);
        model.erase(model.begin());
      }
    }
    ASSERT_EQ(timers->pending(), model.size());
  }
  EXPECT_EQ(order.items(), expected);
  EXPECT_GT(expected.size(), 1000U);
}

// A tenth of a million where each access is checked for races, which takes ten times as long.
#if defined(__SANITIZE_THREAD__)
constexpr std::int64_t many = 100'000;
#elif defined(__has_feature)
constexpr std::int64_t many = __has_feature(thread_sanitizer) ? 100'000 : 1'000'000;
#else
constexpr std::int64_t many = 1'000'000;
#endif

TEST_F(TimersTest, a_million_are_held_and_fire_in_order) {
  constexpr std::int64_t count = many;
  std::vector<TimerId> ids;
  ids.reserve(count);
  std::int64_t last_due = -1;
  std::int64_t total = 0;
  bool in_order = true;
  const auto start = clock.now() + seconds(1);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto due = (i * 7919) % 1'000'003;
    ids.push_back(timers->at(start + Duration(due), [&, due] {
      in_order = in_order && due >= last_due;
      last_due = due;
      ++total;
    }));
  }
  EXPECT_EQ(timers->pending(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); i += 2) ASSERT_TRUE(timers->cancel(ids[i]));
  pass(seconds(3));
  EXPECT_TRUE(in_order);
  EXPECT_EQ(total, count / 2);
  EXPECT_EQ(timers->pending(), 0U);
}

TEST(TimersRealTime, many_threads_set_and_cancel_while_others_fire) {
  const auto clock = make_real_clock();
  const auto timers = make_timers(*clock);
  ASSERT_TRUE(timers->start());
  std::atomic<int> fired{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> early{0};
  std::vector<std::future<void>> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.push_back(std::async(std::launch::async, [&, thread] {
      std::mt19937 random(thread);
      for (int i = 0; i < 2'000; ++i) {
        const auto due = clock->now() + Duration(random() % 200);
        const auto id = timers->at(due, [&, due] {
          if (clock->now() < due) ++early;
          ++fired;
        });
        if (random() % 2 == 0 && timers->cancel(id)) ++cancelled;
      }
    }));
  }
  for (auto& thread : threads) thread.get();
  ASSERT_TRUE(await([&] { return timers->pending() == 0; }));
  timers->await_idle();
  EXPECT_EQ(fired + cancelled, 8'000);
  EXPECT_EQ(early, 0);
}

}  // namespace
}  // namespace clew::testing
