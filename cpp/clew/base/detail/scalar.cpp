#include "clew/base/detail/scalar.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "clew/base/json.hpp"

namespace clew::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

// Takes the digits off the front of `text`; how many there were.
std::size_t skip_digits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  const auto count = static_cast<std::size_t>(end - text.begin());
  text.remove_prefix(count);
  return count;
}

// [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?
bool is_float(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto whole = skip_digits(text);
  std::size_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = skip_digits(text);
  }
  if (whole + fraction == 0) return false;
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return skip_digits(text) > 0 && text.empty();
}

bool is_integer(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return skip_digits(text) > 0 && text.empty();
}

// 0x… and 0o…: the base, or 0 when it is neither.
int prefixed_base(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 0;
  if (base == 0 || text.size() == 2) return 0;
  const auto fits = [&](char c) {
    if (base == 8) return c >= '0' && c <= '7';
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  return std::ranges::all_of(text.substr(2), fits) ? base : 0;
}

Error out_of_range(std::string_view text, std::string_view what) {
  return error(Code::invalid_input, "{} {}; write it in quotes to keep it as text",
               preview(Value(text), 40), what);
}

Result<Value> to_integer(std::string_view text, std::string_view digits, int base) {
  std::int64_t integer = 0;
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), integer, base);
  if (problem != std::errc()) return out_of_range(text, "does not fit a 64-bit integer");
  return Value(integer);
}

Result<Value> to_real(std::string_view text) {
  auto digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double real = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), real);
  if (problem != std::errc()) return out_of_range(text, "does not fit a double");
  return Value(real);
}

}  // namespace

Result<Value> resolve_plain(std::string_view text) {
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return Value();
  if (is_one_of(text, {"true", "True", "TRUE"})) return Value(true);
  if (is_one_of(text, {"false", "False", "FALSE"})) return Value(false);
  if (is_integer(text)) {
    return to_integer(text, text.starts_with('+') ? text.substr(1) : text, 10);
  }
  if (const int base = prefixed_base(text); base != 0)
    return to_integer(text, text.substr(2), base);
  if (is_float(text)) return to_real(text);
  auto unsigned_text = text;
  if (text.starts_with('-') || text.starts_with('+')) unsigned_text.remove_prefix(1);
  if (is_one_of(unsigned_text, {".inf", ".Inf", ".INF"}) ||
      is_one_of(text, {".nan", ".NaN", ".NAN"})) {
    return out_of_range(text, "has no form in JSON");
  }
  return Value(text);
}

Result<Value> resolve_tagged(std::string_view tag, std::string_view text) {
  constexpr std::string_view core = "tag:yaml.org,2002:";
  const auto kind = tag.starts_with(core) ? tag.substr(core.size()) : std::string_view();
  if (kind == "str") return Value(text);
  if (!is_one_of(kind, {"int", "float", "bool", "null"})) {
    return error(Code::invalid_input, "the tag {} is not supported", preview(Value(tag), 60));
  }
  CLEW_TRY(auto value, resolve_plain(text));
  if (kind == "int" && value.is_int()) return value;
  if (kind == "float" && value.is_number()) return Value(value.as_real());
  if (kind == "bool" && value.is_bool()) return value;
  if (kind == "null" && value.is_null()) return value;
  return error(Code::invalid_input, "{} is not of its tag's kind, {}", preview(Value(text), 40),
               kind);
}

}  // namespace clew::detail
