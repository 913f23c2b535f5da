#include "clew/workflow/detail/check.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <utility>

#include "clew/base/json.hpp"

namespace clew::workflow::detail {
namespace {

constexpr std::array<std::string_view, 6> known_keys = {"workflow", "version", "description",
                                                        "input",    "steps",   "output"};

// The member, or null when it is absent, which is a problem.
const Value* require(const Value& document, std::string_view key, std::string_view expected,
                     Problems& problems) {
  const Value* value = document.find(key);
  if (value == nullptr) {
    problems.add(key, fmt::format("\"{}\" is missing; expected {}", key, expected));
  }
  return value;
}

void read_name(const Value& document, Definition& into, Problems& problems) {
  constexpr std::string_view expected = "the workflow's name, such as \"library.index\"";
  const Value* value = require(document, "workflow", expected, problems);
  if (value == nullptr) return;
  if (!value->is_string()) return problems.add("workflow", *value, expected);
  into.name = value->as_string();
  if (auto checked = check_id(into.name, "workflow"); !checked) {
    problems.add(checked.error(), "workflow");
  }
}

void read_version(const Value& document, Definition& into, Problems& problems) {
  constexpr std::string_view expected = "a version such as \"1.0.0\"";
  const Value* value = require(document, "version", expected, problems);
  if (value == nullptr) return;
  if (value->is_number()) {
    return problems.add("version",
                        fmt::format("expected {}, got the number {}; a version has three parts, "
                                    "and text that looks like a number goes in quotes",
                                    expected, preview(*value)));
  }
  if (!value->is_string()) return problems.add("version", *value, expected);
  into.version_text = value->as_string();
  auto version = Version::parse(into.version_text, "version");
  if (!version) return problems.add(version.error(), "version");
  into.version = std::move(version).value();
}

void read_description(const Value& document, Definition& into, Problems& problems) {
  const Value* value = document.find("description");
  if (value == nullptr) return;
  if (!value->is_string()) return problems.add("description", *value, "a text");
  into.description = value->as_string();
}

void read_input(const Value& document, Definition& into, Problems& problems) {
  const Value* value = document.find("input");
  if (value == nullptr) return;
  if (!value->is_object()) return problems.add("input", *value, "a JSON Schema (a mapping)");
  auto schema = Schema::compile(*value, "input");
  if (!schema) return problems.add(schema.error(), "input");
  into.input = std::move(schema).value();
}

void read_steps(const Value& document, Definition& into, Problems& problems) {
  constexpr std::string_view expected = "a mapping of names to steps";
  const Value* value = require(document, "steps", expected, problems);
  if (value == nullptr) return;
  if (!value->is_object()) return problems.add("steps", *value, expected);
  if (value->size() == 0) return problems.add("steps", *value, "at least one step");
  if (value->size() > steps_max) {
    return problems.add("steps", fmt::format("{} steps; at most {}", value->size(), steps_max));
  }
  for (const auto& [name, step] : value->members()) {
    into.steps.push_back(read_step(name, step, join_path("steps", name), problems));
  }
}

void read_output(const Value& document, Definition& into, Problems& problems) {
  const Value* value = document.find("output");
  if (value == nullptr) return;
  std::vector<Error> errors;
  into.output = expr::Template::compile(*value, "output", errors);
  for (const auto& error : errors) problems.add(error, "output");
}

// All at once: line_at() searches for each.
void note_lines(const Document& document, Definition& into) {
  if (document.lines.children == nullptr) return;
  const auto members = document.value.members();
  const auto steps = std::ranges::find(members, "steps", &Member::key) - members.begin();
  const auto& lines = (*document.lines.children)[static_cast<std::size_t>(steps)].children;
  for (std::size_t i = 0; i < into.steps.size(); ++i) into.steps[i].line = (*lines)[i].line;
}

void order_by_name(Definition& into) {
  into.by_name.resize(into.steps.size());
  std::iota(into.by_name.begin(), into.by_name.end(), 0);
  std::ranges::sort(into.by_name, {}, [&](int index) -> std::string_view {
    return into.steps[static_cast<std::size_t>(index)].name;
  });
}

}  // namespace

Loaded check(const Document& document) {
  Problems problems(document);
  const Value& value = document.value;
  if (!value.is_object()) {
    problems.add("", value, "a mapping with the keys workflow, version and steps");
    return {nullptr, problems.take()};
  }
  if (value.depth() > Value::depth_max) {
    problems.add("", fmt::format("nests deeper than {}", Value::depth_max));
    return {nullptr, problems.take()};
  }
  auto definition = std::make_shared<Definition>();
  problems.check_keys(value, "", known_keys);
  read_name(value, *definition, problems);
  read_version(value, *definition, problems);
  read_description(value, *definition, problems);
  read_input(value, *definition, problems);
  read_steps(value, *definition, problems);
  read_output(value, *definition, problems);
  check_references(*definition, value, problems);
  check_cycles(*definition, problems);
  if (!problems.empty()) return {nullptr, problems.take()};
  definition->document = value;
  definition->digest = to_hex(digest_of(value));
  definition->awaits_events = std::ranges::any_of(
      definition->steps, [](const Step& step) { return step.on_event.has_value(); });
  note_lines(document, *definition);
  order_by_name(*definition);
  return {std::move(definition), {}};
}

}  // namespace clew::workflow::detail
