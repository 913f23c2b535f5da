// The ways of calls: each kind of end with its exact reasons, and every row of the table.
#include <fmt/ranges.h>

#include <deque>
#include <set>

#include "clew/base/fault.hpp"
#include "runtime/fixture.hpp"

namespace clew {
namespace {

Result<Value> echo(Invocation&, const Value& input) { return input; }

constexpr auto ms = [](int count) { return Duration(std::chrono::milliseconds(count)); };

// Serves native handlers at one target, with the load that it is told.
class Elsewhere final : public CapabilityExecutor {
 public:
  Elsewhere(std::string name, std::string target, int queued)
      : name_(std::move(name)), targets_{std::move(target)}, queued_(queued) {}
  std::string_view name() const override { return name_; }
  const std::vector<std::string>& targets() const override { return targets_; }
  bool accepts(const Capability& capability) const override {
    return capability.handler->kind() == "native";
  }
  bool is_open() const override { return true; }
  ExecutorLoad load() const override { return {0, queued_, 4}; }
  Result<void> start(const InvocationPtr& call) override {
    if (call->begin()) call->finish(Value(name_));
    return {};
  }
  bool run_here(const InvocationPtr&) override { return false; }
  void stop() override {}

 private:
  std::string name_;
  std::vector<std::string> targets_;
  int queued_;
};

// A runtime of one worker in virtual time, and what is seen of the ways of its calls.
class Ways : public testing::Test {
 protected:
  Ways() {
    RuntimeOptions options;
    options.workers = 1;
    options.queue_max = 2;
    options.clock = &clock_;
    runtime_ = open(options);
    add(*runtime_, "test.echo", echo);
    add(*runtime_, "test.fail",
        [](Invocation&, const Value&) -> Result<Value> { return Error(Code::internal, "no"); });
    add(*runtime_, "test.wait", [this](Invocation& call, const Value& input) -> Result<Value> {
      Gate& gate = gates_.back();
      gate.wait();
      if (call.cancelled()) return Error(Code::cancelled, "as asked");
      return input;
    });
  }

  // The reasons of a call that has ended or is waited for.
  std::string way(const InvocationPtr& call) {
    runtime_->dispatcher().wait(call, Timestamp::never());
    return words(call->trace().path);
  }
  std::string words(const CallPath& path) {
    std::vector<std::string_view> reasons;
    for (const auto& hop : path.hops()) {
      reasons.push_back(name(hop.reason));
      seen_.insert(hop.reason == HopReason::none
                       ? ""
                       : fmt::format("{} {}", name(hop.from), name(hop.reason)));
    }
    return fmt::format("{}", fmt::join(reasons, " "));
  }
  InvocationPtr submit(Request asked) { return runtime_->submit(std::move(asked)); }
  InvocationPtr submit(const std::string& reference) { return submit(request(reference)); }
  InvocationPtr admit(Request asked) { return runtime_->dispatcher().admit(std::move(asked)); }
  // The only worker is in a handler until the gate opens.
  InvocationPtr occupy(Duration timeout = std::chrono::hours(1)) {
    gates_.emplace_back();  // the others stay: a handler may not have left yet
    auto call = submit(within(request("test.wait"), timeout));
    gates_.back().await_waiting(1);
    return call;
  }
  static Request within(Request asked, Duration timeout) {
    asked.timeout = timeout;
    return asked;
  }
  static Request keyed(Request asked, const std::string& key) {
    asked.idempotency_key = key;
    return asked;
  }

  void stay_on_this_thread();
  void succeed_and_fail();
  void end_early();
  void be_refused();
  void answer_by_key();
  void fail_to_commit();
  void be_pinned();
  void nest_too_deep();
  void place();

