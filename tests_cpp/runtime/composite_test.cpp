// Workflows that back capabilities, and steps that wait for events, through the C++ surface.
#include <thread>

#include "runtime/fixture.hpp"

namespace clew {
namespace {

constexpr std::string_view doubling = R"(
workflow: math.doubling
version: 1.0.0
steps:
  first: {call: math.add, with: {a: "{{ input.n }}", b: "{{ input.n }}"}}
output: "{{ steps.first.output }}"
)";
constexpr std::string_view waiting = R"(
workflow: math.waiting
version: 1.0.0
steps:
  wait: {on_event: {type: math.told@^1, where: "{{ event.data >= 3 }}"}}
  sum: {call: math.double, with: {n: "{{ steps.wait.output.data }}"}}
output: "{{ steps.sum.output }}"
)";

class Composites : public EachStore {
 protected:
  void SetUp() override {
    EachStore::SetUp();
    add(*runtime_, "math.add", [](Invocation&, const Value& input) -> Result<Value> {
      return Value(input.find("a")->as_int() + input.find("b")->as_int());
    });
    const auto done = runtime_->add_workflow(contract("math.double"), define(doubling));
    ASSERT_TRUE(done) << done.error().to_string();
    ASSERT_TRUE(runtime_->define_event({.type = "math.told@1.0.0"}));
  }
};

TEST_P(Composites, a_call_is_a_run) {
  const auto outcome = runtime_->execute(request("math.double", Value::object({{"n", 4}})));
  ASSERT_TRUE(outcome.result) << outcome.result.error().to_string();
  EXPECT_EQ(*outcome.result, Value(8));
  const auto runs = runtime_->runs({}).value().runs;
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].workflow, "math.doubling");
  const auto found = runtime_->registry().snapshot()->find("math.double@1.0.0");
  EXPECT_EQ(found->handler->kind(), "workflow");
  auto bounded = contract("math.bounded");
  bounded.max_concurrency = 1;
  EXPECT_EQ(runtime_->add_workflow(bounded, define(doubling)).error().code(), Code::invalid_input);
}

TEST_P(Composites, waits_of_many_runs_meet_many_publishers) {
  constexpr int runs = 40;
  std::vector<workflow::RunPtr> started;
  for (int i = 0; i < runs; ++i) {
    auto run = start(*runtime_, define(waiting), Value::object({}), fmt::format("r{}", i));
    ASSERT_TRUE(run) << run.error().to_string();
    started.push_back(*run);
  }
  std::vector<std::thread> publishers;
  for (int thread = 0; thread < 4; ++thread) {
    publishers.emplace_back([&, thread] {
      for (int i = thread; i < runs; i += 4) {
        for (const int data : {1, 3 + i, 100}) {
          EventDraft draft{.type = "math.told", .data = Value(data)};
          draft.correlation_id = fmt::format("r{}", i);
          EXPECT_TRUE(runtime_->publish(std::move(draft)));
        }
      }
    });
  }
  for (auto& publisher : publishers) publisher.join();
  for (int i = 0; i < runs; ++i) {
    const auto result = result_of(started[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ(*result, Value(2 * (3 + i)));
  }
  EXPECT_THAT(runtime_->verify().value(), testing::IsEmpty());
}

TEST_P(Composites, a_waiting_run_is_cancelled_at_once_and_closing_waits_for_nobody) {
  const auto run = start(*runtime_, define(waiting)).value();
  ASSERT_TRUE(run->cancel("enough"));
  EXPECT_EQ(run->status().value(), workflow::RunStatus::cancelled);
  ASSERT_TRUE(start(*runtime_, define(waiting)));
  EXPECT_TRUE(runtime_->close(true, std::chrono::seconds(30)));
}

INSTANTIATE_TEST_SUITE_P(Stores, Composites, each_store,
                         [](const auto& given) { return std::string(given.param); });

}  // namespace
}  // namespace clew
