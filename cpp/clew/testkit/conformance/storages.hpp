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

// A database at each URL that `fresh_url` gives, such as one of PostgreSQL; it must be empty. What
// is put into `keep` is dropped once the case is over.
Factory at_urls(std::function<std::string(std::shared_ptr<void>& keep)> fresh_url);

}  // namespace clew::conformance
