#include "wasm/support.hpp"

namespace clew::wasm {
namespace {

class WasmCall : public HostTest {};

// Parity: P WASM I/O
TEST_F(WasmCall, echo_gives_back_its_input_as_canonical_json) {
  add("t.echo", echo());
  const auto input = Value::object({{"b", 1}, {"a", Value::array({Value("é"), Value(1.5)})}});
  const auto output = call("t.echo", input);
  ASSERT_TRUE(output.result) << output.result.error().to_string();
  EXPECT_EQ(output.kind, CallOutcome::success);
  EXPECT_EQ(to_json(*output.result), canonical_json(input));
}

// Parity: P WASM I/O
TEST_F(WasmCall, output_that_is_no_json_fails_the_call) {
  add("t.bad", guest("(call $write (i32.const 100) (i32.const 7))", "",
                     "(data (i32.const 100) \"{\\\"half\\\"\")"));
  const auto output = result("t.bad");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::execution_failed);
  EXPECT_EQ(word(output.error(), "reason"), "stdout_not_json");
  EXPECT_EQ(word(output.error(), "stdout"), "{\"half\"");
  expect_next_call_is_fine();
}

TEST_F(WasmCall, a_guest_that_writes_nothing_fails) {
  add("t.silent", guest(""));
  const auto output = result("t.silent");
  ASSERT_FALSE(output);
  EXPECT_EQ(word(output.error(), "reason"), "stdout_not_json");
}

TEST_F(WasmCall, exit_code_and_what_was_said_are_in_the_error) {
  add("t.exit", guest("(call $write_to (i32.const 2) (i32.const 100) (i32.const 4))"
                      "(call $exit (i32.const 7))",
                      "", "(data (i32.const 100) \"oops\")"));
  const auto output = result("t.exit");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::execution_failed);
  EXPECT_EQ(output.error().find("exit_code")->as_int(), 7);
  EXPECT_EQ(word(output.error(), "stderr"), "oops");
  EXPECT_EQ(said(), "oops");
  expect_next_call_is_fine();
}

TEST_F(WasmCall, exit_code_zero_is_success) {
  add("t.exit", guest("(call $write (i32.const 16) (call $read)) (call $exit (i32.const 0))"
                      "(unreachable)"));
  const auto output = result("t.exit", Value::object({{"n", 1}}));
  ASSERT_TRUE(output) << output.error().to_string();
  EXPECT_EQ(to_json(*output), "{\"n\":1}");
}

TEST_F(WasmCall, only_the_end_of_standard_error_is_kept) {
  add("t.loud",
      guest("(call $write_to (i32.const 2) (i32.const 100) (i32.const 6))"
            "(call $write_to (i32.const 2) (i32.const 106) (i32.const 6))"
            "(call $write (i32.const 16) (call $read))",
            "", "(data (i32.const 100) \"abcdefghijkl\")"),
      Value::object({{"stderr_bytes", 8}}));
  ASSERT_TRUE(result("t.loud"));
  EXPECT_EQ(said(), "efghijkl");
}

// Parity: P WASM limits
TEST_F(WasmCall, trap_is_a_failure_with_its_message) {
  add("t.trap", guest("(unreachable)"));
  const auto output = call("t.trap");
  ASSERT_FALSE(output.result);
  EXPECT_EQ(output.kind, CallOutcome::failure);
  EXPECT_EQ(output.result.error().code(), Code::execution_failed);
  EXPECT_THAT(word(output.result.error(), "trap"), testing::HasSubstr("unreachable"));
  expect_next_call_is_fine();
}

TEST_F(WasmCall, memory_out_of_bounds_and_endless_recursion_trap) {
  add("t.bounds", guest("(drop (i32.load (i32.const 999999999)))"));
  add("t.deep", guest("(call $deep)", "", "(func $deep (call $deep) (call $deep))"));
  const auto bounds = result("t.bounds");
  const auto deep = result("t.deep");
  ASSERT_FALSE(bounds);
  ASSERT_FALSE(deep);
  EXPECT_THAT(word(bounds.error(), "trap"), testing::HasSubstr("out of bounds"));
  EXPECT_THAT(word(deep.error(), "trap"), testing::HasSubstr("stack"));
  expect_next_call_is_fine();
}

