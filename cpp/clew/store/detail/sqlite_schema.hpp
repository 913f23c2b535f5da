// store/detail/sqlite_schema.hpp: whether a database has the schema that its version promises.
#pragma once

#include <string>
#include <vector>

#include "clew/store/detail/sqlite_session.hpp"

namespace clew::store::detail {

// Ok when the session's database holds all tables, columns, indexes and views that the migrations
// up to its stored version make, and nothing that only later ones make. What others added beside
// them is no concern. Reads the schema alone, on one snapshot. Errors: `corrupt` naming what is
// missing, or what should not be there.
Result<void> check_schema(SqliteSession& session, const std::vector<Migration>& migrations,
                          const std::string& path);

}  // namespace clew::store::detail
