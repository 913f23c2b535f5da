#include "clew/store/detail/postgres_row.hpp"

#include <bit>
#include <charconv>
#include <cstring>

#include "clew/base/text.hpp"

namespace clew::store::detail {
namespace {

constexpr Oid char_type = 18;
constexpr Oid int2_type = 21;
constexpr Oid int4_type = 23;
constexpr Oid oid_type = 26;
constexpr Oid float4_type = 700;
constexpr Oid numeric_type = 1700;

// Big-endian, as everything on the wire.
std::uint64_t unsigned_of(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char c : bytes) number = number << 8U | static_cast<unsigned char>(c);
  return number;
}

std::int64_t signed_of(std::string_view bytes) {
  const auto number = unsigned_of(bytes);
  switch (bytes.size()) {
    case 1:
      return static_cast<std::int8_t>(number);
    case 2:
      return static_cast<std::int16_t>(number);
    case 4:
      return static_cast<std::int32_t>(number);
    default:
      return static_cast<std::int64_t>(number);
  }
}

template <typename Number>
bool parse_all(std::string_view text, Number& into) {
  const auto* end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(text.data(), end, into);
  return failed == std::errc() && at == end;
}

std::string from_hex(std::string_view text) {
  const auto digit = [](char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;  // the server writes small letters
  };
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 2; i + 1 < text.size(); i += 2) {  // after "\x"
    bytes.push_back(static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return bytes;
}

}  // namespace

std::string_view PostgresRow::raw(int column) const {
  return {pq_.PQgetvalue(result_, row_, column),
          static_cast<std::size_t>(pq_.PQgetlength(result_, row_, column))};
}

PostgresRow::Kind PostgresRow::kind(int column) const {
  if (is_null(column)) return Kind::null;
  switch (pq_.PQftype(result_, column)) {
    case bool_type:
    case int2_type:
    case int4_type:
    case int8_type:
    case oid_type:
      return Kind::integer;
    case float4_type:
    case float8_type:
      return Kind::real;
    case bytea_type:
      return Kind::blob;
    case numeric_type: {
      std::int64_t whole = 0;
      return parse_all(raw(column), whole) ? Kind::integer : Kind::real;
    }
    case char_type:
    default:
      return Kind::text;
  }
}

std::int64_t PostgresRow::integer_of(int column) const {
  const auto bytes = raw(column);
  if (is_binary(column)) {
    return pq_.PQftype(result_, column) == oid_type ? static_cast<std::int64_t>(unsigned_of(bytes))
                                                    : signed_of(bytes);
  }
  if (pq_.PQftype(result_, column) == bool_type) return bytes == "t" ? 1 : 0;
  std::int64_t number = 0;
  (void)parse_all(bytes, number);
  return number;
}

double PostgresRow::real_of(int column) const {
  const auto bytes = raw(column);
  if (is_binary(column)) {
    if (bytes.size() == sizeof(float)) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(unsigned_of(bytes)));
    }
    return std::bit_cast<double>(unsigned_of(bytes));
  }
  double number = 0;
  (void)parse_all(bytes, number);  // "Infinity" and "NaN" too
  return number;
}

std::string_view PostgresRow::blob_of(int column) const {
  if (is_binary(column)) return raw(column);
  const auto [place, is_new] = decoded_.try_emplace(column);
  if (is_new) place->second = from_hex(raw(column));
  return place->second;
}

Error PostgresRow::mistyped(int column, std::string_view wanted) const {
  static constexpr std::string_view words[] = {"null", "an integer", "a real", "text", "a blob"};
  return error(Code::corrupt, "column {} holds {}, not {}", name(column),
               words[static_cast<std::size_t>(kind(column))], wanted)
      .with("column", name(column));
}

Result<std::int64_t> PostgresRow::integer(int column) const {
  if (kind(column) != Kind::integer) return mistyped(column, "an integer");
  return integer_of(column);
}

Result<double> PostgresRow::real(int column) const {
  if (kind(column) != Kind::real) return mistyped(column, "a real");
  return real_of(column);
}

Result<std::string_view> PostgresRow::text(int column) const {
  if (kind(column) != Kind::text) return mistyped(column, "text");
  const auto found = raw(column);
  if (!is_utf8(found)) {
    return error(Code::corrupt, "column {} holds text that is not UTF-8", name(column))
        .with("column", name(column));
  }
  return found;
}

Result<std::string_view> PostgresRow::blob(int column) const {
  if (kind(column) != Kind::blob) return mistyped(column, "a blob");
  return blob_of(column);
}

Cell PostgresRow::cell(int column) const {
  switch (kind(column)) {
    case Kind::integer:
      return Cell(std::in_place_type<std::int64_t>, integer_of(column));
    case Kind::real:
      return Cell(real_of(column));
    case Kind::text:
      return Cell(std::string(raw(column)));
    case Kind::blob: {
      const auto found = blob_of(column);
      return Cell(std::vector<std::uint8_t>(found.begin(), found.end()));
    }
    case Kind::null:
      break;
  }
  return Cell(nullptr);
}

}  // namespace clew::store::detail
