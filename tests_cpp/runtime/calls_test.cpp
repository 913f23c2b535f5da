// Calls through the whole runtime: deadlines, cancellation, limits, nesting, refusals, stress.
#include <atomic>
#include <future>
#include <thread>

#include "clew/base/fault.hpp"
#include "runtime/fixture.hpp"

namespace clew {
namespace {

class Calls : public EachStore {};
INSTANTIATE_TEST_SUITE_P(Stores, Calls, each_store,
                         [](const auto& store) { return std::string(store.param); });

Result<Value> echo(Invocation&, const Value& input) { return input; }

std::unique_ptr<Runtime> open_with_workers(int workers) {
  RuntimeOptions options;
  options.workers = workers;
  return open(options);
}

// Parity: capacity
TEST(Workers, capacity_0_and_257_are_refused_naming_the_bounds) {
  const auto expect_bounds = [](const auto& refused) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::invalid_input);
    EXPECT_NE(refused.error().message().find("1 to 256"), std::string::npos)
        << refused.error().to_string();
  };
  for (const int workers : {-1, 257, 100000}) {
    RuntimeOptions options;
    options.workers = workers;
    expect_bounds(Runtime::open(options));
  }
  ManualClock clock;
  for (const int threads : {0, 257}) {  // of a runtime, 0 means: choose
    expect_bounds(make_thread_pool({.threads = threads}, clock));
  }
  for (const int workers : {1, 256}) EXPECT_NE(open_with_workers(workers), nullptr);
}

// Parity: request checks; failed trace
TEST_P(Calls, every_refusal_leaves_one_trace_and_enters_no_handler) {
  std::atomic<int> entered{0};
  auto strict = contract("test.strict");
  strict.inputs = *parse_json(R"({"type": "object", "required": ["n"],
                                  "properties": {"n": {"type": "integer"}}})");
  add(*runtime_, strict, [&](Invocation&, const Value& input) -> Result<Value> {
    ++entered;
    return input;
  });
  auto elsewhere = contract("test.elsewhere");
  elsewhere.permitted_targets = {"moon"};
  add(*runtime_, elsewhere, [&](Invocation&, const Value& input) -> Result<Value> {
    ++entered;
    return input;
  });
  struct Case {
    Request asked;
    Code code;
  };
  std::vector<Case> cases;
  cases.push_back({request("test.absent"), Code::not_found});
  cases.push_back({request("test.strict@^2"), Code::not_found});
  cases.push_back({request("Not An Id"), Code::invalid_input});
  cases.push_back({request("test.strict", Value(7)), Code::invalid_input});
  cases.push_back({request("test.strict"), Code::invalid_input});
  cases.push_back({request("test.strict", Value::object({{"n", "7"}})), Code::invalid_input});
  cases.push_back({request("test.elsewhere"), Code::no_eligible_target});
  cases.push_back({request("test.strict", Value::object({{"n", 7}})), Code::no_eligible_target});
  cases.back().asked.target = "moon";
  cases.push_back({request("test.strict", Value::object({{"n", 7}})), Code::invalid_input});
  cases.back().asked.timeout = Duration{0};

  std::size_t expected = 0;
  for (auto& each : cases) {
    const auto named = each.asked.reference;
    const auto outcome = runtime_->execute(std::move(each.asked));
    ASSERT_FALSE(outcome.result) << named;
    EXPECT_EQ(outcome.result.error().code(), each.code) << outcome.result.error().to_string();
    EXPECT_EQ(outcome.kind, CallOutcome::rejected);
    const auto traces = all_traces(*runtime_);
    ASSERT_EQ(traces.size(), ++expected) << named;
    EXPECT_EQ(traces.front().code, name(each.code));
    EXPECT_EQ(traces.front().outcome, CallOutcome::rejected);
  }
  EXPECT_EQ(entered.load(), 0);
}

