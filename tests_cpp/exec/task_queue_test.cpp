#include "clew/exec/detail/task_queue.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "exec/support.hpp"

namespace clew::detail {
namespace {

using clew::testing::test_seed;

// The same in the plainest words: look at every task.
class PlainQueue {
 public:
  struct Item {
    int id;
    int priority;
    std::uint32_t tenant;
    KeyLimit limit;
  };
  void push(Item item) { items_.push_back(item); }
  bool has_runnable() {
    return std::ranges::any_of(items_, [this](const Item& item) { return may_run(item); });
  }
  // The next of a tenant.
  int pop(std::uint32_t tenant) {
    auto best = items_.end();
    for (auto item = items_.begin(); item != items_.end(); ++item) {
      if (item->tenant != tenant || !may_run(*item)) continue;
      if (best == items_.end() || item->priority > best->priority) best = item;
    }
    if (best == items_.end()) return 0;
    const int id = best->id;
    if (best->limit.key != 0) take_place(best->limit.key);
    items_.erase(best);
    return id;
  }
  bool has_place(KeyLimit limit) { return limit.key == 0 || running_[limit.key] < limit.max; }
  void take_place(std::uint64_t key) { ++running_[key]; }
  void free_place(std::uint64_t key) { --running_[key]; }
  std::size_t size() const { return items_.size(); }

 private:
  bool may_run(const Item& item) { return is_first_of_key(item) && has_place(item.limit); }
  // Within a key nobody overtakes, whatever their limits.
  bool is_first_of_key(const Item& asked) const {
    if (asked.limit.key == 0) return true;
    const Item* first = nullptr;
    for (const auto& item : items_) {
      if (item.limit.key != asked.limit.key) continue;
      if (first == nullptr || item.priority > first->priority) first = &item;
    }
    return first == &asked;
  }
  std::vector<Item> items_;  // by arrival
  std::map<std::uint64_t, int> running_;
};

// A random history on both queues at once.
class TwoQueues {
 public:
  TwoQueues(unsigned seed, unsigned tenants) : random_(seed), tenants_(tenants) {}
  ~TwoQueues() {
    for (auto* task : queue_.take_all()) task->task.call = nullptr;
    while (!running_.empty()) end_task();
  }

  void push() {
    const KeyLimit limit = key();
    const PlainQueue::Item item{++ids_, static_cast<int>(roll(12)) - 3, roll(tenants_), limit};
    plain_.push(item);
    queue_.push({.call = [id = item.id, this](Turn) { called_ = id; },
                 .priority = item.priority,
                 .tenant = item.tenant,
                 .limit = limit});
  }
  void pop() {
    const bool expected = plain_.has_runnable();
    ASSERT_EQ(queue_.has_runnable(), expected);
    SlotUse use;
    auto* task = queue_.pop(use);
    ASSERT_EQ(task != nullptr, expected);  // whoever's it is
    if (task == nullptr) return;
    task->task.call(Turn::run);
    task->task.call = nullptr;
    ASSERT_EQ(called_, plain_.pop(task->task.tenant));
    running_.emplace_back(task, use);
  }
  void end_task() {
    if (running_.empty()) return;
    std::swap(running_[roll(static_cast<unsigned>(running_.size()))], running_.back());
    auto [task, use] = running_.back();
    running_.pop_back();
    clock_.advance(Duration(roll(1000)));
    if (const auto key = task->task.limit.key; key != 0) plain_.free_place(key);
    queue_.finish(task, use);
  }
  void enter() {
    const auto limit = key();
    if (limit.key == 0) return;
    const bool expected = plain_.has_place(limit);
    ASSERT_EQ(queue_.has_place(limit), expected);
    ASSERT_EQ(queue_.take_place(limit), expected);
    if (!expected) return;
    plain_.take_place(limit.key);
    places_.push_back(limit.key);
  }
  void leave() {
    if (places_.empty()) return;
    std::swap(places_[random_() % places_.size()], places_.back());
    plain_.free_place(places_.back());
    queue_.free_place(places_.back());
    places_.pop_back();
  }
  void expect_equal_sizes() const { ASSERT_EQ(queue_.size(), plain_.size()); }
  unsigned roll(unsigned sides) { return static_cast<unsigned>(random_() % sides); }

 private:
  KeyLimit key() {
    const auto key = random_() % 5;
    return key == 0 ? KeyLimit{} : KeyLimit{.key = key, .max = 1 + static_cast<int>(random_() % 3)};
  }

  std::mt19937_64 random_;
  const unsigned tenants_;
  int ids_ = 0;
  int called_ = 0;
  std::vector<std::uint64_t> places_;
  std::vector<std::pair<QueuedTask*, SlotUse>> running_;
  PlainQueue plain_;
  ManualClock clock_;
  TaskQueue queue_{clock_, 4};
};

TEST(TaskQueue, agrees_with_the_plain_one) {
  const auto seed = test_seed();
  SCOPED_TRACE(::testing::Message() << "CLEW_SEED=" << seed);
  for (unsigned history = 0; history < 200; ++history) {
    TwoQueues queues(seed + history, 1 + history % 4);
    const unsigned pushes = 2 + history % 5;  // some grow, some stay short
    for (int i = 0; i < 400; ++i) {
      const auto roll = queues.roll(12);
      if (roll < pushes) {
        queues.push();
      } else if (roll < 8) {
        queues.pop();
      } else if (roll < 10) {
        queues.end_task();
      } else if (roll == 10) {
        queues.enter();
      } else {
        queues.leave();
      }
      queues.expect_equal_sizes();
      if (HasFatalFailure()) return;
    }
  }
}

TEST(TaskQueue, forgets_keys_without_tasks_and_keeps_the_counts_of_others) {
  ManualClock clock;
  TaskQueue queue(clock, 1);
  const KeyLimit kept{.key = 1, .max = 1};
  ASSERT_TRUE(queue.take_place(kept));
  for (std::uint64_t key = 2; key < 5000; ++key) {
    ASSERT_TRUE(queue.take_place({.key = key, .max = 1}));
    queue.free_place(key);
  }
  EXPECT_FALSE(queue.has_place(kept));
  EXPECT_TRUE(queue.has_place({.key = 2, .max = 1}));
  queue.free_place(1);
  EXPECT_TRUE(queue.has_place(kept));
  EXPECT_THROW(queue.free_place(1), CheckFailure);
}

TEST(TaskQueue, take_all_leaves_nothing_and_keeps_the_order_of_arrival) {
  ManualClock clock;
  TaskQueue queue(clock, 1);
  for (int i = 0; i < 6; ++i) {
    queue.push({.call = [](Turn) {},
                .priority = -i,
                .limit = i % 2 == 0 ? KeyLimit{} : KeyLimit{.key = 5, .max = 1}});
  }
  const auto all = queue.take_all();
  ASSERT_EQ(all.size(), 6U);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)]->task.priority, -i);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_FALSE(queue.has_runnable());
  SlotUse use;
  EXPECT_EQ(queue.pop(use), nullptr);
}

}  // namespace
}  // namespace clew::detail
