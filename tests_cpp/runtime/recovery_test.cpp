// Durable runs that lose their process: every commit of a small workflow is crashed before, inside
// and after; a new runtime finishes it each time.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <set>

#include "clew/base/fault.hpp"
#include "runtime/fixture.hpp"

namespace clew {
namespace {

constexpr std::string_view small = R"yaml(
workflow: crash.small
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
steps:
  list:  {call: crash.list, with: {n: "{{ input.n }}"}}
  each:  {for_each: "{{ steps.list.output }}", as: x, concurrency: 2, call: crash.square, with: {x: "{{ x }}"}}
  sum:   {call: crash.sum, with: {list: "{{ steps.each.output }}"}}
output: {sum: "{{ steps.sum.output }}"}
)yaml";

// Appends to a file that outlives the process; one write, so lines of a killed process are whole.
class Log {
 public:
  explicit Log(const std::filesystem::path& path)
      : file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {}
  ~Log() { ::close(file_); }
  void add(const std::string& line) const {
    const auto text = line + "\n";
    EXPECT_EQ(::write(file_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  int file_;
};

std::map<std::string, int> count_lines(const std::filesystem::path& path) {
  std::map<std::string, int> counts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) ++counts[line];
  return counts;
}

void add_handlers(Runtime& runtime, const Log& entered, Effect effect) {
  const auto named = [&](const std::string& id) {
    auto made = contract(id);
    made.effect = effect;
    return made;
  };
  add(runtime, named("crash.list"), [&entered](Invocation&, const Value& input) -> Result<Value> {
    entered.add("list");
    std::vector<Value> items;
    for (int i = 0; i < input.find("n")->as_int(); ++i) items.emplace_back(i);
    return Value::array(std::move(items));
  });
  add(runtime, named("crash.square"), [&entered](Invocation&, const Value& input) -> Result<Value> {
    const auto x = input.find("x")->as_int();
    entered.add(fmt::format("square {}", x));
    return Value(x * x);
  });
  add(runtime, named("crash.sum"), [&entered](Invocation&, const Value& input) -> Result<Value> {
    entered.add("sum");
    std::int64_t sum = 0;
    for (const auto& item : input.find("list")->items()) sum += item.as_int();
    return Value(sum);
  });
}

RuntimeOptions over(const std::filesystem::path& folder) {
  RuntimeOptions options;
  options.store = store_in(folder);
  options.workers = 2;
  return options;
}

// The child: starts (or goes on with) the run, and notes each step whose completion it has seen
// committed. Dies at the armed fault point.
[[noreturn]] void child(const std::filesystem::path& folder, Effect effect,
                        const std::string& fault) {
  const Log entered(folder / "entered");
  const Log acknowledged(folder / "acknowledged");
  auto runtime = open(over(folder));
  if (!runtime) _exit(3);
  add_handlers(*runtime, entered, effect);
  if (!arm_faults(fault)) _exit(4);
  auto run = start(*runtime, define(small), Value::object({{"n", 4}}), "the-run");
  if (!run) _exit(5);
  acknowledged.add("started");
  std::int64_t after = 0;
  for (;;) {
    const auto events = (*run)->events(after, 100);
    if (!events) _exit(6);
    for (const auto& event : *events) {
      after = event.seq;
      if (event.type == "step.completed") acknowledged.add(event.step);
      if (event.type == "item.completed") acknowledged.add(fmt::format("square {}", event.item));
      if (event.type.starts_with("run.") && event.type != "run.started") _exit(0);
    }
    if (!(*run)->wait_events(after, Timestamp::never())) _exit(7);
  }
}

// Runs the child until it dies or ends; true when it was killed.
bool was_killed(const std::filesystem::path& folder, Effect effect, const std::string& fault) {
  const pid_t pid = ::fork();
  if (pid == 0) child(folder, effect, fault);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  if (WIFSIGNALED(status)) {
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    return true;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0) << fault;
  return false;
}

class CrashSweep : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Points, CrashSweep, testing::Values("before", "inside", "after"),
                         [](const auto& point) { return std::string(point.param); });

// Parity: durable run
TEST_P(CrashSweep, a_run_killed_at_any_commit_ends_with_the_same_output_and_repeats_nothing_done) {
  int killed = 0;
  for (int hit = 1; hit <= 40; ++hit) {
    const auto folder = fresh_folder();
    const auto fault = fmt::format("store.commit.{}=kill@{}", GetParam(), hit);
    SCOPED_TRACE(fault);
    if (!was_killed(folder, Effect::idempotent, fault)) {
      std::filesystem::remove_all(folder);
      break;
    }
    ++killed;
    const auto before = count_lines(folder / "entered");
    const auto acknowledged = count_lines(folder / "acknowledged");

    const Log entered(folder / "entered");
    auto runtime = open(over(folder));
    ASSERT_NE(runtime, nullptr);
    add_handlers(*runtime, entered, Effect::idempotent);
    const auto run = start(*runtime, define(small), Value::object({{"n", 4}}), "the-run");
    ASSERT_TRUE(run) << run.error().to_string();
    const auto result = result_of(*run);
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ(*result, Value::object({{"sum", 0 + 1 + 4 + 9}}));

    const auto after = count_lines(folder / "entered");
    for (const auto& [step, times] : acknowledged) {
      if (step == "started" || step == "each") continue;
      EXPECT_EQ(after.at(step), before.at(step)) << step << " was acknowledged, and ran again";
    }
    for (const auto& [step, times] : after) EXPECT_LE(times, 2) << step;
    const auto violations = runtime->verify();
    ASSERT_TRUE(violations);
    for (const auto& each : *violations) ADD_FAILURE() << each.invariant << ": " << each.detail;
    EXPECT_EQ(runtime->sql("SELECT COUNT(*) AS n FROM runs", {})->front(),
              Value::object({{"n", 1}}));
    runtime->close(true, std::chrono::seconds(10));
    runtime.reset();
    std::filesystem::remove_all(folder);
  }
  EXPECT_GE(killed, 5);  // the sweep must have swept something
}

TEST_P(CrashSweep, a_once_step_is_never_repeated_and_ends_unknown_when_interrupted) {
  int unknown = 0;
  int killed = 0;
  for (int hit = 1; hit <= 40; ++hit) {
    const auto folder = fresh_folder();
    const auto fault = fmt::format("store.commit.{}=kill@{}", GetParam(), hit);
    SCOPED_TRACE(fault);
    if (!was_killed(folder, Effect::once, fault)) {
      std::filesystem::remove_all(folder);
      break;
    }
    ++killed;
    const Log entered(folder / "entered");
    auto runtime = open(over(folder));
    ASSERT_NE(runtime, nullptr);
    add_handlers(*runtime, entered, Effect::once);
    const auto run = start(*runtime, define(small), Value::object({{"n", 4}}), "the-run");
    ASSERT_TRUE(run) << run.error().to_string();
    const auto result = result_of(*run);
    if (result) {
      EXPECT_EQ(*result, Value::object({{"sum", 14}}));
    } else {
      ++unknown;
      EXPECT_EQ(result.error().code(), Code::unknown_outcome) << result.error().to_string();
      EXPECT_NE(result.error().find("step"), nullptr);
    }
    for (const auto& [step, times] : count_lines(folder / "entered")) {
      EXPECT_EQ(times, 1) << step << " may happen once only";
    }
    runtime->close(true, std::chrono::seconds(10));
    runtime.reset();
    std::filesystem::remove_all(folder);
  }
  EXPECT_GE(killed, 5);
  EXPECT_GE(unknown, 1);
}

class Recovery : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ = fresh_folder();
};

constexpr std::string_view gated = R"yaml(
workflow: crash.gated
version: 1.0.0
steps:
  one: {call: crash.gate}
  two: {call: crash.leaf, after: one}
output: {two: "{{ steps.two.output }}"}
)yaml";

