#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "workflow/planner_world.hpp"

namespace clew::workflow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Words = std::vector<std::string>;

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

RetryPolicy three_tries(Duration initial = std::chrono::milliseconds(100)) {
  RetryPolicy policy;
  policy.attempts = 3;
  policy.initial = initial;
  return policy;
}

TEST(Planner, a_start_begins_every_step_that_waits_for_none) {
  World world(definition_of(pair));
  const auto decision = world.give(Start{json(R"({"n": 1})"), json(R"({"a": "x@1.0.0"})")});
  EXPECT_THAT(world.shown(decision),
              ElementsAre("run.started", "step.started a", "step.started b"));
  EXPECT_THAT(world.called(decision), ElementsAre("a", "b"));
  EXPECT_EQ(decision.events[0].data, json(R"({"input": {"n": 1}, "pins": {"a": "x@1.0.0"}})"));
  EXPECT_EQ(decision.events[1].data, json(R"({"attempt": 1})"));
  EXPECT_FALSE(decision.ended);
  EXPECT_EQ(world.state.status, RunStatus::running);
  EXPECT_EQ(world.step("c").status, StepStatus::pending);
}

TEST(Planner, outputs_flow_into_later_steps_and_the_runs_output) {
  World world(definition_of(chain));
  EXPECT_EQ(world.start(R"({"n": 7})").calls.at(0).input, json(R"({"n": 7})"));
  const auto second = world.complete("a", R"({"n": 8})");
  EXPECT_THAT(world.shown(second), ElementsAre("step.completed a", "step.started b"));
  EXPECT_EQ(second.calls.at(0).input, json(R"({"n": 8})"));
  const auto last = world.complete("b", "9");
  EXPECT_THAT(world.shown(last), ElementsAre("step.completed b", "run.completed"));
  EXPECT_TRUE(last.ended);
  EXPECT_FALSE(last.cancel_calls);
  EXPECT_EQ(world.state.output, json(R"({"all": [{"n": 8}, 9]})"));
  EXPECT_EQ(world.state.status, RunStatus::completed);
}

TEST(Planner, a_step_begins_when_the_last_of_its_dependencies_has_completed) {
  World world(definition_of(pair));
  world.start();
  EXPECT_THAT(world.called(world.complete("b", "1")), IsEmpty());
  EXPECT_THAT(world.called(world.complete("a", "1")), ElementsAre("c"));
}

TEST(Planner, a_for_each_keeps_its_window_full_and_its_outputs_in_order) {
  World world(definition_of(list));
  const auto begun = world.start(R"({"rows": ["p", "q", "r"]})");
  EXPECT_THAT(world.shown(begun), ElementsAre("run.started", "step.started a", "item.started a[0]",
                                              "item.started a[1]"));
  EXPECT_EQ(begun.events[1].data, json(R"({"items": 3})"));
  EXPECT_EQ(begun.events[2].data, json(R"({"item": 0, "attempt": 1})"));
  EXPECT_EQ(begun.calls.at(1).input, json(R"({"v": "q"})"));

  const auto refilled = world.complete("a", "\"Q\"", 1);
  EXPECT_THAT(world.shown(refilled), ElementsAre("item.completed a[1]", "item.started a[2]"));
  EXPECT_EQ(refilled.calls.at(0).input, json(R"({"v": "r"})"));
  EXPECT_EQ(world.step("a").open_items, 2);
  EXPECT_THAT(world.shown(world.complete("a", "\"R\"", 2)), ElementsAre("item.completed a[2]"));

  const auto last = world.complete("a", "\"P\"", 0);
  EXPECT_THAT(world.shown(last),
              ElementsAre("item.completed a[0]", "step.completed a", "step.started b"));
  EXPECT_EQ(last.calls.at(0).input, json(R"({"all": ["P", "Q", "R"]})"));
  EXPECT_EQ(last.events[1].data, json("{}"));
  EXPECT_EQ(world.step("a").output, json(R"(["P", "Q", "R"])"));
  EXPECT_TRUE(world.step("a").list.is_null());
}

TEST(Planner, an_empty_for_each_completes_at_once_with_an_empty_list) {
  World world(definition_of(list));
  const auto decision = world.start(R"({"rows": []})");
  EXPECT_THAT(world.shown(decision),
              ElementsAre("run.started", "step.started a", "step.completed a", "step.started b"));
  EXPECT_EQ(decision.calls.at(0).input, json(R"({"all": []})"));
}

