#include "wasm/support.hpp"

namespace clew::wasm {
namespace {

class WasmAbi : public HostTest {
 protected:
  Error refused(const std::string& wat) {
    const auto admitted = admit("t.refused", {.bytes = wat});
    EXPECT_FALSE(admitted);
    EXPECT_FALSE(registry_->snapshot()->resolve("t.refused"));
    return admitted ? Error(Code::internal, "it was taken") : admitted.error();
  }
  // The result of a clew_host function of (pointer, room), then what it wrote.
  std::string host_text(const std::string& function, int at, int room) {
    const auto id = "t." + function + "_" + std::to_string(room) + "_" + std::to_string(at);
    const auto wat =
        guest(fmt::format("(local $n i32) (local.set $n (call $ask (i32.const {}) (i32.const {})))"
                          "(if (i32.lt_s (local.get $n) (i32.const 0))"
                          "  (then (call $write_number (local.get $n)))"
                          "  (else (call $write (i32.const {}) (local.get $n))))",
                          at, room, at),
              fmt::format("(import \"clew_host\" \"{}\" (func $ask (param i32 i32) (result i32)))",
                          function));
    EXPECT_TRUE(admit(id, {.bytes = wat}));
    Request request;
    request.reference = id;
    request.input = Value::object({});
    request.correlation_id = "c-1";
    const auto outcome = dispatcher_->execute(std::move(request));
    if (outcome.result) return to_json(*outcome.result);
    return word(outcome.result.error(), "stdout");
  }
  // What connector_invoke or emit_event answers to `request`.
  std::string answer(const std::string& function, const std::string& request, int length = -1,
                     int room = 1000, std::vector<std::string> emits = {}) {
    std::string escaped;
    for (const char c : request) escaped += c == '"' ? std::string("\\22") : std::string(1, c);
    const bool invokes = function == "connector_invoke";
    const auto wat = guest(
        fmt::format("(call $write_number (call $ask (i32.const 100) (i32.const {}) {}))",
                    length < 0 ? static_cast<int>(request.size()) : length,
                    invokes ? fmt::format("(i32.const 2000) (i32.const {})", room) : ""),
        fmt::format("(import \"clew_host\" \"{}\" (func $ask (param i32 i32 {}) (result i32)))",
                    function, invokes ? "i32 i32" : ""),
        fmt::format("(data (i32.const 100) \"{}\")", escaped));
    const auto admitted = admit("t.ask", {.bytes = wat}, Value(), std::move(emits));
    EXPECT_TRUE(admitted);
    const auto outcome = result("t.ask");
    return outcome ? to_json(*outcome) : outcome.error().to_string();
  }
};

// Parity: P ABI gate
TEST_F(WasmAbi, unknown_import_is_refused_before_any_guest_code_runs) {
  // Its start section would trap, were it run.
  const auto error = refused(R"((module
    (import "wasi_snapshot_preview1" "path_open" (func (param i32) (result i32)))
    (memory (export "memory") 1) (func $boom (unreachable)) (start $boom)
    (func (export "_start"))))");
  EXPECT_EQ(error.code(), Code::invalid_input);
  EXPECT_EQ(word(error, "import"), "wasi_snapshot_preview1.path_open");
  const auto spelled = refused(R"((module (import "clew_host" "emit_events" (func))
    (memory (export "memory") 1) (func (export "_start"))))");
  EXPECT_EQ(word(spelled, "import"), "clew_host.emit_events");
  EXPECT_THAT(spelled.message(), testing::HasSubstr("emit_event\""));
  EXPECT_EQ(stat("cached"), 0);
}

TEST_F(WasmAbi, imports_of_another_type_or_kind_are_refused) {
  const auto type = refused(R"((module
    (import "wasi_snapshot_preview1" "fd_read" (func (param i32) (result i32)))
    (memory (export "memory") 1) (func (export "_start"))))");
  EXPECT_EQ(word(type, "import"), "wasi_snapshot_preview1.fd_read");
  const auto kind = refused(R"((module (import "clew_host" "emit_event" (global i32))
    (memory (export "memory") 1) (func (export "_start"))))");
  EXPECT_EQ(word(kind, "import"), "clew_host.emit_event");
  const auto memory = refused(R"((module (import "env" "memory" (memory 1))
    (export "memory" (memory 0)) (func (export "_start"))))");
  EXPECT_EQ(word(memory, "import"), "env.memory");
}

