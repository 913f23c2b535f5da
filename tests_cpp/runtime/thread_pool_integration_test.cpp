// The thread pool wired through the whole runtime: registry, placement, executor, trace, workflow.
#include <set>
#include <thread>

#include "runtime/fixture.hpp"

namespace clew {
namespace {

using testing::Each;
using testing::ElementsAre;

class ThreadPoolIntegration : public EachStore {};
INSTANTIATE_TEST_SUITE_P(Stores, ThreadPoolIntegration, each_store,
                         [](const auto& store) { return std::string(store.param); });

Result<Value> echo(Invocation&, const Value& input) { return input; }

// Parity: 13 seed tests
TEST_P(ThreadPoolIntegration, native_executor_and_thread_pool_produce_identical_output) {
  add(*runtime_, "test.echo", echo);
  const auto input = parse_json(R"({"n": 9007199254740993, "x": 1.0, "t": "ü", "l": [null]})");
  ASSERT_TRUE(input);

  const auto here = runtime_->execute(request("test.echo", *input));  // on this thread
  const auto call = runtime_->submit(request("test.echo", *input));   // on a pool thread
  runtime_->dispatcher().wait(call, Timestamp::never());

  ASSERT_TRUE(here.result);
  ASSERT_TRUE(call->outcome().result);
  EXPECT_EQ(to_json(*here.result), to_json(*input));
  EXPECT_EQ(to_json(*call->outcome().result), to_json(*input));
  EXPECT_EQ(runtime_->dispatcher().stats().inline_calls, 1);
}

TEST_P(ThreadPoolIntegration, thread_pool_executor_satisfies_capability_executor_trait_object) {
  // The pool's executor behind its interface, as any other executor would be.
  add(*runtime_, "test.echo", echo);
  const std::shared_ptr<CapabilityExecutor> executor = make_native_executor(runtime_->pool());
  const auto call = runtime_->dispatcher().admit(request("test.echo", Value::object({{"a", 1}})));
  ASSERT_TRUE(executor->accepts(*call->capability()));

  ASSERT_TRUE(executor->start(call));
  ASSERT_TRUE(runtime_->dispatcher().wait(call, Timestamp::never()));
  EXPECT_EQ(*call->outcome().result, Value::object({{"a", 1}}));
}

TEST_P(ThreadPoolIntegration, router_routes_to_thread_pool_executor) {
  std::thread::id ran_on;
  add(*runtime_, "test.where", [&](Invocation&, const Value& input) -> Result<Value> {
    ran_on = std::this_thread::get_id();
    return input;
  });
  const auto call = runtime_->submit(request("test.where", Value::object({{"k", "v"}})));
  runtime_->dispatcher().wait(call, Timestamp::never());

  EXPECT_EQ(*call->outcome().result, Value::object({{"k", "v"}}));
  EXPECT_NE(ran_on, std::this_thread::get_id());
  const auto traces = all_traces(*runtime_);
  ASSERT_EQ(traces.size(), 1U);
  EXPECT_EQ(traces[0].executor, "native");
  EXPECT_EQ(traces[0].target, "local");
  runtime_->close(true, std::chrono::seconds(10));  // the pool counts a task after its call ended
  EXPECT_EQ(runtime_->pool().stats().completed, 1);
}

TEST_P(ThreadPoolIntegration, router_concurrent_requests_to_same_capability) {
  add(*runtime_, "test.echo", echo);
  std::vector<Outcome> outcomes(8);
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      outcomes[static_cast<std::size_t>(i)] =
          runtime_->execute(request("test.echo", Value::object({{"i", i}})));
    });
  }
  for (auto& caller : callers) caller.join();
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(outcomes[static_cast<std::size_t>(i)].result);
    EXPECT_EQ(*outcomes[static_cast<std::size_t>(i)].result, Value::object({{"i", i}}));
  }
  EXPECT_EQ(all_traces(*runtime_).size(), 8U);
}

TEST_P(ThreadPoolIntegration, router_concurrent_requests_to_different_capabilities) {
  for (int i = 0; i < 4; ++i) {
    add(*runtime_, fmt::format("test.number{}", i),
        [i](Invocation&, const Value&) -> Result<Value> { return Value(i * 11); });
  }
  std::vector<InvocationPtr> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(runtime_->submit(request(fmt::format("test.number{}", i))));
  }
  for (int i = 0; i < 4; ++i) {
    runtime_->dispatcher().wait(calls[static_cast<std::size_t>(i)], Timestamp::never());
    EXPECT_EQ(*calls[static_cast<std::size_t>(i)]->outcome().result, Value(i * 11));
  }
}

TEST_P(ThreadPoolIntegration, concurrent_executions_produce_isolated_traces) {
  add(*runtime_, "test.double", [](Invocation&, const Value& input) -> Result<Value> {
    return Value(input.find("i")->as_int() * 2);
  });
  std::vector<InvocationPtr> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(runtime_->submit(request("test.double", Value::object({{"i", i}}))));
  }
  for (const auto& call : calls) runtime_->dispatcher().wait(call, Timestamp::never());

  EXPECT_EQ(all_traces(*runtime_).size(), 4U);
  for (int i = 0; i < 4; ++i) {
    const auto trace = runtime_->trace(calls[static_cast<std::size_t>(i)]->id());
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->capability, "test.double");
    EXPECT_EQ(trace->input_sha256, to_hex(digest_of(Value::object({{"i", i}}))));
    EXPECT_EQ(trace->output_sha256, to_hex(digest_of(Value(i * 2))));
  }
}

