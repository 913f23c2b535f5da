// Every row of the planner's tables is taken by some history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clew/workflow/detail/transitions.hpp"
#include "workflow/planner_world.hpp"

namespace clew::workflow {
namespace {

constexpr std::string_view chain = R"(steps:
  a: {call: x, with: {n: "{{ input.n }}"}}
  b: {call: x, with: {n: "{{ steps.a.output.n }}"}}
output: {all: ["{{ steps.a.output }}", "{{ steps.b.output }}"]}
)";
constexpr std::string_view pair = R"(steps:
  a: {call: x}
  b: {call: x}
  c: {call: x, after: [a, b]}
  d: {call: x, after: c}
)";
constexpr std::string_view list = R"(steps:
  a: {call: x, for_each: "{{ input.rows }}", as: row, concurrency: 2, with: {v: "{{ row }}"}}
  b: {call: x, with: {all: "{{ steps.a.output }}"}}
)";

RetryPolicy three_tries() {
  RetryPolicy policy;
  policy.attempts = 3;
  policy.initial = std::chrono::milliseconds(100);
  return policy;
}

class PlannerFold : public testing::Test {
 protected:
  template <typename Script>
  void run(std::string_view steps, Effect effect, const Script& script) {
    World world(definition_of(steps), three_tries(), effect);
    script(world);
    taken.insert(world.rows.begin(), world.rows.end());
  }
  static void wake(World& world, int item) {
    world.now = world.now + std::chrono::hours(1);
    world.give(RetryDue{0, item});
  }

  void take_rows_of_calls() {
    run(chain, Effect::idempotent, [&](World& world) {  // a whole life of a step
      world.start(R"({"n": 1})");
      world.fail("a", Code::timeout);
      wake(world, -1);
      world.give(Resume{});
      world.give(Withdrawn{0, -1, 2});
      wake(world, -1);
      world.complete("a", R"({"n": 1})", -1, 2);
      world.complete("b", "1");
    });
    run(list, Effect::idempotent, [&](World& world) {  // of an item
      world.start(R"({"rows": [1]})");
      world.fail("a", Code::timeout, 0);
      wake(world, 0);
      world.give(Resume{});
      world.give(Withdrawn{0, 0, 2});
      wake(world, 0);
      world.complete("a", "1", 0, 2);
    });
    run(list, Effect::idempotent, [&](World& world) {
      world.start(R"({"rows": [1, 2]})");
      world.fail("a", Code::timeout, 0);
      world.give(CancelRequested{"enough"});
    });
    run(pair, Effect::idempotent, [&](World& world) {
      world.start();
      world.fail("a", Code::timeout);
      world.give(CancelRequested{"enough"});
    });
    run(pair, Effect::idempotent, [&](World& world) {
      world.start();
      world.fail("a", Code::conflict);
    });
    run(list, Effect::idempotent, [&](World& world) {
      world.start(R"({"rows": [1, 2]})");
      world.fail("a", Code::conflict, 0);
    });
    run(pair, Effect::once, [&](World& world) {
      world.start();
      world.fail("a", Code::timeout);
    });
    run(chain, Effect::idempotent, [](World& world) { world.start(); });
    run(chain, Effect::idempotent, [&](World& world) { world.give(CancelRequested{"no"}); });
    run("steps:\n  a: {call: x, for_each: [1], with: {v: \"{{ item.k }}\"}}\n", Effect::idempotent,
        [](World& world) { world.start(); });
  }

  void take_rows_of_events() {
    const auto event = [](Cursor cursor) {
      auto made = std::make_shared<Event>();
      made->cursor = cursor;
      return made;
    };
    run("steps:\n  a: {on_event: x}\n", Effect::idempotent, [&](World& world) {
      world.start();
      world.give(EventsPassed{0, 1});
      world.give(EventArrived{0, event(2)});
    });
    run("steps:\n  a: {on_event: {type: x, timeout: 1s}, call: x}\n", Effect::idempotent,
        [&](World& world) {
          world.start();
          wake(world, -1);
        });
  }

  std::set<Row> taken;
};

TEST_F(PlannerFold, every_row_of_the_tables_is_taken) {
  take_rows_of_calls();
  take_rows_of_events();
  std::set<Row> rows;
  for (const auto& row : detail::run_transitions()) {
    rows.emplace("run", name(row.from), row.type.substr(4), name(row.to));
  }
  for (const auto& row : detail::call_transitions()) {
    rows.emplace(row.subject == detail::Subject::step ? "step" : "item", name(row.from), row.event,
                 name(row.to));
  }
  EXPECT_EQ(taken, rows);
}

}  // namespace
}  // namespace clew::workflow