// A runtime in virtual time, so that a deadline comes when the test says so.
class Deadlines : public testing::Test {
 protected:
  Deadlines() {
    RuntimeOptions options;
    options.workers = 2;
    options.clock = &clock_;
    runtime_ = open(options);
  }

  // A call of `id` with a deadline in 50 ms, once its handler is running.
  InvocationPtr running_call(const std::string& id) {
    auto asked = request(id);
    asked.timeout = std::chrono::milliseconds(50);
    auto call = runtime_->submit(std::move(asked));
    gate_.await_waiting(1);
    return call;
  }

  ManualClock clock_;
  Gate gate_;
  std::unique_ptr<Runtime> runtime_;
};

// Parity: timeout/cancel
TEST_F(Deadlines, a_deadline_returns_at_once_and_slots_are_right_afterwards) {
  std::atomic<bool> told{false};
  add(*runtime_, "test.slow", [&](Invocation& call, const Value&) -> Result<Value> {
    gate_.wait();
    told = call.cancelled();
    return Value("late");
  });
  const auto call = running_call("test.slow");
  clock_.advance(std::chrono::milliseconds(49));
  EXPECT_FALSE(call->ended());
  clock_.advance(std::chrono::milliseconds(1));
  runtime_->dispatcher().wait(call, Timestamp::never());
  EXPECT_EQ(call->outcome().kind, CallOutcome::timeout);
  EXPECT_EQ(call->outcome().result.error().code(), Code::timeout);
  EXPECT_EQ(runtime_->pool().stats().running, 1);  // the handler still holds its slot

  gate_.open();
  EXPECT_TRUE(runtime_->close(true, std::chrono::seconds(10)));
  EXPECT_TRUE(told.load());
  EXPECT_EQ(call->outcome().kind, CallOutcome::timeout);  // the late result changed nothing
  EXPECT_EQ(runtime_->pool().stats().running, 0);
  EXPECT_EQ(runtime_->pool().stats().completed, 1);
}

TEST_F(Deadlines, a_timeout_of_a_once_capability_is_an_unknown_outcome) {
  auto once = contract("test.once");
  once.effect = Effect::once;
  add(*runtime_, once, [&](Invocation&, const Value&) -> Result<Value> {
    gate_.wait();
    return Value();
  });
  const auto call = running_call("test.once");
  clock_.advance(std::chrono::milliseconds(50));
  runtime_->dispatcher().wait(call, Timestamp::never());
  EXPECT_EQ(call->outcome().kind, CallOutcome::timeout);
  EXPECT_EQ(call->outcome().result.error().code(), Code::unknown_outcome);
  gate_.open();
}

// Deadlines of others come while a call's events are committed, however long that takes.
TEST_F(Deadlines, a_commit_in_the_instant_of_the_deadline_holds_up_no_timer) {
  const auto folder = fresh_folder();
  RuntimeOptions options;
  options.store = store_in(folder);
  options.workers = 2;
  options.clock = &clock_;
  runtime_ = open(options);
  ASSERT_TRUE(runtime_->define_event({"test.told@1.0.0"}));
  auto telling = contract("test.tells");
  telling.emits = {"test.told@1.0.0"};
  add(*runtime_, telling, [&](Invocation& call, const Value& input) -> Result<Value> {
    gate_.wait();
    CLEW_TRY(call.emit({.type = "test.told"}));
    return input;
  });
  const auto told = running_call("test.tells");
  Gate other;
  add(*runtime_, "test.other", [&](Invocation&, const Value& input) -> Result<Value> {
    other.wait();
    return input;
  });
  auto asked = request("test.other");
  asked.timeout = std::chrono::milliseconds(60);
  const auto waiting = runtime_->submit(std::move(asked));
  other.await_waiting(1);
  std::promise<void> ended;
  waiting->on_ended([&] { ended.set_value(); });

  Gate commit;
  auto* commits = find_fault_point("store.commit.inside");
  commits->arm([&]() -> Result<void> {
    commit.wait();
    return {};
  });
  gate_.open();
  commit.await_waiting(1);
  clock_.advance(std::chrono::milliseconds(50));  // of the call whose end is being committed
  clock_.advance(std::chrono::milliseconds(10));
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_FALSE(told->ended());
  commit.open();
  runtime_->dispatcher().wait(told, Timestamp::never());
  EXPECT_EQ(told->outcome().kind, CallOutcome::success);
  other.open();
  runtime_->close(true, std::chrono::seconds(10));
  commits->disarm();
  std::filesystem::remove_all(folder);
}