TEST_F(Recovery, a_clean_close_hands_the_run_to_the_next_runtime) {
  Journal entered;
  const auto add_both = [&](Runtime& runtime) {
    add(runtime, "crash.gate", [&](Invocation&, const Value&) -> Result<Value> {
      entered.add("one");
      return Value(1);
    });
    add(runtime, "crash.leaf", [&](Invocation&, const Value&) -> Result<Value> {
      entered.add("two");
      return Value(2);
    });
  };
  for (int round = 0; round < 3; ++round) {
    auto runtime = open(over(folder_));
    add_both(*runtime);
    ASSERT_TRUE(start(*runtime, define(gated), Value::object({}), "same"));
    EXPECT_TRUE(runtime->close(true, std::chrono::seconds(10)));
  }
  auto runtime = open(over(folder_));
  add_both(*runtime);
  const auto run = runtime->run("same");
  ASSERT_TRUE(run);
  EXPECT_EQ(*result_of(*run), Value::object({{"two", 2}}));
  EXPECT_EQ(entered.count("one"), 1);
  EXPECT_EQ(entered.count("two"), 1);
}

TEST_F(Recovery, a_run_whose_handler_is_not_registered_waits_and_says_so) {
  {
    auto runtime = open(over(folder_));
    Gate inside;
    add(*runtime, "crash.gate", [&](Invocation& call, const Value&) -> Result<Value> {
      Gate told;
      const CancelSubscription wake(call.cancel_token(), [&] { told.open(); });
      inside.open();
      told.wait();
      return error(Code::cancelled, "told to stop");
    });
    add(*runtime, "crash.leaf", [](Invocation&, const Value&) -> Result<Value> { return Value(); });
    ASSERT_TRUE(start(*runtime, define(gated), Value::object({}), "waits"));
    inside.wait();
    runtime->close(false, std::chrono::seconds(10));
  }
  auto runtime = open(over(folder_));
  auto run = runtime->run("waits");
  ASSERT_TRUE(run);
  EXPECT_FALSE(workflow::is_terminal(*(*run)->status()));
  add(*runtime, "crash.gate", [](Invocation&, const Value&) -> Result<Value> { return Value(1); });
  EXPECT_FALSE(workflow::is_terminal(*(*run)->status()));
  add(*runtime, "crash.leaf", [](Invocation&, const Value&) -> Result<Value> { return Value(7); });
  EXPECT_EQ(*result_of(*run), Value::object({{"two", 7}}));
}

