#include "clew/base/cancel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace clew {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CancelToken, that_has_no_source_is_never_cancelled) {
  const CancelToken token;
  EXPECT_FALSE(token.can_be_cancelled());
  EXPECT_FALSE(token.cancelled());
  EXPECT_EQ(token.reason(), "");
  const CancelSubscription subscription(token, [] { ADD_FAILURE() << "woken"; });
}

TEST(CancelToken, tells_once_and_keeps_the_first_reason) {
  CancelSource source;
  const auto token = source.token();
  EXPECT_TRUE(token.can_be_cancelled());
  EXPECT_FALSE(token.cancelled());
  EXPECT_EQ(token.reason(), "");
  EXPECT_TRUE(source.cancel("enough"));
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(token.reason(), "enough");
  EXPECT_FALSE(source.cancel("again"));
  EXPECT_EQ(source.token().reason(), "enough");
}

TEST(CancelToken, outlives_its_source) {
  std::optional<CancelSource> source(std::in_place);
  const auto token = source->token();
  source.reset();
  EXPECT_FALSE(token.cancelled());
}

TEST(CancelSubscription, runs_in_order_once_and_on_the_cancelling_thread) {
  CancelSource source;
  std::vector<int> woken;
  std::thread::id where;
  const CancelSubscription first(source.token(), [&] {
    woken.push_back(1);
    where = std::this_thread::get_id();
  });
  const CancelSubscription second(source.token(), [&] { woken.push_back(2); });
  source.cancel("x");
  source.cancel("y");
  EXPECT_THAT(woken, ElementsAre(1, 2));
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(CancelSubscription, runs_at_once_when_it_is_too_late) {
  CancelSource source;
  source.cancel("x");
  int woken = 0;
  {
    const CancelSubscription late(source.token(), [&] { ++woken; });
  }
  EXPECT_EQ(woken, 1);
}

TEST(CancelSubscription, that_is_gone_is_not_called) {
  CancelSource source;
  std::vector<int> woken;
  {
    const CancelSubscription gone(source.token(), [&] { woken.push_back(1); });
  }
  CancelSubscription replaced(source.token(), [&] { woken.push_back(2); });
  replaced = CancelSubscription(source.token(), [&] { woken.push_back(3); });
  CancelSubscription moved(std::move(replaced));
  source.cancel("x");
  EXPECT_THAT(woken, ElementsAre(3));
}

TEST(CancelSubscription, may_be_destroyed_by_a_wake) {
  CancelSource source;
  std::vector<int> woken;
  std::optional<CancelSubscription> own;
  std::optional<CancelSubscription> next;
  own.emplace(source.token(), [&] {
    woken.push_back(1);
    own.reset();
    next.reset();
  });
  next.emplace(source.token(), [&] { woken.push_back(2); });
  source.cancel("x");
  EXPECT_THAT(woken, ElementsAre(1));
}

TEST(CancelSubscription, may_ask_and_subscribe_from_a_wake) {
  CancelSource source;
  std::string seen;
  int late = 0;
  const CancelSubscription subscription(source.token(), [&] {
    seen = source.token().reason();
    EXPECT_FALSE(source.cancel("again"));
    const CancelSubscription inner(source.token(), [&] { ++late; });
  });
  source.cancel("x");
  EXPECT_EQ(seen, "x");
  EXPECT_EQ(late, 1);
}

TEST(CancelSubscription, that_throws_keeps_no_other_from_running) {
  CancelSource source;
  int woken = 0;
  const CancelSubscription first(source.token(), [] { throw std::runtime_error("first"); });
  const CancelSubscription second(source.token(), [&] { ++woken; });
  const CancelSubscription third(source.token(), [] { throw std::runtime_error("third"); });
  try {
    source.cancel("x");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& thrown) {
    EXPECT_STREQ(thrown.what(), "first");
  }
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(source.token().cancelled());
}

TEST(CancelSubscription, destruction_waits_for_a_wake_on_another_thread) {
  CancelSource source;
  std::latch inside(1);
  std::latch go_on(1);
  std::atomic<bool> finished{false};
  std::optional<CancelSubscription> subscription;
  subscription.emplace(source.token(), [&] {
    inside.count_down();
    go_on.wait();
    finished = true;
  });
  std::thread canceller([&] { source.cancel("x"); });
  inside.wait();
  std::thread releaser([&] { go_on.count_down(); });
  subscription.reset();
  EXPECT_TRUE(finished);
  canceller.join();
  releaser.join();
}

TEST(CancelSubscription, captures_are_gone_when_its_destructor_returns) {
  CancelSource source;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  std::optional<CancelSubscription> subscription;
  subscription.emplace(source.token(), [owned = std::move(owned)] { EXPECT_EQ(*owned, 1); });
  source.cancel("x");
  EXPECT_TRUE(watch.expired());
  EXPECT_TRUE(subscription.has_value());
}

TEST(ChildSource, follows_its_parent_but_not_the_reverse) {
  CancelSource parent;
  CancelSource child(parent.token());
  CancelSource sibling(parent.token());
  EXPECT_TRUE(sibling.cancel("own"));
  EXPECT_FALSE(parent.token().cancelled());
  EXPECT_FALSE(child.token().cancelled());
  std::vector<std::string> seen;
  const CancelSubscription subscription(child.token(),
                                        [&] { seen.push_back(child.token().reason()); });
  parent.cancel("all");
  EXPECT_THAT(seen, ElementsAre("all"));
  EXPECT_EQ(sibling.token().reason(), "own");
}

TEST(ChildSource, reaches_through_generations_and_late_children) {
  CancelSource parent;
  auto middle = std::make_optional<CancelSource>(parent.token());
  CancelSource child(middle->token());
  middle.reset();  // the chain holds without the handle
  parent.cancel("all");
  EXPECT_EQ(child.token().reason(), "all");
  const CancelSource late(parent.token());
  EXPECT_EQ(late.token().reason(), "all");
  CancelSource alone((CancelToken()));
  EXPECT_FALSE(alone.token().cancelled());
  EXPECT_TRUE(alone.cancel("x"));
}

TEST(CancelStress, each_subscription_wakes_at_most_once_and_never_after_its_end) {
  for (int round = 0; round < 60; ++round) {
    CancelSource source;
    CancelSource child(source.token());
    std::latch start(5);
    std::atomic<int> winners{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        winners += source.cancel("x") ? 1 : 0;
      });
    }
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        const auto token = t == 0 ? child.token() : source.token();
        start.arrive_and_wait();
        for (int i = 0; i < 20; ++i) {
          auto calls = std::make_unique<int>(0);
          {
            const CancelSubscription subscription(token, [calls = calls.get()] { ++*calls; });
            const CancelSource grandchild(token);
          }
          EXPECT_LE(*calls, 1);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(winners, 1);
    EXPECT_TRUE(child.token().cancelled());
  }
}

}  // namespace
}  // namespace clew
