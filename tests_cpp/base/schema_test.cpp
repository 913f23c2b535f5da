#include "clew/base/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "clew/base/error.hpp"
#include "clew/base/json.hpp"

namespace clew {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Value json(std::string_view text) { return parse_json(text).value(); }

std::shared_ptr<const Schema> compiled(std::string_view text) {
  auto schema = Schema::compile(json(text));
  EXPECT_TRUE(schema) << text << ": " << schema.error().to_string();
  return schema ? *schema : Schema::compile(false).value();
}

Error refusal(std::string_view text) {
  const auto schema = Schema::compile(json(text));
  if (!schema) return schema.error();
  ADD_FAILURE() << "was accepted: " << text;
  return Error(Code::internal, "none");
}

// "path|keyword|expected" of each problem.
std::vector<std::string> problems_of(std::string_view schema, std::string_view instance,
                                     int limit = 20) {
  std::vector<std::string> out;
  for (const auto& problem : compiled(schema)->problems(json(instance), limit)) {
    out.push_back(problem.path + "|" + problem.keyword + "|" + problem.expected);
  }
  return out;
}

struct ProblemCase {
  std::string_view schema;
  std::string_view instance;
  std::vector<std::string> problems;
};
const std::vector<ProblemCase> problem_cases = {
    {R"({"type": "string"})", "3", {"|type|a string"}},
    {R"({"type": ["integer", "null"]})", "1.5", {"|type|null or an integer"}},
    {R"(false)", "1", {"|false|nothing"}},
    {R"({"enum": [1, "a"]})", "2", {R"(|enum|one of 1, "a")"}},
    {R"({"const": {"a": 1}})", "2", {R"(|const|{"a":1})"}},
    {R"({"minimum": 3})", "2", {"|minimum|a number of at least 3"}},
    {R"({"maximum": 3})", "4", {"|maximum|a number of at most 3"}},
    {R"({"exclusiveMinimum": 3})", "3", {"|exclusiveMinimum|a number above 3"}},
    {R"({"exclusiveMaximum": 3})", "3", {"|exclusiveMaximum|a number below 3"}},
    {R"({"multipleOf": 0.1})", "0.25", {"|multipleOf|a multiple of 0.1"}},
    {R"({"minLength": 2, "pattern": "^b"})",
     R"("ä")",
     {"|minLength|at least 2 characters", R"(|pattern|a string that matches "^b")"}},
    {R"({"maxLength": 1})", R"("ab")", {"|maxLength|at most 1 characters"}},
    {R"({"format": "ipv4"})", R"("1.2.3")", {R"(|format|a string of the format "ipv4")"}},
    {R"({"minItems": 2})", "[1]", {"|minItems|at least 2 elements"}},
    {R"({"maxItems": 0})", "[1]", {"|maxItems|at most 0 elements"}},
    {R"({"uniqueItems": true})",
     "[1, 2, 1.0]",
     {"[2]|uniqueItems|an element that did not come before"}},
    {R"({"contains": {"type": "null"}})",
     "[1]",
     {"|contains|at least 1 elements that fit \"contains\""}},
    {R"({"contains": true, "maxContains": 1})",
     "[1, 2]",
     {"|maxContains|at most 1 elements that fit \"contains\""}},
    {R"({"items": {"properties": {"n": {"type": "integer"}}}})",
     R"([{"n": 1}, {"n": "x"}])",
     {"[1].n|type|an integer"}},
    {R"({"required": ["a", "b"]})", R"({"b": 1})", {"a|required|a required member"}},
    {R"({"properties": {"q": {"required": ["x y"]}}})",
     R"({"q": {}})",
     {R"(q["x y"]|required|a required member)"}},
    {R"({"minProperties": 1})", "{}", {"|minProperties|at least 1 members"}},
    {R"({"maxProperties": 0})", R"({"a": 1})", {"|maxProperties|at most 0 members"}},
    {R"({"properties": {"folder": true}, "additionalProperties": false})",
     R"({"foldr": 1})",
     {R"(foldr|additionalProperties|no member of this name; did you mean "folder"?)"}},
    {R"({"propertyNames": {"maxLength": 2}})",
     R"({"abc": 1})",
     {"abc|propertyNames|a name for a member: at most 2 characters"}},
    {R"({"dependentRequired": {"a": ["b"]}})",
     R"({"a": 1})",
     {R"(b|dependentRequired|a member, because "a" is there)"}},
    {R"({"anyOf": [{"type": "string"}, {"minimum": 5}]})",
     "3",
     {"|anyOf|a string; or a number of at least 5"}},
    {R"({"oneOf": [{"required": ["a"]}, {"type": "null"}]})",
     "{}",
     {"|oneOf|a as a required member; or null"}},
    {R"({"oneOf": [true, true]})",
     "3",
     {"|oneOf|a value that fits exactly one of the alternatives, not several"}},
    {R"({"not": {"type": "null"}})",
     "null",
     {"|not|a value that does not fit the schema of \"not\""}},
    {R"({"if": {"type": "string"}, "then": {"minLength": 1}})",
     R"("")",
     {"|minLength|at least 1 characters"}},
    {R"({"properties": {"a": true}, "unevaluatedProperties": false})",
     R"({"a": 1, "b": 2})",
     {"b|unevaluatedProperties|no member of this name"}},
    {R"({"prefixItems": [true], "unevaluatedItems": false})",
     "[1, 2]",
     {"[1]|unevaluatedItems|no further element"}},
    {R"({"allOf": [{"type": "string"}, {"minimum": 5}]})",
     "3",
     {"|type|a string", "|minimum|a number of at least 5"}},
};

TEST(SchemaProblems, name_path_keyword_and_expectation) {
  for (const auto& [schema, instance, expected] : problem_cases) {
    EXPECT_EQ(problems_of(schema, instance), expected) << schema << " on " << instance;
  }
}

TEST(SchemaProblems, are_in_order_and_stop_at_the_limit) {
  constexpr auto schema = R"({"items": {"type": "string"}})";
  EXPECT_THAT(problems_of(schema, "[1, \"a\", 2, 3]", 2),
              ElementsAre("[0]|type|a string", "[2]|type|a string"));
  EXPECT_THAT(problems_of(schema, "[1, \"a\", 2, 3]").size(), 3U);
  EXPECT_THAT(problems_of(schema, "[\"a\"]"), IsEmpty());
}

TEST(SchemaCheck, puts_path_value_and_all_problems_into_the_error) {
  const auto schema = compiled(
      R"({"properties": {"n": {"type": "integer"}, "s": {"type": "string"}}, "required": ["r"]})");
  EXPECT_TRUE(schema->check(json(R"({"n": 1, "s": "", "r": null})"), "input"));

  const auto one = schema->check(json(R"({"n": "x", "r": 1})"), "input").error();
  EXPECT_EQ(one.code(), Code::invalid_input);
  EXPECT_EQ(*one.find("path"), Value("input.n"));
  EXPECT_EQ(*one.find("value"), Value("x"));
  EXPECT_EQ(*one.find("keyword"), Value("type"));
  EXPECT_EQ(one.find("problems"), nullptr);

  const auto several = schema->check(json(R"({"n": "x", "s": 1})"), "input").error();
  EXPECT_EQ(*several.find("path"), Value("input.n"));
  ASSERT_NE(several.find("problems"), nullptr);
  EXPECT_EQ(several.find("problems")->size(), 3U);

  const auto absent = schema->check(json("{}"), "input").error();
  EXPECT_THAT(absent.message(),
              HasSubstr("input.r: expected a required member, but it is missing"));
  EXPECT_TRUE(schema->check(json("[]"), "input"));  // no rule is about arrays
}

TEST(SchemaCompile, refuses_what_is_malformed_with_its_path) {
  struct Case {
    std::string_view schema;
    Code code;
    std::string_view path;
  };
  const std::vector<Case> cases = {
      {R"(3)", Code::invalid_input, "schema"},
      {R"({"type": "text"})", Code::invalid_input, "schema.type"},
      {R"({"type": []})", Code::invalid_input, "schema.type"},
      {R"({"type": ["null", "null"]})", Code::invalid_input, "schema.type"},
      {R"({"enum": 1})", Code::invalid_input, "schema.enum"},
      {R"({"minimum": "1"})", Code::invalid_input, "schema.minimum"},
      {R"({"multipleOf": 0})", Code::invalid_input, "schema.multipleOf"},
      {R"({"maxLength": -1})", Code::invalid_input, "schema.maxLength"},
      {R"({"minItems": 1.5})", Code::invalid_input, "schema.minItems"},
      {R"({"pattern": "("})", Code::invalid_input, "schema.pattern"},
      {R"x({"pattern": "(?=a)"})x", Code::invalid_input, "schema.pattern"},
      {R"x({"pattern": "(a)\\1"})x", Code::invalid_input, "schema.pattern"},
      {R"({"format": 1})", Code::invalid_input, "schema.format"},
      {R"({"items": [{}]})", Code::invalid_input, "schema.items"},
      {R"({"uniqueItems": 1})", Code::invalid_input, "schema.uniqueItems"},
      {R"({"properties": {"a": {"properties": {"b": 1}}}})", Code::invalid_input,
       "schema.properties.a.properties.b"},
      {R"({"properties": []})", Code::invalid_input, "schema.properties"},
      {R"({"required": ["a", "a"]})", Code::invalid_input, "schema.required"},
      {R"({"required": "a"})", Code::invalid_input, "schema.required"},
      {R"({"patternProperties": {"[": true}})", Code::invalid_input, "schema.patternProperties"},
      {R"({"dependentRequired": {"a": "b"}})", Code::invalid_input, "schema.dependentRequired.a"},
      {R"({"allOf": []})", Code::invalid_input, "schema.allOf"},
      {R"({"anyOf": [true, 1]})", Code::invalid_input, "schema.anyOf[1]"},
      {R"({"$ref": 1})", Code::invalid_input, "schema.$ref"},
      {R"({"$ref": "#/$defs/a"})", Code::invalid_input, "schema.$ref"},
      {R"({"$ref": "#nowhere"})", Code::invalid_input, "schema.$ref"},
      {R"({"$ref": "#/a~2"})", Code::invalid_input, "schema.$ref"},
      {R"({"$anchor": "1"})", Code::invalid_input, "schema.$anchor"},
      {R"({"$anchor": "a", "$defs": {"b": {"$anchor": "a"}}})", Code::invalid_input,
       "schema.$defs.b.$anchor"},
      {R"({"$id": "a#b"})", Code::invalid_input, "schema.$id"},
      {R"({"$id": "http://x/a", "$defs": {"b": {"$id": "a"}}})", Code::invalid_input,
       "schema.$defs.b.$id"},
      {R"({"$ref": "other.json"})", Code::unsupported, "schema.$ref"},
      {R"({"$schema": "http://json-schema.org/draft-07/schema#"})", Code::unsupported,
       "schema.$schema"},
      {R"({"dependencies": {}})", Code::unsupported, "schema.dependencies"},
      {R"({"$recursiveRef": "#"})", Code::unsupported, "schema.$recursiveRef"},
      {R"({"$vocabulary": {}})", Code::unsupported, "schema.$vocabulary"},
  };
  for (const auto& [schema, code, path] : cases) {
    const auto error = refusal(schema);
    EXPECT_EQ(error.code(), code) << schema << ": " << error.to_string();
    ASSERT_NE(error.find("path"), nullptr) << schema;
    EXPECT_EQ(*error.find("path"), Value(path)) << schema;
  }
}

TEST(SchemaCompile, names_the_nearest_keyword) {
  const auto error = refusal(R"({"properties": {"a": {"maxLenght": 3}}})");
  EXPECT_EQ(*error.find("path"), Value("schema.properties.a.maxLenght"));
  EXPECT_EQ(*error.find("suggestion"), Value("maxLength"));
  EXPECT_EQ(refusal(R"({"xyzzy-frobnicate": 3})").find("suggestion"), nullptr);
}

TEST(SchemaCompile, accepts_annotations_and_ignores_them) {
  const auto schema = compiled(
      R"({"title": "t", "description": "d", "default": 1, "examples": [1], "deprecated": true,
          "readOnly": true, "writeOnly": false, "$comment": "c", "contentMediaType": "a/b",
          "contentEncoding": "base64", "contentSchema": {}, "discriminator": {"propertyName": "k"},
          "$schema": "https://json-schema.org/draft/2020-12/schema", "format": "no-such-format"})");
  EXPECT_TRUE(schema->is_valid(json("[1]")));
  EXPECT_TRUE(schema->accepts_everything());
  EXPECT_TRUE(compiled("true")->accepts_everything());
  EXPECT_TRUE(compiled("{}")->accepts_everything());
  EXPECT_FALSE(compiled("false")->accepts_everything());
  EXPECT_FALSE(compiled(R"({"type": "null"})")->accepts_everything());
  EXPECT_FALSE(compiled(R"({"maxItems": 3})")->accepts_everything());
}

TEST(SchemaNumbers, are_compared_exactly) {
  struct Case {
    std::string_view schema;
    std::string_view instance;
    bool valid;
  };
  const std::vector<Case> cases = {
      {R"({"type": "integer"})", "1.0", true},
      {R"({"type": "integer"})", "1e300", true},
      {R"({"type": "integer"})", "1.5", false},
      {R"({"const": 1})", "1.0", true},
      {R"({"const": 9007199254740993})", "9007199254740992.0", false},
      {R"({"const": 9007199254740993})", "9007199254740993", true},
      {R"({"maximum": 9007199254740992.0})", "9007199254740993", false},
      {R"({"maximum": 9223372036854775807})", "9223372036854775808.0", false},
      {R"({"minimum": -9223372036854775808})", "-9223372036854775808.0", true},
      {R"({"exclusiveMinimum": 1})", "1.0000000000000002", true},
      {R"({"exclusiveMaximum": -1})", "-1.5", true},
      {R"({"multipleOf": 0.01})", "19.99", true},
      {R"({"multipleOf": 0.01})", "19.995", false},
      {R"({"multipleOf": 3})", "9223372036854775807", false},
      {R"({"multipleOf": 7})", "9223372036854775807", true},
      {R"({"multipleOf": 1e-300})", "1e300", true},
      {R"({"multipleOf": 7e-300})", "1e300", false},
      {R"({"multipleOf": 1e300})", "1e-300", false},
      {R"({"multipleOf": 2.5})", "-7.5", true},
      {R"({"multipleOf": 2})", "-9223372036854775808", true},
      {R"({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, [1, {"a": 2}]]})", R"([1.0, {"a": 2.0}])", true},
      {R"({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, {"a": 1, "b": 2}]})", R"({"b": 2, "a": 1})", true},
      {R"({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 1e300]})", "1e300", true},
      {R"({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]})", "-0.0", true},
      {R"({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]})", "11", false},
      {R"({"maxLength": 2.0})", R"("𝄞𝄞")", true},
      {R"({"maxLength": 1e300})", R"("ab")", true},
  };
  for (const auto& [schema, instance, valid] : cases) {
    EXPECT_EQ(compiled(schema)->is_valid(json(instance)), valid) << schema << " on " << instance;
  }
}

TEST(SchemaReferences, follow_trees_and_stay_in_the_document) {
  const auto tree = compiled(
      R"({"$id": "https://clew.test/tree", "type": "object", "required": ["name"],
          "properties": {"name": {"type": "string"}, "children": {"items": {"$ref": "#"}}}})");
  EXPECT_TRUE(
      tree->is_valid(json(R"({"name": "a", "children": [{"name": "b", "children": []}]})")));
  EXPECT_THAT(tree->problems(json(R"({"name": "a", "children": [{"children": []}]})"))[0].path,
              "children[0].name");

  // A tree that others extend: the strict one also forbids members of its own, at every level.
  const auto strict = compiled(
      R"({"$id": "https://clew.test/strict", "$dynamicAnchor": "node", "$ref": "tree",
          "unevaluatedProperties": false,
          "$defs": {"tree": {"$id": "https://clew.test/tree", "$dynamicAnchor": "node",
            "properties": {"children": {"items": {"$dynamicRef": "#node"}}}}}})");
  EXPECT_TRUE(strict->is_valid(json(R"({"children": [{"children": []}]})")));
  EXPECT_FALSE(strict->is_valid(json(R"({"children": [{"daat": 1}]})")));
  EXPECT_FALSE(strict->is_valid(json(R"({"kids": 1})")));
}

// A pointer may lead into a part with an $id of its own; what stands there is relative to that
// part.
TEST(SchemaReferences, keep_the_base_of_the_place_they_lead_to) {
  const auto schema = compiled(
      R"({"$id": "https://clew.test/root", "$ref": "#/$defs/part/$defs/x",
          "$defs": {"y": {"type": "null"},
                    "part": {"$id": "https://clew.test/part",
                             "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"type": "string"}}}}})");
  EXPECT_TRUE(schema->is_valid("text"));
  EXPECT_FALSE(schema->is_valid(nullptr));
}

TEST(SchemaReferences, that_never_end_are_refused) {
  for (const auto* text :
       {R"({"$ref": "#"})", R"({"allOf": [{"$ref": "#"}]})", R"({"not": {"$ref": "#"}})",
        R"({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [true, {"$ref": "#/$defs/a"}]}}})",
        R"({"if": {"dependentSchemas": {"x": {"$ref": "#"}}}})"}) {
    const auto error = refusal(text);
    EXPECT_EQ(error.code(), Code::invalid_input) << text;
    EXPECT_THAT(error.message(), HasSubstr("never end")) << text;
  }
  // A dynamic reference shows its end only while checking; it is refused there.
  const auto looping = compiled(
      R"({"$id": "https://clew.test/a", "$dynamicAnchor": "n", "$ref": "b",
          "$defs": {"b": {"$id": "b", "$dynamicAnchor": "n", "allOf": [{"$dynamicRef": "#n"}]}}})");
  EXPECT_FALSE(looping->is_valid(json("1")));
  EXPECT_EQ(looping->problems(json("1")).size(), 1U);
  EXPECT_FALSE(looping->check(json("1"), "input"));
}

TEST(SchemaBounds, alternatives_that_multiply_are_cut_off_and_refused) {
  const auto schema = compiled(
      R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}, "minItems": 1, "maxItems": 2},
                    {"type": "array", "prefixItems": [{"$ref": "#"}], "minItems": 1, "maxItems": 2}, {"type": "null"}]})");
  Value deep = 1;
  for (int i = 0; i < Value::depth_max - 1; ++i) deep = Value::array({deep});
  EXPECT_FALSE(schema->is_valid(deep));
  EXPECT_FALSE(schema->problems(deep).empty());
  Value fine;
  for (int i = 0; i < Value::depth_max - 1; ++i) fine = Value::array({fine});
  EXPECT_TRUE(schema->is_valid(fine));
}

// A document whose parts are shared has a number of paths that grows as 2^depth.
TEST(SchemaBounds, shared_parts_are_compiled_once) {
  Value shared = json(R"({"type": "object"})");
  for (int i = 0; i < 50; ++i) {
    shared = Value::object({{"properties", Value::object({{"a", shared}, {"b", shared}})}});
  }
  const auto schema = Schema::compile(shared);
  ASSERT_TRUE(schema);
  EXPECT_TRUE((*schema)->is_valid(json(R"({"a": {"b": {}}})")));
}

TEST(SchemaPatterns, mean_what_ecmascript_means) {
  struct Case {
    std::string_view pattern;
    std::string_view text;
    bool valid;
  };
  const std::vector<Case> cases = {
      {"b", "abc", true},
      {"^b", "abc", false},
      {"^abc$", "abc\n", false},
      {"^.$", "ä", true},
      {"^\\u00e4$", "ä", true},
      {"^\\s$", "\u00a0", true},
      {"^\\S$", "\u2003", false},
      {"^[\\sx]$", "\u2003", true},
      {"^[^\\s]$", "\u2003", false},
      {"^\\cA$", "\x01", true},
      {"^\\d$", "\u0967", false},
      {"^\\\\u0041$", "\\u0041", true},
      {"(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", false},
  };
  for (const auto& [pattern, text, valid] : cases) {
    const auto schema = Schema::compile(Value::object({{"pattern", pattern}}));
    ASSERT_TRUE(schema) << pattern;
    EXPECT_EQ((*schema)->is_valid(text), valid) << pattern << " on " << text;
  }
}

TEST(SchemaObjects, with_many_properties_are_checked_in_any_order) {
  std::vector<Member> properties;
  std::vector<Member> forward;
  for (int i = 0; i < 40; ++i) {
    const auto key = fmt::format("key{}", i);
    properties.push_back({key, Value::object({{"const", i}})});
    forward.push_back({key, i});
  }
  const auto schema =
      Schema::compile(Value::object({{"properties", Value::object(properties)},
                                     {"required", json(R"(["key3", "key39", "other"])")},
                                     {"additionalProperties", json(R"({"type": "null"})")}}));
  ASSERT_TRUE(schema);
  std::vector<Member> backward(forward.rbegin(), forward.rend());
  EXPECT_FALSE((*schema)->is_valid(Value::object(forward)));
  forward.push_back({"other", nullptr});
  backward.push_back({"other", nullptr});
  EXPECT_TRUE((*schema)->is_valid(Value::object(forward)));
  EXPECT_TRUE((*schema)->is_valid(Value::object(backward)));
  backward.back().value = 1;
  EXPECT_FALSE((*schema)->is_valid(Value::object(backward)));
}

TEST(SchemaThreads, share_one_schema) {
  const auto schema = compiled(
      R"({"properties": {"a": {"pattern": "^x+$"}, "e": {"format": "uri"}}, "anyOf": [{"required": ["a"]}, false]})");
  const auto good = json(R"({"a": "xxx", "e": "http://a.b/c"})");
  const auto bad = json(R"({"a": "y", "e": "nope"})");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&schema, &good, &bad] {
      for (int i = 0; i < 500; ++i) {
        EXPECT_TRUE(schema->is_valid(good));
        EXPECT_EQ(schema->problems(bad).size(), 2U);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace clew