TEST_P(ThreadPoolIntegration, trace_capability_id_matches_executed_capability) {
  std::vector<InvocationPtr> calls;
  for (int i = 0; i < 4; ++i) add(*runtime_, fmt::format("test.c{}", i), echo);
  for (int i = 0; i < 16; ++i) {
    calls.push_back(runtime_->submit(request(fmt::format("test.c{}", i % 4))));
  }
  for (int i = 0; i < 16; ++i) {
    const auto& call = calls[static_cast<std::size_t>(i)];
    runtime_->dispatcher().wait(call, Timestamp::never());
    EXPECT_EQ(runtime_->trace(call->id())->capability, fmt::format("test.c{}", i % 4));
  }
  TraceQuery query;
  query.capability = "test.c2";
  EXPECT_EQ(all_traces(*runtime_, query).size(), 4U);
}

TEST_P(ThreadPoolIntegration, failed_execution_recorded_in_trace) {
  add(*runtime_, "test.fails",
      [](Invocation&, const Value&) -> Result<Value> { throw std::runtime_error("deliberate"); });
  for (const bool inside : {true, false}) {
    const auto call = runtime_->dispatcher().admit(request("test.fails"));
    if (inside) {
      EXPECT_TRUE(runtime_->dispatcher().run_here(call));
    } else {
      runtime_->dispatcher().launch(call);
      runtime_->dispatcher().wait(call, Timestamp::never());
    }
    ASSERT_FALSE(call->outcome().result);
    EXPECT_EQ(call->outcome().result.error().code(), Code::execution_failed);
    EXPECT_NE(call->outcome().result.error().message().find("deliberate"), std::string::npos);
    const auto trace = runtime_->trace(call->id());
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->outcome, CallOutcome::failure);
    EXPECT_EQ(trace->code, "execution_failed");
    EXPECT_TRUE(trace->output_sha256.empty());
  }
  EXPECT_EQ(all_traces(*runtime_).size(), 2U);
}

// Seed: what a handler on a pool thread emits reaches whoever subscribed.
TEST_P(ThreadPoolIntegration, event_published_by_pool_thread_reaches_broker) {
  ASSERT_TRUE(runtime_->define_event({.type = "test.happened@1.0.0"}));
  auto emitting = contract("test.emits");
  emitting.emits = {"test.happened@1.0.0"};
  std::thread::id ran_on;
  add(*runtime_, emitting, [&](Invocation& call, const Value& input) -> Result<Value> {
    ran_on = std::this_thread::get_id();
    CLEW_TRY(call.emit({.type = "test.happened", .data = input}));
    return Value();
  });
  const auto live = runtime_->subscribe({.pattern = "test.*"});
  ASSERT_TRUE(live);
  const auto call = runtime_->submit(request("test.emits", Value::object({{"i", 7}})));
  const auto got = (*live)->poll(10, Timestamp::never());
  runtime_->dispatcher().wait(call, Timestamp::never());
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 1U);
  const Event& event = *got->front().event;
  EXPECT_EQ(event.type, "test.happened");
  EXPECT_EQ(event.data, Value::object({{"i", 7}}));
  EXPECT_EQ(event.causation_id, call->id().to_string());
  EXPECT_NE(ran_on, std::this_thread::get_id());
  EXPECT_TRUE((*live)->take(10)->empty());  // once
}

TEST_P(ThreadPoolIntegration, concurrent_event_publishers_no_broker_corruption) {
  ASSERT_TRUE(runtime_->define_event({.type = "test.happened@1.0.0"}));
  auto emitting = contract("test.emits");
  emitting.emits = {"test.happened"};
  add(*runtime_, emitting, [](Invocation& call, const Value& input) -> Result<Value> {
    for (int i = 0; i < 3; ++i) {
      CLEW_TRY(call.emit({.type = "test.happened",
                          .data = Value::object({{"who", *input.find("who")}, {"i", i}})}));
    }
    return Value();
  });
  std::vector<InvocationPtr> calls;
  for (int who = 0; who < 4; ++who) {
    calls.push_back(runtime_->submit(request("test.emits", Value::object({{"who", who}}))));
  }
  for (const auto& call : calls) {
    runtime_->dispatcher().wait(call, Timestamp::never());
    EXPECT_TRUE(call->outcome().result);
  }
  const auto all = runtime_->subscribe({.pattern = ">", .start = StartAt::start});
  const auto got = (*all)->take(100);
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 12U);
  std::set<std::string> ids;
  std::set<std::string> contents;
  for (std::size_t i = 0; i < got->size(); ++i) {
    const Event& event = *(*got)[i].event;
    EXPECT_EQ(event.cursor, static_cast<Cursor>(i + 1));
    ids.insert(event.id);
    contents.insert(to_json(event.data));
  }
  EXPECT_EQ(ids.size(), 12U);
  EXPECT_EQ(contents.size(), 12U);
  EXPECT_TRUE(runtime_->verify()->empty());
}

