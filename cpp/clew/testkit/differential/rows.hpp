// testkit/differential/rows.hpp: what a database holds, said so that equal contents are equal text.
#pragma once

#include <string>

#include "clew/store/store.hpp"

namespace clew::differential {

// Every row of every table, a line each, in one order. The numbers that a database gives out itself
// tell an order and no more, for what was refused may have used one up: in their place stand their
// ranks. Fails as conformance::must() does. Blocks.
std::string canonical_rows(store::Database& database);

}  // namespace clew::differential
