#include "clew/workflow/definition.hpp"

#include <gtest/gtest.h>

#include "clew/base/json.hpp"

namespace clew::workflow {
namespace {

constexpr std::string_view library = R"(
workflow: library.index
version: 1.0.0
description: Ranks the files of a folder.
input: {type: object, required: [folder], properties: {folder: {type: string}}}
steps:
  list:    {call: fs.list@^1, with: {folder: "{{ input.folder }}"}}
  measure:
    for_each: "{{ steps.list.output.files }}"
    as: file
    concurrency: 8
    call: code.measure@1.2.0
    with: {path: "{{ file }}", root: "{{ input.folder }}"}
    retry: {attempts: 3, initial: 100ms, factor: 2}
    timeout: 30s
  clean-up: {call: fs.clean, after: [rank, list]}
  rank:    {call: code.rank@^1, with: {rows: "{{ steps.measure.output }}"}, after: list}
output: {top: "{{ steps.rank.output }}", cleaned: "{{ steps["clean-up"].output }}"}
)";

DefinitionPtr load(std::string_view text) {
  auto loaded = load_text(text);
  EXPECT_TRUE(loaded.problems.empty())
      << loaded.problems[0].path << ": " << loaded.problems[0].message;
  return loaded.definition;
}

// The text above has YAML quotes inside YAML quotes in one place.
std::string library_text() {
  std::string text(library);
  const std::string quoted = R"(steps["clean-up"].output)";
  text.replace(text.find(quoted), quoted.size(), "steps['clean-up'].output");
  return text;
}

TEST(Definition, holds_what_was_written) {
  const auto definition = load(library_text());
  ASSERT_NE(definition, nullptr);
  EXPECT_EQ(definition->name, "library.index");
  EXPECT_EQ(definition->version_text, "1.0.0");
  EXPECT_EQ(definition->version.major, 1U);
  EXPECT_EQ(definition->description, "Ranks the files of a folder.");
  EXPECT_TRUE(definition->input->is_valid(Value::object({{"folder", "x"}})));
  EXPECT_FALSE(definition->input->is_valid(Value::object({})));
  ASSERT_EQ(definition->steps.size(), 4U);

  const Step& measure = definition->steps[1];
  EXPECT_EQ(measure.name, "measure");
  EXPECT_EQ(measure.line, 8);
  EXPECT_EQ(measure.call_text, "code.measure@1.2.0");
  EXPECT_EQ(measure.call.id, "code.measure");
  EXPECT_EQ(measure.call.kind, Reference::Kind::exact);
  EXPECT_EQ(measure.as, "file");
  EXPECT_EQ(measure.concurrency, 8);
  EXPECT_TRUE(measure.for_each->is_expression());
  EXPECT_EQ(*measure.timeout, std::chrono::seconds(30));
  EXPECT_EQ(measure.retry->attempts, 3);
  EXPECT_EQ(measure.retry->initial, std::chrono::milliseconds(100));
  EXPECT_EQ(measure.retry->factor, 2.0);
}

TEST(Definition, absent_options_have_their_defaults) {
  const auto definition = load("workflow: w\nversion: 1.0.0\nsteps: {a: {call: x, for_each: [1]}}");
  const Step& step = definition->steps[0];
  EXPECT_EQ(step.as, "item");
  EXPECT_EQ(step.concurrency, 64);
  EXPECT_FALSE(step.retry);
  EXPECT_FALSE(step.timeout);
  EXPECT_EQ(step.with->render([](auto) { return nullptr; }).value(), Value::object({}));
  EXPECT_EQ(definition->input, nullptr);
  EXPECT_EQ(definition->output, nullptr);
  EXPECT_EQ(definition->description, "");
}

TEST(Definition, dependencies_come_from_after_and_from_templates) {
  const auto definition = load(library_text());
  const auto dependencies = [&](std::string_view name) {
    return definition->steps[static_cast<std::size_t>(definition->find(name))].dependencies;
  };
  EXPECT_EQ(dependencies("list"), (std::vector<int>{}));
  EXPECT_EQ(dependencies("measure"), (std::vector<int>{0}));
  EXPECT_EQ(dependencies("clean-up"), (std::vector<int>{0, 3}));
  EXPECT_EQ(dependencies("rank"), (std::vector<int>{0, 1}));
  EXPECT_EQ(definition->steps[0].dependents, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(definition->steps[2].dependents, (std::vector<int>{}));
}

TEST(Definition, find_knows_every_step_and_no_other) {
  const auto definition = load(library_text());
  for (std::size_t i = 0; i < definition->steps.size(); ++i) {
    EXPECT_EQ(definition->find(definition->steps[i].name), static_cast<int>(i));
  }
  for (const auto* name : {"", "a", "lis", "listt", "zz"}) EXPECT_EQ(definition->find(name), -1);
}

TEST(Definition, yaml_json_and_data_of_one_content_have_one_digest) {
  const auto from_yaml = load(library_text());
  const auto from_json = load(to_json(from_yaml->document));
  const auto from_value = load_value(from_yaml->document).definition;
  EXPECT_EQ(from_yaml->digest.size(), 64U);
  EXPECT_EQ(from_yaml->digest, from_json->digest);
  EXPECT_EQ(from_yaml->digest, from_value->digest);
  EXPECT_EQ(from_yaml->document, from_value->document);
  EXPECT_EQ(from_value->steps[0].line, 0);

  const auto reordered = load("version: 1.0.0\nsteps: {a: {with: {}, call: x}}\nworkflow: w");
  const auto plain = load("workflow: w\nversion: 1.0.0\nsteps: {a: {call: x, with: {}}}");
  const auto other = load("workflow: w\nversion: 1.0.1\nsteps: {a: {call: x, with: {}}}");
  EXPECT_EQ(reordered->digest, plain->digest);
  EXPECT_NE(other->digest, plain->digest);
}

TEST(Definition, what_the_input_schema_leaves_open_is_no_problem) {
  const char* const schemas[] = {
      "{}",
      "{type: object}",
      "{properties: {x: {}}}",
      "{properties: {x: {}}, additionalProperties: true}",
      "{properties: {x: {}}, patternProperties: {\"^f\": {}}, additionalProperties: false}",
      "{properties: {file: {}}, additionalProperties: false}",
      "{type: [object, string], properties: {file: {type: [object, \"null\"]}}}",
      "{additionalProperties: {type: object}}",
  };
  for (const auto* schema : schemas) {
    SCOPED_TRACE(schema);
    EXPECT_NE(load(fmt::format("workflow: w\nversion: 1.0.0\ninput: {}\nsteps:\n"
                               "  a: {{call: x, with: {{v: \"{{{{ input.file.name }}}}\"}}}}\n",
                               schema)),
              nullptr);
  }
}

TEST(Definition, for_each_may_be_a_literal_list_with_templates) {
  const auto definition = load(
      "workflow: w\nversion: 1.0.0\nsteps:\n"
      "  a: {call: x}\n  b: {call: y, for_each: [1, \"{{ steps.a.output }}\"], with: {v: \"{{ item "
      "}}\"}}");
  EXPECT_EQ(definition->steps[1].dependencies, (std::vector<int>{0}));
  EXPECT_FALSE(definition->steps[1].for_each->is_expression());
}

TEST(Definition, ten_thousand_steps_in_a_chain_load) {
  std::string text = "workflow: w\nversion: 1.0.0\nsteps:\n  s0: {call: x}\n";
  for (int i = 1; i < 10'000; ++i)
    text += fmt::format("  s{}: {{call: x, after: s{}}}\n", i, i - 1);
  const auto definition = load(text);
  ASSERT_NE(definition, nullptr);
  EXPECT_EQ(definition->steps.back().line, 10'003);
  EXPECT_EQ(definition->find("s9999"), 9999);
}

}  // namespace
}  // namespace clew::workflow
