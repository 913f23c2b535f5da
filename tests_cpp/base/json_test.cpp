#include "clew/base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "random_value.hpp"

namespace clew {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

Error parse_error_of(std::string_view text, const ParseLimits& limits = {}) {
  auto parsed = parse_json(text, limits);
  if (!parsed) return parsed.error();
  ADD_FAILURE() << "was accepted: " << text.substr(0, 100);
  return Error(Code::internal, "none");
}

std::int64_t fact(const Error& error, std::string_view key) {
  const Value* found = error.find(key);
  return found != nullptr && found->is_int() ? found->as_int() : -1;
}

TEST(JsonParse, reads_every_kind) {
  const std::pair<std::string_view, Value> cases[] = {
      {"null", nullptr},
      {"true", true},
      {"false", false},
      {" 7 ", 7},
      {"-0", 0},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
      {"9007199254740993", std::int64_t{9007199254740993}},
      {"1.0", 1.0},
      {"1e2", 100.0},
      {"1E-2", 0.01},
      {"1e-400", 0.0},
      {"1.7976931348623157e308", std::numeric_limits<double>::max()},
      {"9223372036854775808.0", 9223372036854775808.0},
      {R"("")", ""},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u00e9\u20AC\ud83d\ude00")", "é€😀"},
      {R"("a\u0000b")", std::string("a\0b", 3)},
      {"[]", Value::array({})},
      {"{}", Value::object({})},
      {"\n[1, [2, {}], \t{\"a\": [3]}]\r\n",
       Value::array(
           {1, Value::array({2, Value::object({})}), Value::object({{"a", Value::array({3})}})})},
      {R"({"b":1,"a":{"c":[{"d":null},{"d":2}],"b":3}})",
       Value::object({{"b", 1},
                      {"a", Value::object({{"c", Value::array({Value::object({{"d", nullptr}}),
                                                               Value::object({{"d", 2}})})},
                                           {"b", 3}})}})},
      {"\xEF\xBB\xBF[1]", Value::array({1})},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_json(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().to_string();
    EXPECT_EQ(*parsed, expected) << text << " gave " << to_json(*parsed);
  }
}

TEST(JsonParse, keeps_the_order_of_members_and_the_sign_of_zero) {
  EXPECT_EQ(to_json(*parse_json(R"({"z":1,"a":2,"m":3})")), R"({"z":1,"a":2,"m":3})");
  EXPECT_TRUE(std::signbit(parse_json("-0.0")->as_real()));
}

TEST(JsonParse, refuses_what_is_no_json) {
  const std::string_view cases[] = {
      "",
      " ",
      "nul",
      "nulll",
      "True",
      "NaN",
      "Infinity",
      "-",
      "+1",
      "01",
      "1.",
      ".5",
      "1e",
      "0x10",
      "1 2",
      "[1",
      "[1,]",
      "[1 2]",
      "]",
      "{",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{a:1}",
      "{1:1}",
      "'a'",
      "\"open",
      "\"tab\tinside\"",
      "\"\\x\"",
      "\"\\u12\"",
      "// comment\n1",
      "[1]x",
      std::string_view("1\0", 2),
      std::string_view("[1]\0garbage", 11),
      std::string_view("\"a\0b\"", 5),
  };
  for (const auto text : cases) EXPECT_EQ(parse_error_of(text).code(), Code::invalid_input) << text;
}

TEST(JsonParse, refuses_bad_unicode) {
  const std::string_view cases[] = {
      R"("\ud800")", R"("\udc00")",  R"("\ud800\u0041")", R"("\ud83dx")",         "\"\xff\"",
      "\"\xc3\"",    "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",  "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"",
      "\xff",        "{\"\xff\":1}", "\"\x80\"",
  };
  for (const auto text : cases) {
    const auto problem = parse_error_of(text);
    EXPECT_EQ(problem.code(), Code::invalid_input);
    // What is no UTF-8 must not get into the message.
    for (const char c : problem.to_string()) EXPECT_LT(static_cast<unsigned char>(c), 0x80U) << c;
  }
}

TEST(JsonParse, refuses_numbers_that_do_not_fit) {
  const std::pair<std::string, const char*> cases[] = {
      {"9223372036854775808", "64 bits"},
      {"-9223372036854775809", "64 bits"},
      {"18446744073709551615", "64 bits"},
      {"18446744073709551616", "64 bits"},
      {"1" + std::string(400, '0'), "a number beyond double"},
      {"1e400", "beyond double"},
      {"-1e400", "beyond double"},
      {"1.0e309", "beyond double"},
  };
  for (const auto& [number, words] : cases) {
    for (const auto& [before, after] : {std::pair("", ""), std::pair("[1, ", ", 2]")}) {
      const auto problem = parse_error_of(before + number + after);
      EXPECT_EQ(problem.code(), Code::invalid_input);
      EXPECT_THAT(problem.message(), HasSubstr(words)) << number;
      EXPECT_EQ(fact(problem, "offset"),
                static_cast<std::int64_t>(std::string_view(before).size() + number.size() - 1));
    }
  }
}

TEST(JsonParse, names_a_duplicate_key_by_its_path) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"a":1,"a":2})", "duplicate key a"},
      {R"({"a":1,"\u0061":2})", "duplicate key a"},
      {R"({"x":[0,{"y":{"b c":1,"b c":1}}]})", "duplicate key x[1].y[\"b c\"]"},
      {R"([{"p":{}},[1,{"q":{"a":{"z":1},"b":2,"a":3,"c":4}}]])", "duplicate key [1][1].q.a"},
      {R"({"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"c":2})", "duplicate key c"},
  };
  for (const auto& [text, words] : cases)
    EXPECT_THAT(parse_error_of(text).message(), HasSubstr(words));
}

