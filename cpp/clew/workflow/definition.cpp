#include "clew/workflow/definition.hpp"

#include <algorithm>

#include "clew/base/check.hpp"

namespace clew::workflow {

int Definition::find(std::string_view step) const {
  const auto name_of = [this](int index) -> std::string_view {
    return steps[static_cast<std::size_t>(index)].name;
  };
  const auto found = std::ranges::lower_bound(by_name, step, {}, name_of);
  return found != by_name.end() && name_of(*found) == step ? *found : -1;
}

Error to_error(const std::vector<Problem>& problems) {
  CLEW_CHECK(!problems.empty());
  std::vector<Value> all;
  for (const auto& problem : problems) {
    all.push_back(Value::object({{"path", problem.path},
                                 {"line", problem.line},
                                 {"message", problem.message},
                                 {"suggestion", problem.suggestion}}));
  }
  const auto& first = problems.front();
  std::string message;
  if (first.line > 0) message += fmt::format("line {}: ", first.line);
  if (!first.path.empty()) message += first.path + ": ";
  message += first.message;
  if (!first.suggestion.empty()) message += fmt::format(" (did you mean {}?)", first.suggestion);
  if (all.size() > 1) message += fmt::format(" (and {} more)", all.size() - 1);
  return Error(Code::invalid_input, message)
      .with("path", first.path)
      .with("problems", Value::array(std::move(all)));
}

}  // namespace clew::workflow