TEST_P(Calls, a_deadline_counts_the_time_in_the_queue) {
  const auto runtime = open_with_workers(1);
  Gate gate;
  std::atomic<int> entered{0};
  add(*runtime, "test.block", [&](Invocation&, const Value&) -> Result<Value> {
    gate.wait();
    return Value();
  });
  add(*runtime, "test.count", [&](Invocation&, const Value&) -> Result<Value> {
    ++entered;
    return Value();
  });
  const auto blocker = runtime->submit(request("test.block"));
  gate.await_waiting(1);
  auto asked = request("test.count");
  asked.timeout = std::chrono::milliseconds(20);
  const auto queued = runtime->submit(std::move(asked));
  runtime->dispatcher().wait(queued, Timestamp::never());
  EXPECT_EQ(queued->outcome().result.error().code(), Code::timeout);
  gate.open();
  runtime->dispatcher().wait(blocker, Timestamp::never());
  runtime->close(true, std::chrono::seconds(10));
  EXPECT_EQ(entered.load(), 0);  // what timed out in the queue never runs
}

TEST_P(Calls, cancelling_a_queued_call_ends_it_and_it_never_runs) {
  const auto runtime = open_with_workers(1);
  Gate gate;
  std::atomic<int> entered{0};
  add(*runtime, "test.block", [&](Invocation& call, const Value&) -> Result<Value> {
    gate.wait();
    if (call.cancelled()) return error(Code::cancelled, "heeded");
    return Value();
  });
  add(*runtime, "test.count", [&](Invocation&, const Value&) -> Result<Value> {
    ++entered;
    return Value();
  });
  const auto running = runtime->submit(request("test.block"));
  gate.await_waiting(1);
  const auto queued = runtime->submit(request("test.count"));
  EXPECT_TRUE(queued->cancel("not wanted"));
  EXPECT_FALSE(queued->cancel("again"));
  EXPECT_EQ(queued->outcome().kind, CallOutcome::cancelled);

  EXPECT_FALSE(running->cancel("stop"));  // it runs: it is told, and ends when it heeds that
  gate.open();
  runtime->dispatcher().wait(running, Timestamp::never());
  EXPECT_EQ(running->outcome().kind, CallOutcome::cancelled);
  runtime->close(true, std::chrono::seconds(10));
  EXPECT_EQ(entered.load(), 0);
}

// Parity: nested call
TEST_P(Calls, a_nested_call_on_a_pool_of_one_completes) {
  const auto runtime = open_with_workers(1);
  add(*runtime, "test.leaf", echo);
  add(*runtime, "test.execute", [&](Invocation&, const Value& input) -> Result<Value> {
    return runtime->execute(request("test.leaf", input)).result;
  });
  add(*runtime, "test.submit", [&](Invocation&, const Value& input) -> Result<Value> {
    const auto call = runtime->submit(request("test.leaf", input));
    runtime->dispatcher().wait(call, Timestamp::never());
    return call->outcome().result;
  });
  add(*runtime, "test.timed", [&](Invocation&, const Value& input) -> Result<Value> {
    auto asked = request("test.leaf", input);
    asked.timeout = std::chrono::seconds(30);  // asks for another thread
    return runtime->execute(std::move(asked)).result;
  });
  for (const std::string outer : {"test.execute", "test.submit", "test.timed"}) {
    const auto call = runtime->submit(request(outer, Value::object({{"k", 1}})));
    runtime->dispatcher().wait(call, Timestamp::never());
    ASSERT_TRUE(call->outcome().result) << outer << call->outcome().result.error().to_string();
    EXPECT_EQ(*call->outcome().result, Value::object({{"k", 1}}));
    TraceQuery query;
    query.capability = "test.leaf";
    EXPECT_EQ(all_traces(*runtime, query).front().parent, call->id());
  }
  EXPECT_EQ(runtime->pool().stats().running_max, 1);
}

