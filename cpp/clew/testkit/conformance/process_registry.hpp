// testkit/conformance/process_registry.hpp: what every registry of processes must do.
#pragma once

#include <span>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

// Cases on process::Processes over any Database whose migrations include the processes.
std::span<const Case> process_registry_cases();
// What Clew promises beyond them.
std::span<const Case> process_ruling_cases();

}  // namespace clew::conformance