  ManualClock clock_;
  std::deque<Gate> gates_;
  std::unique_ptr<Runtime> runtime_;
  std::set<std::string> seen_;
};

// While nobody else had the slot.
void Ways::stay_on_this_thread() {
  const std::string placed = "reference_resolved request_admitted only_candidate ";
  const auto here = admit(request("test.echo"));
  EXPECT_TRUE(runtime_->dispatcher().run_here(here));
  EXPECT_EQ(way(here), placed + "slot_free handler_returned result_accepted");
  const auto unwanted = admit(request("test.echo"));
  unwanted->cancel("not needed");
  EXPECT_EQ(way(unwanted), placed + "cancelled_early");
  const auto late = admit(within(request("test.echo"), ms(10)));
  clock_.advance(ms(10));
  EXPECT_TRUE(runtime_->dispatcher().run_here(late));
  EXPECT_EQ(way(late), placed + "deadline_passed");
}

void Ways::succeed_and_fail() {
  EXPECT_EQ(way(submit("test.echo")),
            "reference_resolved request_admitted only_candidate handed_over began "
            "handler_returned result_accepted");
  EXPECT_EQ(way(submit("test.fail")),
            "reference_resolved request_admitted only_candidate handed_over began handler_failed");
  auto strict = contract("test.strict");
  strict.outputs = *parse_json(R"({"type": "string"})");
  add(*runtime_, strict, [](Invocation&, const Value&) -> Result<Value> { return Value(7); });
  EXPECT_EQ(way(submit("test.strict")),
            "reference_resolved request_admitted only_candidate handed_over began "
            "handler_returned output_invalid");
}

void Ways::end_early() {
  const std::string placed = "reference_resolved request_admitted only_candidate ";
  auto running = occupy(ms(10));
  clock_.advance(ms(10));
  EXPECT_EQ(way(running), placed + "handed_over began deadline_passed");
  gates_.back().open();

  running = occupy();
  const auto queued = submit("test.echo");
  const auto late = submit(within(request("test.echo"), ms(10)));
  const auto one_too_many = submit("test.echo");
  EXPECT_EQ(way(one_too_many), placed + "handed_over executor_refused");
  queued->cancel("not needed");
  EXPECT_EQ(way(queued), placed + "handed_over cancelled_early");
  clock_.advance(ms(10));
  EXPECT_EQ(way(late), placed + "handed_over deadline_passed");
  running->cancel("stop");
  gates_.back().open();
  EXPECT_EQ(way(running), placed + "handed_over began cancel_heeded");
}

void Ways::be_refused() {
  EXPECT_EQ(way(submit("test.absent")), "reference_not_resolved");
  const std::string resolved = "reference_resolved ";
  EXPECT_EQ(way(submit(request("test.echo", Value(7)))), resolved + "input_invalid");
  EXPECT_EQ(way(submit(within(request("test.echo"), ms(0)))), resolved + "request_invalid");
  auto made = contract("test.depends");
  made.dependencies = {{"test.absent", VersionRange::parse("^1").value()}};
  add(*runtime_, made, echo);
  EXPECT_EQ(way(submit("test.depends")), resolved + "dependency_missing");
  made = contract("test.connects");
  made.connectors = {{"absent", VersionRange::parse("^1").value()}};
  add(*runtime_, made, echo);
  EXPECT_EQ(way(submit("test.connects")), resolved + "connector_missing");
  made = contract("test.moon");
  made.permitted_targets = {"moon"};
  add(*runtime_, made, echo);
  EXPECT_EQ(way(submit("test.moon")), resolved + "request_admitted no_eligible_target");
}

void Ways::answer_by_key() {
  RuntimeOptions options;
  options.workers = 2;
  const auto one_worker = std::exchange(runtime_, open(options));
  add(*runtime_, "test.echo", echo);
  Gate gate;
  add(*runtime_, "test.fail", [&](Invocation&, const Value&) -> Result<Value> {
    gate.wait();
    return Error(Code::internal, "no");
  });
  const std::string queued = "reference_resolved request_admitted only_candidate handed_over ";
  EXPECT_EQ(way(submit(keyed(request("test.echo"), "k"))),
            queued + "began handler_returned result_accepted");
  EXPECT_EQ(way(submit(keyed(request("test.echo"), "k"))), queued + "result_replayed");
  const auto other = Value::object({{"n", 1}});
  EXPECT_EQ(way(submit(keyed(request("test.echo", other), "k"))), queued + "key_refused");

  const auto leader = submit(keyed(request("test.fail"), "f"));
  gate.await_waiting(1);
  const auto follower = submit(keyed(request("test.fail"), "f"));
  (void)way(submit("test.echo"));  // behind it in the queue of the only free worker
  gate.open();
  EXPECT_EQ(way(leader), queued + "began handler_failed");
  EXPECT_EQ(way(follower), queued + "leader_failed");

  runtime_->close(true, std::chrono::seconds(10));
  EXPECT_EQ(way(admit(request("test.echo"))), "runtime_closed");
  runtime_ = open({});
}

void Ways::fail_to_commit() {
  const auto folder = fresh_folder();
  RuntimeOptions options;
  options.store = (folder / "work.db").string();
  runtime_ = open(options);
  ASSERT_TRUE(runtime_->define_event({"test.told@1.0.0"}));
  auto telling = contract("test.tells");
  telling.emits = {"test.told@1.0.0"};
  add(*runtime_, telling, [](Invocation& call, const Value& input) -> Result<Value> {
    CLEW_TRY(call.emit({.type = "test.told"}));
    return input;
  });
  auto* commits = find_fault_point("store.commit.before");
  commits->arm([]() -> Result<void> { return Error(Code::unavailable, "the disk is away"); });
  const auto call = submit("test.tells");
  EXPECT_EQ(way(call),
            "reference_resolved request_admitted only_candidate handed_over began "
            "handler_returned commit_failed");
  commits->disarm();
  EXPECT_EQ(call->outcome().kind, CallOutcome::failure);
  runtime_ = open({});
  std::filesystem::remove_all(folder);
}

void Ways::be_pinned() {
  add(*runtime_, "test.echo", echo);
  const auto run = start(*runtime_, define(R"(
workflow: test.one
version: 1.0.0
steps:
  only: {call: test.echo}
)"));
  ASSERT_TRUE(run);
  ASSERT_TRUE(result_of(*run));
  const auto traces = all_traces(*runtime_, {.run = (*run)->id()});
  ASSERT_EQ(traces.size(), 1U);
  EXPECT_EQ(words(traces.front().path),
            "capability_pinned request_admitted only_candidate handed_over began "
            "handler_returned result_accepted");
}

void Ways::nest_too_deep() {
  InvocationPtr deepest;
  add(*runtime_, "test.deeper", [&](Invocation&, const Value&) -> Result<Value> {
    auto asked = request("test.deeper");
    asked.parent = Dispatcher::current();
    auto next = runtime_->dispatcher().admit(std::move(asked));
    if (next->ended()) {
      deepest = next;
    } else {
      runtime_->dispatcher().run_here(next);
    }
    return Value();
  });
  (void)way(submit("test.deeper"));
  ASSERT_NE(deepest, nullptr);
  EXPECT_EQ(way(deepest), "nested_too_deep");
}

void Ways::place() {
  const auto serve = [&](const char* name, const char* target, int queued) {
    ASSERT_TRUE(runtime_->add_executor(std::make_shared<Elsewhere>(name, target, queued)));
  };
  const auto placed = [&](const Contract& made, const std::string& target = "") {
    add(*runtime_, made, echo);
    auto asked = request(made.id);
    asked.target = target;
    const auto call = submit(std::move(asked));
    const auto all = way(call);
    return fmt::format("{} {}", call->trace().executor, all.substr(0, all.find(" handed_over")));
  };
  const std::string before = "reference_resolved request_admitted ";
  serve("edge", "edge", 0);
  auto made = contract("test.requested");
  made.permitted_targets = {"local", "edge"};
  EXPECT_EQ(placed(made, "edge"), "edge " + before + "target_requested");
  made.id = "test.preferred";
  made.preferred_targets = {"edge"};
  EXPECT_EQ(placed(made), "edge " + before + "preferred_target");
  serve("also", "worker", 0);
  serve("too", "worker", 0);
  made = contract("test.tied");
  made.permitted_targets = {"worker"};
  EXPECT_EQ(placed(made), "also " + before + "tie_by_name");
  serve("busy", "cloud", 1);
  serve("busier", "cloud", 2);
  made.id = "test.least";
  made.permitted_targets = {"cloud"};
  EXPECT_EQ(placed(made), "busy " + before + "least_load");
}

// Parity: state machine
TEST_F(Ways, each_kind_of_end_has_its_way_and_together_they_take_every_row) {
  stay_on_this_thread();
  succeed_and_fail();
  end_early();
  be_refused();
  answer_by_key();
  fail_to_commit();
  be_pinned();
  nest_too_deep();
  place();
  for (const auto& hop : hop_table) {
    EXPECT_TRUE(seen_.contains(fmt::format("{} {}", name(hop.from), name(hop.reason))))
        << name(hop.from) << " " << name(hop.reason) << " was never taken";
  }
}

TEST_F(Ways, times_of_a_way_are_those_of_the_call) {
  const auto call = occupy();
  const auto queued = submit("test.echo");
  clock_.advance(ms(50));
  gates_.back().open();
  (void)way(call);
  (void)way(queued);
  const auto first = runtime_->trace(call->id()).value();
  EXPECT_EQ(first.queue_us, 0);
  EXPECT_EQ(first.run_us, 50'000);
  const auto second = runtime_->trace(queued->id()).value();
  EXPECT_EQ(second.queue_us, 50'000);
  EXPECT_EQ(words(second.path), words(queued->trace().path));
}

// What was considered, and what became of it.
TEST_F(Ways, a_trace_has_the_selected_and_the_rejected_candidates) {
  for (const auto* version : {"1.1.0", "1.2.0", "2.0.0"}) {
    add(*runtime_, contract("test.several", version), echo);
  }
  ASSERT_TRUE(runtime_->set_lifecycle("test.several@1.2.0", Lifecycle::retired));
  ASSERT_TRUE(runtime_->add_executor(std::make_shared<Elsewhere>("also", "local", 0)));
  ASSERT_TRUE(runtime_->add_executor(std::make_shared<Elsewhere>("far", "edge", 0)));

  const auto ranged = submit("test.several@^1");
  (void)way(ranged);
  for (const auto& seen : {ranged->trace().versions, runtime_->trace(ranged->id())->versions}) {
    EXPECT_EQ(to_json(seen),
              R"([{"version":"1.2.0","scope":"public","lifecycle":"retired",)"
              R"("rejected":"is retired"},)"
              R"({"version":"1.1.0","scope":"public","lifecycle":"active","rejected":null}])");
  }
  EXPECT_EQ(to_json(runtime_->trace(ranged->id())->executors),
            R"([{"executor":"also","target":"local","load":0.0,"rejected":null},)"
            R"({"executor":"far","target":null,"load":0.0,)"
            R"("rejected":"serves none of the permitted targets"},)"
            R"({"executor":"native","target":"local","load":0.0,)"
            R"("rejected":"comes later by name"}])");

  const auto exact = submit("test.several@2.0.0");
  (void)way(exact);
  EXPECT_TRUE(runtime_->trace(exact->id())->versions.is_null());  // there was no choice

  const auto bare = submit("test.several");
  EXPECT_EQ(way(bare), "reference_not_resolved");
  const auto ambiguous = runtime_->trace(bare->id())->versions;
  ASSERT_EQ(ambiguous.items().size(), 3U);
  EXPECT_EQ(ambiguous.items()[0].find("rejected")->as_string(), "is not the only one");
  EXPECT_EQ(ambiguous.items()[1].find("rejected")->as_string(), "is retired");
  const auto nothing = submit("test.several@^3");
  (void)way(nothing);
  EXPECT_EQ(runtime_->trace(nothing->id())->versions.items()[2].find("rejected")->as_string(),
            "does not satisfy ^3");
}

TEST_F(Ways, calls_within_calls_and_steps_of_a_run_share_a_trace_across_processes) {
  std::string inner;
  add(*runtime_, "test.inner", [&](Invocation& call, const Value&) -> Result<Value> {
    inner = call.traceparent();
    return Value();
  });
  add(*runtime_, "test.outer", [&](Invocation& call, const Value&) -> Result<Value> {
    auto asked = request("test.inner");
    asked.parent = Dispatcher::current();
    (void)runtime_->execute(std::move(asked));
    return Value(call.traceparent());
  });
  const auto parse = [](std::string_view text) { return parse_traceparent(text).value(); };

  const auto alone = submit("test.outer");
  (void)way(alone);
  EXPECT_EQ(parse(alone->traceparent()).trace, alone->id());
  EXPECT_EQ(parse(inner).trace, alone->id());
  EXPECT_NE(parse(inner).parent, parse(alone->traceparent()).parent);

  auto asked = request("test.outer");
  const std::string remote = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  asked.context = parse(remote);
  const auto called = submit(std::move(asked));
  (void)way(called);
  const auto kept = runtime_->trace(called->id()).value();
  EXPECT_EQ(kept.traceparent, called->traceparent());
  EXPECT_EQ(kept.remote_parent, "00f067aa0ba902b7");
  EXPECT_EQ(parse(kept.traceparent).trace, parse(remote).trace);
  EXPECT_EQ(parse(inner).trace, parse(remote).trace);
  EXPECT_EQ(parse(inner).flags, 0);  // who began the trace said that it is not sampled

  const auto run = start(*runtime_, define(R"(
workflow: test.two
version: 1.0.0
steps:
  first: {call: test.inner}
  second: {call: test.inner, after: [first]}
)"));
  ASSERT_TRUE(result_of(*run));
  const auto steps = all_traces(*runtime_, {.run = (*run)->id()});
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(parse(steps[0].traceparent).trace, Id::parse((*run)->id()).value());
  EXPECT_EQ(parse(steps[1].traceparent).trace, parse(steps[0].traceparent).trace);
}

}  // namespace
}  // namespace clew
