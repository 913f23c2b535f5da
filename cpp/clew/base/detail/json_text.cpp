#include "clew/base/detail/json_text.hpp"

#include <array>
#include <charconv>
#include <cstddef>

#include "clew/base/check.hpp"

namespace clew::detail {

namespace {

// For each byte: 0 to print it as it is, 'u' for \u00XX, else the letter after the backslash.
constexpr auto escapes = [] {
  std::array<char, 256> table{};
  for (std::size_t byte = 0; byte < 0x20; ++byte) table[byte] = 'u';
  table['\b'] = 'b';
  table['\t'] = 't';
  table['\n'] = 'n';
  table['\f'] = 'f';
  table['\r'] = 'r';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

void append_escape(std::string& out, unsigned char byte, char letter) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '\\';
  out += letter;
  if (letter != 'u') return;
  out += "00";
  out += hex[byte >> 4U];
  out += hex[byte & 0xFU];
}

// Shortest digits d1 d2 … dk and the exponent n for which the value is 0.d1d2…dk × 10^n.
struct Decimal {
  std::array<char, 20> digits{};
  int count = 0;
  int exponent = 0;
};

Decimal shortest(double positive) {
  std::array<char, 32> text{};
  const auto printed = std::to_chars(text.data(), text.data() + text.size(), positive,
                                     std::chars_format::scientific);
  CLEW_CHECK(printed.ec == std::errc());
  Decimal decimal;
  const char* at = text.data();
  for (; *at != 'e'; ++at)
    if (*at != '.') decimal.digits[static_cast<std::size_t>(decimal.count++)] = *at;
  ++at;                  // the 'e'
  if (*at == '+') ++at;  // from_chars reads no plus sign
  CLEW_CHECK(std::from_chars(at, printed.ptr, decimal.exponent).ec == std::errc());
  ++decimal.exponent;
  return decimal;
}

void append_exponent(std::string& out, std::string_view digits, int exponent) {
  out += digits.front();
  if (digits.size() > 1) {
    out += '.';
    out += digits.substr(1);
  }
  out += exponent < 0 ? "e-" : "e+";
  append_integer(out, exponent < 0 ? -exponent : exponent);
}

}  // namespace

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain_from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const char letter = escapes[byte];
    if (letter == 0) [[likely]]
      continue;
    out.append(text, plain_from, i - plain_from);
    append_escape(out, byte, letter);
    plain_from = i + 1;
  }
  out.append(text, plain_from);
  out += '"';
}

void append_integer(std::string& out, std::int64_t value) {
  std::array<char, 24> text{};
  const auto printed = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), printed.ptr);
}

void append_ecmascript(std::string& out, double value) {
  if (value == 0) {
    out += '0';
    return;
  }
  if (value < 0) out += '-';
  const Decimal decimal = shortest(value < 0 ? -value : value);
  const std::string_view digits(decimal.digits.data(), static_cast<std::size_t>(decimal.count));
  const int k = decimal.count;
  const int n = decimal.exponent;

  if (k <= n && n <= 21) {
    out += digits;
    out.append(static_cast<std::size_t>(n - k), '0');
  } else if (0 < n && n <= 21) {
    out += digits.substr(0, static_cast<std::size_t>(n));
    out += '.';
    out += digits.substr(static_cast<std::size_t>(n));
  } else if (-6 < n && n <= 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-n), '0');
    out += digits;
  } else {
    append_exponent(out, digits, n - 1);
  }
}

}  // namespace clew::detail
