#include "clew/base/fault.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/error.hpp"

namespace clew {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

FaultPoint before_save("test.save.before");
FaultPoint after_save("test.save.after");

class Faults : public ::testing::Test {
 protected:
  void TearDown() override {
    before_save.disarm();
    after_save.disarm();
    unsetenv("CLEW_FAULT");
  }
};

TEST_F(Faults, pass_when_off) {
  EXPECT_TRUE(before_save.hit());
  EXPECT_EQ(before_save.name(), "test.save.before");
}

TEST_F(Faults, run_their_action_until_disarmed) {
  int runs = 0;
  before_save.arm([&runs]() -> Result<void> {
    if (++runs == 2) return error(Code::corrupt, "torn page");
    return {};
  });
  EXPECT_TRUE(before_save.hit());
  EXPECT_EQ(before_save.hit().error().code(), Code::corrupt);
  EXPECT_TRUE(after_save.hit());  // another point
  before_save.disarm();
  EXPECT_TRUE(before_save.hit());
  EXPECT_EQ(runs, 2);
}

TEST_F(Faults, are_listed_in_order_and_found_by_name) {
  const auto names = fault_points();
  EXPECT_THAT(names, Contains("test.save.before"));
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(find_fault_point("test.save.after"), &after_save);
  EXPECT_EQ(find_fault_point("test.save"), nullptr);
  {
    const FaultPoint passing("test.passing");
    EXPECT_THAT(fault_points(), Contains("test.passing"));
  }
  EXPECT_THAT(fault_points(), Not(Contains("test.passing")));
}

TEST_F(Faults, have_one_dotted_name_each) {
  EXPECT_THROW(FaultPoint("test.save.before"), CheckFailure);
  EXPECT_EQ(find_fault_point("test.save.before"), &before_save);
  EXPECT_THROW(FaultPoint("Test Save"), CheckFailure);
  EXPECT_THROW(FaultPoint(""), CheckFailure);
}

TEST_F(Faults, fail_at_the_hit_that_was_named_and_only_there) {
  ASSERT_TRUE(arm_faults("test.save.before=error@2,test.save.after=error"));
  EXPECT_TRUE(before_save.hit());
  const auto failed = before_save.hit();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::unavailable);
  EXPECT_TRUE(failed.error().retryable());
  EXPECT_EQ(*failed.error().find("fault_point"), Value("test.save.before"));
  EXPECT_TRUE(before_save.hit());
  EXPECT_FALSE(after_save.hit());
  EXPECT_TRUE(after_save.hit());
}

TEST_F(Faults, arm_nothing_when_the_specification_is_wrong) {
  for (const auto* spec :
       {"test.save.before", "test.save.before=", "test.save.before=explode",
        "test.save.before=error@", "test.save.before=error@0", "test.save.before=error@-1",
        "test.save.before=error@1x", "test.save.before=error@99999999999999999999", "=error", ",",
        "test.save.before=error,", "test.save.before=error,test.save.nowhere=kill",
        "test.save.before = error"}) {
    const auto armed = arm_faults(spec);
    ASSERT_FALSE(armed) << spec;
    EXPECT_EQ(armed.error().code(), Code::invalid_input);
    EXPECT_TRUE(before_save.hit()) << spec;
  }
  EXPECT_THAT(arm_faults("test.save.befor=kill").error().message(), HasSubstr("test.save.before"));
  EXPECT_TRUE(arm_faults(""));
}

TEST_F(Faults, are_armed_from_the_environment) {
  EXPECT_TRUE(arm_faults_from_environment());
  EXPECT_TRUE(before_save.hit());
  setenv("CLEW_FAULT", "test.save.before=error@1", 1);
  EXPECT_TRUE(arm_faults_from_environment());
  EXPECT_FALSE(before_save.hit());
  setenv("CLEW_FAULT", "nonsense", 1);
  EXPECT_FALSE(arm_faults_from_environment());
}

TEST(FaultsDeathTest, kill_the_process_at_the_hit_that_was_named) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        arm_faults("test.save.before=kill@3").value();
        before_save.hit().value();
        before_save.hit().value();
        std::fputs("alive after two", stderr);
        before_save.hit().value();
        std::fputs("alive after three", stderr);
        std::_Exit(0);
      },
      ::testing::KilledBySignal(SIGKILL), "^alive after two$");
}

TEST_F(Faults, are_hit_armed_and_registered_by_many_threads) {
  std::atomic<int> runs{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) failures += before_save.hit() ? 0 : 1;
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 200; ++i) {
      before_save.arm([&runs]() -> Result<void> {
        ++runs;
        return error(Code::unavailable, "armed");
      });
      before_save.disarm();
    }
  });
  threads.emplace_back([] {
    for (int i = 0; i < 200; ++i) {
      const FaultPoint passing("test.passing");
      EXPECT_FALSE(fault_points().empty());
    }
  });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(runs, failures);
}

TEST_F(Faults, count_hits_of_all_threads_together) {
  ASSERT_TRUE(arm_faults("test.save.before=error@500"));
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&failures] {
      for (int i = 0; i < 250; ++i) failures += before_save.hit() ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 1);
}

}  // namespace
}  // namespace clew
