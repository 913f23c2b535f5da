// testkit/conformance/storages.hpp: the databases that Clew comes with, for its own suites and for
// comparing with others.
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

// SQLite in memory, and in a file. The files lie in folders of their own for temporary files, and
// go with their storage.
std::vector<Backend> backends();

}  // namespace clew::conformance