TEST(JsonParse, accepts_equal_keys_in_different_objects) {
  EXPECT_TRUE(parse_json(R"({"a":{"a":{"a":1}},"b":{"a":[{"a":1},{"a":2}]}})"));
}

TEST(JsonParse, says_where) {
  struct Case {
    std::string_view text;
    std::int64_t offset, line, column;
  };
  const Case cases[] = {
      {"", 0, 1, 1},
      {"x", 0, 1, 1},
      {"[1,\n 2,\n é}]", 9, 3, 2},
      {"[\"é€😀\", }", 14, 1, 9},
      {"[1", 2, 1, 3},
      {"[1\n", 3, 2, 1},
      {"{\"a\":1,\n\"a\":2}", 10, 2, 3},
      {R"([{"a":1},{"b":1,"b":2}])", 18, 1, 19},
      {std::string_view("[1,\0]", 5), 3, 1, 4},
  };
  for (const auto& [text, offset, line, column] : cases) {
    const auto problem = parse_error_of(text);
    EXPECT_EQ(fact(problem, "offset"), offset) << text;
    EXPECT_EQ(fact(problem, "line"), line) << text;
    EXPECT_EQ(fact(problem, "column"), column) << text;
    EXPECT_THAT(problem.message(), HasSubstr("invalid JSON at line " + std::to_string(line) +
                                             ", column " + std::to_string(column) + ": "));
    EXPECT_THAT(problem.message(), Not(HasSubstr("json.exception")));
  }
}

TEST(JsonParse, bounds_the_nesting) {
  const auto arrays = [](int depth) { return repeat("[", depth) + repeat("]", depth); };
  const auto objects = [](int depth) {
    return repeat("{\"a\":", depth) + "1" + repeat("}", depth);
  };
  EXPECT_TRUE(parse_json(arrays(128)));
  EXPECT_TRUE(parse_json(objects(128)));
  EXPECT_THAT(parse_error_of(arrays(129)).message(), HasSubstr("nesting deeper than 128"));
  EXPECT_THAT(parse_error_of(objects(129)).message(), HasSubstr("nesting deeper than 128"));
  EXPECT_EQ(fact(parse_error_of(arrays(129)), "offset"), 128);
  parse_error_of(repeat("[", 1'000'000));

  EXPECT_TRUE(parse_json("1", {.depth_max = 0}));
  parse_error_of("[]", {.depth_max = 0});
  EXPECT_TRUE(parse_json(arrays(Value::depth_limit), {.depth_max = 1000}));
  parse_error_of(arrays(Value::depth_limit + 1), {.depth_max = 1000});
}

TEST(JsonParse, bounds_the_text) {
  EXPECT_TRUE(parse_json("12345", {.bytes_max = 5}));
  EXPECT_THAT(parse_error_of("123456", {.bytes_max = 5}).message(), HasSubstr("6 bytes"));
}

