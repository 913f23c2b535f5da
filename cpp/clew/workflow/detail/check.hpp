// workflow/detail/check.hpp: turns a document into a definition, noting all that is wrong.
#pragma once

#include <string_view>

#include "clew/base/document.hpp"
#include "clew/workflow/definition.hpp"
#include "clew/workflow/detail/problems.hpp"

namespace clew::workflow::detail {

inline constexpr std::size_t steps_max = 10'000;

// All checks below, in their order. The whole of load_text() and load_value() after parsing.
Loaded check(const Document& document);

// Reads everything of one step but what other steps have to do with it. A step that is wrong
// still has its name.
Step read_step(std::string_view name, const Value& value, std::string_view path,
               Problems& problems);

// Looks up what each template refers to, in the scope where it stands, and fills the dependencies
// and dependents of all steps.
void check_references(Definition& definition, const Value& document, Problems& problems);

// Steps must not wait for each other in a circle.
void check_cycles(const Definition& definition, Problems& problems);

}  // namespace clew::workflow::detail
