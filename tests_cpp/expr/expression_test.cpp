#include <gtest/gtest.h>

#include "clew/base/json.hpp"
#include "clew/expr/expr.hpp"

namespace clew::expr {
namespace {

using Parts = std::vector<std::string>;

Value json(std::string_view text) { return parse_json(text).value(); }

// The names that most cases look things up in.
const Value& input() {
  static const Value value = json(R"({"folder": "docs", "rows": [{"n": 1}, {"n": 2}],
      "odd key": {"in": true}, "limit": 9007199254740993, "none": null, "my-name": 5,
      "": "empty", "é": "accent"})");
  return value;
}

const Value* scope(std::string_view name) { return name == "input" ? &input() : nullptr; }

Result<Value> evaluate(std::string_view text) {
  auto compiled = Expression::compile(text);
  if (!compiled) return compiled.error();
  return (*compiled)->evaluate(scope);
}

struct Case {
  std::string_view text;
  std::string_view json;
};

TEST(Expression, references_find_members_and_elements) {
  const Case cases[] = {
      {"input.folder", R"("docs")"},
      {" input . folder ", R"("docs")"},
      {"input\n.folder", R"("docs")"},
      {R"(input["folder"])", R"("docs")"},
      {"input['folder']", R"("docs")"},
      {R"(input["odd key"]["in"])", "true"},
      {"input.rows[1].n", "2"},
      {"input.rows[ 0 ]", R"({"n": 1})"},
      {"input.rows", R"([{"n": 1}, {"n": 2}])"},
      {"input.limit", "9007199254740993"},
      {"input.none", "null"},
      {R"(input["my-name"])", "5"},
      {R"(input[""])", R"("empty")"},
      {R"(input["\u00e9"])", R"("accent")"},
      {R"(input["é"])", R"("accent")"},
      {R"(input["\U000000e9"])", R"("accent")"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    auto value = evaluate(text);
    ASSERT_TRUE(value) << value.error().to_string();
    EXPECT_EQ(*value, json(expected));
  }
}

struct BadCase {
  std::string_view text;
  int column;
  std::string_view message;
};

TEST(Expression, what_is_no_reference_is_refused_with_its_column) {
  const BadCase cases[] = {
      {"", 1, "expected a name"},
      {"   ", 4, "expected a name"},
      {"null.x", 5, "expected an operator"},
      {"for", 1, "expected a name"},
      {".x", 1, "expected a name"},
      {"input.", 7, "got the end"},
      {"input..x", 7, "got \".\""},
      {"input.1", 7, "expected a member's name"},
      {"input.in", 7, "expected a member's name"},
      {"input.true", 7, "expected a member's name"},
      {"input x", 7, "got \"x\""},
      {"input + 1", 7, "got \"+\""},
      {"steps.my-step", 9, "goes in [\"…\"]"},
      {"input(1)", 6, "got \"(\""},
      {"input[", 7, "expected an index"},
      {"input[0", 8, "expected \"]\""},
      {"input[0}", 8, "expected \"]\""},
      {"input[-1]", 7, "never negative"},
      {"input[1.5]", 7, "expected an index"},
      {"input[x]", 7, "expected an index"},
      {"input[]", 7, "expected an index"},
      {"input[12a]", 7, "goes on with letters"},
      {"input[9223372036854775808]", 7, "does not fit 64 bits"},
      {"input[\"x]", 7, "no closing \""},
      {"input['x\n']", 7, "no closing '"},
      {R"(input["\q"])", 8, "no such escape"},
      {R"(input["\u12"])", 8, "4 hexadecimal digits"},
      {R"(input["\ud800"])", 8, "4 hexadecimal digits"},
      {R"(input["\U00110000"])", 8, "8 hexadecimal digits"},
      {"input;", 6, "unexpected ;"},
      {"input.é", 7, "unexpected é"},
      {"input[\"é\"] ä", 12, "unexpected ä"},
      {"input @", 7, "unexpected @"},
      {"input ==", 9, "got the end"},
      {"1 < 2 < 3", 7, "no chain"},
      {"1 == 1 == true", 8, "no chain"},
      {"!", 2, "got the end"},
      {"(input", 7, "expected an operator or \")\""},
      {"()", 2, "got \")\""},
      {"(input).x", 8, "got \".\""},
      {"input = 1", 7, "unexpected ="},
      {"input & 1", 7, "unexpected &"},
      {"true and false", 6, "got \"and\""},
      {"-1 < 2", 1, "got \"-\""},
      {"1.5.x", 4, "expected an operator"},
  };
  for (const auto& [text, column, message] : cases) {
    SCOPED_TRACE(text);
    auto compiled = Expression::compile(text);
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error().code(), Code::invalid_input);
    EXPECT_NE(compiled.error().message().find(message), std::string::npos)
        << compiled.error().message();
    EXPECT_EQ(*compiled.error().find("column"), Value(column)) << compiled.error().message();
  }
}

TEST(Expression, what_is_absent_or_of_another_kind_is_an_error_with_its_path) {
  struct Absent {
    std::string_view text, path, message;
  };
  const Absent cases[] = {
      {"other.x", "other", "no such name"},
      {"input.foldr", "input.foldr", "did you mean \"folder\"?"},
      {"input.zzzzzz.deeper", "input.zzzzzz", "no member \"zzzzzz\""},
      {"input.folder.x", "input.folder.x", "expected an object"},
      {"input.none.x", "input.none.x", "which is null"},
      {"input.rows.n", "input.rows.n", "expected an object"},
      {"input.rows[2]", "input.rows[2]", "no element 2 among 2"},
      {"input.rows[9223372036854775807]", "input.rows[9223372036854775807]", "among 2"},
      {"input.folder[0]", "input.folder[0]", "expected an array"},
      {"input[0]", "input[0]", "expected an array"},
      {R"(input.rows["0"])", "input.rows.0", "expected an object"},
  };
  for (const auto& [text, path, message] : cases) {
    SCOPED_TRACE(text);
    auto value = evaluate(text);
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().code(), Code::invalid_input);
    EXPECT_EQ(*value.error().find("path"), Value(path));
    EXPECT_NE(value.error().message().find(message), std::string::npos) << value.error().message();
  }
  EXPECT_EQ(*evaluate("input.foldr").error().find("suggestion"), Value("folder"));
  EXPECT_EQ(evaluate("input.zzzzzz").error().find("suggestion"), nullptr);
}

