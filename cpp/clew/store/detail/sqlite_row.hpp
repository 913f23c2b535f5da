// store/detail/sqlite_row.hpp: the row that a SQLite statement stands on.
#pragma once

#include <sqlite3.h>

#include "clew/store/sql.hpp"

namespace clew::store::detail {

// Confined; valid while its statement stands on the row.
class SqliteRow final : public Row {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}

  int columns() const override { return sqlite3_column_count(statement_); }
  std::string_view name(int column) const override {
    const char* found = sqlite3_column_name(statement_, column);
    return found == nullptr ? "" : found;
  }
  bool is_null(int column) const override { return type(column) == SQLITE_NULL; }
  Result<std::int64_t> integer(int column) const override;
  Result<double> real(int column) const override;
  Result<std::string_view> text(int column) const override;
  Result<std::string_view> blob(int column) const override;
  Cell cell(int column) const override;

 private:
  int type(int column) const { return sqlite3_column_type(statement_, column); }
  std::string_view bytes(int column) const;
  Error mistyped(int column, std::string_view wanted) const;
  sqlite3_stmt* statement_;
};

}  // namespace clew::store::detail
