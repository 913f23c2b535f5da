// runtime/schema.hpp: the schema of a store, all layers together.
#pragma once

#include <vector>

#include "clew/store/store.hpp"

namespace clew {

// Every migration, in order. New ones are appended; one that was released never changes.
std::vector<store::Migration> store_migrations();

}  // namespace clew
