// testkit/conformance/storages.hpp: storages of the databases that Clew comes with, for its own
// suites and for comparing with others.
#pragma once

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

// SQLite in memory: one handle, gone with it.
Factory sqlite_memory();
// A SQLite file in a folder of its own under `parent` (empty: the system's for temporary files),
// removed once the case is over.
Factory sqlite_file(std::string parent = "");

}  // namespace clew::conformance
