// Steps that wait for events.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "workflow/planner_world.hpp"

namespace clew::workflow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view shop = R"(steps:
  pay: {call: x, with: {order: "{{ input.order }}"}}
  ship:
    after: pay
    on_event:
      type: shop.settled@^1
      where: "{{ event.data.amount >= steps.pay.output.price }}"
      correlation: "{{ steps.pay.output.receipt }}"
      timeout: 1s
    call: x
    with: {receipt: "{{ event.data }}", id: "{{ event.id }}"}
output: "{{ steps.ship.output }}"
)";
constexpr std::string_view bare = "steps:\n  a: {on_event: shop.settled}\n";
constexpr std::string_view each = R"(steps:
  a: {on_event: x.y, call: x, for_each: "{{ event.data.rows }}", with: {v: "{{ item }}", of: "{{ event.subject }}"}}
)";

EventPtr event(Cursor cursor, std::string_view data, Timestamp time = {1'000}) {
  auto made = std::make_shared<Event>();
  made->cursor = cursor;
  made->id = fmt::format("e{}", cursor);
  made->type = "shop.settled";
  made->version = "1.0.0";
  made->time = time;
  made->subject = "o-1";
  made->data = json(data);
  return made;
}

Decision start(World& world, std::string_view input = "{}") {
  return world.give(Start{json(input), Value(), Value(), 7});
}
// A world in which `ship` waits since the instant 1000.
World waiting() {
  World world(definition_of(shop));
  start(world, R"({"order": 1})");
  world.complete("pay", R"({"price": 10, "receipt": "r-1"})");
  return world;
}

TEST(PlannerEvents, a_step_waits_once_its_dependencies_have_completed) {
  World world(definition_of(shop));
  const auto begun = start(world, R"({"order": 1})");
  EXPECT_EQ(*begun.events[0].data.find("events_after"), Value(7));
  EXPECT_THAT(begun.waits, IsEmpty());
  const auto decision = world.complete("pay", R"({"price": 10, "receipt": "r-1"})");
  EXPECT_THAT(world.shown(decision), ElementsAre("step.completed pay", "step.waiting ship"));
  EXPECT_EQ(decision.events[1].data,
            json(R"({"after": 7, "due_us": 1001000, "correlation": "r-1"})"));
  EXPECT_THAT(decision.calls, IsEmpty());
  ASSERT_EQ(decision.waits.size(), 1U);
  EXPECT_EQ(decision.waits[0].after, 7);
  EXPECT_EQ(decision.waits[0].correlation, "r-1");
  ASSERT_EQ(decision.wakes.size(), 1U);
  EXPECT_EQ(decision.wakes[0].due, Timestamp{1'001'000});
  EXPECT_EQ(world.step("ship").status, StepStatus::waiting);
}

TEST(PlannerEvents, the_first_event_that_fits_is_consumed_and_seen_by_the_call) {
  auto world = waiting();
  EXPECT_TRUE(is_empty(world.give(EventArrived{1, event(8, R"({"amount": 9})")})));
  const auto decision = world.give(EventArrived{1, event(9, R"({"amount": 10})")});
  EXPECT_THAT(world.shown(decision), ElementsAre("step.event ship", "step.started ship"));
  EXPECT_EQ(decision.events[0].data, json(R"({"cursor": 9, "version": "1.0.0", "event": {
      "id": "e9", "type": "shop.settled", "subject": "o-1", "data": {"amount": 10},
      "correlation_id": null}})"));
  EXPECT_EQ(decision.calls.at(0).input, json(R"({"receipt": {"amount": 10}, "id": "e9"})"));
  // A second one that would fit changes nothing, nor does the deadline.
  EXPECT_TRUE(is_empty(world.give(EventArrived{1, event(10, R"({"amount": 10})")})));
  world.now = {2'000'000};
  EXPECT_TRUE(is_empty(world.give(RetryDue{1, -1})));
  EXPECT_TRUE(world.complete("ship", "1").ended);
  EXPECT_EQ(world.state.status, RunStatus::completed);
}