TEST(Planner, a_run_of_empty_lists_ends_with_its_start) {
  World world(
      definition_of("steps:\n  a: {call: x, for_each: []}\n"
                    "  b: {call: x, for_each: \"{{ steps.a.output }}\"}\n"));
  const auto decision = world.start();
  EXPECT_TRUE(decision.ended);
  EXPECT_THAT(decision.calls, IsEmpty());
  EXPECT_EQ(world.state.status, RunStatus::completed);
  EXPECT_TRUE(world.state.output.is_null());
}

TEST(Planner, a_failure_cancels_what_runs_and_skips_what_never_began) {
  World world(definition_of(pair));
  world.start();
  const auto decision = world.fail("a", Code::execution_failed);
  EXPECT_THAT(world.shown(decision), ElementsAre("step.failed a", "step.cancelled b",
                                                 "step.skipped c", "step.skipped d", "run.failed"));
  EXPECT_EQ(*decision.events[0].data.find("attempt"), Value(1));
  EXPECT_EQ(decision.events[2].data, json(R"({"reason": "step 'a' failed"})"));
  EXPECT_EQ(*decision.events[4].data.find("step"), Value("a"));
  EXPECT_TRUE(decision.ended);
  EXPECT_TRUE(decision.cancel_calls);
  EXPECT_THAT(decision.calls, IsEmpty());
  EXPECT_EQ(world.state.failed_step, "a");
  EXPECT_EQ(world.state.error->code(), Code::execution_failed);
  EXPECT_EQ(world.step("b").reason, "step 'a' failed");
}

TEST(Planner, a_failed_item_ends_its_siblings_then_its_step_then_the_run) {
  World world(definition_of(list));
  world.start(R"({"rows": [1, 2, 3, 4]})");
  world.complete("a", "0", 0);
  const auto decision = world.fail("a", Code::invalid_input, 2);
  EXPECT_THAT(world.shown(decision), ElementsAre("item.failed a[2]", "item.cancelled a[1]",
                                                 "step.failed a", "step.skipped b", "run.failed"));
  EXPECT_EQ(*world.step("a").error->find("item"), Value(2));
  EXPECT_EQ(world.step("a").items[3].status, StepStatus::pending);
  EXPECT_EQ(world.step("a").open_items, 0);
}