TEST(Expression, comparisons_and_logic_give_booleans) {
  const Case cases[] = {
      {"1", "1"},
      {"1.5", "1.5"},
      {"'text'", R"("text")"},
      {"null", "null"},
      {"(input.folder)", R"("docs")"},
      {"input.rows[0].n == 1", "true"},
      {"input.rows[0].n == 1.0", "true"},
      {"input.rows[0].n != 1", "false"},
      {"input.limit > 9007199254740992.0", "true"},  // as doubles they would be equal
      {"9007199254740992.0 < input.limit", "true"},
      {"2 < 2", "false"},
      {"2 <= 2", "true"},
      {"2 > 2", "false"},
      {"2 >= 2", "true"},
      {"input.folder < 'dot'", "true"},
      {"input.folder == 1", "false"},
      {"input.none == null", "true"},
      {"input.rows == input.rows", "true"},
      {"true && false", "false"},
      {"true || false", "true"},
      {"!true", "false"},
      {"!!true", "true"},
      {"true || true && false", "true"},  // && binds tighter
      {"(true || true) && false", "false"},
      {"!(1 > 2) && 'a' != \"b\"", "true"},
      {"false && input.absent", "false"},  // what does not decide is not looked at
      {"true || input.absent", "true"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    auto value = evaluate(text);
    ASSERT_TRUE(value) << value.error().to_string();
    EXPECT_EQ(*value, json(expected));
  }
}

TEST(Expression, operands_that_do_not_fit_are_errors_and_never_false) {
  struct Unfit {
    std::string_view text, path, message;
  };
  const Unfit cases[] = {
      {"input.folder >= 10", "10", "expected a text in input.folder >= 10, got 10"},
      {"10 < input.folder", "input.folder", "expected a number"},
      {"input.none < 1", "input.none", "expected a number or a text"},
      {"true < false", "true", "expected a number or a text"},
      {"input.rows && true", "input.rows", "expected true or false"},
      {"true && 1", "1", "expected true or false in true && 1"},
      {"false || null", "null", "expected true or false"},
      {"!input.folder", "input.folder", "expected true or false in !input.folder, got \"docs\""},
      {"input.absent == 1 || true", "input.absent", "no member"},
      {"!(input.limit > 'x')", "\"x\"", "expected a number"},
  };
  for (const auto& [text, path, message] : cases) {
    SCOPED_TRACE(text);
    auto value = evaluate(text);
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().code(), Code::invalid_input);
    EXPECT_EQ(*value.error().find("path"), Value(path));
    EXPECT_NE(value.error().message().find(message), std::string::npos) << value.error().message();
  }
}

