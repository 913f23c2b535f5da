// store/detail/postgres_backend.hpp: opening PostgreSQL databases.
#pragma once

#include <memory>
#include <vector>

#include "clew/store/session.hpp"

namespace clew::store::detail {

// `options.url` begins with postgresql:// or postgres://. Errors: `unsupported` when libpq is not
// there, `invalid_input` for a url that it cannot read. Does not connect.
Result<std::unique_ptr<Backend>> make_postgres_backend(const DatabaseOptions& options,
                                                       std::vector<Migration> migrations);

}  // namespace clew::store::detail