// A call that does not succeed has emitted nothing, whatever else ends it.
TEST_P(ThreadPoolIntegration, what_a_failed_late_or_cancelled_call_emits_is_never_published) {
  ASSERT_TRUE(runtime_->define_event({.type = "test.happened@1.0.0"}));
  auto emitting = contract("test.emits");
  emitting.emits = {"test.happened"};
  Gate gate;
  Gate late_gate;  // the call may be late before it has begun
  add(*runtime_, emitting, [&](Invocation& call, const Value& input) -> Result<Value> {
    CLEW_TRY(call.emit({.type = "test.happened", .data = input}));
    if (input.find("fails") != nullptr) return error(Code::execution_failed, "deliberate");
    (input.find("late") != nullptr ? late_gate : gate).wait();
    if (call.cancelled()) return error(Code::cancelled, "told to");
    return Value();
  });
  EXPECT_FALSE(runtime_->execute(request("test.emits", Value::object({{"fails", 1}}))).result);
  auto late = request("test.emits", Value::object({{"late", 1}}));
  late.timeout = std::chrono::milliseconds(5);
  EXPECT_EQ(runtime_->execute(late).kind, CallOutcome::timeout);
  const auto stopped = runtime_->submit(request("test.emits"));
  gate.await_waiting(1);
  stopped->cancel("enough");
  gate.open();
  late_gate.open();
  runtime_->dispatcher().wait(stopped, Timestamp::never());
  EXPECT_EQ(stopped->outcome().kind, CallOutcome::cancelled);
  const auto all = runtime_->subscribe({.pattern = ">", .start = StartAt::start});
  EXPECT_TRUE((*all)->take(10)->empty());
  EXPECT_EQ(runtime_->broker().stats().published, 0);
  runtime_->close(true, std::chrono::seconds(10));  // the late handler is still at its gate
}

constexpr std::string_view three_steps = R"yaml(
workflow: test.three
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
steps:
  one:   {call: test.one@^1, with: {n: "{{ input.n }}"}}
  two:   {call: test.two@^1, with: {n: "{{ steps.one.output }}"}}
  three: {call: test.three@^1, with: {n: "{{ steps.two.output }}"}}
output: {n: "{{ steps.three.output }}"}
)yaml";

// Parity: pipeline
TEST_P(ThreadPoolIntegration, workflow_with_thread_pool_executor_completes_all_steps) {
  Journal entered;
  for (const std::string step : {"one", "two", "three"}) {
    add(*runtime_, "test." + step, [&, step](Invocation&, const Value& input) -> Result<Value> {
      entered.add(step);
      return Value(input.find("n")->as_int() * 10 + 1);
    });
  }
  const auto run = start(*runtime_, define(three_steps), Value::object({{"n", 4}}));
  ASSERT_TRUE(run) << run.error().to_string();
  const auto result = result_of(*run);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(*result, Value::object({{"n", 4111}}));
  EXPECT_THAT(entered.entries(), ElementsAre("one", "two", "three"));

  const auto steps = (*run)->steps();
  ASSERT_TRUE(steps);
  for (const auto& step : *steps) EXPECT_EQ(step.status, workflow::StepStatus::completed);
  TraceQuery query;
  query.run = (*run)->id();
  const auto traces = all_traces(*runtime_, query);
  ASSERT_EQ(traces.size(), 3U);
  EXPECT_EQ(traces[0].step, "three");
  EXPECT_EQ(traces[2].step, "one");
  EXPECT_TRUE(runtime_->verify()->empty());
}

// Parity: halt
TEST_P(ThreadPoolIntegration, workflow_step_failure_halts_traversal) {
  Journal entered;
  for (const std::string step : {"one", "two", "three"}) {
    add(*runtime_, "test." + step, [&, step](Invocation&, const Value&) -> Result<Value> {
      entered.add(step);
      if (step == "two") return error(Code::execution_failed, "two is broken");
      return Value(1);
    });
  }
  const auto run = start(*runtime_, define(three_steps), Value::object({{"n", 4}}));
  ASSERT_TRUE(run);
  const auto result = result_of(*run);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::execution_failed);
  EXPECT_EQ(*result.error().find("step"), Value("two"));
  EXPECT_EQ(*(*run)->status(), workflow::RunStatus::failed);

  EXPECT_THAT(entered.entries(), ElementsAre("one", "two"));  // three was never entered
  const auto steps = (*run)->steps();
  ASSERT_EQ(steps->size(), 3U);
  EXPECT_EQ((*steps)[0].status, workflow::StepStatus::completed);
  EXPECT_EQ((*steps)[1].status, workflow::StepStatus::failed);
  EXPECT_EQ((*steps)[2].status, workflow::StepStatus::skipped);
  TraceQuery query;
  query.run = (*run)->id();
  EXPECT_EQ(all_traces(*runtime_, query).size(), 2U);
}

}  // namespace
}  // namespace clew