TEST_F(Recovery, a_live_runtime_keeps_its_runs_from_a_second_one_on_the_same_file) {
  auto first = open(over(folder_));
  auto second = open(over(folder_));
  Gate gate;
  Journal entered;
  for (auto* runtime : {first.get(), second.get()}) {
    add(*runtime, "crash.gate", [&](Invocation&, const Value&) -> Result<Value> {
      entered.add("one");
      gate.wait();
      return Value(1);
    });
    add(*runtime, "crash.leaf", [&](Invocation&, const Value&) -> Result<Value> {
      entered.add("two");
      return Value(2);
    });
  }
  ASSERT_TRUE(start(*first, define(gated), Value::object({}), "held"));
  gate.await_waiting(1);
  const auto seen = second->run("held");
  ASSERT_TRUE(seen);
  EXPECT_EQ(*(*seen)->status(), workflow::RunStatus::running);
  const auto same = start(*second, define(gated), Value::object({}), "held");
  ASSERT_TRUE(same) << same.error().to_string();
  const auto other = start(*second, define(gated), Value::object({{"x", 1}}), "held");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::conflict);
  gate.open();
  EXPECT_EQ(*result_of(*seen), Value::object({{"two", 2}}));  // noticed across handles
  EXPECT_EQ(entered.count("one"), 1);
  EXPECT_EQ(entered.count("two"), 1);
}

TEST_F(Recovery, cancelling_a_run_stops_it_for_good) {
  auto runtime = open(over(folder_));
  Gate entered_gate;
  Journal entered;
  add(*runtime, "crash.gate", [&](Invocation& call, const Value&) -> Result<Value> {
    Gate stop;
    const CancelSubscription wake(call.cancel_token(), [&] { stop.open(); });
    entered_gate.open();
    stop.wait();
    return error(Code::cancelled, "heeded");
  });
  add(*runtime, "crash.leaf", [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("two");
    return Value(2);
  });
  const auto run = start(*runtime, define(gated));
  ASSERT_TRUE(run);
  entered_gate.wait();
  ASSERT_TRUE((*run)->cancel("enough"));
  const auto result = result_of(*run);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::cancelled);
  EXPECT_EQ((*run)->cancel("again").error().code(), Code::conflict);
  EXPECT_TRUE(runtime->close(true, std::chrono::seconds(10)));
  EXPECT_EQ(entered.count("two"), 0);
  runtime.reset();
  auto again = open(over(folder_));
  EXPECT_EQ(*(*again->run((*run)->id()))->status(), workflow::RunStatus::cancelled);
  // The call that was told to stop left its trace too.
  EXPECT_EQ(all_traces(*again).size(), 1U);
}