TEST_F(WasmCall, nothing_of_one_call_is_left_for_the_next) {
  // Answers what it finds at 100, then leaves 9 there.
  add("t.memory", guest("(call $write_number (i32.load8_u (i32.const 100)))"
                        "(i32.store8 (i32.const 100) (i32.const 9))"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(to_json(*result("t.memory")), "0");
  // The same beyond what is wiped by writing zeros.
  add("t.large", guest("(call $write_number (i32.load8_u (i32.const 1000000)))"
                       "(i32.store8 (i32.const 1000000) (i32.const 9))",
                       "", "", 20));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(to_json(*result("t.large")), "0");
}

TEST_F(WasmCall, clock_chance_and_environment_come_from_the_runtime) {
  end();
  ManualClock clock;
  start({}, ":memory:", &clock);
  add("t.time",
      guest("(drop (call $time (i32.const 0) (i64.const 1) (i32.const 200)))"
            "(call $write_number (i32.wrap_i64 (i64.rem_u (i64.div_u (i64.load (i32.const 200))"
            "  (i64.const 1000000000)) (i64.const 100000000))))",
            "(import \"wasi_snapshot_preview1\" \"clock_time_get\""
            " (func $time (param i32 i64 i32) (result i32)))"));
  EXPECT_EQ(to_json(*result("t.time")), "0");  // 1'700'000'000 s
  clock.advance(std::chrono::seconds(42));
  EXPECT_EQ(to_json(*result("t.time")), "42");

  const std::string dice = guest(
      "(drop (call $random (i32.const 200) (i32.const 3)))"
      "(call $write_number (i32.load (i32.const 200)))",
      "(import \"wasi_snapshot_preview1\" \"random_get\""
      " (func $random (param i32 i32) (result i32)))");
  add("t.random", dice);
  const auto first = to_json(*result("t.random"));
  const auto second = to_json(*result("t.random"));
  EXPECT_NE(first, second);
  end();
  ManualClock again;
  start({}, ":memory:", &again);
  add("t.random", dice);
  EXPECT_EQ(to_json(*result("t.random")), first);  // the seed makes it

  ::setenv("CLEW_TEST_MODE", "strict", 1);  // NOLINT(concurrency-mt-unsafe): no other thread looks
  Contract contract;
  contract.id = "t.env";
  contract.version = Version::parse("1.0.0").value();
  contract.constraints = Value::object(
      {{"environment", Value::array({Value("CLEW_TEST_MODE"), Value("CLEW_TEST_NOT_SET")})}});
  const auto admitted = host_->admit(
      contract,
      {.bytes = guest("(drop (call $sizes (i32.const 200) (i32.const 204)))"
                      "(drop (call $get (i32.const 300) (i32.const 400)))"
                      "(call $write (i32.const 500) (i32.const 1))"
                      "(call $write (i32.load (i32.const 300)) (i32.sub (i32.load (i32.const 204))"
                      " (i32.const 1))) (call $write (i32.const 500) (i32.const 1))",
                      "(import \"wasi_snapshot_preview1\" \"environ_sizes_get\""
                      " (func $sizes (param i32 i32) (result i32)))"
                      "(import \"wasi_snapshot_preview1\" \"environ_get\""
                      " (func $get (param i32 i32) (result i32)))",
                      "(data (i32.const 500) \"\\22\")")});
  ASSERT_TRUE(admitted) << admitted.error().to_string();
  ASSERT_TRUE(registry_->add(contract, admitted->handler, replacing(Replace::nothing)));
  EXPECT_EQ(to_json(*result("t.env")), "\"CLEW_TEST_MODE=strict\"");
  end();
}

TEST_F(WasmCall, descriptors_beyond_the_standard_streams_do_not_exist) {
  add("t.files",
      guest("(call $write_number (i32.add (i32.mul (i32.const 100)"
            "  (call $prestat (i32.const 3) (i32.const 200)))"
            "  (call $fd_write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 8))))",
            "(import \"wasi_snapshot_preview1\" \"fd_prestat_get\""
            " (func $prestat (param i32 i32) (result i32)))"));
  EXPECT_EQ(to_json(*result("t.files")), "808");  // EBADF, twice
}

TEST_F(WasmCall, pointers_out_of_memory_are_answered_not_followed) {
  add("t.fault",
      guest("(i32.store (i32.const 0) (i32.const 131000)) (i32.store (i32.const 4) (i32.const 73))"
            "(call $write_number (i32.add (i32.mul (i32.const 10000)"
            "  (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
            "  (i32.add (i32.mul (i32.const 100)"
            "  (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
            "  (call $fd_write (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 8)))))"));
  EXPECT_EQ(to_json(*result("t.fault")), "212121");
}

// Parity: P WASM bypass
TEST_F(WasmCall, eight_threads_with_native_load_never_enter_the_pool) {
  add("t.echo", echo());
  std::atomic<int> native{0};
  Contract contract;
  contract.id = "t.native";
  contract.version = Version::parse("1.0.0").value();
  ASSERT_TRUE(registry_->add(contract,
                             std::make_shared<NativeHandler>([&](Invocation&, const Value&) {
                               native.fetch_add(1);
                               return Result<Value>(Value(1));
                             }),
                             replacing(Replace::nothing)));
  const auto before = pool_->stats();
  std::atomic<int> good{0};
  Threads threads;
  for (int t = 0; t < 8; ++t) {
    threads.start("caller", [&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto input = Value::object({{"thread", t}, {"i", i}});
        const auto output = call("t.echo", input);
        if (output.result && *output.result == input) good.fetch_add(1);
      }
    });
  }
  threads.join();
  EXPECT_EQ(good.load(), 1600);
  const auto after = pool_->stats();
  EXPECT_EQ(after.submitted - before.submitted, 0);
  EXPECT_EQ(after.inline_runs - before.inline_runs, 0);

  const auto own = stat("submitted");
  Threads mixed;
  for (int t = 0; t < 4; ++t) {
    mixed.start("caller", [&] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(call("t.echo", Value::object({}), std::chrono::seconds(30)).result);
        EXPECT_TRUE(call("t.native", Value::object({}), std::chrono::seconds(30)).result);
      }
    });
  }
  mixed.join();
  EXPECT_EQ(native.load(), 200);
  EXPECT_EQ(pool_->stats().submitted - before.submitted, 200);  // the native ones alone
  EXPECT_EQ(stat("submitted") - own, 200);                      // a timeout asks for another thread
}

