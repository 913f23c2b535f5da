#include "clew/capability/detail/event_ids.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace clew::detail {
namespace {

// First in, first out as in a log, with hashes that collide and lie side by side.
TEST(EventIds, finds_what_is_there_and_nothing_that_was_erased) {
  std::mt19937_64 chance(4711);
  EventIds ids;
  std::deque<std::pair<std::uint64_t, Cursor>> there;
  std::deque<std::pair<std::uint64_t, Cursor>> gone;
  const auto find = [&](const std::pair<std::uint64_t, Cursor>& one) {
    return ids.find(one.first, [&](Cursor cursor) { return cursor == one.second; });
  };
  for (Cursor cursor = 1; cursor <= 5000; ++cursor) {
    const std::uint64_t hash = chance() % 3 == 0 ? chance() % 8 : chance();
    ids.insert(hash, cursor);
    there.emplace_back(hash, cursor);
    while (there.size() > 200 || (!there.empty() && chance() % 3 == 0)) {
      ids.erase(there.front().first, there.front().second);
      gone.push_back(there.front());
      there.pop_front();
    }
    if (cursor % 50 != 0) continue;
    for (const auto& one : there) ASSERT_EQ(find(one), one.second);
    for (const auto& one : gone) ASSERT_EQ(find(one), 0);
  }
}

}  // namespace
}  // namespace clew::detail