TEST(PlannerEvents, a_retry_sees_the_same_event) {
  auto world = waiting();
  world.traits[1].retry.attempts = 2;
  world.give(EventArrived{1, event(9, R"({"amount": 10})")});
  const auto due = world.fail("ship", Code::timeout).wakes.at(0).due;
  world.now = due;
  EXPECT_EQ(world.give(RetryDue{1, -1}).calls.at(0).input,
            json(R"({"receipt": {"amount": 10}, "id": "e9"})"));
}

TEST(PlannerEvents, a_predicate_that_errors_or_gives_no_boolean_fails_the_step) {
  for (const auto* data : {R"({"sum": 1})", R"({"amount": "ten"})", R"("text")"}) {
    auto world = waiting();
    const auto decision = world.give(EventArrived{1, event(8, data)});
    EXPECT_THAT(world.shown(decision), ElementsAre("step.failed ship", "run.failed"));
    EXPECT_EQ(world.state.error->code(), Code::invalid_input);
    EXPECT_EQ(*world.state.error->find("template"), Value("steps.ship.on_event.where"));
  }
  World world(definition_of("steps:\n  a: {on_event: {type: x, where: \"{{ event.data }}\"}}\n"));
  start(world);
  world.give(EventArrived{0, event(8, "1")});
  EXPECT_EQ(*world.state.error->find("path"), Value("steps.a.on_event.where"));
  EXPECT_EQ(*world.state.error->find("value"), Value(1));
}

TEST(PlannerEvents, a_correlation_that_is_no_text_fails_the_step) {
  for (const auto* receipt : {"7", "\"\"", "null"}) {
    World world(definition_of(shop));
    start(world, R"({"order": 1})");
    world.complete("pay", fmt::format(R"({{"price": 10, "receipt": {}}})", receipt));
    EXPECT_EQ(world.state.status, RunStatus::failed);
    EXPECT_EQ(*world.state.error->find("path"), Value("steps.ship.on_event.correlation"));
  }
}

// The deadline: over at now >= due, and for events by when they were published.
TEST(PlannerEvents, a_wait_is_over_at_its_deadline) {
  auto early = waiting();
  early.now = {1'000'999};
  const auto again = early.give(RetryDue{1, -1});
  EXPECT_THAT(again.events, IsEmpty());
  EXPECT_EQ(again.wakes.size(), 1U);

  auto late = waiting();
  late.now = {1'001'000};
  EXPECT_THAT(late.shown(late.give(RetryDue{1, -1})),
              ElementsAre("step.failed ship", "run.failed"));
  EXPECT_EQ(late.state.error->code(), Code::timeout);

  auto before = waiting();  // published in time, seen late
  before.now = {9'000'000};
  before.give(EventArrived{1, event(8, R"({"amount": 10})", {1'000'999})});
  EXPECT_EQ(before.step("ship").status, StepStatus::running);

  auto at = waiting();
  at.give(EventArrived{1, event(8, R"({"amount": 10})", {1'001'000})});
  EXPECT_EQ(at.state.error->code(), Code::timeout);
}

TEST(PlannerEvents, without_a_call_the_event_is_the_output) {
  World world(definition_of(bare));
  start(world);
  const auto decision = world.give(EventArrived{0, event(8, "{\"n\": 1}")});
  EXPECT_THAT(world.shown(decision),
              ElementsAre("step.event a", "step.completed a", "run.completed"));
  EXPECT_EQ(decision.events[1].data, json("{}"));
  EXPECT_EQ(*world.step("a").output.find("data"), json("{\"n\": 1}"));
  EXPECT_TRUE(world.give(RetryDue{0, -1}).events.empty());
}

