#include "clew/base/snapshot.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace clew {
namespace {

TEST(Snapshot, readers_keep_the_version_they_loaded) {
  Snapshot<int> snapshot(std::make_shared<const int>(1));
  const auto old = snapshot.load();
  const auto version = snapshot.version();
  snapshot.publish(std::make_shared<const int>(2));
  EXPECT_EQ(*old, 1);
  EXPECT_EQ(*snapshot.load(), 2);
  EXPECT_NE(snapshot.version(), version);
}

TEST(Snapshot, lets_go_of_what_it_replaced) {
  auto first = std::make_shared<const int>(1);
  const std::weak_ptr<const int> watch = first;
  Snapshot<int> snapshot(std::move(first));
  snapshot.publish(std::make_shared<const int>(2));
  EXPECT_TRUE(watch.expired());
}

TEST(Cached, sees_every_publication_and_loads_only_then) {
  Snapshot<int> snapshot(std::make_shared<const int>(1));
  Cached<int> cached(snapshot);
  EXPECT_EQ(*cached.get(), 1);
  const auto* held = cached.get().get();
  EXPECT_EQ(cached.get().get(), held);
  snapshot.publish(std::make_shared<const int>(2));
  EXPECT_EQ(*cached.get(), 2);
}

// Pairs whose halves are equal: a torn or stale read shows as a difference or a step back.
TEST(Snapshot, is_shared_between_readers_and_writers) {
  struct Pair {
    int left;
    int right;
  };
  Snapshot<Pair> snapshot(std::make_shared<const Pair>(Pair{0, 0}));
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      Cached<Pair> cached(snapshot);
      int last = 0;
      while (!done) {
        const auto pair = snapshot.load();
        ASSERT_EQ(pair->left, pair->right);
        ASSERT_GE(pair->left, last);
        last = pair->left;
        const auto later = cached.get();
        ASSERT_EQ(later->left, later->right);
        ASSERT_GE(later->left, last);
        last = later->left;
      }
    });
  }
  for (int i = 1; i <= 5000; ++i) snapshot.publish(std::make_shared<const Pair>(Pair{i, i}));
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(snapshot.load()->left, 5000);
}

}  // namespace
}  // namespace clew
