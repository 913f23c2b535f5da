#include <gtest/gtest.h>

#include <string>

#include "clew/base/document.hpp"
#include "clew/base/json.hpp"

namespace clew {
namespace {

Value json(std::string_view text) { return parse_json(text).value(); }

struct Case {
  std::string_view yaml;
  std::string_view json;
};

TEST(Yaml, scalars_follow_the_core_schema_of_yaml_1_2) {
  const Case cases[] = {
      {"", "null"},
      {"# only a comment\n", "null"},
      {"---\n", "null"},
      {"~", "null"},
      {"Null", "null"},
      {"nULL", "\"nULL\""},
      {"true", "true"},
      {"FALSE", "false"},
      {"yes", "\"yes\""},
      {"no", "\"no\""},
      {"on", "\"on\""},
      {"Off", "\"Off\""},
      {"y", "\"y\""},
      {"12", "12"},
      {"-12", "-12"},
      {"+12", "12"},
      {"-0", "0"},
      {"012", "12"},
      {"0o17", "15"},
      {"0x1F", "31"},
      {"0b11", "\"0b11\""},
      {"0x", "\"0x\""},
      {"0o8", "\"0o8\""},
      {"1_000", "\"1_000\""},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"1.10", "1.1"},
      {"1.", "1.0"},
      {".5", "0.5"},
      {"+.5e1", "5.0"},
      {"1e3", "1000.0"},
      {"-1.5E-1", "-0.15"},
      {".", "\".\""},
      {"e3", "\"e3\""},
      {"1e", "\"1e\""},
      {"1.2.3", "\"1.2.3\""},
      {"2024-01-31", "\"2024-01-31\""},
      {"12:30:45", "\"12:30:45\""},
      {"'12'", "\"12\""},
      {"\"true\"", "\"true\""},
      {"!!str 12", "\"12\""},
      {"! 12", "\"12\""},
      {"!!int '12'", "12"},
      {"!!float 3", "3.0"},
      {"!!bool 'true'", "true"},
      {"!!null ''", "null"},
      {"=", "\"=\""},
  };
  for (const auto& [yaml, expected] : cases) {
    SCOPED_TRACE(yaml);
    auto value = parse_yaml(yaml);
    ASSERT_TRUE(value) << value.error().to_string();
    EXPECT_EQ(to_json(*value), to_json(json(expected)));
  }
}

TEST(Yaml, collections_keep_their_order) {
  const Case cases[] = {
      {"b: 1\na: [x, {c: ~}]\n", R"({"b": 1, "a": ["x", {"c": null}]})"},
      {"- 1\n- - 2\n  - 3\n-\n", "[1, [2, 3], null]"},
      {"a: |\n  two\n  lines\nb: >-\n  one\n  line\n", R"({"a": "two\nlines\n", "b": "one line"})"},
      {"on: yes\n", R"({"on": "yes"})"},
      {"'12': a\n\"true\": b\n", R"({"12": "a", "true": "b"})"},
      {"\"<<\": 1\n", R"({"<<": 1})"},
      {"? a\n: b\n", R"({"a": "b"})"},
      {"a: &x {n: 1}\nb: *x\nc: [*x, *x]\n",
       R"({"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}, {"n": 1}]})"},
      {"a: &k name\n*k : 1\n", R"({"a": "name", "name": 1})"},
      {"a: &x 1\nb: &x 2\nc: *x\n", R"({"a": 1, "b": 2, "c": 2})"},
      {"\xEF\xBB\xBF"
       "a: 1",
       R"({"a": 1})"},
      {"a: \"\\u00e9 \xC3\xA9\"", R"({"a": "é é"})"},
      {"!!map {a: !!seq [1]}", R"({"a": [1]})"},
      {"%YAML 1.2\n---\na: 1\n...\n", R"({"a": 1})"},
      {"{a: 1, b: [2,], }", R"({"a": 1, "b": [2]})"},
      {"a: 1\r\nb: 2\r\n", R"({"a": 1, "b": 2})"},
  };
  for (const auto& [yaml, expected] : cases) {
    SCOPED_TRACE(yaml);
    auto value = parse_yaml(yaml);
    ASSERT_TRUE(value) << value.error().to_string();
    EXPECT_EQ(to_json(*value), to_json(json(expected)));
  }
}

TEST(Yaml, json_is_read_as_json) {
  const std::string_view texts[] = {
      R"({"a": 9007199254740993, "b": -9223372036854775808, "c": [1.0, 1e3]})",
      R"({"pair": "\ud83d\ude00", "slash": "\/", "tab":	1})",
      "[\n\t{\"a\" :\n1}\n,null]\n",
      R"({"a":{"b":[]},"c":"}]\\\""})",
  };
  for (const auto text : texts) {
    SCOPED_TRACE(text);
    EXPECT_EQ(to_json(parse_yaml(text).value()), to_json(json(text)));
  }
}

