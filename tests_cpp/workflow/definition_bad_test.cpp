// Every way in which a definition can be wrong: where it is said to be, on which line, in which
// words, and what is suggested.
#include <gtest/gtest.h>

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/workflow/definition.hpp"

namespace clew::workflow {
namespace {

struct BadCase {
  std::string text;
  std::string path;
  int line;
  std::string message;
  std::string suggestion;
};

std::string show(const std::vector<Problem>& problems) {
  std::string all;
  for (const auto& problem : problems) {
    all += fmt::format("  {} line {}: {} [{}]\n", problem.path, problem.line, problem.message,
                       problem.suggestion);
  }
  return all;
}

// A definition in which line 4 onwards, within `steps:`, is given.
std::string steps(std::string_view body) {
  return fmt::format("workflow: w\nversion: 1.0.0\nsteps:\n{}", body);
}
// The same with one step `a` and more keys for it, on line 4.
std::string step(std::string_view keys) {
  return steps(fmt::format("  a: {{call: x, {}}}\n", keys));
}
// An input schema on line 3 and a template on line 5.
std::string with_input(std::string_view schema, std::string_view use) {
  return fmt::format(
      "workflow: w\nversion: 1.0.0\ninput: {}\nsteps:\n  a: {{call: x, with: {{v: \"{}\"}}}}\n",
      schema, use);
}

void expect_only_problem(const BadCase& bad) {
  SCOPED_TRACE(bad.text);
  const auto loaded = load_text(bad.text);
  EXPECT_EQ(loaded.definition, nullptr);
  ASSERT_EQ(loaded.problems.size(), 1U) << show(loaded.problems);
  const auto& problem = loaded.problems[0];
  EXPECT_EQ(problem.path, bad.path);
  EXPECT_EQ(problem.line, bad.line);
  EXPECT_NE(problem.message.find(bad.message), std::string::npos) << problem.message;
  EXPECT_EQ(problem.suggestion, bad.suggestion);
}

TEST(BadDefinition, documents) {
  const BadCase cases[] = {
      {"", "", 1, "expected a mapping", ""},
      {"[]", "", 1, "expected a mapping", ""},
      {"text", "", 1, "got \"text\"", ""},
      {"a: [", "", 1, "column", ""},
      {"a: 1\na: 2", "", 2, "\"a\" occurs twice", ""},
      {"version: 1.0.0\nsteps: {a: {call: x}}", "workflow", 1, "\"workflow\" is missing", ""},
      {"workflow: w\nsteps: {a: {call: x}}", "version", 1, "\"version\" is missing", ""},
      {"workflow: w\nversion: 1.0.0", "steps", 1, "\"steps\" is missing", ""},
      {"workflow: 3\nversion: 1.0.0\nsteps: {a: {call: x}}", "workflow", 1, "got 3", ""},
      {"version: 1.0.0\nworkflow: My Flow\nsteps: {a: {call: x}}", "workflow", 2, "\"My Flow\"",
       ""},
      {"workflow: a..b\nversion: 1.0.0\nsteps: {a: {call: x}}", "workflow", 1, "\"a..b\"", ""},
      {"workflow: w\nversion: 1.10\nsteps: {a: {call: x}}", "version", 2,
       "got the number 1.1; a version has three parts, and text that looks like a number goes in "
       "quotes",
       ""},
      {"workflow: w\nversion: 1\nsteps: {a: {call: x}}", "version", 2, "quotes", ""},
      {"workflow: w\nversion: \"1.0\"\nsteps: {a: {call: x}}", "version", 2, "\"1.0\"", ""},
      {"workflow: w\nversion: v1.0.0\nsteps: {a: {call: x}}", "version", 2, "\"v1.0.0\"", ""},
      {"workflow: w\nversion: [1]\nsteps: {a: {call: x}}", "version", 2, "got [1]", ""},
      {"workflow: w\nversion: 1.0.0\nsteps: {a: {call: x}}\ndescripton: x", "descripton", 4,
       "there is no key \"descripton\"", "description"},
      {"workflow: w\nversion: 1.0.0\nsteps: {a: {call: x}}\nzzz: 1", "zzz", 4,
       "expected one of workflow, version, description, input, steps, output", ""},
      {"workflow: w\nversion: 1.0.0\nsteps: {a: {call: x}}\n\"x y\": 1", "[\"x y\"]", 4, "no key",
       ""},
      {"workflow: w\nversion: 1.0.0\ndescription: [x]\nsteps: {a: {call: x}}", "description", 3,
       "expected a text, got [\"x\"]", ""},
      {"workflow: w\nversion: 1.0.0\ninput: text\nsteps: {a: {call: x}}", "input", 3,
       "expected a JSON Schema", ""},
      {"workflow: w\nversion: 1.0.0\ninput:\n  type: objct\nsteps: {a: {call: x}}", "input.type", 4,
       "objct", ""},
      {"workflow: w\nversion: 1.0.0\nsteps: {a: {call: x}}\noutput:\n  x: \"{{ + }}\"", "output.x",
       5, "column 4: expected a name", ""},
  };
  for (const auto& bad : cases) expect_only_problem(bad);
}

// Parity: workflow validate
TEST(BadDefinition, waits_for_events) {
  const auto edge = [](std::string_view keys) {
    return step(fmt::format("on_event: {{type: x.y, {}}}", keys));
  };
  const std::string at = "steps.a.on_event";
  const BadCase cases[] = {
      {step("on_event: 3"), at, 4, "expected an event type such as \"shop.settled@^1\"", ""},
      {step("on_event: Bad"), at, 4, "\"Bad\"", ""},
      {step("on_event: \"x.*\""), at, 4, "x.*", ""},
      {step("on_event: x@1.0"), at, 4, "\"x@1.0\"", ""},
      {step("on_event: {}"), at + ".type", 4, "\"type\" is missing; expected an event type", ""},
      {step("on_event: {type: [x]}"), at + ".type", 4, "got [\"x\"]", ""},
      {step("on_event: {type: x, corelation: any}"), at + ".corelation", 4, "no key",
       "correlation"},
      {edge("where: true"), at + ".where", 4, "expected one {{ … }} that gives true or false", ""},
      {edge("where: \"a {{ event.id }}\""), at + ".where", 4, "expected one {{ … }} that gives",
       ""},
      {edge("where: \"{{ event.data = 1 }}\""), at + ".where", 4, "column 15: unexpected =", ""},
      {edge("where: \"{{ evnt.id == 'x' }}\""), at + ".where", 4,
       "expected one of input, steps, event", "event"},
      {edge("where: \"{{ event.dta }}\""), at + ".where", 4, "an event has no \"dta\"", "data"},
      {edge("where: \"{{ steps.b.output }}\""), at + ".where", 4, "there is no step \"b\"", "a"},
      {edge("where: \"{{ steps.a.output }}\""), at + ".where", 4, "cannot wait for itself", ""},
      {edge("correlation: mine"), at + ".correlation", 4, "expected run, any, or one {{ … }}", ""},
      {edge("correlation: 7"), at + ".correlation", 4, "got 7", ""},
      {edge("correlation: \"{{ event.id }}\""), at + ".correlation", 4,
       "expected one of input, steps", ""},
      {edge("timeout: soon"), at + ".timeout", 4, "\"soon\"", ""},
      {edge("timeout: 0s"), at + ".timeout", 4, "expected a duration above zero", ""},
      {step("with: {v: \"{{ event.data }}\"}"), "steps.a.with.v", 4, "there is no \"event\" here",
       ""},
      {step("on_event: x, for_each: [], as: event"), "steps.a.as", 4, "would hide the run's own",
       ""},
      {steps("  a: {on_event: x, with: {}}"), "steps.a.with", 4, "\"with\" belongs to a \"call\"",
       ""},
      {steps("  a: {on_event: x, timeout: 1s}"), "steps.a.timeout", 4, "belongs to a \"call\"", ""},
      {steps("  a: {on_event: x}\n  b: {call: y, with: {e: \"{{ event }}\"}}"), "steps.b.with.e", 5,
       "there is no \"event\" here", ""},
  };
  for (const auto& bad : cases) expect_only_problem(bad);
}

TEST(BadDefinition, steps) {
  const BadCase cases[] = {
      {steps("  []"), "steps", 3, "expected a mapping of names to steps", ""},
      {steps("  {}"), "steps", 3, "at least one step", ""},
      {steps("  A: {call: x}"), "steps.A", 4, "expected a step's name", ""},
      {steps("  1a: {call: x}"), "steps.1a", 4, "expected a step's name", ""},
      {steps("  \"\": {call: x}"), "steps[\"\"]", 4, "expected a step's name", ""},
      {steps("  a b: {call: x}"), "steps[\"a b\"]", 4, "expected a step's name", ""},
      {steps("  " + std::string(65, 'a') + ": {call: x}"), "steps." + std::string(65, 'a'), 4,
       "at most 63 of", ""},
      {steps("  a:\n"), "steps.a", 4, "expected a mapping with the key call or on_event, got null",
       ""},
      {steps("  a: text.words"), "steps.a", 4, "got \"text.words\"", ""},
      {steps("  a:\n    with: {}\n"), "steps.a.call", 4, "\"call\" is missing", ""},
      {steps("  a:\n    call: 3\n"), "steps.a.call", 5, "got 3", ""},
      {steps("  a:\n    call: Bad\n"), "steps.a.call", 5, "\"Bad\"", ""},
      {steps("  a:\n    call: x@1\n"), "steps.a.call", 5, "\"x@1\"", ""},
      {steps("  a:\n    call: x@\n"), "steps.a.call", 5, "\"x@\"", ""},
      {step("whit: {}"), "steps.a.whit", 4, "there is no key \"whit\"", "with"},
      {step("for_eech: []"), "steps.a.for_eech", 4, "no key", "for_each"},
      {step("with: []"), "steps.a.with", 4, "expected a mapping of input names", ""},
      {step("with: \"a {{ input }}\""), "steps.a.with", 4, "expected a mapping of input names", ""},
      {step("with: {p: \"{{ input. }}\"}"), "steps.a.with.p", 4, "column 11: expected a member",
       ""},
      {step("with: {p: [1, \"{{ input\"]}"), "steps.a.with.p[1]", 4, "without its \"}}\"", ""},
      {step("for_each: 3"), "steps.a.for_each", 4, "expected a list, or one {{ … }}", ""},
      {step("for_each: {a: 1}"), "steps.a.for_each", 4, "expected a list, or one {{ … }}", ""},
      {step("for_each: text"), "steps.a.for_each", 4, "expected a list, or one {{ … }}", ""},
      {step("for_each: \"x {{ input.l }}\""), "steps.a.for_each", 4, "or one {{ … }}", ""},
      {step("for_each: \"{{ input.l }} \""), "steps.a.for_each", 4, "or one {{ … }}", ""},
      {step("as: file"), "steps.a.as", 4, "belongs to a \"for_each\"", ""},
      {step("concurrency: 2"), "steps.a.concurrency", 4, "belongs to a \"for_each\"", ""},
      {step("for_each: [], as: 3"), "steps.a.as", 4, "expected a name of letters", ""},
      {step("for_each: [], as: a-b"), "steps.a.as", 4, "expected a name of letters", ""},
      {step("for_each: [], as: in"), "steps.a.as", 4, "expected a name of letters", ""},
      {step("for_each: [], as: input"), "steps.a.as", 4, "would hide the run's own", ""},
      {step("for_each: [], as: steps"), "steps.a.as", 4, "would hide the run's own", ""},
      {step("for_each: [], concurrency: 0"), "steps.a.concurrency", 4, "from 1 to 10000, got 0",
       ""},
      {step("for_each: [], concurrency: 10001"), "steps.a.concurrency", 4, "got 10001", ""},
      {step("for_each: [], concurrency: 2.0"), "steps.a.concurrency", 4, "got 2.0", ""},
      {step("for_each: [], concurrency: many"), "steps.a.concurrency", 4, "got \"many\"", ""},
      {step("timeout: soon"), "steps.a.timeout", 4, "\"soon\"", ""},
      {step("timeout: 0s"), "steps.a.timeout", 4, "expected a duration above zero", ""},
      {step("timeout: -1"), "steps.a.timeout", 4, "-1", ""},
      {step("timeout: [1s]"), "steps.a.timeout", 4, "[\"1s\"]", ""},
      {step("retry: 3"), "steps.a.retry", 4, "expected a mapping", ""},
      {step("retry: {attempts: 0}"), "steps.a.retry.attempts", 4, "got 0", ""},
      {step("retry: {attempts: 1001}"), "steps.a.retry.attempts", 4, "got 1001", ""},
      {step("retry: {attemps: 3}"), "steps.a.retry.attemps", 4, "no key", "attempts"},
      {step("retry: {factor: 0.5}"), "steps.a.retry.factor", 4, "got 0.5", ""},
      {step("retry: {jitter: 2}"), "steps.a.retry.jitter", 4, "got 2", ""},
      {step("retry: {initial: x}"), "steps.a.retry.initial", 4, "\"x\"", ""},
  };
  for (const auto& bad : cases) expect_only_problem(bad);
}

TEST(BadDefinition, references) {
  const std::string schema =
      "{type: object, additionalProperties: false, properties: {folder: {type: string}, "
      "opts: {type: object, properties: {deep: {type: integer}}, additionalProperties: false}}}";
  const BadCase cases[] = {
      {step("after: other"), "steps.a.after", 4, "there is no step \"other\"", ""},
      {step("after: [other]"), "steps.a.after[0]", 4, "there is no step \"other\"", ""},
      {step("after: {b: 1}"), "steps.a.after", 4, "a step's name or a list of them", ""},
      {step("after: [1]"), "steps.a.after[0]", 4, "expected a step's name, got 1", ""},
      {step("after: a"), "steps.a.after", 4, "cannot wait for itself", ""},
      {steps("  first: {call: x}\n  b: {call: x, after: [first, first]}"), "steps.b.after[1]", 5,
       "expected each name once", ""},
      {steps("  measure: {call: x}\n  b:\n    call: x\n    after: [mesure]"), "steps.b.after[0]", 7,
       "there is no step \"mesure\"", "measure"},
      {step("with: {v: \"{{ inptu.x }}\"}"), "steps.a.with.v", 4,
       "there is no \"inptu\" here; expected one of input, steps", "input"},
      {step("with: {v: \"{{ item }}\"}"), "steps.a.with.v", 4, "there is no \"item\" here", ""},
      {step("for_each: \"{{ item }}\""), "steps.a.for_each", 4, "there is no \"item\" here", ""},
      {step("for_each: [1], as: file, with: {v: \"{{ item }}\"}"), "steps.a.with.v", 4,
       "expected one of input, steps, file", ""},
      {step("for_each: [1], as: file, with: {v: \"{{ fil }}\"}"), "steps.a.with.v", 4,
       "there is no \"fil\" here", "file"},
      {step("with: {v: \"{{ a.output }}\"}"), "steps.a.with.v", 4, "there is no \"a\" here",
       "steps.a.output"},
      {step("with: {v: \"{{ steps }}\"}"), "steps.a.with.v", 4, "expected steps.<name>.output", ""},
      {step("with: {v: \"{{ steps[0] }}\"}"), "steps.a.with.v", 4, "expected steps.<name>.output",
       ""},
      {step("with: {v: \"{{ steps.a.output }}\"}"), "steps.a.with.v", 4, "cannot wait for itself",
       ""},
      {step("for_each: \"{{ steps.a.output }}\""), "steps.a.for_each", 4, "cannot wait for itself",
       ""},
      {steps(
           "  list: {call: x}\n  b:\n    call: x\n    with:\n      v: \"{{ steps.lst.output }}\""),
       "steps.b.with.v", 8, "there is no step \"lst\"", "list"},
      {steps("  list: {call: x}\n  b: {call: x, with: {v: \"{{ steps.list }}\"}}"),
       "steps.b.with.v", 5, "expected steps.list.output, got steps.list", "steps.list.output"},
      {steps("  list: {call: x}\n  b: {call: x, with: {v: \"{{ steps.list.status }}\"}}"),
       "steps.b.with.v", 5, "a step has no \"status\"; expected output", "steps.list.output"},
      {steps("  list: {call: x, for_each: []}\n  b: {call: x, with: {v: \"{{ steps.list.output.n "
             "}}\"}}"),
       "steps.b.with.v", 5, "the list of a for_each, which has no member \"n\"", ""},
      {step("with: {}") + "output: {t: [\"{{ steps.other.output }}\"]}", "output.t[0]", 5,
       "there is no step \"other\"", ""},
      {step("with: {}") + "output: \"{{ item }}\"", "output", 5, "there is no \"item\" here", ""},
      {with_input(schema, "{{ input.foldr }}"), "steps.a.with.v", 5,
       "input has no member \"foldr\": the input schema allows folder, opts", "folder"},
      {with_input(schema, "{{ input.opts.dep }}"), "steps.a.with.v", 5,
       "input.opts has no member \"dep\"", "deep"},
      {with_input(schema, "{{ input.folder.x }}"), "steps.a.with.v", 5,
       "input.folder has no member \"x\": the input schema says its type is \"string\"", ""},
      {steps("  a: {call: x, after: b}\n  b: {call: x, after: a}"), "steps.a", 4,
       "in a circle: a -> b -> a", ""},
      {steps("  z: {call: x}\n  c: {call: x, after: b}\n"
             "  b: {call: x, for_each: \"{{ steps.a.output }}\"}\n"
             "  a: {call: x, with: {v: \"{{ steps.c.output }}\"}, after: z}\n  d: {call: x, after: "
             "c}"),
       "steps.c", 5, "in a circle: c -> b -> a -> c", ""},
  };
  for (const auto& bad : cases) expect_only_problem(bad);
}

TEST(BadDefinition, all_problems_come_together_ordered_by_line) {
  const auto loaded = load_text(
      "workflow: w\nversion: 1\nsteps:\n  a: {call: Bad, whit: 1}\n  b: {call: x, after: [a, c]}\n"
      "  d: {call: x, after: e}\n  e: {call: x, after: d}\n  f: {call: x, after: g}\n"
      "  g: {call: x, after: f}\noutput: \"{{ steps.zz.output }}\"\n");
  std::vector<std::string> places;
  for (const auto& problem : loaded.problems) {
    places.push_back(fmt::format("{} {}", problem.line, problem.path));
  }
  const std::vector<std::string> expected = {
      "2 version", "4 steps.a.call", "4 steps.a.whit", "5 steps.b.after[1]",
      "6 steps.d", "8 steps.f",      "10 output"};
  EXPECT_EQ(places, expected) << show(loaded.problems);

  const auto error = to_error(loaded.problems);
  EXPECT_EQ(error.code(), Code::invalid_input);
  EXPECT_NE(error.message().find("line 2: version: "), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("(and 6 more)"), std::string::npos) << error.message();
  ASSERT_EQ(error.find("problems")->size(), 7U);
  EXPECT_EQ(*error.find("problems")->items()[2].find("suggestion"), Value("with"));
  EXPECT_EQ(*error.find("problems")->items()[2].find("line"), Value(4));
}

TEST(BadDefinition, data_has_the_same_problems_without_lines) {
  const auto document = parse_json(R"({"workflow": "w", "version": 1.5,
      "steps": {"a": {"call": "x", "after": "b"}}})")
                            .value();
  const auto loaded = load_value(document);
  ASSERT_EQ(loaded.problems.size(), 2U) << show(loaded.problems);
  EXPECT_EQ(loaded.problems[0].path, "steps.a.after");
  EXPECT_EQ(loaded.problems[1].path, "version");
  for (const auto& problem : loaded.problems) EXPECT_EQ(problem.line, 0);
  EXPECT_EQ(to_error(loaded.problems).message().find("line"), std::string::npos);
}

TEST(BadDefinition, json_text_has_lines_too) {
  const auto loaded = load_text(
      "{\n \"workflow\": \"w\",\n \"version\": \"1.0.0\",\n \"steps\": {\n"
      "  \"a\":\n   {\"call\": \"x\",\n    \"whit\": {}}\n }\n}\n");
  ASSERT_EQ(loaded.problems.size(), 1U) << show(loaded.problems);
  EXPECT_EQ(loaded.problems[0].line, 7);
  EXPECT_EQ(loaded.problems[0].suggestion, "with");
}

TEST(BadDefinition, bounds_hold) {
  std::string many = "workflow: w\nversion: 1.0.0\nsteps:\n";
  for (int i = 0; i <= 10'000; ++i) many += fmt::format("  s{}: {{call: x}}\n", i);
  const auto too_many = load_text(many);
  ASSERT_EQ(too_many.problems.size(), 1U);
  EXPECT_NE(too_many.problems[0].message.find("10001 steps; at most 10000"), std::string::npos);

  std::string bad = "workflow: w\nversion: 1.0.0\nsteps:\n";
  for (int i = 0; i < 300; ++i) bad += fmt::format("  s{}: {{call: x, after: zz}}\n", i);
  EXPECT_EQ(load_text(bad).problems.size(), 100U);

  Value deep = 1;
  for (int i = 0; i < Value::depth_max; ++i) deep = Value::array({deep});
  const auto loaded = load_value(Value::object({{"workflow", deep}}));
  ASSERT_EQ(loaded.problems.size(), 1U);
  EXPECT_NE(loaded.problems[0].message.find("nests deeper than 128"), std::string::npos);
}

}  // namespace
}  // namespace clew::workflow
