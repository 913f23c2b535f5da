// Slots in virtual time, to the microsecond: what each tenant gets of them.
#include <algorithm>
#include <map>
#include <random>

#include "clew/exec/detail/task_queue.hpp"
#include "exec/support.hpp"

namespace clew::detail {
namespace {

using clew::testing::test_seed;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Lengths = std::function<Duration()>;

// A pool without threads. What a tenant keeps in the queue is one task more than the slots can
// take, so it always has work, until it is told to stop.
class Machine {
 public:
  explicit Machine(int slots) : slots_(slots), queue_(clock_, slots) {}
  ~Machine() {
    for (auto& [id, tenant] : tenants_) tenant.lengths = nullptr;
    run(seconds(3600));
  }

  // From now on the tenant always has work.
  void keep_busy(std::uint32_t id, Lengths lengths, int priority = 0, KeyLimit limit = {}) {
    tenants_[id] = {std::move(lengths), priority, limit};
    for (int i = 0; i <= slots_; ++i) push(id);
  }
  void stop(std::uint32_t id) { tenants_[id].lengths = nullptr; }
  void push(std::uint32_t id) {
    const auto& tenant = tenants_[id];
    queue_.push(
        {.call = [](Turn) {}, .priority = tenant.priority, .tenant = id, .limit = tenant.limit});
  }

  void run(Duration time) {
    const auto end = clock_.now() + time;
    for (;;) {
      fill();
      const auto next = std::ranges::min_element(running_, {}, &Running::ends);
      if (next == running_.end() || next->ends > end) break;
      clock_.advance(next->ends - clock_.now());
      finish(next);
    }
    clock_.advance(end - clock_.now());
  }

  // Milliseconds of slots since the last time.
  std::map<std::uint32_t, double> take_shares() {
    for (auto& task : running_) {
      served_[task.tenant] += clock_.now() - task.counted_from;
      task.counted_from = clock_.now();
    }
    std::map<std::uint32_t, double> shares;
    for (const auto& [id, time] : std::exchange(served_, {})) {
      shares[id] = static_cast<double>(time.count()) / 1000;
    }
    return shares;
  }

 private:
  struct Tenant {
    Lengths lengths;
    int priority = 0;
    KeyLimit limit;
  };
  struct Running {
    QueuedTask* task;
    SlotUse use;
    std::uint32_t tenant;
    Timestamp counted_from;
    Timestamp ends;
  };

  void fill() {
    while (running_.size() < static_cast<std::size_t>(slots_)) {
      SlotUse use;
      auto* task = queue_.pop(use);
      EXPECT_EQ(queue_.has_runnable() || task != nullptr, task != nullptr);
      if (task == nullptr) return;
      task->task.call = nullptr;
      const auto id = task->task.tenant;
      auto& tenant = tenants_[id];
      const auto length = tenant.lengths ? tenant.lengths() : Duration(1);
      running_.push_back({task, use, id, clock_.now(), clock_.now() + length});
      if (tenant.lengths) push(id);
    }
  }
  void finish(std::vector<Running>::iterator ended) {
    served_[ended->tenant] += clock_.now() - ended->counted_from;
    queue_.finish(ended->task, ended->use);
    running_.erase(ended);
  }