TEST_F(WasmAbi, missing_start_or_memory_is_refused) {
  EXPECT_EQ(word(refused("(module (memory (export \"memory\") 1))"), "export"), "_start");
  EXPECT_EQ(word(refused("(module (memory (export \"memory\") 1)"
                         "(func (export \"_start\") (param i32)))"),
                 "export"),
            "_start");
  EXPECT_EQ(word(refused("(module (func (export \"_start\")))"), "export"), "memory");
}

TEST_F(WasmAbi, what_is_no_webassembly_is_refused) {
  EXPECT_EQ(refused("(module (func $f (i32.const)))").code(), Code::invalid_input);
  EXPECT_EQ(refused(std::string("\0asm\1\0\0\0broken", 14)).code(), Code::invalid_input);
  EXPECT_EQ(refused("\xff\xfe").code(), Code::invalid_input);
  EXPECT_EQ(refused("").code(), Code::invalid_input);
  // What a runtime could make of it differs between machines.
  EXPECT_EQ(
      refused("(module (memory (export \"memory\") 1 1 shared) (func (export \"_start\")))").code(),
      Code::invalid_input);
}

TEST_F(WasmAbi, a_guest_learns_of_its_call) {
  EXPECT_EQ(host_text("capability_id", 200, 100), "t.capability_id_100_200");
  EXPECT_EQ(host_text("capability_version", 200, 5), "1.2.3");
  EXPECT_EQ(host_text("execution_id", 200, 36).size(), 36U);
  const auto config = parse_json(host_text("runtime_config", 200, 1000));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->find("abi")->as_string(), "1.0.0");
  EXPECT_EQ(config->find("environment")->as_string(), "development");
  EXPECT_EQ(config->find("limits")->find("fuel")->as_int(), Limits().fuel);
  const auto context = parse_json(host_text("trace_context", 200, 1000));
  ASSERT_TRUE(context);
  EXPECT_EQ(context->find("correlation_id")->as_string(), "c-1");
  EXPECT_EQ(context->find("attempt")->as_int(), 1);
  EXPECT_THAT(std::string(context->find("traceparent")->as_string()),
              testing::MatchesRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-01"));
}

TEST_F(WasmAbi, buffers_that_are_too_small_or_outside_are_answered_with_codes) {
  for (const std::string function :
       {"capability_id", "capability_version", "execution_id", "runtime_config", "trace_context"}) {
    EXPECT_EQ(host_text(function, 200, 4), "-5") << function;
    EXPECT_EQ(host_text(function, 131072 - 10, 100), "-1") << function;
    EXPECT_EQ(host_text(function, -1, 100), "-1") << function;
  }
}

// Parity: P emit_event
TEST_F(WasmAbi, emit_event_without_events_and_undeclared) {
  const std::string event = R"({"type":"t.made@1.0.0","data":{"n":1}})";
  EXPECT_EQ(answer("emit_event", event, -1, 0, {"t.made@1.0.0"}), "-3");
  EXPECT_EQ(answer("emit_event", event, -1, 0, {"t.other@1.0.0"}), "-2");
  EXPECT_EQ(answer("emit_event", event, 5, 0, {"t.made@1.0.0"}), "-1");          // no JSON
  EXPECT_EQ(answer("emit_event", event, 2'000'000, 0, {"t.made@1.0.0"}), "-1");  // outside
  EXPECT_EQ(answer("emit_event", event, 65537, 0, {"t.made@1.0.0"}), "-1");      // too large
  EXPECT_EQ(answer("emit_event", R"({"type":"t.made@1.0.0"})", -1, 0, {"t.made@1.0.0"}), "-1");
}

