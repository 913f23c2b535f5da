#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <string>

#include "clew/base/detail/schema_program.hpp"

namespace clew::schema {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes exactly `width` digits from the front. -1 when they are not there.
int take_digits(std::string_view& text, std::size_t width) {
  if (text.size() < width || !std::ranges::all_of(text.substr(0, width), is_digit)) return -1;
  int number = 0;
  for (const char c : text.substr(0, width)) number = number * 10 + (c - '0');
  text.remove_prefix(width);
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// RFC 3339 full-date.
bool take_date(std::string_view& text) {
  constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int year = take_digits(text, 4);
  if (year < 0 || !take(text, '-')) return false;
  const int month = take_digits(text, 2);
  if (month < 1 || month > 12 || !take(text, '-')) return false;
  const int day = take_digits(text, 2);
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day >= 1 &&
         day <= lengths[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

// The offset from UTC in minutes at the end of a time. False when it is malformed.
bool read_offset(std::string_view text, int& minutes) {
  minutes = 0;
  if (text == "Z" || text == "z") return true;
  const bool ahead = text.starts_with('+');
  if (!take(text, ahead ? '+' : '-')) return false;
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return false;
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59 || !text.empty()) return false;
  minutes = (hour * 60 + minute) * (ahead ? 1 : -1);
  return true;
}

// RFC 3339 full-time. A leap second stands only at the end of a day in UTC.
bool is_time(std::string_view text) {
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return false;
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return false;
  const int second = take_digits(text, 2);
  if (second < 0 || second > 60) return false;
  if (take(text, '.')) {
    if (take_digits(text, 1) < 0) return false;
    while (!text.empty() && is_digit(text[0])) text.remove_prefix(1);
  }
  int offset = 0;
  if (!read_offset(text, offset)) return false;
  constexpr int day = 24 * 60;
  return second < 60 || (hour * 60 + minute - offset + day) % day == day - 1;
}

bool is_date(std::string_view text) { return take_date(text) && text.empty(); }

bool is_date_time(std::string_view text) {
  return take_date(text) && (take(text, 'T') || take(text, 't')) && is_time(text);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && !take(text, '.')) return false;
    const auto end = std::ranges::find_if_not(text, is_digit);
    const auto length = static_cast<std::size_t>(end - text.begin());
    if (length == 0 || length > 3 || (length > 1 && text[0] == '0')) return false;
    if (take_digits(text, length) > 255) return false;
  }
  return text.empty();
}

bool is_ipv6(std::string_view text) {
  constexpr std::size_t longest = 45;
  if (text.size() > longest || text.find('\0') != std::string_view::npos) return false;
  in6_addr address{};
  return inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

// RFC 1123: labels of letters, digits and inner dashes.
bool is_hostname(std::string_view text) {
  constexpr std::size_t name_max = 253;
  constexpr std::size_t label_max = 63;
  if (text.empty() || text.size() > name_max) return false;
  std::size_t length = 0;
  char last = '.';
  for (const char c : text) {
    if (c == '.') {
      if (last == '.' || last == '-') return false;
      length = 0;
    } else if (!is_letter(c) && !is_digit(c) && (c != '-' || last == '.')) {
      return false;
    } else if (++length > label_max) {
      return false;
    }
    last = c;
  }
  return last != '.' && last != '-';
}

// RFC 5321: a dot-atom or quoted local part; a host name or an address literal behind the last '@'.
bool is_email(std::string_view text) {
  constexpr std::size_t local_max = 64;
  static const RE2 local_form(
      R"re((?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*|"(?:[ !#-\[\]-~]|\\[ -~])*"))re");
  const auto at = text.rfind('@');
  if (at == std::string_view::npos || at > local_max) return false;
  if (!RE2::FullMatch(re2::StringPiece(text.data(), at), local_form)) return false;
  auto domain = text.substr(at + 1);
  if (!domain.starts_with('[')) return is_hostname(domain);
  if (!domain.ends_with(']')) return false;
  domain = domain.substr(1, domain.size() - 2);
  constexpr std::string_view six = "IPv6:";
  return domain.starts_with(six) ? is_ipv6(domain.substr(six.size())) : is_ipv4(domain);
}

// RFC 3986 with a scheme.
bool is_uri(std::string_view text) {
  static const RE2 form(
      R"re([A-Za-z][A-Za-z0-9+.-]*:(?://(?:(?:[\w.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?)re"
      R"re((?:\[([0-9A-Fa-f:.]+|v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*))re"
      R"re((?::[0-9]*)?(?:/(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)re"
      R"re(|/?(?:(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+(?:/(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)?))re"
      R"re((?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?(?:#(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)re");
  re2::StringPiece address;
  if (!RE2::FullMatch(re2::StringPiece(text.data(), text.size()), form, &address)) return false;
  return address.empty() || address[0] == 'v' || is_ipv6({address.data(), address.size()});
}

}  // namespace

FormatCheck find_format(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, FormatCheck>, 8> formats{
      {{"date", is_date},
       {"date-time", is_date_time},
       {"email", is_email},
       {"ipv4", is_ipv4},
       {"ipv6", is_ipv6},
       {"time", is_time},
       {"uri", is_uri},
       {"uuid", is_uuid}}};
  for (const auto& [known, check] : formats) {
    if (known == name) return check;
  }
  return nullptr;
}

}  // namespace clew::schema
