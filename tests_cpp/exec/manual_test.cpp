#include "clew/exec/manual.hpp"

#include "exec/support.hpp"

namespace clew::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ManualExecutor, nothing_runs_until_the_crank_is_turned) {
  ManualExecutor executor;
  std::vector<std::string> ran;
  ASSERT_TRUE(executor.submit({.call = [&ran](Turn) { ran.emplace_back("low"); }}));
  ASSERT_TRUE(executor.submit({.call = [&ran](Turn) { ran.emplace_back("high"); }, .priority = 1}));
  ASSERT_TRUE(executor.submit({.call = [&ran](Turn) { ran.emplace_back("later"); }}));
  EXPECT_THAT(ran, IsEmpty());
  EXPECT_EQ(executor.queued(), 3U);
  EXPECT_TRUE(executor.run_one());
  EXPECT_THAT(ran, ElementsAre("high"));
  EXPECT_EQ(executor.drain(), 2U);
  EXPECT_THAT(ran, ElementsAre("high", "low", "later"));
  EXPECT_FALSE(executor.run_one());
}

TEST(ManualExecutor, drain_runs_what_tasks_submit) {
  ManualExecutor executor;
  int left = 10;
  std::function<void()> again = [&] {
    ASSERT_TRUE(executor.submit({.call = [&](Turn) {
      if (--left > 0) again();
    }}));
  };
  again();
  EXPECT_EQ(executor.drain(), 10U);
  EXPECT_EQ(left, 0);
}

TEST(ManualExecutor, drain_of_exactly_the_bound_is_fine_and_a_loop_fails) {
  ManualExecutor executor;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(executor.submit({.call = [](Turn) {}}));
  EXPECT_EQ(executor.drain(5), 5U);
  std::function<void()> again = [&] {
    ASSERT_TRUE(executor.submit({.call = [&](Turn turn) {
      if (turn == Turn::run) again();
    }}));
  };
  again();
  EXPECT_THROW(executor.drain(100), CheckFailure);
  executor.close();
}

TEST(ManualExecutor, a_key_at_its_limit_is_passed_over) {
  ManualExecutor executor;
  const KeyLimit limit{.key = 1, .max = 1};
  std::vector<std::string> ran;
  const auto submit = [&](std::string name, KeyLimit with) {
    ASSERT_TRUE(
        executor.submit({.call = [&ran, name](Turn) { ran.push_back(name); }, .limit = with}));
  };
  ASSERT_TRUE(executor.submit({.call =
                                   [&](Turn) {
                                     EXPECT_TRUE(executor.run_one());
                                     EXPECT_FALSE(executor.run_one());
                                     ran.emplace_back("outer");
                                   },
                               .limit = limit}));
  submit("same key", limit);
  submit("free", {});
  EXPECT_EQ(executor.drain(), 2U);  // the outer one turned the crank for the third
  EXPECT_THAT(ran, ElementsAre("free", "outer", "same key"));
  EXPECT_EQ(code_of_result(executor.submit({.call = [](Turn) {}, .limit = {.key = 1}})),
            Code::invalid_input);
}

TEST(ManualExecutor, close_drops_and_refuses) {
  ManualExecutor executor;
  std::vector<Turn> turns;
  ASSERT_TRUE(executor.submit({.call = [&turns](Turn turn) { turns.push_back(turn); }}));
  executor.close();
  executor.close();
  EXPECT_THAT(turns, ElementsAre(Turn::drop));
  EXPECT_EQ(code_of_result(executor.submit({.call = [](Turn) {}})), Code::closed);
  EXPECT_FALSE(executor.run_one());
}

TEST(ManualExecutor, the_destructor_drops_what_is_left) {
  std::vector<Turn> turns;
  {
    ManualExecutor executor;
    ASSERT_TRUE(executor.submit({.call = [&turns](Turn turn) { turns.push_back(turn); }}));
  }
  EXPECT_THAT(turns, ElementsAre(Turn::drop));
}

TEST(ManualExecutor, many_threads_may_turn_the_crank) {
  ManualExecutor executor;
  std::atomic<int> ran{0};
  std::vector<std::future<void>> threads;
  for (int i = 0; i < 4; ++i) {
    threads.push_back(std::async(std::launch::async, [&] {
      for (int j = 0; j < 1000; ++j) {
        EXPECT_TRUE(executor.submit({.call = [&ran](Turn) { ++ran; }}));
        executor.run_one();
      }
    }));
  }
  for (auto& thread : threads) thread.get();
  executor.drain();
  EXPECT_EQ(ran, 4000);
}

}  // namespace
}  // namespace clew::testing
