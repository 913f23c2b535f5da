// The storages that the conformance suites run on.
#pragma once

#include <string>
#include <vector>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

struct Backend {
  std::string name;  // a word
  Factory fresh;
  bool is_durable = false;
  bool has_folder = false;
};

// SQLite in memory, and in a file.
std::vector<Backend> backends();

}  // namespace clew::conformance