TEST(JsonPrint, is_compact_and_exact) {
  const std::pair<Value, std::string_view> cases[] = {
      {nullptr, "null"},
      {true, "true"},
      {false, "false"},
      {0, "0"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"},
      {std::numeric_limits<std::int64_t>::max(), "9223372036854775807"},
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {-1.5, "-1.5"},
      {0.1, "0.1"},
      {1e-7, "1e-7"},
      {0.000001, "0.000001"},
      {1e20, "100000000000000000000.0"},
      {1e21, "1e+21"},
      {5e-324, "5e-324"},
      {std::numeric_limits<double>::max(), "1.7976931348623157e+308"},
      {"", R"("")"},
      {"\"\\/\b\f\n\r\t", R"("\"\\/\b\f\n\r\t")"},
      {std::string("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\x7f\""},
      {"é€😀", "\"é€😀\""},
      {Value::array({}), "[]"},
      {Value::array({1, "a", Value::array({nullptr})}), R"([1,"a",[null]])"},
      {Value::object({}), "{}"},
      {Value::object({{"b", 1}, {"a\n", Value::object({{"c", 1.0}})}}),
       R"({"b":1,"a\n":{"c":1.0}})"},
  };
  for (const auto& [value, expected] : cases) EXPECT_EQ(to_json(value), expected);
}

TEST(JsonPrint, appends) {
  std::string out = "x=1e5 ";
  append_json(out, 2.0);
  EXPECT_EQ(out, "x=1e5 2.0");
}

TEST(JsonPrint, reads_back_as_the_same_value) {
  testing::for_random_values([](testing::RandomValues&, const Value& value) {
    const std::string text = to_json(value);
    const auto parsed = parse_json(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().to_string();
    EXPECT_EQ(*parsed, value) << text;
    EXPECT_EQ(to_json(*parsed), text);
  });
}

TEST(JsonPrint, damaged_text_never_reads_as_something_unprintable) {
  testing::for_random_values([](testing::RandomValues& random, const Value& value) {
    std::string text = to_json(value);
    for (int i = 0; i < 3; ++i)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    if (const auto parsed = parse_json(text)) {
      const auto again = parse_json(to_json(*parsed));
      ASSERT_TRUE(again) << text;
      EXPECT_EQ(*again, *parsed) << text;
    } else {
      EXPECT_EQ(parsed.error().code(), Code::invalid_input);
      EXPECT_LE(fact(parsed.error(), "offset"), static_cast<std::int64_t>(text.size()));
    }
  });
}

TEST(JsonPreview, shows_short_values_whole) {
  EXPECT_EQ(preview(Value::object({{"a", 1}})), R"({"a":1})");
  EXPECT_EQ(preview("12345678", 10), R"("12345678")");
}

TEST(JsonPreview, cuts_between_characters) {
  EXPECT_EQ(preview("123456789", 10), "\"12345678…");
  EXPECT_EQ(preview("éééé", 5), "\"ééé…");
  EXPECT_EQ(preview("😀😀😀😀", 3), "\"😀…");
  EXPECT_EQ(preview("abc", 1), "…");
  EXPECT_EQ(preview("abc", 0), "");
}

TEST(JsonPreview, is_a_prefix_of_the_whole_text) {
  testing::for_random_values([](testing::RandomValues& random, const Value& value) {
    const std::string whole = to_json(value);
    const auto chars_max = 1 + random.below(40);
    std::string shown = preview(value, chars_max);
    if (shown == whole) return;
    ASSERT_TRUE(shown.ends_with("…")) << shown;
    shown.resize(shown.size() - std::string_view("…").size());
    EXPECT_TRUE(whole.starts_with(shown)) << shown << " of " << whole;
    const auto chars = std::ranges::count_if(
        shown, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    EXPECT_EQ(static_cast<std::uint64_t>(chars) + 1, chars_max);
  });
}

TEST(JsonPreview, does_not_walk_what_it_does_not_show) {
  Value value = "x";
  for (int i = 0; i < 100; ++i) value = Value::array({value, value});
  EXPECT_EQ(preview(value, 20), repeat("[", 19) + "…");  // in full it would have 2^100 parts
}

}  // namespace
}  // namespace clew
