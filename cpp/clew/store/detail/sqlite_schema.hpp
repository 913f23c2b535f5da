// store/detail/sqlite_schema.hpp: whether a database has the schema that its version promises.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "clew/store/detail/sqlite_session.hpp"

namespace clew::store::detail {

using SchemaParts = std::set<std::string>;

struct Schema {
  SchemaParts names;    // "table events", "index leases_open", …
  SchemaParts columns;  // "column events.seq INTEGER", …
};

struct ExpectedSchema {
  Schema now;  // made up to a version
  Schema all;  // made by any migration
};

// What the migrations themselves say when they are run on a database in memory of their own.
Result<ExpectedSchema> expected_schema(const std::vector<Migration>& migrations, int version);

// Ok when `found` has all that it must have at `version`, and nothing that only later versions
// have. Error: `corrupt` naming `place` and the part.
Result<void> check_promise(const Schema& found, const ExpectedSchema& expected, int version,
                           const std::string& place);

// Ok when the session's database holds all tables, columns, indexes and views that the migrations
// up to its stored version make, and nothing that only later ones make. What others added beside
// them is no concern. Reads the schema alone, on one snapshot. Errors: `corrupt` naming what is
// missing, or what should not be there.
Result<void> check_schema(SqliteSession& session, const std::vector<Migration>& migrations,
                          const std::string& path);

}  // namespace clew::store::detail