TEST(PlannerEvents, a_list_may_come_from_the_event) {
  World world(definition_of(each));
  start(world);
  const auto decision = world.give(EventArrived{0, event(8, R"({"rows": [1, 2]})")});
  EXPECT_THAT(world.shown(decision), ElementsAre("step.event a", "step.started a",
                                                 "item.started a[0]", "item.started a[1]"));
  EXPECT_EQ(decision.calls.at(1).input, json(R"({"v": 2, "of": "o-1"})"));
}

TEST(PlannerEvents, resuming_goes_on_with_the_wait_from_where_it_has_looked) {
  auto world = waiting();
  EXPECT_THAT(world.shown(world.give(EventsPassed{1, 20})), ElementsAre("step.waiting ship"));
  EXPECT_TRUE(is_empty(world.give(EventsPassed{1, 20})));
  const auto resumed = world.give(Resume{});
  EXPECT_THAT(resumed.events, IsEmpty());
  ASSERT_EQ(resumed.waits.size(), 1U);
  EXPECT_EQ(resumed.waits[0].after, 20);
  EXPECT_EQ(resumed.waits[0].correlation, "r-1");
  EXPECT_EQ(resumed.wakes.at(0).due, Timestamp{1'001'000});
  EXPECT_TRUE(is_empty(world.give(EventArrived{1, event(20, R"({"amount": 10})")})));
  EXPECT_EQ(world.give(EventArrived{1, event(21, R"({"amount": 10})")}).calls.size(), 1U);
}

// Whoever was stopping has kept the event and begun nothing.
TEST(PlannerEvents, an_event_that_was_consumed_is_not_awaited_again) {
  auto world = waiting();
  const auto decision = decide(*world.definition, world.state, world.traits,
                               EventArrived{1, event(9, R"({"amount": 10})")}, world.now);
  ASSERT_TRUE(apply(*world.definition, world.state, decision.events[0]));
  const auto resumed = world.give(Resume{});
  EXPECT_THAT(world.shown(resumed), ElementsAre("step.started ship"));
  EXPECT_THAT(resumed.waits, IsEmpty());
  EXPECT_EQ(resumed.calls.at(0).input, json(R"({"receipt": {"amount": 10}, "id": "e9"})"));
}

TEST(PlannerEvents, events_that_are_gone_fail_the_step_and_cancelling_ends_the_wait) {
  auto lost = waiting();
  lost.give(EventsLost{1, Error(Code::not_found, "gone")});
  EXPECT_EQ(lost.state.error->code(), Code::not_found);
  EXPECT_EQ(lost.state.failed_step, "ship");

  auto cancelled = waiting();
  const auto decision = cancelled.give(CancelRequested{"enough"});
  EXPECT_THAT(cancelled.shown(decision), ElementsAre("step.cancelled ship", "run.cancelled"));
  EXPECT_THAT(decision.waits, IsEmpty());
  EXPECT_TRUE(is_empty(cancelled.give(EventArrived{1, event(9, R"({"amount": 10})")})));
}

TEST(PlannerEvents, a_history_that_cannot_have_happened_is_corrupt) {
  const auto refused = [](World& world, std::string_view type, std::string_view data) {
    const auto before = show(world.state);
    const auto applied = apply(*world.definition, world.state, {{1}, type, 1, -1, json(data)});
    EXPECT_FALSE(applied) << type << data;
    EXPECT_EQ(show(world.state), before);
  };
  auto world = waiting();
  refused(world, "step.started", R"({"attempt": 1})");
  refused(world, "step.completed", R"({"attempt": 0, "output": 1})");
  refused(world, "step.waiting", R"({"after": 6})");
  refused(world, "step.waiting", R"({})");
  refused(world, "step.event", R"({"cursor": 7, "event": {}})");
  refused(world, "step.event", R"({"cursor": 8, "event": 3})");
  refused(world, "step.event", R"({"cursor": "x", "event": {}})");
  world.give(EventArrived{1, event(9, R"({"amount": 10})")});
  refused(world, "step.event", R"({"cursor": 10, "event": {}})");
  refused(world, "step.waiting", R"({"after": 10})");
}

}  // namespace
}  // namespace clew::workflow