TEST(Planner, an_item_that_ends_as_the_next_one_fails_stays_completed) {
  World world(definition_of(R"(steps:
  a: {call: x, for_each: [{k: 1}, {k: 2}, {}], concurrency: 2, with: {v: "{{ item.k }}"}}
)"));
  world.start();
  EXPECT_THAT(world.shown(world.complete("a", "1", 0)),
              ElementsAre("item.completed a[0]", "item.failed a[2]", "item.cancelled a[1]",
                          "step.failed a", "run.failed"));
}

TEST(Planner, a_retry_waits_as_the_policy_says) {
  World world(definition_of(chain), three_tries());
  world.start(R"({"n": 1})");
  auto decision = world.fail("a", Code::timeout);
  EXPECT_THAT(world.shown(decision), ElementsAre("step.retrying a"));
  ASSERT_EQ(decision.wakes.size(), 1U);
  EXPECT_EQ(decision.wakes[0].due, (Timestamp{101'000}));
  EXPECT_EQ(*decision.events[0].data.find("due_us"), Value(101'000));
  EXPECT_EQ(*decision.events[0].data.find("attempt"), Value(1));
  EXPECT_EQ(world.step("a").status, StepStatus::waiting);

  world.now = {100'999};  // early: the wake is given again
  decision = world.give(RetryDue{0, -1});
  EXPECT_THAT(decision.events, IsEmpty());
  ASSERT_EQ(decision.wakes.size(), 1U);
  EXPECT_EQ(decision.wakes[0].due, (Timestamp{101'000}));

  world.now = {101'000};
  decision = world.give(RetryDue{0, -1});
  EXPECT_THAT(world.shown(decision), ElementsAre("step.started a"));
  EXPECT_THAT(world.called(decision), ElementsAre("a#2"));
  EXPECT_EQ(decision.calls[0].input, json(R"({"n": 1})"));
  EXPECT_TRUE(is_empty(world.give(RetryDue{0, -1})));  // the same wake once more
  EXPECT_EQ(world.step("a").due, Timestamp{});

  EXPECT_EQ(world.fail("a", Code::unavailable, -1, 2).wakes.at(0).due, (Timestamp{301'000}));
  world.now = {400'000};
  world.give(RetryDue{0, -1});
  ASSERT_TRUE(world.step("a").error);
  world.complete("a", R"({"n": 2})", -1, 3);
  EXPECT_FALSE(world.step("a").error);
  EXPECT_EQ(world.step("a").attempts, 3);
  EXPECT_EQ(world.step("a").started, (Timestamp{1'000}));
}

TEST(Planner, the_last_try_fails_the_step) {
  World world(definition_of(list), three_tries(Duration(0)));
  world.start(R"({"rows": [1]})");
  auto decision = world.fail("a", Code::execution_failed, 0, 1);
  // Without a delay the next try begins at once.
  EXPECT_THAT(world.shown(decision), ElementsAre("item.retrying a[0]", "item.started a[0]"));
  EXPECT_THAT(world.called(decision), ElementsAre("a[0]#2"));
  EXPECT_THAT(decision.wakes, IsEmpty());
  world.fail("a", Code::execution_failed, 0, 2);
  decision = world.fail("a", Code::execution_failed, 0, 3);
  EXPECT_TRUE(decision.ended);
  EXPECT_EQ(world.state.status, RunStatus::failed);
  EXPECT_EQ(world.step("a").items[0].attempts, 3);
}

TEST(Planner, what_retrying_cannot_help_is_not_retried) {
  for (const auto code : {Code::invalid_input, Code::cancelled, Code::not_found, Code::conflict}) {
    SCOPED_TRACE(name(code));
    World world(definition_of(chain), three_tries());
    world.start(R"({"n": 1})");
    const auto decision = world.fail("a", code);
    EXPECT_TRUE(decision.ended);
    EXPECT_EQ(world.state.status, RunStatus::failed);
    EXPECT_THAT(decision.wakes, IsEmpty());
  }
}

TEST(Planner, jitter_shortens_the_wait) {
  auto policy = three_tries();
  policy.jitter = 0.5;
  World world(definition_of(chain), policy);
  world.start(R"({"n": 1})");
  const auto decision =
      decide(*world.definition, world.state, world.traits,
             AttemptFinished{0, -1, 1, Error(Code::timeout, "late")}, world.now, 0.5);
  EXPECT_EQ(decision.wakes.at(0).due, (Timestamp{1'000 + 75'000}));
}

TEST(Planner, an_outcome_that_nobody_knows_ends_the_run_unknown) {
  struct Case {
    Effect effect;
    Code code;
    RunStatus status;
  };
  const Case cases[] = {
      {Effect::once, Code::timeout, RunStatus::unknown},
      {Effect::once, Code::unknown_outcome, RunStatus::unknown},
      {Effect::idempotent, Code::unknown_outcome, RunStatus::unknown},
      {Effect::pure, Code::unknown_outcome, RunStatus::unknown},
      {Effect::idempotent, Code::timeout, RunStatus::running},  // tried again
      {Effect::once, Code::execution_failed, RunStatus::running},
      {Effect::once, Code::conflict, RunStatus::failed},
  };
  for (const auto& [effect, code, status] : cases) {
    SCOPED_TRACE(fmt::format("{} {}", name(effect), name(code)));
    World world(definition_of(pair), three_tries(), effect);
    world.start();
    const auto decision = world.fail("b", code);
    EXPECT_EQ(world.state.status, status);
    EXPECT_EQ(decision.ended, status != RunStatus::running);
    if (status != RunStatus::unknown) continue;
    EXPECT_THAT(world.shown(decision),
                ElementsAre("step.failed b", "step.cancelled a", "step.skipped c", "step.skipped d",
                            "run.unknown"));
    EXPECT_EQ(world.state.failed_step, "b");
    EXPECT_EQ(world.state.error->code(), Code::unknown_outcome);
    EXPECT_EQ(world.step("c").reason, "the outcome of step 'b' is unknown");
  }
}

TEST(Planner, an_unknown_item_is_named) {
  World world(definition_of(list), {}, Effect::once);
  world.start(R"({"rows": [1, 2]})");
  const auto decision = world.fail("a", Code::timeout, 1);
  EXPECT_EQ(decision.events.back().type, "run.unknown");
  EXPECT_EQ(*decision.events.back().data.find("item"), Value(1));
  EXPECT_EQ(*decision.events.back().data.find("step"), Value("a"));
}

TEST(Planner, a_cancellation_ends_every_step) {
  World world(definition_of(list), three_tries());
  world.start(R"({"rows": [1, 2, 3]})");
  world.fail("a", Code::timeout, 0);  // waits
  const auto decision = world.give(CancelRequested{"enough"});
  EXPECT_THAT(world.shown(decision),
              ElementsAre("item.cancelled a[0]", "item.cancelled a[1]", "step.cancelled a",
                          "step.cancelled b", "run.cancelled"));
  EXPECT_TRUE(decision.cancel_calls);
  EXPECT_TRUE(decision.ended);
  EXPECT_EQ(world.state.status, RunStatus::cancelled);
  EXPECT_EQ(world.step("b").reason, "enough");
  EXPECT_TRUE(is_empty(world.give(CancelRequested{"again"})));
}

TEST(Planner, a_run_can_be_cancelled_before_it_starts) {
  World world(definition_of(chain));
  const auto decision = world.give(CancelRequested{"no"});
  EXPECT_THAT(world.shown(decision),
              ElementsAre("step.cancelled a", "step.cancelled b", "run.cancelled"));
  EXPECT_TRUE(is_empty(world.start()));
}

TEST(Planner, an_expression_that_errors_fails_its_step) {
  struct Case {
    std::string_view steps, step, message;
    Words events;
  };
  const Case cases[] = {
      {"steps:\n  a: {call: x, with: {v: \"{{ input.nope }}\"}}\n",
       "a",
       "no member \"nope\"",
       {"run.started", "step.failed a", "run.failed"}},
      {"steps:\n  a: {call: x, for_each: \"{{ input.nope }}\"}\n",
       "a",
       "no member \"nope\"",
       {"run.started", "step.failed a", "run.failed"}},
      {"steps:\n  a: {call: x, for_each: \"{{ input.n }}\"}\n",
       "a",
       "steps.a.for_each: expected a list, got 3",
       {"run.started", "step.failed a", "run.failed"}},
      {"steps:\n  a: {call: x, for_each: [{k: 1}, {}], with: {v: \"{{ item.k }}\"}}\n",
       "a",
       "no member \"k\"",
       {"run.started", "step.started a", "item.started a[0]", "item.failed a[1]",
        "item.cancelled a[0]", "step.failed a", "run.failed"}},
      {"steps:\n  a: {call: x, for_each: []}\noutput: \"{{ input.nope }}\"\n",
       "",
       "no member \"nope\"",
       {"run.started", "step.started a", "step.completed a", "run.failed"}},
  };
  for (const auto& [steps, step, message, events] : cases) {
    SCOPED_TRACE(steps);
    World world(definition_of(steps), three_tries());
    const auto decision = world.start(R"({"n": 3})");
    EXPECT_EQ(world.shown(decision), events);
    EXPECT_THAT(decision.calls, IsEmpty());
    EXPECT_EQ(world.state.failed_step, step);
    EXPECT_NE(world.state.error->message().find(message), std::string::npos)
        << world.state.error->message();
  }
}

TEST(Planner, an_output_that_nests_too_deep_is_a_failure) {
  World world(definition_of(chain));
  world.start(R"({"n": 1})");
  Value deep = 1;
  for (int i = 0; i <= Value::depth_max; ++i) deep = Value::array({deep});
  EXPECT_TRUE(world.give(AttemptFinished{0, -1, 1, deep}).ended);
  EXPECT_EQ(world.state.error->code(), Code::execution_failed);
}

TEST(Planner, what_does_not_fit_the_state_changes_nothing) {
  World world(definition_of(list), three_tries());
  EXPECT_TRUE(is_empty(world.give(Resume{})));
  EXPECT_TRUE(is_empty(world.complete("b", "1")));
  world.start(R"({"rows": [1, 2, 3]})");
  EXPECT_TRUE(is_empty(world.start()));
  EXPECT_TRUE(is_empty(world.complete("b", "1")));     // has not begun
  EXPECT_TRUE(is_empty(world.complete("a", "1")));     // is no single call
  EXPECT_TRUE(is_empty(world.complete("a", "1", 2)));  // not yet
  EXPECT_TRUE(is_empty(world.complete("a", "1", 3)));  // no such item
  EXPECT_TRUE(is_empty(world.complete("a", "1", -2)));
  EXPECT_TRUE(is_empty(world.complete("a", "1", 0, 2)));  // another attempt
  EXPECT_TRUE(is_empty(world.give(AttemptFinished{7, -1, 1, Value()})));
  EXPECT_TRUE(is_empty(world.give(RetryDue{0, 0})));  // does not wait
  world.complete("a", "1", 0);
  EXPECT_TRUE(is_empty(world.complete("a", "2", 0)));  // again
  EXPECT_TRUE(is_empty(world.fail("a", Code::timeout, 0)));
  world.give(CancelRequested{"enough"});
  for (const Stimulus& late :
       {Stimulus(AttemptFinished{0, 1, 1, Value(1)}), Stimulus(Resume{}), Stimulus(RetryDue{0, 1}),
        Stimulus(Start{}), Stimulus(CancelRequested{"late"})}) {
    EXPECT_TRUE(is_empty(world.give(late)));
  }
  EXPECT_EQ(world.step("a").items[0].output, Value(1));
}

// --- resuming ---

TEST(Planner, interrupted_calls_are_made_again_with_the_same_attempt) {
  World world(definition_of(list), three_tries());
  world.start(R"({"rows": [1, 2, 3, 4]})");
  world.complete("a", "10", 0);       // done
  world.fail("a", Code::timeout, 1);  // waits
  const auto due = world.step("a").items[1].due;
  const auto decision = world.give(Resume{});
  EXPECT_THAT(world.shown(decision), ElementsAre("item.interrupted a[2]"));
  EXPECT_EQ(decision.events[0].data, json(R"({"item": 2, "attempt": 1})"));
  EXPECT_THAT(world.called(decision), ElementsAre("a[2]"));
  EXPECT_EQ(decision.calls[0].input, json(R"({"v": 3})"));
  ASSERT_EQ(decision.wakes.size(), 1U);
  EXPECT_EQ(decision.wakes[0].item, 1);
  EXPECT_EQ(decision.wakes[0].due, due);
  EXPECT_EQ(world.called(world.give(Resume{})), world.called(decision));  // and once more
  EXPECT_THAT(world.shown(world.complete("a", "30", 2)),
              ElementsAre("item.completed a[2]", "item.started a[3]"));
}

TEST(Planner, an_interrupted_call_that_must_not_be_repeated_ends_the_run_unknown) {
  World world(definition_of(pair));
  world.traits[1].effect = Effect::once;
  world.start();
  const auto decision = world.give(Resume{});
  EXPECT_THAT(world.shown(decision),
              ElementsAre("step.failed b", "step.cancelled a", "step.skipped c", "step.skipped d",
                          "run.unknown"));
  EXPECT_THAT(decision.calls, IsEmpty());
  EXPECT_EQ(world.state.status, RunStatus::unknown);
  EXPECT_EQ(world.state.failed_step, "b");
}

TEST(Planner, a_withdrawn_attempt_does_not_count_and_is_made_on_resuming) {
  for (const bool is_list : {false, true}) {
    World world(definition_of(is_list ? list : pair), three_tries(), Effect::once);
    world.start(R"({"rows": [1, 2, 3, 4]})");
    const int item = is_list ? 0 : -1;
    const auto state = [&]() -> const CallState& {
      return is_list ? world.step("a").items[0] : world.step("a");
    };
    EXPECT_TRUE(is_empty(world.give(Withdrawn{0, item, 2})));  // that one has not begun
    const auto decision = world.give(Withdrawn{0, item, 1});
    EXPECT_THAT(world.shown(decision),
                ElementsAre(is_list ? "item.withdrawn a[0]" : "step.withdrawn a"));
    EXPECT_THAT(decision.calls, IsEmpty());
    EXPECT_EQ(state().status, StepStatus::waiting);
    EXPECT_EQ(state().attempts, 0);
    EXPECT_TRUE(is_empty(world.give(Withdrawn{0, item, 1})));
    const auto again = world.give(RetryDue{0, item});
    EXPECT_THAT(world.called(again), ElementsAre(is_list ? "a[0]" : "a"));
    EXPECT_EQ(again.calls[0].attempt, 1);
    EXPECT_EQ(state().attempts, 1);
  }
}

TEST(Planner, a_waiting_or_completed_call_of_a_once_capability_resumes) {
  World world(definition_of(pair), three_tries(), Effect::once);
  world.start();
  world.complete("a", "1");
  world.fail("b", Code::execution_failed);
  const auto decision = world.give(Resume{});
  EXPECT_FALSE(decision.ended);
  EXPECT_THAT(decision.events, IsEmpty());
  EXPECT_EQ(decision.wakes.size(), 1U);
}

TEST(Planner, resuming_goes_on_from_any_committed_event) {
  // As if a run had stopped after each of its events: also where only a start or an end is missing.
  World whole(definition_of(list));
  whole.start(R"({"rows": [1, 2, 3]})");
  for (const int item : {1, 0, 2}) whole.complete("a", "5", item);
  whole.complete("b", "6");
  ASSERT_EQ(whole.state.status, RunStatus::completed);
  for (std::size_t kept = 1; kept < whole.history.size(); ++kept) {
    SCOPED_TRACE(kept);
    World world(whole.definition);
    for (std::size_t i = 0; i < kept; ++i) {
      ASSERT_TRUE(apply(*world.definition, world.state, whole.history[i]));
    }
    auto decision = world.give(Resume{});
    for (int guard = 0; guard < 10 && !decision.ended; ++guard) {
      ASSERT_FALSE(decision.calls.empty());
      const auto call = decision.calls.front();
      decision = world.give(
          AttemptFinished{call.step, call.item, call.attempt, Value(call.step == 0 ? 5 : 6)});
      if (!decision.ended) decision = world.give(Resume{});
    }
    EXPECT_EQ(world.state.status, RunStatus::completed);
    EXPECT_EQ(world.step("a").output, whole.step("a").output);
  }
}

// --- the fold ---

TEST(PlannerFolds, an_event_that_cannot_follow_is_corrupt_and_changes_nothing) {
  struct Case {
    std::string_view type;
    int step, item;
    std::string_view data, message;
  };
  const Case cases[] = {
      {"run.started", -1, -1, R"({"input": {}})", "the run is running"},
      {"run.completed", -1, -1, R"({"output": 1})", "1 steps are open"},
      {"run.paused", -1, -1, "{}", "the run is running"},
      {"step.started", 9, -1, R"({"attempt": 1})", "no such step"},
      {"step.started", -1, -1, R"({"attempt": 1})", "no such step"},
      {"step.started", 0, -1, R"({"items": 3})", "the step is running"},
      {"step.paused", 0, -1, "{}", "the step is running"},
      {"walk.started", 0, -1, "{}", "no such type"},
      {"step", 0, -1, "{}", "the step is running"},
      {"step.completed", 0, -1, "{}", "2 items are open"},
      {"step.failed", 0, -1, R"({"error": {}})", "2 items are open"},
      {"step.started", 1, -1, "{}", "lacks \"attempt\""},
      {"step.started", 1, -1, R"({"attempt": 2})", "attempt 2 after 0"},
      {"step.started", 1, -1, R"({"attempt": "1"})", "\"attempt\" is \"1\""},
      {"step.started", 1, -1, "[]", "no object"},
      {"step.completed", 1, -1, R"({"attempt": 1, "output": 1})", "the step is pending"},
      {"step.failed", 1, -1, "{}", "lacks \"error\""},
      {"item.started", 1, 0, R"({"attempt": 1})", "its step is pending"},
      {"item.started", 0, 4, R"({"attempt": 1})", "no such item"},
      {"item.started", 0, 3, R"({"attempt": 1})", "the next item is 2"},
      {"item.started", 0, -1, R"({"attempt": 1})", "no such item"},
      {"item.started", 0, 1, R"({"attempt": 2})", "the item is running"},
      {"item.skipped", 0, 0, "{}", "the item is running"},
      {"item.completed", 0, 0, R"({"attempt": 1})", "lacks \"output\""},
      {"item.completed", 0, 0, R"({"output": 1})", "lacks \"attempt\""},
      {"item.completed", 0, 0, R"({"attempt": 2, "output": 1})", "attempt 2 after 1"},
      {"item.retrying", 0, 0, R"({"attempt": 1, "error": {}})", "lacks \"due_us\""},
      {"item.retrying", 0, 0, R"({"attempt": 1, "error": {}, "due_us": "x"})", "\"due_us\" is"},
      {"item.retrying", 0, 0, R"({"attempt": 1, "due_us": 5})", "lacks \"error\""},
      {"item.interrupted", 0, 0, R"({"attempt": 2})", "attempt 2 after 1"},
  };
  World world(definition_of(list));
  world.start(R"({"rows": [1, 2, 3, 4]})");
  const auto before = show(world.state);
  for (const auto& [type, step, item, data, message] : cases) {
    SCOPED_TRACE(fmt::format("{} {} {} {}", type, step, item, data));
    const auto applied =
        apply(*world.definition, world.state, {world.now, type, step, item, json(data)});
    ASSERT_FALSE(applied);
    EXPECT_EQ(applied.error().code(), Code::corrupt);
    EXPECT_NE(applied.error().message().find(message), std::string::npos)
        << applied.error().message();
    EXPECT_EQ(show(world.state), before);
  }
}

TEST(PlannerFolds, nothing_follows_an_end_and_nothing_comes_before_a_start) {
  World world(definition_of(list));
  const auto apply_one = [&](std::string_view type, int step, std::string_view data) {
    return apply(*world.definition, world.state, {world.now, type, step, -1, json(data)});
  };
  EXPECT_FALSE(apply_one("step.started", 1, R"({"attempt": 1})"));
  EXPECT_FALSE(apply_one("run.completed", -1, R"({"output": 1})"));
  EXPECT_FALSE(apply_one("run.started", -1, "{}"));
  world.start(R"({"rows": [1]})");
  world.give(CancelRequested{"enough"});
  const auto before = show(world.state);
  EXPECT_FALSE(apply_one("step.cancelled", 1, R"({"reason": "x"})"));
  EXPECT_FALSE(apply_one("run.cancelled", -1, R"({"reason": "x"})"));
  EXPECT_FALSE(apply_one("run.started", -1, R"({"input": {}})"));
  EXPECT_EQ(show(world.state), before);
}

TEST(PlannerFolds, a_list_of_another_length_is_corrupt) {
  World world(definition_of(list));
  const auto start = world.give(Start{json(R"({"rows": 3})"), Value()});
  EXPECT_EQ(world.state.status, RunStatus::failed);
  World other(definition_of(list));
  ASSERT_TRUE(apply(*other.definition, other.state,
                    {other.now, "run.started", -1, -1, json(R"({"input": {"rows": [1, 2]}})")}));
  const auto wrong = apply(*other.definition, other.state,
                           {other.now, "step.started", 0, -1, json(R"({"items": 3})")});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("its list has 2 elements"), std::string::npos);
}

TEST(Planner, words_of_statuses_read_back) {
  for (const auto status :
       {RunStatus::pending, RunStatus::running, RunStatus::waiting, RunStatus::completed,
        RunStatus::failed, RunStatus::cancelled, RunStatus::unknown}) {
    EXPECT_EQ(parse_run_status(name(status)).value(), status);
    EXPECT_EQ(is_terminal(status),
              name(status) != "pending" && name(status) != "running" && name(status) != "waiting");
  }
  EXPECT_EQ(parse_run_status("done").error().code(), Code::invalid_input);
  EXPECT_EQ(name(StepStatus::skipped), "skipped");
  EXPECT_TRUE(is_terminal(StepStatus::skipped));
  EXPECT_FALSE(is_terminal(StepStatus::waiting));
}

TEST(Planner, a_hundred_thousand_items_cost_the_same_each) {
  constexpr int items = 100'000;
  std::vector<Value> rows;
  for (int i = 0; i < items; ++i) rows.emplace_back(i);
  World world(definition_of(list));
  world.traits[0].effect = Effect::pure;
  world.give(Start{Value::object({{"rows", Value::array(std::move(rows))}}), Value()});
  std::size_t events = 0;
  for (int i = 0; i < items; ++i) {
    const auto decision = world.give(AttemptFinished{0, i, 1, Value(i)});
    events += decision.events.size();
    ASSERT_LE(decision.events.size(), 3U);
  }
  EXPECT_EQ(events, 2U * items - 2U + 2U);
  EXPECT_EQ(world.step("a").output.size(), static_cast<std::size_t>(items));
  EXPECT_EQ(world.step("a").output.items()[54'321], Value(54'321));
}

}  // namespace
}  // namespace clew::workflow
