#include "clew/base/threads.hpp"

#include <pthread.h>

#include <stdexcept>

#include "exec/support.hpp"

namespace clew::testing {
namespace {

TEST(Threads, bodies_run_on_threads_of_their_own_and_are_joined) {
  std::atomic<int> ran{0};
  {
    Threads threads;
    for (int i = 0; i < 3; ++i) {
      threads.start("worker", [&ran, creator = std::this_thread::get_id()] {
        EXPECT_NE(std::this_thread::get_id(), creator);
        ++ran;
      });
    }
    EXPECT_EQ(threads.size(), 3U);
    threads.join();
    EXPECT_EQ(ran, 3);
    EXPECT_EQ(threads.size(), 0U);
    threads.join();
    threads.start("worker", [&ran] { ++ran; });
  }
  EXPECT_EQ(ran, 4);
}

TEST(Threads, names_are_cut_to_what_the_kernel_takes) {
  const std::pair<std::string, std::string> cases[] = {
      {"short", "short"},
      {"exactly-fifteen", "exactly-fifteen"},
      {"one-over-fifteen", "one-over-fiftee"},
  };
  for (const auto& [given, shown] : cases) {
    char name[16] = {};
    Threads threads;
    threads.start(given, [&name] { pthread_getname_np(pthread_self(), name, sizeof name); });
    threads.join();
    EXPECT_EQ(name, shown);
  }
}

TEST(ThreadsDeathTest, an_exception_that_leaves_a_thread_ends_the_process_with_its_text) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Threads threads;
        threads.start("doomed", [] { throw std::runtime_error("nobody hears me"); });
        threads.join();
      },
      "doomed.*nobody hears me");
}

}  // namespace
}  // namespace clew::testing
