// testkit/conformance/suites.hpp: every conformance suite, and how one case is run.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

struct Suite {
  const char* name;  // "process_registry"
  std::span<const Case> cases;
};

// All of them, in the order in which the stores build on each other.
std::vector<Suite> suites();

// A database that somebody else has made.
struct Target {
  std::string url;  // of an empty database: ":memory:", a path, "postgresql://…"
  bool is_durable = false;
  std::string folder;  // for files beside it; empty: none
};

// Runs one case on it. Errors: `not_found` for a case that there is not; `unsupported` when it
// needs what the target has not; `internal` naming the first rule that does not hold. Blocks.
Result<void> run_case(std::string_view suite, std::string_view name, const Target& target);

}  // namespace clew::conformance
