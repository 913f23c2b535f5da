// runtime/verify.hpp: what must hold of a whole store.
#pragma once

#include <string>
#include <vector>

#include "clew/store/store.hpp"

namespace clew {

// A violated invariant, as verify() reports it.
struct Violation {
  std::string invariant;  // its name
  std::string detail;     // table, key and what is wrong
};

// Everything that must hold, checked on one snapshot; empty when it does. Reads all of the store.
// Blocks; `go_on` as in Database::read. Errors: those of Database::read; damage is a violation.
Result<std::vector<Violation>> verify_database(store::Database& database,
                                               store::GoOn go_on = nullptr);

// What verify_database() checks: a name, and the rule in words.
struct InvariantInfo {
  std::string name;
  std::string says;
};
std::vector<InvariantInfo> store_invariants();

}  // namespace clew
