#include "clew/base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "clew/base/check.hpp"
#include "clew/base/json.hpp"

namespace clew {
namespace {

using ::testing::HasSubstr;

constexpr int code_count = static_cast<int>(Code::internal) + 1;

struct Foreign : ErrorCause {};

TEST(ErrorCode, every_code_has_a_word_of_its_own_that_leads_back) {
  std::set<std::string_view> words;
  for (int i = 0; i < code_count; ++i) {
    const auto code = static_cast<Code>(i);
    EXPECT_FALSE(name(code).empty());
    EXPECT_EQ(code_of(name(code)), code) << name(code);
    words.insert(name(code));
  }
  EXPECT_EQ(words.size(), static_cast<std::size_t>(code_count));
}

TEST(ErrorCode, an_unknown_word_is_internal) {
  EXPECT_EQ(code_of("no such code"), Code::internal);
  EXPECT_EQ(code_of(""), Code::internal);
}

TEST(Error, formats_its_message) {
  const auto made = error(Code::not_found, "no {} named {}", "step", 7);
  EXPECT_EQ(made.code(), Code::not_found);
  EXPECT_EQ(made.message(), "no step named 7");
  EXPECT_FALSE(made.retryable());
  EXPECT_TRUE(made.context().empty());
  EXPECT_EQ(made.cause(), nullptr);
}

TEST(Error, changed_copies_leave_the_original_alone) {
  const Error original(Code::timeout, "late");
  const auto cause = std::make_shared<Foreign>();
  const Error changed = original.with("after", 3).with_cause(cause).with_retryable(true);

  EXPECT_EQ(original.find("after"), nullptr);
  EXPECT_EQ(original.cause(), nullptr);
  EXPECT_FALSE(original.retryable());

  EXPECT_EQ(changed.code(), Code::timeout);
  EXPECT_EQ(changed.message(), "late");
  ASSERT_NE(changed.find("after"), nullptr);
  EXPECT_EQ(*changed.find("after"), Value(3));
  EXPECT_EQ(changed.cause(), cause);
  EXPECT_TRUE(changed.retryable());
}

TEST(Error, the_first_fact_under_a_key_wins) {
  const auto made = Error(Code::conflict, "m").with("b", 1).with("a", 2).with("b", 3);
  ASSERT_EQ(made.context().size(), 2U);
  EXPECT_EQ(made.context()[0].first, "b");
  EXPECT_EQ(made.context()[0].second, Value(1));
  EXPECT_EQ(made.context()[1].first, "a");
}

TEST(Error, prints_code_message_and_context) {
  const Error plain(Code::closed, "the runtime was closed");
  EXPECT_EQ(plain.to_string(), "closed: the runtime was closed");
  EXPECT_EQ(plain.with("id", "r1").with("step", 2).to_string(),
            "closed: the runtime was closed (id=\"r1\", step=2)");
  EXPECT_LT(plain.with("long", std::string(10'000, 'x')).to_string().size(), 200U);
}

TEST(ErrorStorage, round_trips_all_but_the_cause) {
  const auto original = Error(Code::stale_lease, "another owner", true)
                            .with("z", Value::array({1, "two"}))
                            .with("a", nullptr)
                            .with_cause(std::make_shared<Foreign>());
  const Value stored = original.to_value();
  EXPECT_EQ(to_json(stored), R"({"code":"stale_lease","message":"another owner",)"
                             R"("context":{"z":[1,"two"],"a":null},"retryable":true})");

  const Error loaded = Error::from_value(stored);
  EXPECT_EQ(loaded.code(), original.code());
  EXPECT_EQ(loaded.message(), original.message());
  EXPECT_EQ(loaded.context(), original.context());
  EXPECT_EQ(loaded.retryable(), original.retryable());
  EXPECT_EQ(loaded.cause(), nullptr);
  EXPECT_EQ(loaded.to_value(), stored);
}

TEST(ErrorStorage, what_is_no_error_becomes_a_corrupt_one) {
  for (const auto* text : {
           "null",
           "7",
           "{}",
           R"("closed")",
           R"({"code":1,"message":"m","context":{},"retryable":false})",
           R"({"code":"closed","message":1,"context":{},"retryable":false})",
           R"({"code":"closed","message":"m","context":[],"retryable":false})",
           R"({"code":"closed","message":"m","context":{},"retryable":0})",
           R"({"code":"closed","message":"m","context":{}})",
       }) {
    const Error loaded = Error::from_value(*parse_json(text));
    EXPECT_EQ(loaded.code(), Code::corrupt) << text;
    ASSERT_NE(loaded.find("stored"), nullptr);
    EXPECT_EQ(*loaded.find("stored"), *parse_json(text));
  }
}

TEST(InvalidInput, names_path_value_and_expectation) {
  const auto made = invalid_input("limits.tries", -1, "an integer over 0");
  EXPECT_EQ(made.code(), Code::invalid_input);
  EXPECT_EQ(made.message(), "limits.tries: expected an integer over 0, got -1");
  EXPECT_EQ(*made.find("path"), Value("limits.tries"));
  EXPECT_EQ(*made.find("value"), Value(-1));
  EXPECT_EQ(*made.find("expected"), Value("an integer over 0"));
  EXPECT_EQ(invalid_input("", "x", "an object").message(), R"(expected an object, got "x")");
}

TEST(InvalidInput, shortens_a_large_value) {
  const auto made = invalid_input("doc", std::string(100'000, 'x'), "an object");
  EXPECT_LT(made.message().size(), 200U);
  EXPECT_THAT(made.message(), HasSubstr("…"));
  EXPECT_LT(made.find("value")->byte_size(), 200U);
}

TEST(Check, failure_names_condition_place_and_detail) {
  try {
    CLEW_CHECK(1 + 1 == 3);
    FAIL() << "passed";
  } catch (const CheckFailure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("1 + 1 == 3"));
    EXPECT_THAT(failure.what(), HasSubstr("error_test.cpp"));
  }
  EXPECT_THROW(check_failed("x", "y"), CheckFailure);
  EXPECT_NO_THROW(CLEW_CHECK(true));
}

}  // namespace
}  // namespace clew
