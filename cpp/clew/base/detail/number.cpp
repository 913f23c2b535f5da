#include "clew/base/detail/number.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>

namespace clew::schema {
namespace {

__extension__ typedef unsigned __int128 Wide;

bool fits_integer(double real) { return real >= -0x1.0p63 && real < 0x1.0p63; }

// digits × 10^exponent, without sign.
struct Decimal {
  std::uint64_t digits = 0;
  int exponent = 0;
};

Decimal to_decimal(const Value& number) {
  if (number.is_int()) {
    const auto integer = number.as_int();
    const auto bits = static_cast<std::uint64_t>(integer);
    return {integer < 0 ? 0 - bits : bits, 0};
  }
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.begin(), text.end(), std::fabs(number.as_real()),
                                 std::chars_format::scientific)
                       .ptr;
  Decimal out;
  const auto* at = text.begin();
  bool behind_point = false;
  for (; *at != 'e'; ++at) {
    if (*at == '.') {
      behind_point = true;
      continue;
    }
    out.digits = out.digits * 10 + static_cast<std::uint64_t>(*at - '0');
    if (behind_point) --out.exponent;
  }
  int exponent = 0;
  ++at;
  if (*at == '+') ++at;  // from_chars reads no plus sign
  std::from_chars(at, end, exponent);
  out.exponent += exponent;
  return out;
}

// base^exponent mod modulus.
std::uint64_t power_mod(std::uint64_t base, int exponent, std::uint64_t modulus) {
  Wide result = 1 % modulus;
  Wide factor = base % modulus;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 != 0) result = result * factor % modulus;
    factor = factor * factor % modulus;
  }
  return static_cast<std::uint64_t>(result);
}

std::size_t combine(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9E3779B97F4A7C15U + (seed << 6U) + (seed >> 2U));
}

}  // namespace

bool is_integral(const Value& number) {
  return number.is_int() || number.as_real() == std::trunc(number.as_real());
}

bool is_multiple(const Value& number, const Value& divisor) {
  const auto a = to_decimal(number);
  const auto b = to_decimal(divisor);
  if (a.digits == 0) return true;
  const int shift = a.exponent - b.exponent;
  if (shift >= 0) {
    const Wide left = a.digits % b.digits;
    return left * power_mod(10, shift, b.digits) % b.digits == 0;
  }
  // The divisor has to be scaled up: beyond 64 bits it exceeds the number and cannot divide it.
  Wide scaled = b.digits;
  for (int i = 0; i < -shift; ++i) {
    scaled *= 10;
    if (scaled > a.digits) return false;
  }
  return a.digits % scaled == 0;
}

std::size_t value_hash(const Value& value) {
  auto hash = static_cast<std::size_t>(value.is_real() ? Value::Kind::integer : value.kind());
  switch (value.kind()) {
    case Value::Kind::null:
      break;
    case Value::Kind::boolean:
      return combine(hash, value.as_bool() ? 1 : 0);
    case Value::Kind::integer:
      return combine(hash, std::hash<std::int64_t>()(value.as_int()));
    case Value::Kind::real:
      if (is_integral(value) && fits_integer(value.as_real())) {
        return combine(hash, std::hash<std::int64_t>()(static_cast<std::int64_t>(value.as_real())));
      }
      return combine(hash, std::hash<double>()(value.as_real()));
    case Value::Kind::string:
      return combine(hash, std::hash<std::string_view>()(value.as_string()));
    case Value::Kind::array:
      for (const auto& item : value.items()) hash = combine(hash, value_hash(item));
      break;
    case Value::Kind::object:  // a sum, because order must not matter
      for (const auto& member : value.members()) {
        hash += combine(std::hash<std::string_view>()(member.key), value_hash(member.value));
      }
      break;
  }
  return hash;
}

bool ValueSet::insert(const Value& value) {
  if (contains(value)) return false;
  values_.push_back(value);
  if (values_.size() == linear_max + 1) index_.insert(values_.begin(), values_.end());
  if (values_.size() > linear_max) index_.insert(value);
  return true;
}

bool ValueSet::contains(const Value& value) const {
  if (!index_.empty()) return index_.contains(value);
  return std::ranges::any_of(values_, [&](const Value& held) { return same_value(held, value); });
}

}  // namespace clew::schema