TEST_F(Recovery, a_step_is_retried_as_often_as_its_policy_says) {
  auto runtime = open(over(folder_));
  std::atomic<int> tries{0};
  add(*runtime, "crash.flaky", [&](Invocation& call, const Value&) -> Result<Value> {
    EXPECT_EQ(call.attempt(), ++tries);
    if (tries.load() < 3) return error(Code::execution_failed, "try {}", tries.load());
    return Value(tries.load());
  });
  const auto definition = define(
      "{workflow: a.b, version: 1.0.0, steps: {s: {call: crash.flaky, retry: {attempts: 3, "
      "initial: 1ms}}},"
      " output: '{{ steps.s.output }}'}");
  const auto run = start(*runtime, definition);
  ASSERT_TRUE(run);
  EXPECT_EQ(*result_of(*run), Value(3));
  EXPECT_EQ(all_traces(*runtime).size(), 3U);

  tries = 0;
  const auto once = define("{workflow: a.c, version: 1.0.0, steps: {s: {call: crash.flaky}}}");
  const auto failed = start(*runtime, once);
  ASSERT_TRUE(failed);
  EXPECT_EQ(result_of(*failed).error().code(), Code::execution_failed);
  EXPECT_EQ(tries.load(), 1);  // one try unless more are asked for
}

// Returns once an event of that type is committed.
void await_event(const workflow::RunPtr& run, std::string_view type) {
  for (std::int64_t after = 0;;) {
    const auto events = run->events(after, 100);
    ASSERT_TRUE(events) << events.error().to_string();
    for (const auto& event : *events) {
      if (event.type == type) return;
      after = event.seq;
    }
    ASSERT_TRUE(run->wait_events(after, Timestamp::never()));
  }
}

TEST_F(Recovery, a_run_that_does_nothing_but_wait_for_a_retry_goes_on_in_the_next_runtime) {
  ManualClock clock;
  auto options = over(folder_);
  options.clock = &clock;
  std::atomic<int> tries{0};
  const auto open_one = [&] {
    auto runtime = open(options);
    add(*runtime, "crash.flaky", [&](Invocation&, const Value&) -> Result<Value> {
      if (++tries == 1) return error(Code::execution_failed, "not at the first attempt");
      return Value(tries.load());
    });
    return runtime;
  };
  const auto definition = define(
      "{workflow: a.b, version: 1.0.0, steps: {s: {call: crash.flaky, retry: {attempts: 2, "
      "initial: 1h}}}, output: '{{ steps.s.output }}'}");
  {
    const auto runtime = open_one();
    const auto run = start(*runtime, definition, Value::object({}), "waits");
    ASSERT_TRUE(run) << run.error().to_string();
    await_event(*run, "step.retrying");
    EXPECT_TRUE(runtime->close(true, std::chrono::seconds(10)));
  }
  clock.advance(std::chrono::hours(1));
  const auto runtime = open_one();
  const auto run = runtime->run("waits");
  ASSERT_TRUE(run) << run.error().to_string();
  // Time must go on for whoever looks from outside, as this handle may.
  while (!workflow::is_terminal(*(*run)->status())) clock.advance(std::chrono::milliseconds(20));
  EXPECT_EQ(*(*run)->result(), Value(2));
  EXPECT_EQ(tries.load(), 2);
}

TEST_F(Recovery, a_thousand_runs_at_once_all_end_and_every_invariant_holds) {
  auto runtime = open(over(folder_));
  add(*runtime, "crash.gate",
      [](Invocation&, const Value& input) -> Result<Value> { return input; });
  add(*runtime, "crash.leaf", [](Invocation&, const Value&) -> Result<Value> { return Value(2); });
  const auto definition = define(gated);
  std::vector<workflow::RunPtr> runs;
  for (int i = 0; i < 1000; ++i) runs.push_back(*start(*runtime, definition));
  for (const auto& run : runs) EXPECT_EQ(*result_of(run), Value::object({{"two", 2}}));
  EXPECT_TRUE(runtime->verify()->empty());
  EXPECT_EQ(all_traces(*runtime).size(), 2000U);
}

}  // namespace
}  // namespace clew