TEST_P(Calls, a_capability_may_call_itself_within_its_own_limit_of_one) {
  auto self = contract("test.self");
  self.max_concurrency = 1;
  add(*runtime_, self, [&](Invocation&, const Value& input) -> Result<Value> {
    const auto n = input.find("n")->as_int();
    if (n == 0) return Value(0);
    return runtime_->execute(request("test.self", Value::object({{"n", n - 1}}))).result;
  });
  EXPECT_TRUE(runtime_->execute(request("test.self", Value::object({{"n", 20}}))).result);
  const auto deep = runtime_->execute(request("test.self", Value::object({{"n", 1000}})));
  ASSERT_FALSE(deep.result);
  EXPECT_EQ(deep.result.error().code(), Code::resource_exhausted);
}

// Parity: fairness
TEST_P(Calls, a_limit_of_a_capability_is_never_exceeded) {
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  auto limited = contract("test.limited");
  limited.max_concurrency = 2;
  add(*runtime_, limited, [&](Invocation&, const Value&) -> Result<Value> {
    const int now = ++running;
    int seen = most.load();
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    --running;
    return Value();
  });
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 100; ++i) EXPECT_TRUE(runtime_->execute(request("test.limited")).result);
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_LE(most.load(), 2);
  EXPECT_EQ(all_traces(*runtime_).size(), 800U);
}

// Parity: panic safety
TEST_P(Calls, of_200_calls_every_fifth_throws_160_succeed_and_the_pool_lives) {
  std::atomic<int> number{0};
  add(*runtime_, "test.fifth", [&](Invocation&, const Value&) -> Result<Value> {
    if (number.fetch_add(1) % 5 == 4) throw std::runtime_error("every fifth");
    return Value();
  });
  std::vector<InvocationPtr> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(runtime_->submit(request("test.fifth")));
  int good = 0;
  int bad = 0;
  for (const auto& call : calls) {
    runtime_->dispatcher().wait(call, Timestamp::never());
    ++(call->outcome().result ? good : bad);
  }
  EXPECT_EQ(good, 160);
  EXPECT_EQ(bad, 40);
  add(*runtime_, "test.echo", echo);
  EXPECT_TRUE(runtime_->execute(request("test.echo")).result);
  EXPECT_EQ(runtime_->pool().stats().failures, 0);  // a handler's exception never reaches the pool
}

TEST_P(Calls, an_output_that_breaks_the_contract_fails_the_call) {
  auto typed = contract("test.typed");
  typed.outputs = *parse_json(R"({"type": "integer"})");
  add(*runtime_, typed, [](Invocation&, const Value&) -> Result<Value> { return Value("text"); });
  const auto outcome = runtime_->execute(request("test.typed"));
  ASSERT_FALSE(outcome.result);
  EXPECT_EQ(outcome.result.error().code(), Code::execution_failed);
  EXPECT_NE(outcome.result.error().message().find("integer"), std::string::npos);
}

