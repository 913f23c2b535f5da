#include "clew/capability/connectors.hpp"

#include "runtime/fixture.hpp"

namespace clew {
namespace {

Contract needing(const std::string& connector) {
  return Contract::from_document(Value::object({{"id", "t.ask"},
                                                {"version", "1.0.0"},
                                                {"connectors", Value::array({Value(connector)})}}))
      .value();
}

void lend(Runtime& runtime, NativeHandler::Run run, const std::string& version = "1.2.0",
          std::optional<Duration> timeout = std::nullopt) {
  const auto bound = runtime.dispatcher().connectors().add(
      "db", Version::parse(version).value(), std::make_shared<NativeHandler>(std::move(run)),
      timeout);
  ASSERT_TRUE(bound) << bound.error().to_string();
}

NativeHandler::Run asking(const std::string& name = "db", Value request = Value(1)) {
  return [=](Invocation& call, const Value&) { return call.connect(name, request); };
}

Result<Value> ask(Runtime& runtime) { return runtime.execute(request("t.ask")).result; }

// Parity: P connectors
TEST(Connectors, a_request_is_a_call_within_the_call) {
  const auto runtime = open();
  lend(*runtime, [](Invocation&, const Value& input) { return Result<Value>(input); });
  add(*runtime, needing("db@^1"), asking());
  EXPECT_EQ(to_json(*ask(*runtime)), "{\"request\":1}");
  const auto traces = all_traces(*runtime);
  ASSERT_EQ(traces.size(), 2U);
  const auto& use = traces[0].capability == "connector.db" ? traces[0] : traces[1];
  const auto& call = traces[0].capability == "connector.db" ? traces[1] : traces[0];
  EXPECT_EQ(use.version, "1.2.0");
  EXPECT_EQ(use.parent, call.id);
}

// Parity: P connectors
TEST(Connectors, denied_unless_declared_bound_and_in_the_range) {
  const auto runtime = open();
  std::atomic<int> entered{0};
  lend(*runtime, [&](Invocation&, const Value&) {
    entered.fetch_add(1);
    return Result<Value>(Value());
  });
  const auto reason = [&](const Result<Value>& result) {
    EXPECT_FALSE(result);
    const Value* why = result ? nullptr : result.error().find("reason");
    return why != nullptr ? std::string(why->as_string()) : std::string();
  };
  add(*runtime, needing("db@^1"), asking("other"));
  EXPECT_EQ(reason(ask(*runtime)), "undeclared");
  auto later = needing("db@^2");
  later.id = "t.later";
  add(*runtime, later, asking());
  EXPECT_EQ(reason(runtime->execute(request("t.later")).result), "incompatible");
  auto none = needing("mail");
  none.id = "t.none";
  add(*runtime, none, asking());
  EXPECT_EQ(reason(runtime->execute(request("t.none")).result), "unbound");
  auto secret = needing("db");
  secret.id = "t.secret";
  add(*runtime, secret, asking("db", Value::object({{"token", "x"}})));
  EXPECT_EQ(reason(runtime->execute(request("t.secret")).result), "forbidden");
  EXPECT_EQ(entered.load(), 0);
}

TEST(Connectors, a_connector_has_its_timeout_and_the_calls_cancellation) {
  const auto runtime = open();
  const auto until_told = [](Invocation& call, const Value&) -> Result<Value> {
    while (!call.cancelled()) std::this_thread::yield();
    return Error(Code::cancelled, "told to stop");
  };
  lend(*runtime, until_told, "1.2.0", std::chrono::milliseconds(20));
  add(*runtime, needing("db"), asking());
  const auto late = ask(*runtime);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::timeout);
  EXPECT_EQ(late.error().find("connector")->as_string(), "db");

  lend(*runtime, until_told, "2.0.0");
  auto wanted = request("t.ask");
  wanted.timeout = std::chrono::milliseconds(20);
  auto second = needing("db@^2");
  second.id = "t.second";
  add(*runtime, second, asking());
  wanted.reference = "t.second";
  EXPECT_EQ(runtime->execute(std::move(wanted)).kind, CallOutcome::timeout);
}

TEST(Connectors, words_and_not_letters_decide_what_crosses) {
  const auto crosses = [](Value value) { return check_crossing(value, "request").has_value(); };
  const auto member = [](const char* key) { return Value::object({{key, 1}}); };
  for (const char* key :
       {"token", "apiKey", "API_KEY", "x-authorization", "userPassword", "Paths"}) {
    EXPECT_FALSE(crosses(member(key))) << key;
  }
  for (const char* key : {"monkey", "tokenizer", "pathology", "keyboard", "n", ""}) {
    EXPECT_TRUE(crosses(member(key))) << key;
  }
  for (const char* text : {"/etc", "~/x", "D:/x", "file:x", "ftp://a:b@c", "see http://a@b now"}) {
    EXPECT_FALSE(crosses(Value(text))) << text;
  }
  for (const char* text : {"a/b", "~", "http://a/b?c=d@e", "a@b.c", "1:2"}) {
    EXPECT_TRUE(crosses(Value(text))) << text;
  }
  const auto refused = check_crossing(
      Value::object({{"rows", Value::array({Value::object({{"secret", "hunter2"}})})}}),
      "response");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().find("path")->as_string(), "response.rows[0].secret");
  EXPECT_THAT(refused.error().to_string(), testing::Not(testing::HasSubstr("hunter2")));
}

}  // namespace
}  // namespace clew
