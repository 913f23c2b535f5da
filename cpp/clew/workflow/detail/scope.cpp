#include "clew/workflow/detail/scope.hpp"

#include <optional>
#include <set>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/workflow/planner.hpp"

namespace clew::workflow::detail {
namespace {

// {name: {output: …}} of the steps in sight.
Value outputs_by_step(const Rendering& with) {
  std::vector<Member> members;
  members.reserve(with.steps.size());
  for (const int index : with.steps) {
    members.push_back({with.definition.steps[static_cast<std::size_t>(index)].name,
                       Value::object({{"output", with.output_of(index)}})});
  }
  return Value::object(std::move(members));
}

}  // namespace

Result<Value> render(const expr::Template& source, const Rendering& with) {
  std::optional<Value> steps;
  const expr::Scope scope = [&](std::string_view name) -> const Value* {
    if (name == "input") return &with.input;
    if (name == "steps") {
      if (!steps) steps = outputs_by_step(with);
      return &*steps;
    }
    if (with.element != nullptr && name == with.as) return with.element;
    return name == "event" ? with.event : nullptr;
  };
  return source.render(scope);
}

std::vector<int> steps_in(const Definition& definition, const expr::Template& source) {
  std::set<int> found;
  for (const auto& use : source.uses()) {
    for (const auto& parts : use.expression->references()) {
      if (parts.size() < 2 || parts[0] != "steps") continue;
      if (const int index = definition.find(parts[1]); index >= 0) found.insert(index);
    }
  }
  return {found.begin(), found.end()};
}

Value event_value(const Event& event) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Value() : Value(text);
  };
  return Value::object({{"id", event.id},
                        {"type", event.type},
                        {"subject", text_or_null(event.subject)},
                        {"data", event.data},
                        {"correlation_id", text_or_null(event.correlation_id)}});
}

Result<Value> render_list(const Step& step, const Rendering& with) {
  CLEW_TRY(auto list, render(*step.for_each, with));
  const auto path = fmt::format("steps.{}.for_each", step.name);
  if (!list.is_array()) return invalid_input(path, list, "a list");
  if (list.size() > items_max) {
    return error(Code::invalid_input, "{}: {} elements; at most {}", path, list.size(), items_max)
        .with("path", path);
  }
  return list;
}

}  // namespace clew::workflow::detail