// Parity: P emit_event
TEST_F(WasmAbi, emit_event_hands_over_type_and_data) {
  end();
  Options options;
  std::vector<std::string> emitted;
  options.services.emit = [&](Invocation& call, const std::string& type, Value data) {
    emitted.push_back(call.capability()->contract.id + " " + type + " " + to_json(data));
    if (data.is_string()) return Result<void>(invalid_input("data", data, "a number"));
    if (data.is_null()) return Result<void>(Error(Code::unsupported, "not subscribable"));
    return Result<void>();
  };
  start(std::move(options));
  const auto emit = [&](const std::string& data) {
    return answer("emit_event", R"({"type":"t.made@1.0.0","data":)" + data + "}", -1, 0,
                  {"t.made@1.0.0"});
  };
  EXPECT_EQ(emit("{\"n\":1}"), "0");
  EXPECT_EQ(emit("\"text\""), "-1");
  EXPECT_EQ(emit("null"), "-3");
  EXPECT_THAT(emitted,
              testing::ElementsAre("t.ask t.made@1.0.0 {\"n\":1}", "t.ask t.made@1.0.0 \"text\"",
                                   "t.ask t.made@1.0.0 null"));
}

// Parity: P connectors
TEST_F(WasmAbi, connector_invoke_answers_with_length_or_code) {
  const std::string request = R"({"connector":"db","request":{"q":1}})";
  EXPECT_EQ(answer("connector_invoke", request), "-3");  // this host has none
  end();
  Options options;
  Result<Value> reply = Value::object({{"rows", 3}});
  options.services.connect = [&](Invocation&, const std::string& name, Value asked, Timestamp) {
    EXPECT_EQ(name, "db");
    EXPECT_EQ(to_json(asked), "{\"q\":1}");
    return reply;
  };
  start(std::move(options));
  EXPECT_EQ(answer("connector_invoke", request), "10");  // {"rows":3}
  EXPECT_EQ(answer("connector_invoke", request, -1, 9), "-5");
  EXPECT_EQ(answer("connector_invoke", request, 5), "-1");
  EXPECT_EQ(answer("connector_invoke", request, -1, 2'000'000), "-1");
  EXPECT_EQ(answer("connector_invoke", request, 65537), "-5");
  for (const auto& [reason, code] :
       {std::pair{"unbound", "-2"}, std::pair{"undeclared", "-3"}, std::pair{"incompatible", "-4"},
        std::pair{"forbidden", "-4"}, std::pair{"too_large", "-5"}, std::pair{"broken", "-6"}}) {
    reply = Error(Code::unavailable, "refused").with("reason", reason);
    EXPECT_EQ(answer("connector_invoke", request), code) << reason;
  }
  reply = invalid_input("q", Value(1), "text");
  EXPECT_EQ(answer("connector_invoke", request), "-1");
  reply = Value(std::string(70'000, 'x'));
  EXPECT_EQ(answer("connector_invoke", request, -1, 100'000), "-5");
}

TEST_F(WasmAbi, what_a_service_throws_ends_the_call_and_nothing_else) {
  end();
  Options options;
  options.services.connect = [](Invocation&, const std::string&, Value,
                                Timestamp) -> Result<Value> {
    throw std::runtime_error("broken connector");
  };
  start(std::move(options));
  EXPECT_THAT(answer("connector_invoke", R"({"connector":"db","request":{}})"),
              testing::HasSubstr("broken connector"));
  expect_next_call_is_fine();
}

TEST_F(WasmAbi, a_deadline_that_passes_in_a_host_call_ends_the_guest) {
  end();
  ManualClock clock;
  Options options;
  bool went_on = false;
  options.services.connect = [&](Invocation&, const std::string& name, Value, Timestamp) {
    went_on = name == "second";
    clock.advance(std::chrono::seconds(11));
    return Result<Value>(Value::object({}));
  };
  start(std::move(options), ":memory:", &clock);
  const auto outcome = answer("connector_invoke", R"({"connector":"db","request":{}})");
  EXPECT_THAT(outcome, testing::HasSubstr("limit=\"wall\""));
  EXPECT_FALSE(went_on);
  end();
}

}  // namespace
}  // namespace clew::wasm
