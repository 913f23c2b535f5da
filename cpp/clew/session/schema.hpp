// session/schema.hpp: the tables of this layer.
#pragma once

#include "clew/store/store.hpp"

namespace clew::session {

store::Migration session_migration(int version);

}  // namespace clew::session
