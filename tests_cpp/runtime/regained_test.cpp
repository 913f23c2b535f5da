// A run that its runtime has without knowing, or has lost and gets back.
#include <future>
#include <thread>

#include "runtime/ownership.hpp"

namespace clew {
namespace {

TEST_F(Ownership, a_run_of_which_nobody_knew_whether_it_was_started_goes_on) {
  auto runtime = open(options());
  add(*runtime, "own.work", [](Invocation&, const Value&) -> Result<Value> { return Value(7); });
  lose_the_answer_of_its_lease();
  const auto run = start(*runtime, define(one_step), Value::object({}), "doubted");
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code(), Code::unknown_outcome);

  const auto again = start(*runtime, define(one_step), Value::object({}), "doubted");
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*result_of(*again), Value(7));
  EXPECT_TRUE(runtime->verify()->empty());
}

TEST_F(Ownership, a_run_of_which_nobody_knew_whether_it_was_taken_over_goes_on) {
  leave_a_run(options());
  lose_the_answer_of_its_lease();
  auto runtime = open(options());
  add(*runtime, "own.work", [](Invocation&, const Value&) -> Result<Value> { return Value(7); });
  const auto run = runtime->run("left");
  ASSERT_TRUE(run);
  EXPECT_EQ(*result_of(*run), Value(7));
  EXPECT_EQ(runtime->stats().find("runs")->find("adopted")->as_int(), 1);
  EXPECT_TRUE(runtime->verify()->empty());
}

// As after a long standstill, in which another process took the run over and died.
TEST_F(Ownership, a_step_does_not_run_twice_at_once_when_its_run_was_lost_and_comes_back) {
  auto wide = options();
  wide.workers = 2;
  auto runtime = open(wide);
  Gate go;
  std::atomic<int> entered{0};
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  auto idempotent = contract("own.work");
  idempotent.effect = Effect::idempotent;
  add(*runtime, idempotent, [&](Invocation&, const Value&) -> Result<Value> {
    if (++inside > 1) overlapped = true;
    ++entered;
    go.wait();
    --inside;
    return Value(7);
  });
  const auto run = start(*runtime, define(one_step));
  ASSERT_TRUE(run);
  go.await_waiting(1);
  const auto now = env_->clock().now();
  const auto taken = runtime->database().write([&](store::Transaction& tx) -> Result<void> {
    std::vector<store::OwnerId> held_for_dead;
    CLEW_TRY(const auto owners, store::list_owners(tx));
    for (const auto& owner : owners) held_for_dead.push_back(owner.id);
    CLEW_TRY(const auto other,
             store::add_owner(tx, "other", store::this_process(), now, now + Duration(1)));
    std::int64_t number = 0;
    store::VisitRow take = into(number);
    CLEW_TRY(tx.each_text("SELECT number FROM leases WHERE kind = 'run'", {}, take));
    CLEW_TRY(store::take_lease(tx, {"run", number}, other, now, held_for_dead));
    return store::remove_owner(tx, other);
  });
  ASSERT_TRUE(taken) << taken.error().to_string();
  while (runtime->stats().find("runs")->find("lost")->as_int() == 0 && entered < 2) {
    std::this_thread::yield();
  }
  go.open();
  EXPECT_EQ(*result_of(*run), Value(7));
  EXPECT_FALSE(overlapped);
  EXPECT_EQ(entered, 2);
  EXPECT_TRUE(runtime->verify()->empty());
}

// Hands its calls over on the thread that launches them.
class HandingOver final : public CapabilityExecutor {
 public:
  struct Handed final : Handler {
    std::string_view kind() const override { return "handed"; }
  };
  explicit HandingOver(std::function<void(const InvocationPtr&)> take) : take_(std::move(take)) {}
  std::string_view name() const override { return "handing-over"; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "handed";
  }
  bool is_open() const override { return true; }
  ExecutorLoad load() const override { return {}; }
  Result<void> start(const InvocationPtr& call) override {
    if (call->begin()) take_(call);
    return {};
  }
  bool run_here(const InvocationPtr&) override { return false; }
  void stop() override {}

 private:
  std::function<void(const InvocationPtr&)> take_;
  std::vector<std::string> targets_{"local"};
};

TEST_F(Ownership, a_call_is_launched_although_another_runtime_is_just_launching_one) {
  ManualClock clock;  // the keepers' writes stay out of it
  auto virtual_time = options();
  virtual_time.clock = &clock;
  virtual_time.store = ":memory:";
  const auto open_with = [&](std::function<void(const InvocationPtr&)> take) {
    auto runtime = open(virtual_time);
    EXPECT_TRUE(runtime->add_executor(std::make_shared<HandingOver>(std::move(take))));
    EXPECT_TRUE(runtime->add(contract("own.work"), std::make_shared<HandingOver::Handed>()));
    add(*runtime, "own.next", [](Invocation&, const Value&) -> Result<Value> { return Value(7); });
    return runtime;
  };
  std::promise<InvocationPtr> handed;
  auto inner = open_with([&](const InvocationPtr& call) { handed.set_value(call); });
  const auto run = start(*inner, define("{workflow: own.two, version: 1.0.0, steps: {a: {call: "
                                        "own.work}, b: {call: own.next, after: [a]}}}"));
  ASSERT_TRUE(run) << run.error().to_string();
  auto outer = open_with([first = handed.get_future().get()](const InvocationPtr& call) {
    first->finish(Value(1));
    call->finish(Value(2));
  });
  ASSERT_TRUE(start(*outer, define(one_step)));
  std::promise<void> ended;
  (*run)->on_ended([&] { ended.set_value(); });
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  inner->close(false, std::chrono::seconds(10));
}

}  // namespace
}  // namespace clew
