// exec/detail/failure.hpp: the boundary at which what a task throws ends.
#pragma once

#include <functional>
#include <string_view>

#include "clew/exec/exec.hpp"

namespace clew::detail {

// Called with what was thrown. Empty: a line on standard error.
using FailureSink = std::function<void(std::string_view what)>;

// Calls `call`, then destroys it. False when it threw; `sink` was told then.
bool call_contained(Function<void(Turn)>& call, Turn turn, const FailureSink& sink);
bool call_contained(Function<void()>& call, const FailureSink& sink);

}  // namespace clew::detail
