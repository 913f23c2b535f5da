// store/detail/sqlite_backend.hpp: opening SQLite databases.
#pragma once

#include <memory>
#include <vector>

#include "clew/store/session.hpp"

namespace clew::store::detail {

// `options.url` is ":memory:" or a path.
std::unique_ptr<Backend> make_sqlite_backend(const DatabaseOptions& options,
                                             std::vector<Migration> migrations);

}  // namespace clew::store::detail