TEST_F(WasmCall, a_limit_on_concurrency_holds) {
  Contract contract;
  contract.id = "t.one";
  contract.version = Version::parse("1.0.0").value();
  contract.max_concurrency = 1;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  end();
  Options options;
  options.services.connect = [&](Invocation&, const std::string&, Value, Timestamp) {
    const int now = inside.fetch_add(1) + 1;
    if (now > most.load()) most.store(now);
    std::this_thread::yield();
    inside.fetch_sub(1);
    return Result<Value>(Value::object({}));
  };
  options.slots = 4;
  start(std::move(options));
  const auto admitted = host_->admit(
      contract,
      {.bytes = guest("(call $write_number (call $connect (i32.const 100) (i32.const 30)"
                      " (i32.const 200) (i32.const 50)))",
                      "(import \"clew_host\" \"connector_invoke\""
                      " (func $connect (param i32 i32 i32 i32) (result i32)))",
                      R"((data (i32.const 100) "{\"connector\":\"a\",\"request\":{}}"))")});
  ASSERT_TRUE(admitted) << admitted.error().to_string();
  ASSERT_TRUE(registry_->add(contract, admitted->handler, replacing(Replace::nothing)));
  std::vector<InvocationPtr> calls;
  for (int i = 0; i < 100; ++i) {
    Request request;
    request.reference = "t.one";
    request.input = Value::object({});
    calls.push_back(dispatcher_->submit(std::move(request)));
  }
  for (const auto& each : calls) {
    ASSERT_TRUE(dispatcher_->wait(each, Timestamp::never()));
    ASSERT_TRUE(each->outcome().result) << each->outcome().result.error().to_string();
    EXPECT_EQ(to_json(*each->outcome().result), "2");
  }
  EXPECT_EQ(most.load(), 1);
}

}  // namespace
}  // namespace clew::wasm
