#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "clew/base/json.hpp"
#include "clew/expr/expr.hpp"

namespace clew::expr {
namespace {

Value json(std::string_view text) { return parse_json(text).value(); }

const Value& input() {
  static const Value value =
      json(R"({"n": 3, "x": 1.0, "text": "a\"b", "list": [1, "two"], "none": null, "yes": true,
               "braces": "{{ input.n }}", "}}": 7, "{": {"}": 8}})");
  return value;
}
const Value* scope(std::string_view name) { return name == "input" ? &input() : nullptr; }

Result<Value> render(const Value& value) {
  auto compiled = Template::compile(value, "with");
  if (!compiled) return compiled.error();
  return (*compiled)->render(scope);
}

struct Case {
  std::string_view source;  // JSON
  std::string_view result;  // JSON
};

TEST(Template, whole_expressions_keep_their_kind_and_mixed_text_is_text) {
  const Case cases[] = {
      {R"("{{ input.n }}")", "3"},
      {R"("{{input.n}}")", "3"},
      {R"("{{ input.x }}")", "1.0"},
      {R"("{{ input.list }}")", R"([1, "two"])"},
      {R"("{{ input.none }}")", "null"},
      {R"("n={{ input.n }}")", R"("n=3")"},
      {R"("{{ input.n }} ")", R"("3 ")"},
      {R"(" {{ input.n }}")", R"(" 3")"},
      {R"("{{ input.n }}{{ input.n }}")", R"("33")"},
      {R"("{{ input.x }}|{{ input.none }}|{{ input.yes }}|{{ input.list }}")",
       R"("1.0|null|true|[1,\"two\"]")"},
      {R"("<{{ input.text }}>")", R"("<a\"b>")"},
      {R"("{{ input.braces }}")", R"("{{ input.n }}")"},    // data is not expanded again
      {R"("x{{ input.braces }}")", R"("x{{ input.n }}")"},  // nor in mixed text
      {R"("{{ input[\"}}\"] }}")", "7"},
      {R"("{{ input['}}'] }}.")", R"("7.")"},
      {R"("{{ input[\"{\"][\"}\"] }}")", "8"},
      {R"("plain")", R"("plain")"},
      {R"("a }} b } c { d")", R"("a }} b } c { d")"},
      {R"("\\{{ input.n }}")", R"("{{ input.n }}")"},
      {R"("\\\\{{ input.n }}")", R"("\\3")"},
      {R"("\\\\\\{{ input.n }}")", R"("\\{{ input.n }}")"},
      {R"("a\\b {{ input.n }}")", R"("a\\b 3")"},
      {R"("a\\b")", R"("a\\b")"},
      {R"("")", R"("")"},
      {"17", "17"},
      {R"({"a": {"b": ["{{ input.n }}", 4, "k={{ input.n }}"]}, "{{ input.n }}": 5})",
       R"({"a": {"b": [3, 4, "k=3"]}, "{{ input.n }}": 5})"},
      {"[]", "[]"},
      {"{}", "{}"},
  };
  for (const auto& [source, result] : cases) {
    SCOPED_TRACE(source);
    auto value = render(json(source));
    ASSERT_TRUE(value) << value.error().to_string();
    EXPECT_EQ(to_json(*value), to_json(json(result)));
  }
}

TEST(Template, only_a_single_expression_is_one) {
  const auto is_expression = [](std::string_view source) {
    return Template::compile(json(source), "").value()->is_expression();
  };
  EXPECT_TRUE(is_expression(R"("{{ input.n }}")"));
  for (const auto* source : {R"(" {{ input.n }}")", R"("{{ input.n }} ")", R"("{{ a }}{{ b }}")",
                             R"(["{{ input.n }}"])", R"("x")", "3"}) {
    EXPECT_FALSE(is_expression(source)) << source;
  }
}

struct BadCase {
  std::string_view source;  // JSON
  std::string_view path;
  int column;
  std::string_view message;
};

TEST(Template, bad_templates_name_path_and_column) {
  const BadCase cases[] = {
      {R"("{{ input.n")", "with", 1, "without its \"}}\""},
      {R"("ab {{ input.n }")", "with", 4, "without its \"}}\""},
      {R"("{{ {} ")", "with", 1, "without its \"}}\""},
      {R"("{{ input['}}] }}")", "with", 10, "no closing '"},
      {R"("{{ }}")", "with", 4, "expected a name"},
      {R"("{{}}")", "with", 3, "expected a name"},
      {R"("é {{ input. }}")", "with", 13, "expected a member's name"},
      {R"("{{ {\"a\": {}} }}")", "with", 4, "expected a name"},
      {R"("{{ input.n }} {{ + }}")", "with", 18, "expected a name"},
      {R"({"a": [1, {"b c": "{{ ; }}"}]})", "with.a[1][\"b c\"]", 4, "unexpected ;"},
  };
  for (const auto& [source, path, column, message] : cases) {
    SCOPED_TRACE(source);
    auto compiled = Template::compile(json(source), "with");
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error().code(), Code::invalid_input);
    EXPECT_EQ(*compiled.error().find("path"), Value(path));
    EXPECT_EQ(*compiled.error().find("column"), Value(column)) << compiled.error().message();
    EXPECT_NE(compiled.error().message().find(message), std::string::npos)
        << compiled.error().message();
    EXPECT_TRUE(compiled.error().message().starts_with(path));
  }
}

TEST(Template, all_problems_are_found_at_once) {
  std::vector<Error> problems;
  const auto source = json(R"({"a": "{{ }}", "b": "{{ input.n }}", "c": ["{{ + }}"]})");
  EXPECT_EQ(Template::compile(source, "with", problems), nullptr);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(*problems[0].find("path"), Value("with.a"));
  EXPECT_EQ(*problems[1].find("path"), Value("with.c[0]"));
  // Older problems of the caller's do not count.
  EXPECT_NE(Template::compile(json("1"), "with", problems), nullptr);
}

TEST(Template, uses_name_every_expression_and_its_place) {
  auto compiled = Template::compile(
                      json(R"({"a": "{{ input.n }} {{ steps.x.output }}", "b": ["{{ y }}"]})"), "w")
                      .value();
  std::vector<std::string> seen;
  for (const auto& use : compiled->uses()) seen.push_back(use.path + ":" + use.expression->text());
  EXPECT_EQ(seen, (std::vector<std::string>{"w.a:input.n", "w.a:steps.x.output", "w.b[0]:y"}));
}

TEST(Template, an_expression_that_errors_fails_the_rendering_and_says_where) {
  auto value = render(json(R"({"a": {"b": "x{{ input.nn }}"}})"));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code(), Code::invalid_input);
  EXPECT_EQ(*value.error().find("path"), Value("input.nn"));
  EXPECT_EQ(*value.error().find("template"), Value("with.a.b"));
}

TEST(Template, a_result_that_nests_too_deep_is_an_error) {
  Value deep = 1;
  for (int i = 0; i < Value::depth_max - 1; ++i) deep = Value::array({deep});
  const Scope deep_scope = [&](std::string_view) { return &deep; };
  const auto once = Template::compile(json(R"(["{{ deep }}"])"), "with").value();
  const auto twice = Template::compile(json(R"([{"a": "{{ deep }}"}])"), "with").value();
  EXPECT_EQ(once->render(deep_scope).value().depth(), Value::depth_max);
  auto value = twice->render(deep_scope);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("nests deeper than 128"), std::string::npos);
  deep = Value::array({Value::array({deep})});
  EXPECT_FALSE(Template::compile(json(R"("{{ deep }}")"), "with").value()->render(deep_scope));
}

TEST(Template, what_is_inserted_is_shared_not_copied) {
  const auto compiled = Template::compile(json(R"({"rows": "{{ input.list }}"})"), "with").value();
  const auto rendered = compiled->render(scope).value();
  EXPECT_EQ(rendered.find("rows")->items().data(), input().find("list")->items().data());
}

TEST(Template, escaped_data_always_renders_to_itself) {
  const char* given = std::getenv("CLEW_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20'260'101ULL;
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view alphabet = "{}\\\"' a";
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (auto left = random() % 16; left > 0; --left) text += alphabet[random() % alphabet.size()];
    std::string escaped;  // "{{" and the backslashes before it get one each
    for (std::size_t at = 0; at < text.size();) {
      auto end = text.find_first_not_of('\\', at);
      if (end == std::string::npos) end = text.size();
      const auto slashes = end - at;
      if (text.substr(end, 2) == "{{") {
        escaped += std::string(2 * slashes + 1, '\\') + "{{";
        at = end + 2;
      } else {
        escaped += text.substr(at, slashes);
        if (end < text.size()) escaped += text[end];
        at = end + 1;
      }
    }
    auto rendered = render(Value(escaped));
    ASSERT_TRUE(rendered) << escaped << ": " << rendered.error().to_string();
    ASSERT_EQ(*rendered, Value(text)) << escaped;
  }
}

}  // namespace
}  // namespace clew::expr
