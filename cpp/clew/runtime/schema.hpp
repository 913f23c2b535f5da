// runtime/schema.hpp: the schema of the whole store.
#pragma once

#include <vector>

#include "clew/store/store.hpp"

namespace clew {

// In the order in which it grew.
std::vector<store::Migration> all_migrations();

}  // namespace clew