  const int slots_;
  ManualClock clock_;
  TaskQueue queue_;
  std::map<std::uint32_t, Tenant> tenants_;
  std::vector<Running> running_;
  std::map<std::uint32_t, Duration> served_;
};

Lengths always(Duration length) {
  return [length] { return length; };
}

// Parity: fairness
TEST(Shares, tenants_with_long_and_short_tasks_get_the_same_time) {
  for (const int slots : {1, 2, 4, 16}) {
    SCOPED_TRACE(slots);
    Machine machine(slots);
    machine.keep_busy(1, always(milliseconds(10)));
    machine.keep_busy(2, always(milliseconds(1)));
    machine.run(seconds(10));
    const auto shares = machine.take_shares();
    EXPECT_NEAR(shares.at(1), slots * 5000, slots * 50);
    EXPECT_NEAR(shares.at(2), slots * 5000, slots * 50);
  }
}

TEST(Shares, the_number_of_a_tenants_tasks_and_their_priority_buy_it_nothing) {
  Machine machine(4);
  for (int i = 0; i < 10'000; ++i) machine.push(3);
  machine.keep_busy(1, always(milliseconds(3)), 1000);
  machine.keep_busy(2, always(milliseconds(3)), -1000);
  machine.keep_busy(3, always(milliseconds(3)));
  machine.run(seconds(9));
  for (const auto& [id, share] : machine.take_shares()) EXPECT_NEAR(share, 12'000, 120) << id;
}

TEST(Shares, time_of_any_distribution_is_shared_alike) {
  const auto seed = test_seed();
  SCOPED_TRACE(::testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    const int slots = 1 + static_cast<int>(random() % 8);
    const auto tenants = 2 + static_cast<std::uint32_t>(random() % 6);
    Machine machine(slots);
    for (std::uint32_t id = 0; id < tenants; ++id) {
      const auto mean_us = 10 + random() % 10'000;
      machine.keep_busy(
          id, [&random, mean_us] { return Duration(1 + random() % (2 * mean_us)); },
          static_cast<int>(random() % 5));
    }
    machine.run(seconds(20));
    const double fair = 20'000.0 * slots / tenants;
    for (const auto& [id, share] : machine.take_shares()) {
      EXPECT_NEAR(share, fair, fair * 0.05) << id << " of " << tenants << " on " << slots;
    }
  }
}

TEST(Shares, what_a_tenant_cannot_use_goes_to_the_others) {
  Machine machine(4);
  machine.keep_busy(1, always(milliseconds(2)), 0, {.key = 7, .max = 1});
  machine.keep_busy(2, always(milliseconds(5)));
  machine.keep_busy(3, always(milliseconds(1)));
  machine.run(seconds(10));
  const auto shares = machine.take_shares();
  EXPECT_NEAR(shares.at(1), 10'000, 100);
  EXPECT_NEAR(shares.at(2), 15'000, 150);
  EXPECT_NEAR(shares.at(3), 15'000, 150);
}

TEST(Shares, an_idle_tenant_saves_nothing_up) {
  Machine machine(2);
  machine.keep_busy(1, always(milliseconds(4)));
  machine.keep_busy(2, always(milliseconds(1)));
  machine.run(seconds(1));
  machine.stop(2);
  machine.run(seconds(60));
  machine.take_shares();
  machine.keep_busy(2, always(milliseconds(1)));
  machine.run(milliseconds(200));
  EXPECT_NEAR(machine.take_shares().at(2), 200, 10);
}

TEST(Shares, what_a_tenant_had_alone_is_not_held_against_it) {
  Machine machine(2);
  machine.keep_busy(1, always(milliseconds(4)));
  machine.run(seconds(60));
  machine.take_shares();
  machine.keep_busy(2, always(milliseconds(1)));
  machine.run(milliseconds(200));
  EXPECT_NEAR(machine.take_shares().at(1), 200, 10);
}

// One slot and two tenants, by hand.
class OneSlot {
 public:
  ~OneSlot() {
    for (auto* task : queue_.take_all()) task->task.call = nullptr;
  }
  void push(std::uint32_t tenant) {
    queue_.push({.call = [](Turn) {}, .tenant = tenant});
  }
  void pass(Duration time) { clock_.advance(time); }
  // Runs the next task, which takes so long by its tenant, and in its middle lends its slot.
  std::uint32_t run(Duration of_first, Duration of_second, Duration lent = Duration{0}) {
    SlotUse use;
    auto* task = queue_.pop(use);
    task->task.call = nullptr;
    const auto tenant = task->task.tenant;
    const auto takes = tenant == 1 ? of_first : of_second;
    pass(takes / 2);
    queue_.pause(use);
    if (tenant == 1) pass(lent);
    queue_.resume(use);
    pass(takes / 2);
    queue_.finish(task, use);
    return tenant;
  }

 private:
  ManualClock clock_;
  TaskQueue queue_{clock_, 1};
};

// The second's tasks come one by one, each a moment after the last one: it is idle in between.
TEST(Shares, a_short_pause_does_not_clear_what_a_tenant_had_too_much) {
  OneSlot slot;
  int firsts = 0;
  slot.push(1);
  for (int i = 0; i < 1000; ++i) {
    slot.push(2);
    while (slot.run(milliseconds(1), milliseconds(10)) == 1) {
      ++firsts;
      slot.push(1);
    }
    slot.pass(Duration(10));
  }
  EXPECT_NEAR(firsts, 10 * 1000, 100);
}

TEST(Shares, what_a_tenant_had_too_much_is_forgiven_in_time) {
  OneSlot slot;
  slot.push(1);
  slot.push(2);
  slot.run(seconds(10), milliseconds(1));
  slot.run(seconds(10), milliseconds(1));
  slot.pass(seconds(60));
  int firsts = 0;
  for (const std::uint32_t tenant : {2U, 1U}) slot.push(tenant);
  for (int i = 0; i < 10; ++i) {
    const auto tenant = slot.run(milliseconds(1), milliseconds(1));
    firsts += tenant == 1 ? 1 : 0;
    slot.push(tenant);
  }
  EXPECT_EQ(firsts, 5);
}

TEST(Shares, time_for_which_a_task_lends_its_slot_is_not_charged) {
  OneSlot slot;
  slot.push(1);
  slot.push(2);
  int firsts = 0;
  for (int i = 0; i < 100; ++i) {
    const auto tenant = slot.run(milliseconds(2), milliseconds(2), milliseconds(500));
    firsts += tenant == 1 ? 1 : 0;
    slot.push(tenant);
  }
  EXPECT_NEAR(firsts, 50, 1);
}

TEST(Shares, tenants_take_turns_where_time_stands_still) {
  ManualClock clock;
  TaskQueue queue(clock, 1);
  for (const std::uint32_t id : {1U, 1U, 1U, 2U, 2U, 2U}) {
    queue.push({.call = [](Turn) {}, .tenant = id});
  }
  std::vector<std::uint32_t> order;
  SlotUse use;
  while (auto* task = queue.pop(use)) {
    task->task.call = nullptr;
    order.push_back(task->task.tenant);
    queue.finish(task, use);
  }
  EXPECT_THAT(order, ::testing::ElementsAre(1, 2, 1, 2, 1, 2));
}

TEST(Shares, forgets_tenants_without_tasks) {
  ManualClock clock;
  TaskQueue queue(clock, 1);
  for (std::uint32_t id = 0; id < 5000; ++id) {
    queue.push({.call = [](Turn) {}, .tenant = id});
    SlotUse use;
    auto* task = queue.pop(use);
    task->task.call = nullptr;
    queue.finish(task, use);
  }
  EXPECT_LE(queue.tenants_known(), 1025U);
  EXPECT_GE(queue.tenants_known(), 100U);  // but not those of a moment ago
}

}  // namespace
}  // namespace clew::detail
