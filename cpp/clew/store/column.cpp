#include "clew/store/column.hpp"

#include <limits>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew::store {
namespace {

constexpr std::int64_t last_us = 253'402'300'799'999'999;  // the end of the year 9999
constexpr std::size_t shown_max = 80;

std::string hexadecimal(std::string_view bytes) {
  return "0x" + to_hex(bytes.substr(0, shown_max / 2));
}

}  // namespace

Error corrupt_column(const Row& row, int column, std::string_view expected) {
  return error(Code::corrupt, "column {} is not {}: {}", row.name(column), expected,
               shown_at(row, column))
      .with("column", row.name(column));
}

Error in_row(const Error& why, std::string_view table, std::string_view key) {
  return why.with("table", table).with("key", key);
}

Result<std::string> text_at(const Row& row, int column) {
  if (row.is_null(column)) return std::string();
  CLEW_TRY(const auto text, row.text(column));
  return std::string(text);
}

Result<std::string> word_at(const Row& row, int column) {
  CLEW_TRY(const auto text, row.text(column));
  if (text.empty()) return corrupt_column(row, column, "a word");
  return std::string(text);
}

Result<std::int64_t> integer_at(const Row& row, int column, std::int64_t low, std::int64_t high) {
  CLEW_TRY(const auto number, row.integer(column));
  if (number >= low && number <= high) return number;
  if (high == INT64_MAX) {
    return corrupt_column(row, column, fmt::format("an integer of at least {}", low));
  }
  return corrupt_column(row, column, fmt::format("an integer from {} to {}", low, high));
}

Result<Timestamp> instant_at(const Row& row, int column) {
  CLEW_TRY(const auto us, row.integer(column));
  if (us < 0 || us > last_us) return corrupt_column(row, column, "a time from 1970 to 9999");
  return Timestamp{us};
}

Result<Value> parse_stored(std::string_view text) {
  constexpr ParseLimits limits{.bytes_max = std::numeric_limits<std::size_t>::max(),
                               .depth_max = Value::depth_limit};
  auto value = parse_json(text, limits);
  if (!value) return Error(Code::corrupt, value.error().message());
  return value;
}

Result<Value> json_at(const Row& row, int column) {
  if (row.is_null(column)) return Value();
  CLEW_TRY(const auto text, row.text(column));
  auto value = parse_stored(text);
  if (!value) {
    return error(Code::corrupt, "column {} holds no JSON: {}", row.name(column),
                 value.error().message())
        .with("column", row.name(column));
  }
  return value;
}

std::string shown_at(const Row& row, int column) {
  const auto cell = row.cell(column);
  struct Show {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const {
      if (!is_utf8(text)) return hexadecimal(text);
      return text.size() <= shown_max ? text : preview(Value(text), shown_max);
    }
    std::string operator()(const std::vector<std::uint8_t>& bytes) const {
      return hexadecimal({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
  };
  return std::visit(Show{}, cell);
}

}  // namespace clew::store