struct BadCase {
  std::string_view yaml;
  int line;
  std::string_view message;
};

TEST(Yaml, bad_text_is_refused_with_its_line) {
  const BadCase cases[] = {
      {"a: 1\na: 2\n", 2, "\"a\" occurs twice"},
      {"a:\n  x: 1\n  \"x\": 2\n", 3, "\"x\" occurs twice"},
      {R"({"a": 1,
           "a": 2})",
       2, "\"a\" occurs twice"},
      {"1: a\n", 1, "a key must be a string, got 1"},
      {"a: 1\ntrue: a\n", 2, "a key must be a string, got true"},
      {"~: a\n", 1, "a key must be a string, got null"},
      {"? [a]\n: b\n", 1, "a key must be a string"},
      {"? {a: 1}\n: b\n", 1, "a key must be a string"},
      {"x: &n 1\n*n : 1\n", 2, "a key must be a string, got 1"},
      {"x: &b {a: 1}\ny:\n  <<: *b\n", 3, "merge keys are not supported"},
      {"a: 1\nb: 9223372036854775808\n", 2, "64-bit"},
      {"[-9223372036854775809]", 1, "64-bit"},
      {"a: 0x10000000000000000", 1, "64-bit"},
      {"a: 1e400\n", 1, "double"},
      {"a: .inf\n", 1, "no form in JSON"},
      {"a: -.INF\n", 1, "no form in JSON"},
      {"a: .nan\n", 1, "no form in JSON"},
      {"a: !!int x\n", 1, "not of its tag's kind"},
      {"a: !!binary aGk=\n", 1, "not supported"},
      {"a: !mine x\n", 1, "not supported"},
      {"a: !!set {x}\n", 1, "not supported"},
      {"a: 1\n---\nb: 2\n", 2, "second document"},
      {"a: &x [*x]\n", 1, "inside the value"},
      {"a: *nothing\n", 1, "anchor"},
      {"a: [1, 2\nb: 3\n", 0, ""},
      {"a: b: c\n", 1, ""},
      {"a:\n\t- 1\n", 0, ""},
      {"\"open", 1, ""},
      {"a: 1\nb: \"\xff\"\n", 2, "not UTF-8"},
      {"a: \xC0\x80", 1, "not UTF-8"},
      {"a: \xED\xA0\x80", 1, "not UTF-8"},
      {std::string_view("a: \0", 4), 1, "control character"},
      {"a: b\x04"
       "c",
       1, "control character"},
  };
  for (const auto& [yaml, line, message] : cases) {
    SCOPED_TRACE(yaml);
    auto value = parse_yaml(yaml);
    ASSERT_FALSE(value) << to_json(*value);
    EXPECT_EQ(value.error().code(), Code::invalid_input);
    ASSERT_NE(value.error().find("line"), nullptr) << value.error().to_string();
    if (line > 0) {
      EXPECT_EQ(*value.error().find("line"), Value(line)) << value.error().to_string();
    }
    EXPECT_NE(value.error().message().find(message), std::string::npos) << value.error().message();
  }
}

std::string repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Yaml, depth_is_bounded) {
  EXPECT_TRUE(parse_yaml(repeat("[", 128) + repeat("]", 128)));
  for (const auto* style : {"[", "[ # yaml\n", "- ", "{a: "}) {
    auto value = parse_yaml(repeat(style, 100'000));
    ASSERT_FALSE(value) << style;
  }
  EXPECT_NE(parse_yaml(repeat("- ", 129)).error().message().find("nests deeper than 128"),
            std::string::npos);
  // Through an alias, too.
  const auto deep = "a: &x " + repeat("[", 100) + repeat("]", 100) + "\nb: " + repeat("[", 27);
  EXPECT_TRUE(parse_yaml(deep + "*x" + repeat("]", 27)));
  EXPECT_FALSE(parse_yaml(deep + "[*x]" + repeat("]", 27)));
}

TEST(Yaml, size_is_bounded_with_aliases_expanded) {
  EXPECT_TRUE(parse_yaml("[" + repeat("1,", 99'998) + "1]"));
  EXPECT_FALSE(parse_yaml("[" + repeat("1,", 99'999) + "1]"));
  EXPECT_FALSE(parse_yaml("a: [" + repeat("1, ", 99'998) + "]"));
  EXPECT_FALSE(parse_yaml(std::string((8U << 20U) + 1, ' ')));

  std::string laughs = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    laughs += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  }
  auto value = parse_yaml(laughs);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("more than 100000 values"), std::string::npos);

  const auto long_texts =
      "a: &a " + std::string(1U << 20U, 'x') + "\nb: [" + repeat("*a, ", 1000) + "]";
  value = parse_yaml(long_texts);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("repeat too much"), std::string::npos);
}

}  // namespace
}  // namespace clew
