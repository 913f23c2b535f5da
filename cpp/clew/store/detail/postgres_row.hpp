// store/detail/postgres_row.hpp: one row of a result of PostgreSQL.
#pragma once

#include <map>
#include <string>

#include "clew/store/detail/postgres_library.hpp"
#include "clew/store/sql.hpp"

namespace clew::store::detail {

// The types that Clew's tables have, by the server's numbers (which never change).
constexpr Oid bool_type = 16;
constexpr Oid bytea_type = 17;
constexpr Oid int8_type = 20;
constexpr Oid text_type = 25;
constexpr Oid float8_type = 701;

// Confined; valid as long as its result. Columns of types that SQLite does not have are shown as
// the nearest that it has: booleans as 0 and 1, numeric as integer or real, all else as text.
class PostgresRow final : public Row {
 public:
  PostgresRow(const Libpq& pq, const PGresult* result, int row)
      : pq_(pq), result_(result), row_(row) {}

  int columns() const override { return pq_.PQnfields(result_); }
  std::string_view name(int column) const override {
    const char* found = pq_.PQfname(result_, column);
    return found == nullptr ? "" : found;
  }
  bool is_null(int column) const override {
    return column >= columns() || pq_.PQgetisnull(result_, row_, column) == 1;
  }
  Result<std::int64_t> integer(int column) const override;
  Result<double> real(int column) const override;
  Result<std::string_view> text(int column) const override;
  Result<std::string_view> blob(int column) const override;
  Cell cell(int column) const override;

 private:
  enum class Kind : std::uint8_t { null, integer, real, text, blob };
  Kind kind(int column) const;
  std::string_view raw(int column) const;
  bool is_binary(int column) const { return pq_.PQfformat(result_, column) == 1; }
  std::int64_t integer_of(int column) const;
  double real_of(int column) const;
  std::string_view blob_of(int column) const;
  Error mistyped(int column, std::string_view wanted) const;

  const Libpq& pq_;
  const PGresult* const result_;
  const int row_;
  mutable std::map<int, std::string> decoded_;  // blobs that came as text
};

}  // namespace clew::store::detail
