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

// A fresh, empty database's URL. What is put into `keep` is dropped once the case is over.
using FreshUrl = std::function<std::string(std::shared_ptr<void>& keep)>;
// Databases at URLs that somebody else makes, such as ones of PostgreSQL.
Backend at_urls(std::string name, FreshUrl fresh_url);

}  // namespace clew::conformance
