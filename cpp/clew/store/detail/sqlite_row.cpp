#include "clew/store/detail/sqlite_row.hpp"

#include "clew/base/text.hpp"

namespace clew::store::detail {
namespace {

std::string_view type_word(int type) {
  switch (type) {
    case SQLITE_INTEGER:
      return "an integer";
    case SQLITE_FLOAT:
      return "a real";
    case SQLITE_TEXT:
      return "text";
    case SQLITE_BLOB:
      return "a blob";
    default:
      return "null";
  }
}

}  // namespace

Error SqliteRow::mistyped(int column, std::string_view wanted) const {
  return error(Code::corrupt, "column {} holds {}, not {}", name(column), type_word(type(column)),
               wanted)
      .with("column", name(column));
}

Result<std::int64_t> SqliteRow::integer(int column) const {
  if (type(column) != SQLITE_INTEGER) return mistyped(column, "an integer");
  return sqlite3_column_int64(statement_, column);
}

Result<double> SqliteRow::real(int column) const {
  if (type(column) != SQLITE_FLOAT) return mistyped(column, "a real");
  return sqlite3_column_double(statement_, column);
}

// The pointer must be asked for before the length. An empty value may have no address.
std::string_view SqliteRow::bytes(int column) const {
  const auto* at = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return at == nullptr ? std::string_view("") : std::string_view(at, size);
}

Result<std::string_view> SqliteRow::text(int column) const {
  if (type(column) != SQLITE_TEXT) return mistyped(column, "text");
  const auto text = bytes(column);
  if (!is_utf8(text)) {
    return error(Code::corrupt, "column {} holds text that is not UTF-8", name(column))
        .with("column", name(column));
  }
  return text;
}

Result<std::string_view> SqliteRow::blob(int column) const {
  if (type(column) != SQLITE_BLOB) return mistyped(column, "a blob");
  return bytes(column);
}

Cell SqliteRow::cell(int column) const {
  switch (type(column)) {
    case SQLITE_INTEGER:
      return Cell(std::in_place_type<std::int64_t>, sqlite3_column_int64(statement_, column));
    case SQLITE_FLOAT:
      return Cell(sqlite3_column_double(statement_, column));
    case SQLITE_TEXT:
      return Cell(std::string(bytes(column)));
    case SQLITE_BLOB: {
      const auto found = bytes(column);
      return Cell(std::vector<std::uint8_t>(found.begin(), found.end()));
    }
    default:
      return Cell(nullptr);
  }
}

}  // namespace clew::store::detail
