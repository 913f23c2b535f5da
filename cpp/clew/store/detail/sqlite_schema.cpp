#include "clew/store/detail/sqlite_schema.hpp"

#include <set>

#include "clew/store/detail/sqlite_errors.hpp"

namespace clew::store::detail {
namespace {

using Parts = SchemaParts;

const Statement names_sql(R"sql(
    SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%')sql");

const Statement columns_sql(R"sql(
    SELECT 'column ' || t.name || '.' || c.name || ' ' || c.type
      FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%')sql");

Result<Parts> ask_parts(SqliteSession& session, const Statement& query) {
  Parts parts;
  CLEW_TRY(session.each(query, [&parts](const Row& row) -> Result<void> {
    CLEW_TRY(const auto part, row.text(0));
    parts.emplace(part);
    return {};
  }));
  return parts;
}

Result<Schema> schema_of(SqliteSession& session) {
  Schema schema;
  CLEW_TRY(schema.names, ask_parts(session, names_sql));
  CLEW_TRY(schema.columns, ask_parts(session, columns_sql));
  return schema;
}

}  // namespace

Result<ExpectedSchema> expected_schema(const std::vector<Migration>& migrations, int version) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(
      ":memory:", &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  Connection db(raw);
  if (code != SQLITE_OK) return sqlite_error(code, "open a database in memory", "");
  SqliteSession session(std::move(db), {.is_writer = true, .is_memory = true});
  ExpectedSchema expected;
  for (const auto& migration : migrations) {
    if (!session.run_text(migration.sql, {})) break;  // whoever migrates will say what is wrong
    if (migration.version != version) continue;
    CLEW_TRY(expected.now, schema_of(session));
  }
  CLEW_TRY(expected.all, schema_of(session));
  return expected;
}

namespace {

struct Promise {
  const std::string& place;
  int version = 0;

  Error broken(std::string_view says, std::string_view part) const {
    return error(Code::corrupt, "{} is damaged: with schema version {} it must {} {}", place,
                 version, says, part)
        .with("path", place)
        .with("version", version)
        .with("part", part);
  }

  Result<void> check(const Parts& found, const Parts& now, const Parts& all) const {
    for (const auto& part : now) {
      if (!found.contains(part)) return broken("have", part);
    }
    for (const auto& part : all) {
      if (!now.contains(part) && found.contains(part)) return broken("not yet have", part);
    }
    return {};
  }
};

}  // namespace

Result<void> check_promise(const Schema& found, const ExpectedSchema& expected, int version,
                           const std::string& place) {
  const Promise promise{place, version};
  CLEW_TRY(promise.check(found.names, expected.now.names, expected.all.names));
  return promise.check(found.columns, expected.now.columns, expected.all.columns);
}

namespace {

Result<void> compare(SqliteSession& session, const std::vector<Migration>& migrations,
                     const std::string& path) {
  CLEW_TRY(const int version, session.schema_version());
  CLEW_TRY(const auto expected, expected_schema(migrations, version));
  CLEW_TRY(const auto found, schema_of(session));
  return check_promise(found, expected, version, path);
}

}  // namespace

Result<void> check_schema(SqliteSession& session, const std::vector<Migration>& migrations,
                          const std::string& path) {
  CLEW_TRY(session.begin(Access::snapshot, Durability::relaxed));
  auto checked = compare(session, migrations, path);
  session.rollback();
  return checked;
}

}  // namespace clew::store::detail
