// workflow/detail/transitions.hpp: which event may follow which status. The tables themselves open
// planner.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "clew/workflow/planner.hpp"

namespace clew::workflow::detail {

// Whom an event is about: the first word of its type.
enum class Subject : std::uint8_t { run, step, item };

struct RunTransition {
  RunStatus from;
  std::string_view type;
  RunStatus to;
};
struct CallTransition {
  Subject subject;  // step or item
  StepStatus from;
  std::string_view event;  // the second word of its type
  StepStatus to;
};

std::span<const RunTransition> run_transitions();
std::span<const CallTransition> call_transitions();

}  // namespace clew::workflow::detail
