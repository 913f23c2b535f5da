// workflow/detail/scope.hpp: what the templates of a workflow see.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "clew/workflow/definition.hpp"

namespace clew::workflow::detail {

// One rendering. All that it points to outlives it.
struct Rendering {
  const Definition& definition;
  const Value& input;                        // of the run
  const std::vector<int>& steps;             // those that `steps` shows
  std::function<Value(int step)> output_of;  // of one of them
  std::string_view as = {};                  // the name of `element`
  const Value* element = nullptr;            // of the for_each's list
  const Value* event = nullptr;              // that the step has consumed, or may
};

// `steps` is put together only when the template asks for it.
Result<Value> render(const expr::Template& source, const Rendering& with);

// The steps that a template mentions, ascending.
std::vector<int> steps_in(const Definition& definition, const expr::Template& source);

// What `event` stands for: {id, type, subject, data, correlation_id}, absent ones null.
Value event_value(const Event& event);

// Renders what a for_each iterates over. Errors: the expression's; `invalid_input` when it gives no
// array, or one of more than items_max elements.
Result<Value> render_list(const Step& step, const Rendering& with);

}  // namespace clew::workflow::detail
