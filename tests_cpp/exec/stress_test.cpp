// Many threads at once: what must hold whatever the schedule.
#include <deque>
#include <latch>
#include <random>

#include "exec/support.hpp"

namespace clew::testing {
namespace {

constexpr int submitters = 8;

// How often each task was called, and with what.
struct Calls {
  std::atomic<int> run{0};
  std::atomic<int> drop{0};
  bool accepted = false;
};

struct Race {
  StopMode mode;
  FullPolicy full;
  int queue_max;
};

class StopRace : public ::testing::TestWithParam<Race> {};

TEST_P(StopRace, each_accepted_task_is_called_exactly_once_and_no_other_ever) {
  constexpr int each = 400;
  for (int round = 0; round < 20; ++round) {
    const auto clock = make_real_clock();
    const auto pool = start_pool(
        {.threads = 3, .queue_max = GetParam().queue_max, .full = GetParam().full}, *clock);
    std::vector<std::deque<Calls>> calls(submitters);
    std::latch half_way(submitters);
    std::vector<std::future<void>> threads;
    for (auto& mine : calls) {
      mine.resize(each);
      threads.push_back(std::async(std::launch::async, [&] {
        for (int i = 0; i < each; ++i) {
          if (i == each / 2) half_way.count_down();
          auto& call = mine[static_cast<std::size_t>(i)];
          const KeyLimit limit =
              i % 3 == 0 ? KeyLimit{1 + static_cast<std::uint64_t>(i % 2), 1} : KeyLimit{};
          call.accepted =
              pool->submit(
                      {.call = [&call](Turn turn) { ++(turn == Turn::run ? call.run : call.drop); },
                       .priority = i % 5,
                       .limit = limit})
                  .has_value();
        }
      }));
    }
    half_way.wait();
    pool->stop(GetParam().mode, Timestamp::never());
    for (auto& thread : threads) thread.get();

    std::int64_t accepted = 0;
    std::int64_t run = 0;
    std::int64_t drop = 0;
    for (const auto& mine : calls) {
      for (const auto& call : mine) {
        ASSERT_EQ(call.run + call.drop, call.accepted ? 1 : 0);
        accepted += call.accepted ? 1 : 0;
        run += call.run;
        drop += call.drop;
      }
    }
    const auto stats = pool->stats();
    EXPECT_EQ(stats.submitted, accepted);
    EXPECT_EQ(stats.completed, run);
    EXPECT_EQ(stats.dropped, drop);
    EXPECT_EQ(stats.queued, 0);
    EXPECT_EQ(stats.running, 0);
    EXPECT_LE(stats.running_max, 3);
    if (GetParam().mode == StopMode::drain) {
      EXPECT_EQ(drop, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, StopRace,
                         ::testing::Values(Race{StopMode::drain, FullPolicy::block, 100'000},
                                           Race{StopMode::cancel, FullPolicy::block, 100'000},
                                           Race{StopMode::drain, FullPolicy::block, 4},
                                           Race{StopMode::cancel, FullPolicy::caller_runs, 4},
                                           Race{StopMode::drain, FullPolicy::reject, 4}));

// Tasks, inline callers and lenders together never exceed the slots or a key's limit.
TEST(PoolStress, capacity_and_limits_hold_under_everything_at_once) {
  const auto seed = test_seed();
  SCOPED_TRACE(::testing::Message() << "CLEW_SEED=" << seed);
  const auto clock = make_real_clock();
  for (const int capacity : {1, 2, 5}) {
    const auto pool = start_pool({.threads = capacity, .queue_max = 64}, *clock);
    Crowd in_slots;
    Crowd of_key[2];
    const KeyLimit limits[2] = {{.key = 1, .max = 1}, {.key = 2, .max = 2}};
    std::atomic<int> left{0};

    // In a slot: lends it at times, nests at times.
    const auto work = [&](unsigned choice) {
      in_slots.come();
      if (choice % 4 == 0) {
        in_slots.go();
        pool->blocking([] { std::this_thread::yield(); });
        in_slots.come();
      }
      if (choice % 5 == 0) {
        EXPECT_TRUE(pool->try_enter({}));
      }
      in_slots.go();
    };
    const auto keyed = [&](unsigned choice, std::size_t key) {
      of_key[key].come();
      work(choice);
      of_key[key].go();
    };
    std::vector<std::future<void>> threads;
    for (unsigned thread = 0; thread < 6; ++thread) {
      threads.push_back(std::async(std::launch::async, [&, thread] {
        std::mt19937 random(seed + thread);
        for (int i = 0; i < 500; ++i) {
          const auto choice = static_cast<unsigned>(random());
          const std::size_t key = choice % 2;
          const bool has_key = choice % 3 == 0;
          const KeyLimit limit = has_key ? limits[key] : KeyLimit{};
          if (choice % 7 < 3) {
            if (const auto slot = pool->try_enter(limit))
              has_key ? keyed(choice, key) : work(choice);
          } else {
            ++left;
            ASSERT_TRUE(pool->submit({.call =
                                          [&, choice, key, has_key](Turn) {
                                            has_key ? keyed(choice, key) : work(choice);
                                            --left;
                                          },
                                      .priority = static_cast<int>(choice % 3),
                                      .limit = limit}));
          }
        }
      }));
    }
    for (auto& thread : threads) thread.get();
    EXPECT_TRUE(stop_drained(*pool));
    EXPECT_EQ(left, 0);
    EXPECT_LE(in_slots.most(), capacity);
    EXPECT_LE(of_key[0].most(), 1);
    EXPECT_LE(of_key[1].most(), 2);
    EXPECT_LE(pool->stats().running_max, capacity);
    EXPECT_EQ(pool->stats().failures, 0);
  }
}

// Each task's end is what allows the next submit: a lost wake-up would hang here.
TEST(PoolStress, no_wake_up_is_lost_in_ping_pong) {
  const auto clock = make_real_clock();
  for (const int threads : {1, 2, 4}) {
    std::binary_semaphore done{0};
    const auto pool = start_pool({.threads = threads}, *clock);
    for (int i = 0; i < 5'000; ++i) {
      ASSERT_TRUE(pool->submit({.call = [&done](Turn) { done.release(); }}));
      done.acquire();
    }
  }
}

// Tasks that need each other: all must be started although each started one waits.
TEST(PoolStress, every_free_slot_is_used) {
  const auto clock = make_real_clock();
  const auto pool = start_pool({.threads = 4}, *clock);
  for (int round = 0; round < 1000; ++round) {
    std::latch together(4);
    std::latch ended(4);
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(pool->submit({.call = [&](Turn) {
        together.arrive_and_wait();
        ended.count_down();
      }}));
    }
    ended.wait();
  }
}

}  // namespace
}  // namespace clew::testing
