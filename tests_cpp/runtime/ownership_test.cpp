// Who works on a run when things go wrong without a crash: closing with calls in the queue, commits
// that fail, runs of another runtime, handles that outlive theirs.
#include "runtime/ownership.hpp"

#include <future>
#include <thread>

namespace clew {
namespace {

using workflow::RunStatus;

TEST_F(Ownership, a_once_step_whose_handler_was_never_entered_runs_after_the_next_start) {
  for (const bool drain : {false, true}) {
    SCOPED_TRACE(drain);
    Journal entered;
    const auto add_work = [&](Runtime& runtime) {
      add(runtime, once("own.work"), [&](Invocation& call, const Value&) -> Result<Value> {
        entered.add("work");
        return Value(call.attempt());
      });
    };
    const std::string id = drain ? "drained" : "dropped";
    {
      auto runtime = open(options());
      Gate blocking;
      add_blocker(*runtime, blocking);
      add_work(*runtime);
      const auto blocker = runtime->submit(request("own.block"));
      blocking.wait();
      const auto run = start(*runtime, define(one_step), Value::object({}), id);
      ASSERT_TRUE(run);
      await_event(*run, "step.started");
      // A drain that does not succeed in its time ends in the same way.
      runtime->close(drain, std::chrono::milliseconds(drain ? 1 : 10'000));
      EXPECT_TRUE(blocker->ended());
    }
    EXPECT_EQ(entered.count("work"), 0);
    auto runtime = open(options());
    add_work(*runtime);
    const auto run = runtime->run(id);
    ASSERT_TRUE(run);
    const auto result = result_of(*run);
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ(*result, Value(1));  // it was the first attempt
    EXPECT_EQ(entered.count("work"), 1);
    EXPECT_EQ((*run)->steps()->front().attempts, 1);
    EXPECT_THAT(event_types(*run),
                testing::ElementsAre("run.started", "step.started", "step.withdrawn",
                                     "step.started", "step.completed", "run.completed"));
    EXPECT_TRUE(runtime->verify()->empty());
  }
}

TEST_F(Ownership, a_once_step_that_was_entered_and_cut_off_by_closing_ends_unknown) {
  Journal entered;
  {
    auto runtime = open(options());
    Gate inside;
    add(*runtime, once("own.work"), [&](Invocation& call, const Value&) -> Result<Value> {
      entered.add("work");
      Gate told;
      const CancelSubscription wake(call.cancel_token(), [&] { told.open(); });
      inside.open();
      told.wait();
      return error(Code::cancelled, "told to stop");
    });
    ASSERT_TRUE(start(*runtime, define(one_step), Value::object({}), "cut"));
    inside.wait();
    runtime->close(false, std::chrono::seconds(10));
  }
  auto runtime = open(options());
  add(*runtime, once("own.work"), [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("work");
    return Value(1);
  });
  const auto run = runtime->run("cut");
  ASSERT_TRUE(run);
  const auto result = result_of(*run);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::unknown_outcome);
  EXPECT_EQ(entered.count("work"), 1);
}

TEST_F(Ownership, a_runtime_that_renews_too_late_does_not_take_its_runs_from_itself) {
  ManualClock clock;
  auto virtual_time = options();
  virtual_time.clock = &clock;
  virtual_time.workers = 2;
  auto runtime = open(virtual_time);
  Journal entered;
  Gate gate;
  add(*runtime, "own.work", [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("work");
    gate.wait();
    return Value(1);
  });
  const auto run = start(*runtime, define(one_step));
  ASSERT_TRUE(run) << run.error().to_string();
  gate.await_waiting(1);
  const auto await_keeper = [&] {  // until it rests before its next round
    while (clock.next_deadline() != clock.now() + virtual_time.lease_ttl / 3) {
      std::this_thread::yield();
    }
  };
  await_keeper();

  // As when the machine sleeps between the keeper's renewal and its look at what has lapsed.
  std::promise<void> renewed;
  find_fault_point("store.commit.after")->arm([&, first = true]() mutable -> Result<void> {
    if (!std::exchange(first, false)) return {};
    clock.advance(std::chrono::hours(1));
    renewed.set_value();
    return {};
  });
  clock.advance(virtual_time.lease_ttl);  // the keeper goes its round
  renewed.get_future().wait();
  await_keeper();

  gate.open();
  EXPECT_EQ(*result_of(*run), Value(1));
  EXPECT_TRUE(runtime->close(true, std::chrono::seconds(10)));
  EXPECT_EQ(entered.count("work"), 1);
}

TEST_F(Ownership, a_retry_that_is_not_due_yet_is_kept_across_a_restart) {
  ManualClock clock;
  auto virtual_time = options();
  virtual_time.clock = &clock;
  virtual_time.lease_ttl = std::chrono::hours(1);
  std::atomic<int> tries{0};
  const auto add_flaky = [&](Runtime& runtime) {
    add(runtime, "own.work", [&](Invocation& call, const Value&) -> Result<Value> {
      if (++tries == 1) return error(Code::unavailable, "not yet");
      return Value(call.attempt());
    });
  };
  {
    auto runtime = open(virtual_time);
    add_flaky(*runtime);
    const auto run =
        start(*runtime,
              define("{workflow: own.retry, version: 1.0.0, steps: {only: {call: "
                     "own.work, retry: {attempts: 2, initial: 24h, max: 24h}}}, output: "
                     "'{{ steps.only.output }}'}"),
              Value::object({}), "retried");
    ASSERT_TRUE(run);
    await_event(*run, "step.retrying");
    runtime->close(true, std::chrono::seconds(10));
  }
  auto runtime = open(virtual_time);
  add_flaky(*runtime);
  const auto run = runtime->run("retried");
  ASSERT_TRUE(run);
  while (runtime->stats().find("runs")->find("live")->as_int() < 1) std::this_thread::yield();
  clock.advance(std::chrono::hours(24) - Duration(1));
  const auto other = start(*runtime, define(one_step), Value::object({}), "other");
  ASSERT_TRUE(other);
  ASSERT_TRUE(result_of(*other));  // the only worker was free, and the retry had not asked for it
  EXPECT_EQ(tries.load(), 2) << "the other's call and the first try";
  clock.advance(Duration(1));
  EXPECT_EQ(*result_of(*run), Value(2));  // its second attempt
  EXPECT_EQ(tries.load(), 3);
}

// A commit that fails for a reason that passes: the run goes on by itself, in this process.
TEST_F(Ownership, a_run_whose_commit_failed_goes_on_once_the_store_writes_again) {
  for (const std::string point : {"store.commit.inside", "store.commit.after"}) {
    SCOPED_TRACE(point);
    auto runtime = open(options());
    Gate go;
    std::atomic<int> entered{0};
    add(*runtime, "own.work", [&](Invocation&, const Value&) -> Result<Value> {
      if (++entered == 1) go.wait();
      return Value(7);
    });
    const auto run = start(*runtime, define(one_step), Value::object({}), point);
    ASSERT_TRUE(run);
    go.await_waiting(1);
    // Only the commit of the step's end: the keeper's own writes must not take the fault.
    std::atomic<bool> failing{true};
    find_fault_point(point)->arm([&]() -> Result<void> {
      if (!failing) return {};
      return error(Code::unavailable, "the disk is away");
    });
    go.open();
    const auto result = result_of(*run);
    if (point == "store.commit.inside") {
      ASSERT_FALSE(result);  // whoever waits learns of it
      EXPECT_EQ(result.error().code(), Code::unavailable);
    } else {
      EXPECT_EQ(*result, Value(7));  // the store knows better than who was told of a failure
    }
    failing = false;

    const auto found = runtime->run(point);
    ASSERT_TRUE(found);
    EXPECT_EQ(*result_of(*found), Value(7));
    EXPECT_EQ(*result_of(*run), Value(7));  // the old handle follows
    EXPECT_EQ(*(*run)->status(), RunStatus::completed);
    EXPECT_TRUE(runtime->verify()->empty());
    // What was committed although nobody was told of it is not repeated.
    if (point == "store.commit.after") {
      EXPECT_EQ(entered.load(), 1);
    }
    find_fault_point(point)->disarm();
    runtime->close(true, std::chrono::seconds(10));
    runtime.reset();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
}

TEST_F(Ownership, who_awaits_a_run_of_another_runtime_is_called_back_once) {
  auto patient = options();
  patient.lease_ttl = std::chrono::seconds(10);
  auto owner = open(patient);
  auto other = open(patient);
  Gate go;
  for (auto* runtime : {owner.get(), other.get()}) {
    add(*runtime, "own.work", [&](Invocation&, const Value&) -> Result<Value> {
      go.wait();
      return Value(1);
    });
  }
  ASSERT_TRUE(start(*owner, define(one_step), Value::object({}), "theirs"));
  go.await_waiting(1);
  std::atomic<int> called{0};
  Gate ended;
  const auto seen = other->run("theirs");
  ASSERT_TRUE(seen);
  EXPECT_EQ(*(*seen)->status(), RunStatus::running);
  (*seen)->on_ended([&] {
    ++called;
    ended.open();
  });
  EXPECT_EQ(called.load(), 0);
  go.open();
  ended.wait();
  EXPECT_EQ(*(*seen)->status(), RunStatus::completed);
  (*seen)->on_ended([&] { ++called; });  // and at once when it has ended
  EXPECT_EQ(called.load(), 2);
}

// In memory nobody tells of commits, so that only the keeper's own look finds the end.
TEST_F(Ownership, who_begins_to_await_a_run_is_called_back_although_others_are_awaited_too) {
  ManualClock clock;
  auto virtual_time = options();
  virtual_time.store = ":memory:";
  virtual_time.clock = &clock;
  virtual_time.workers = 2;
  virtual_time.lease_ttl = std::chrono::hours(1);
  Gate goes_on;
  Gate ended;
  auto runtime = open(virtual_time);
  add(*runtime, "own.work", [&](Invocation& call, const Value&) -> Result<Value> {
    (call.tag()->run == "ended" ? ended : goes_on).wait();
    return Value(1);
  });
  std::promise<void> called;
  const auto lost = start(*runtime, define(one_step), Value::object({}), "goes-on");
  ASSERT_TRUE(lost);
  (*lost)->on_ended([] {});
  const auto over = start(*runtime, define(one_step), Value::object({}), "ended");
  ASSERT_TRUE(over);
  (*over)->on_ended([&] { called.set_value(); });
  goes_on.await_waiting(1);
  ended.await_waiting(1);
  // Both are another owner's now, and one of them has ended there.
  ASSERT_TRUE(runtime->database().write([](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run_text("UPDATE leases SET token = token + 1 WHERE kind = 'run'", {}));
    CLEW_TRY(
        tx.run_text("UPDATE runs SET status = 'cancelled', ended_us = created_us "
                    "WHERE id = 'ended'",
                    {}));
    return {};
  }));
  goes_on.open();
  while (clock.next_deadline() != clock.now() + Duration(std::chrono::seconds(1))) {
    std::this_thread::yield();  // until the keeper has looked after the first
  }
  ended.open();
  EXPECT_EQ(called.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  runtime->close(false, std::chrono::seconds(10));
}

TEST_F(Ownership, closing_calls_back_whoever_awaits_a_run_of_another_runtime) {
  auto patient = options();
  patient.lease_ttl = std::chrono::seconds(10);
  Gate go;  // outlives the handler that waits at it
  auto owner = open(patient);
  auto other = open(patient);
  add(*owner, "own.work", [&](Invocation&, const Value&) -> Result<Value> {
    go.wait();
    return Value(1);
  });
  ASSERT_TRUE(start(*owner, define(one_step), Value::object({}), "theirs"));
  go.await_waiting(1);
  std::atomic<int> called{0};
  const auto seen = other->run("theirs");
  ASSERT_TRUE(seen);
  (*seen)->on_ended([&] { ++called; });
  other->close(true, std::chrono::seconds(10));
  EXPECT_EQ(called.load(), 1);
  (*seen)->on_ended([&] { ++called; });
  EXPECT_EQ(called.load(), 2);
  EXPECT_EQ((*seen)->status().error().code(), Code::closed);
  go.open();
}

TEST_F(Ownership, runs_are_listed_by_whether_they_wait) {
  {
    auto runtime = open(options());
    Gate blocking;
    add_blocker(*runtime, blocking);
    add(*runtime, "own.work", [](Invocation&, const Value&) -> Result<Value> { return Value(1); });
    runtime->submit(request("own.block"));
    blocking.wait();
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(start(*runtime, define(one_step), Value::object({}), fmt::format("waits-{}", i)));
    }
    runtime->close(false, std::chrono::seconds(10));
  }
  auto runtime = open(options());
  Gate inside;
  add(*runtime, "own.other", [&](Invocation&, const Value&) -> Result<Value> {
    inside.wait();
    return Value(2);
  });
  const auto other =
      start(*runtime, define("{workflow: own.two, version: 1.0.0, steps: {s: {call: own.other}}}"));
  ASSERT_TRUE(other);
  inside.await_waiting(1);
  while (runtime->stats().find("runs")->find("waiting_for_handlers")->as_int() < 5) {
    std::this_thread::yield();
  }
  const auto ids = [&](RunStatus status, int limit) {
    workflow::RunQuery query;
    query.status = status;
    query.limit = limit;
    std::vector<std::string> found;
    do {
      const auto page = runtime->runs(query);
      EXPECT_TRUE(page) << page.error().to_string();
      EXPECT_LE(page->runs.size(), static_cast<std::size_t>(limit));
      for (const auto& run : page->runs) {
        EXPECT_EQ(run.status, status);
        found.push_back(run.id);
      }
      query.cursor = page->next_cursor;
    } while (!query.cursor.empty());
    return found;
  };
  for (const int limit : {1, 2, 5, 100}) {
    EXPECT_THAT(ids(RunStatus::waiting, limit),
                testing::ElementsAre("waits-4", "waits-3", "waits-2", "waits-1", "waits-0"));
    EXPECT_THAT(ids(RunStatus::running, limit), testing::ElementsAre((*other)->id()));
  }
  inside.open();
  ASSERT_TRUE(result_of(*other));
  EXPECT_THAT(ids(RunStatus::running, 10), testing::IsEmpty());
  EXPECT_THAT(ids(RunStatus::completed, 10), testing::ElementsAre((*other)->id()));
}

TEST_F(Ownership, a_handle_that_outlives_its_runtime_answers_closed) {
  auto runtime = open(options());
  add(*runtime, "own.work", [](Invocation&, const Value&) -> Result<Value> { return Value(1); });
  const auto done = *start(*runtime, define(one_step), Value::object({}), "done");
  ASSERT_TRUE(result_of(done));
  const auto stored = *runtime->run("done");
  runtime.reset();
  EXPECT_EQ(done->id(), "done");
  EXPECT_EQ(*done->result(), Value(1));  // it had ended
  for (const auto& run : {done, stored}) {
    EXPECT_EQ(run->events(0, 10).error().code(), Code::closed);
    int called = 0;
    run->on_ended([&] { ++called; });
    EXPECT_EQ(called, 1);
  }
}

TEST_F(Ownership, one_key_starts_one_run_however_many_ask) {
  auto patient = options();
  patient.workers = 4;
  auto runtime = open(patient);
  Journal entered;
  add(*runtime, "own.work", [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("work");
    return Value(1);
  });
  const auto ask = [&](std::string_view text, std::string key, Value input, std::string id = {}) {
    workflow::StartRequest wanted;
    wanted.definition = define(text);
    wanted.key = std::move(key);
    wanted.id = std::move(id);
    wanted.input = std::move(input);
    return runtime->start(wanted);
  };
  std::vector<std::string> ids(16);
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    callers.emplace_back([&, i] {
      const auto run = ask(one_step, "order-1", Value::object({{"n", 1}}));
      ASSERT_TRUE(run) << run.error().to_string();
      EXPECT_TRUE(result_of(*run));
      ids[i] = (*run)->id();
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_THAT(ids, testing::Each(ids.front()));
  EXPECT_EQ(entered.count("work"), 1);
  EXPECT_EQ((*runtime->run(ids.front()))->info()->key, "order-1");

  const auto other = ask(one_step, "order-1", Value::object({{"n", 2}}));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::conflict);
  EXPECT_EQ(*other.error().find("path"), Value("input.n"));
  const auto named = ask(one_step, "order-1", Value::object({{"n", 1}}), "mine");
  ASSERT_FALSE(named);
  EXPECT_EQ(*named.error().find("path"), Value("id"));
  EXPECT_FALSE(runtime->run("mine"));

  // Another workflow has keys of its own.
  const auto second = ask("{workflow: own.two, version: 1.0.0, steps: {s: {call: own.work}}}",
                          "order-1", Value::object({}));
  ASSERT_TRUE(second) << second.error().to_string();
  ASSERT_TRUE(result_of(*second));
  EXPECT_EQ(entered.count("work"), 2);
}

TEST_F(Ownership, verify_finds_a_history_that_cannot_have_happened) {
  auto runtime = open(options());
  add(*runtime, "own.work", [](Invocation&, const Value& input) -> Result<Value> { return input; });
  const auto run = *start(*runtime, define(R"yaml(
workflow: own.list
version: 1.0.0
steps:
  all: {for_each: "{{ input.xs }}", as: x, call: own.work, with: {x: "{{ x }}"}}
)yaml"),
                          Value::object({{"xs", Value::array({1, 2})}}), "listed");
  ASSERT_TRUE(result_of(run));
  EXPECT_TRUE(runtime->verify()->empty());
  // The second item's completion becomes another completion of the first, with other data.
  const auto changed = runtime->database().write([](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(
        tx.run_text("UPDATE events SET data = replace(data, '\"item\":1', '\"item\":0') "
                    "WHERE type = 'item.completed'",
                    {}));
    return {};
  });
  ASSERT_TRUE(changed) << changed.error().to_string();
  const auto violations = runtime->verify();
  ASSERT_TRUE(violations);
  ASSERT_EQ(violations->size(), 1U);
  EXPECT_EQ(violations->front().invariant, "runs.fold");
  EXPECT_THAT(violations->front().detail, testing::HasSubstr("listed"));
}

TEST_F(Ownership, a_replaced_handler_stays_under_the_limit_of_the_old_one) {
  auto wide = options();
  wide.workers = 4;
  wide.replace = Replace::function;
  auto runtime = open(wide);
  auto limited = contract("own.limited");
  limited.max_concurrency = 1;
  Gate old_one;
  Journal entered;
  add(*runtime, limited, [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("old");
    old_one.wait();
    return Value("old");
  });
  const auto first = runtime->submit(request("own.limited"));
  old_one.await_waiting(1);
  add(*runtime, limited, [&](Invocation&, const Value&) -> Result<Value> {
    entered.add("new");
    return Value("new");
  });
  const auto second = runtime->submit(request("own.limited"));
  auto free = contract("own.free");
  add(*runtime, free, [](Invocation&, const Value&) -> Result<Value> { return Value(1); });
  EXPECT_TRUE(runtime->execute(request("own.free")).result);  // it has overtaken it
  EXPECT_FALSE(second->ended());
  EXPECT_EQ(entered.count("new"), 0);
  old_one.open();
  runtime->dispatcher().wait(second, Timestamp::never());
  EXPECT_EQ(*second->outcome().result, Value("new"));
  EXPECT_TRUE(first->ended());
}

}  // namespace
}  // namespace clew
