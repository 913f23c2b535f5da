#include "wasm/support.hpp"

namespace clew::wasm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WasmLimit : public HostTest {
 protected:
  // How long `call` took by a real clock.
  template <typename Call>
  static Duration time_of(Call&& call) {
    const auto clock = make_real_clock();
    const auto begun = clock->now();
    call();
    return clock->now() - begun;
  }
  InvocationPtr submit(const std::string& id, std::optional<Duration> timeout = std::nullopt) {
    Request request;
    request.reference = id;
    request.input = Value::object({});
    request.timeout = timeout;
    return dispatcher_->submit(std::move(request));
  }
};

const Value endless = Value::object({{"fuel", 1'000'000'000'000'000}});

// Parity: P WASM limits
TEST_F(WasmLimit, fuel_ends_an_endless_loop) {
  add("t.spin", guest(spin), Value::object({{"fuel", 1'000'000}}));
  const auto output = result("t.spin");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::timeout);
  EXPECT_EQ(word(output.error(), "limit"), "fuel");
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, fuel_is_the_same_in_every_run) {
  // Trapping at the end shows what was used.
  add("t.count", guest("(local $n i32) (loop $l (local.set $n (i32.add (local.get $n)"
                       "(i32.const 1))) (br_if $l (i32.lt_u (local.get $n) (i32.const 1000))))"
                       "(unreachable)"));
  const auto first = result("t.count");
  const auto second = result("t.count");
  ASSERT_FALSE(first);
  ASSERT_FALSE(second);
  EXPECT_GT(first.error().find("fuel_used")->as_int(), 1000);
  EXPECT_EQ(first.error().find("fuel_used")->as_int(), second.error().find("fuel_used")->as_int());
}

// Parity: P WASM limits
TEST_F(WasmLimit, wall_clock_ends_an_endless_loop) {
  end();
  ManualClock clock;
  start({}, ":memory:", &clock);
  auto limits = Value::object({{"fuel", 1'000'000'000'000'000}, {"wall", "2s"}});
  add("t.spin", guest(spin), limits);
  const auto spinning = submit("t.spin");
  while (stat("running") == 0) std::this_thread::yield();
  clock.advance(milliseconds(1999));
  EXPECT_FALSE(spinning->ended());  // not before its time
  clock.advance(milliseconds(1));
  ASSERT_TRUE(dispatcher_->wait(spinning, Timestamp::never()));
  EXPECT_EQ(spinning->outcome().result.error().code(), Code::timeout);
  EXPECT_EQ(word(spinning->outcome().result.error(), "limit"), "wall");
  EXPECT_EQ(stat("running"), 0);
  expect_next_call_is_fine();
  end();
}

TEST_F(WasmLimit, the_calls_own_timeout_ends_the_guest_soon) {
  add("t.spin", guest(spin), endless);
  const auto taken = time_of([&] {
    const auto output = call("t.spin", Value::object({}), milliseconds(50));
    ASSERT_FALSE(output.result);
    EXPECT_EQ(output.kind, CallOutcome::timeout);
  });
  EXPECT_GE(taken, milliseconds(50));
  EXPECT_LT(taken, seconds(10));
  while (stat("running") != 0) std::this_thread::yield();  // it holds no slot any more
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, cancellation_interrupts_a_running_guest) {
  add("t.spin", guest(spin), endless);
  const auto spinning = submit("t.spin");
  while (stat("running") == 0) std::this_thread::yield();
  EXPECT_FALSE(spinning->ended());
  const auto taken = time_of([&] {
    spinning->cancel("enough");
    ASSERT_TRUE(dispatcher_->wait(spinning, Timestamp::never()));
  });
  EXPECT_EQ(spinning->outcome().kind, CallOutcome::cancelled);
  EXPECT_LT(taken, seconds(10));
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, closing_interrupts_running_and_drops_queued_guests) {
  end();
  Options options;
  options.slots = 1;
  start(std::move(options));
  add("t.spin", guest(spin), endless);
  const auto running = submit("t.spin");
  while (stat("running") == 0) std::this_thread::yield();
  const auto queued = submit("t.spin");
  dispatcher_->stop(false, Timestamp::never());
  EXPECT_EQ(running->outcome().kind, CallOutcome::cancelled);
  EXPECT_EQ(queued->outcome().kind, CallOutcome::cancelled);
  EXPECT_EQ(call("t.spin").result.error().code(), Code::closed);
}

// Parity: P WASM limits
TEST_F(WasmLimit, growth_beyond_the_limit_is_resource_exhausted) {
  const auto limits = Value::object({{"memory_bytes", 4 * 65536}});
  add("t.grow",
      guest("(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1))"
            " (then (unreachable)))"),
      limits);
  const auto output = result("t.grow");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::resource_exhausted);
  EXPECT_EQ(word(output.error(), "limit"), "memory_bytes");

  // Up to the limit it may, and a guest that lives with the refusal is not punished.
  add("t.fits",
      guest("(drop (memory.grow (i32.const 2))) (drop (memory.grow (i32.const 1)))"
            "(i32.store (i32.const 262140) (i32.const 1))"
            "(call $write_number (memory.size))"),
      limits);
  EXPECT_EQ(to_json(*result("t.fits")), "4");
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, a_module_that_begins_beyond_its_limits_never_runs) {
  add("t.big", guest("(call $write_number (i32.const 1))", "", "", 5),
      Value::object({{"memory_bytes", 4 * 65536}}));
  add("t.table", guest("(call $write_number (i32.const 1))", "", "(table 100 funcref)"),
      Value::object({{"table_elements", 99}}));
  const auto big = result("t.big");
  const auto table = result("t.table");
  ASSERT_FALSE(big);
  ASSERT_FALSE(table);
  EXPECT_EQ(big.error().code(), Code::resource_exhausted);
  EXPECT_EQ(word(big.error(), "limit"), "memory_bytes");
  EXPECT_EQ(table.error().code(), Code::resource_exhausted);
  EXPECT_EQ(word(table.error(), "limit"), "table_elements");
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, tables_do_not_grow_beyond_their_limit) {
  add("t.table",
      guest("(call $write_number (table.grow (ref.null func) (i32.const 50)))"
            "(call $write (i32.const 500) (i32.const 1))"
            "(call $write_number (table.grow (ref.null func) (i32.const 40)))",
            "", "(table 10 funcref) (data (i32.const 500) \" \")"),
      Value::object({{"table_elements", 50}}));
  const auto output = result("t.table");
  ASSERT_FALSE(output);  // "-1 10": no JSON, since the first growth was refused
  EXPECT_EQ(word(output.error(), "stdout"), "-1 10");
}

TEST_F(WasmLimit, output_beyond_its_limit_is_resource_exhausted) {
  add("t.write", guest("(loop $l (call $write (i32.const 100) (i32.const 1000)) (br $l))"),
      Value::object({{"output_bytes", 65536}}));
  const auto output = result("t.write");
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code(), Code::resource_exhausted);
  EXPECT_EQ(word(output.error(), "limit"), "output_bytes");
  // Just as much as it may.
  add("t.fits",
      guest("(call $write (i32.const 100) (i32.const 5))", "", "(data (i32.const 100) \"12345\")"),
      Value::object({{"output_bytes", 5}}));
  EXPECT_EQ(to_json(*result("t.fits")), "12345");
  expect_next_call_is_fine();
}

TEST_F(WasmLimit, limits_of_contracts_are_checked_with_their_path) {
  const auto refused = [&](Value limits) {
    const auto admitted = admit("t.echo", {.bytes = echo()}, std::move(limits));
    EXPECT_FALSE(admitted);
    if (admitted) return std::string();
    EXPECT_EQ(admitted.error().code(), Code::invalid_input);
    return word(admitted.error(), "path");
  };
  EXPECT_EQ(refused(Value::object({{"fuel", 0}})), "constraints.wasm.fuel");
  EXPECT_EQ(refused(Value::object({{"memory_bytes", 65535}})), "constraints.wasm.memory_bytes");
  EXPECT_EQ(refused(Value::object({{"memory_bytes", Limits::memory_bytes_max + 1}})),
            "constraints.wasm.memory_bytes");
  EXPECT_EQ(refused(Value::object({{"wall", "0s"}})), "constraints.wasm.wall");
  EXPECT_EQ(refused(Value::object({{"steps", 1}})), "constraints.wasm.steps");
  EXPECT_EQ(refused(Value::object({{"output_bytes", 1.5}})), "constraints.wasm.output_bytes");
  for (const std::string outside : {"network", "filesystem"}) {
    const auto granted = Limits::from_constraints(Value::object({{outside, true}}));
    ASSERT_FALSE(granted);
    EXPECT_EQ(word(granted.error(), "path"), "constraints." + outside);
    EXPECT_TRUE(Limits::from_constraints(Value::object({{outside, false}})));
  }
}

}  // namespace
}  // namespace clew::wasm