TEST_P(Calls, after_close_every_call_is_refused) {
  add(*runtime_, "test.echo", echo);
  runtime_->close(true, std::chrono::seconds(10));
  EXPECT_EQ(runtime_->execute(request("test.echo")).result.error().code(), Code::closed);
  EXPECT_EQ(runtime_->submit(request("test.echo"))->outcome().result.error().code(), Code::closed);
  EXPECT_EQ(runtime_->traces({}).error().code(), Code::closed);
  EXPECT_EQ(runtime_->sql("SELECT 1", {}).error().code(), Code::closed);
  EXPECT_EQ(runtime_->verify().error().code(), Code::closed);
  EXPECT_EQ(start(*runtime_, define("{workflow: a.b, version: 1.0.0, steps: {s: {call: a.c}}}"))
                .error()
                .code(),
            Code::closed);
  EXPECT_TRUE(runtime_->close(true, std::chrono::seconds(10)));  // again is fine
}

// Registers one capability of each kind of ending.
void add_mixed(Runtime& runtime) {
  add(runtime, "mix.good", echo);
  add(runtime, "mix.bad",
      [](Invocation&, const Value&) -> Result<Value> { throw std::runtime_error("bad"); });
  add(runtime, "mix.waits", [](Invocation& call, const Value&) -> Result<Value> {
    // Runs until told to stop: by its deadline or by its caller.
    Gate stop;
    const CancelSubscription wake(call.cancel_token(), [&] { stop.open(); });
    stop.wait();
    return error(Code::cancelled, "told to stop");
  });
  add(runtime, "mix.outer", [&runtime](Invocation&, const Value& input) -> Result<Value> {
    return runtime.execute(request("mix.good", input)).result;
  });
}

void call_mixed(Runtime& runtime, int kind) {
  switch (kind) {
    case 0:
      EXPECT_TRUE(runtime.execute(request("mix.good")).result);
      break;
    case 1:
      EXPECT_FALSE(runtime.execute(request("mix.bad")).result);
      break;
    case 2: {
      auto asked = request("mix.waits");
      asked.timeout = std::chrono::microseconds(200);
      EXPECT_EQ(runtime.execute(std::move(asked)).kind, CallOutcome::timeout);
      break;
    }
    case 3: {
      const auto call = runtime.submit(request("mix.waits"));
      call->cancel("changed my mind");
      runtime.dispatcher().wait(call, Timestamp::never());
      EXPECT_EQ(call->outcome().kind, CallOutcome::cancelled);
      break;
    }
    default:
      EXPECT_TRUE(runtime.execute(request("mix.outer")).result);
  }
}

// 64 threads × 1,000 calls of five kinds: each ends exactly once, and the books are exact.
TEST_P(Calls, sixty_four_threads_of_mixed_calls_are_counted_exactly) {
  constexpr int threads = 64;
  const int calls = std::getenv("CLEW_SHORT") != nullptr ? 100 : 1000;
  add_mixed(*runtime_);
  std::vector<std::thread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < calls; ++i) call_mixed(*runtime_, i % 5);
    });
  }
  for (auto& caller : callers) caller.join();

  const std::int64_t each = threads * calls / 5;
  const auto stats = runtime_->dispatcher().stats();
  EXPECT_EQ(stats.success, 3 * each);  // good, outer and the call within it
  EXPECT_EQ(stats.failure, each);
  EXPECT_EQ(stats.timeout, each);
  EXPECT_EQ(stats.cancelled, each);
  EXPECT_EQ(stats.rejected, 0);
  EXPECT_TRUE(runtime_->close(true, std::chrono::seconds(60)));

  if (std::string(GetParam()) == "memory") return;
  RuntimeOptions again;
  again.store = store();
  const auto reopened = open(again);
  const auto count = [&](const char* outcome) {
    return *reopened->sql("SELECT COUNT(*) AS n FROM traces WHERE outcome = :o", {Value(outcome)})
                ->front()
                .find("n");
  };
  EXPECT_EQ(count("success"), Value(3 * each));
  EXPECT_EQ(count("failure"), Value(each));
  EXPECT_EQ(count("timeout"), Value(each));
  EXPECT_EQ(count("cancelled"), Value(each));
}

}  // namespace
}  // namespace clew