TEST(Expression, nesting_of_operators_has_the_same_bound) {
  const auto nested = [](int count, std::string_view open, std::string_view close) {
    std::string text;
    for (int i = 0; i < count; ++i) text += open;
    text += "true";
    for (int i = 0; i < count; ++i) text += close;
    return text;
  };
  constexpr int most = Expression::depth_max;
  EXPECT_TRUE(Expression::compile(nested(most, "(", ")")));
  EXPECT_TRUE(Expression::compile(nested(most - 1, "!", "")));
  for (const auto& text : {nested(most + 1, "(", ")"), nested(most, "!", ""),
                           nested(100'000, "(", ")"), nested(100'000, "true && ", "")}) {
    auto compiled = Expression::compile(text);
    ASSERT_FALSE(compiled);
    EXPECT_NE(compiled.error().message().find("nests deeper than 128"), std::string::npos);
  }
}

TEST(Expression, nests_at_most_128_deep) {
  std::string text = "input";
  for (int i = 1; i < Expression::depth_max; ++i) text += ".a";
  EXPECT_TRUE(Expression::compile(text));
  auto deeper = Expression::compile(text + ".a");
  ASSERT_FALSE(deeper);
  EXPECT_NE(deeper.error().message().find("nests deeper than 128"), std::string::npos);
}

TEST(Expression, references_name_the_way_up_to_the_first_index) {
  const auto references = [](std::string_view text) {
    return Expression::compile(text).value()->references();
  };
  EXPECT_EQ(references("steps.list.output.files"),
            (std::vector<Parts>{{"steps", "list", "output", "files"}}));
  EXPECT_EQ(references("steps[\"my-step\"].output[0].x"),
            (std::vector<Parts>{{"steps", "my-step", "output"}}));
  EXPECT_EQ(references("input.a[0].b >= 1 && !(steps.x.output == item)"),
            (std::vector<Parts>{{"input", "a"}, {"steps", "x", "output"}, {"item"}}));
  EXPECT_EQ(references("1 < 2"), std::vector<Parts>());
  EXPECT_EQ(Expression::compile("  input.x ").value()->text(), "input.x");
}

TEST(Expression, root_names_are_identifiers_that_cel_leaves_free) {
  for (const auto word : {"x", "_x", "file2", "input", "File"}) EXPECT_TRUE(is_root_name(word));
  for (const auto word : {"", "2x", "a-b", "in", "true", "for", "a.b", "é", "a b"}) {
    EXPECT_FALSE(is_root_name(word)) << word;
  }
}

}  // namespace
}  // namespace clew::expr
