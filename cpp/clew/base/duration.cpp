#include <array>
#include <cmath>
#include <limits>

#include "clew/base/time.hpp"

namespace clew {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};
constexpr std::array<Unit, 7> units{{{"w", 604'800'000'000},
                                     {"d", 86'400'000'000},
                                     {"h", 3'600'000'000},
                                     {"m", 60'000'000},
                                     {"s", 1'000'000},
                                     {"ms", 1'000},
                                     {"us", 1}}};
constexpr std::size_t first_printed = 1;  // days: "14d" reads better than "2w"
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t day_us = 86'400'000'000;
constexpr std::string_view expected =
    "a duration such as \"250ms\", \"1h30m\" or \"3d\" (units w d h m s ms us, largest first), or "
    "a "
    "number of seconds";
constexpr std::string_view expected_smaller = "a duration that fits 64 bits of microseconds";

__extension__ typedef __int128 Wide;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A decimal number: its digits without the point, and how many of them stand behind it.
struct Decimal {
  std::int64_t digits = 0;
  int places = 0;
  bool too_large = false;
};

// Takes a decimal from the front of `text`. False when none is there. Digits that could not change
// a microsecond of the largest unit are read and dropped.
bool take_decimal(std::string_view& text, Decimal& out) {
  bool full = false;
  std::size_t i = 0;
  bool point = false;
  bool any = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !point && any) {
      point = true;
      any = false;  // a digit must follow
      continue;
    }
    if (!is_digit(text[i])) break;
    any = true;
    std::int64_t longer = 0;
    full = full || __builtin_mul_overflow(out.digits, std::int64_t{10}, &longer) ||
           __builtin_add_overflow(longer, text[i] - '0', &longer);
    if (full) {
      out.too_large = out.too_large || !point;
      continue;
    }
    out.digits = longer;
    if (point) ++out.places;
  }
  text.remove_prefix(i);
  return any;
}

// decimal × unit in microseconds, rounded half up. False beyond 64 bits.
bool scale(const Decimal& decimal, std::int64_t unit_us, std::int64_t& out) {
  Wide divisor = 1;
  for (int i = 0; i < decimal.places; ++i) divisor *= 10;
  const Wide us = (static_cast<Wide>(decimal.digits) * unit_us + divisor / 2) / divisor;
  if (us > std::numeric_limits<std::int64_t>::max()) return false;
  out = static_cast<std::int64_t>(us);
  return true;
}

// The place in `units` of the unit named at the front of `text`, which is taken; else units.size().
std::size_t take_unit(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && !is_digit(text[length]) && text[length] != '.') ++length;
  const auto word = text.substr(0, length);
  text.remove_prefix(length);
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].name == word) return i;
  }
  return units.size();
}

struct CivilDate {
  std::int64_t year;
  int month;
  int day;
};

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// The Gregorian date `days` after 1970-01-01. Whole 400-year cycles are taken first, so that the
// loops stay short for every 64-bit instant.
CivilDate civil_date(std::int64_t days) {
  constexpr std::int64_t cycle_days = 146'097;
  constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  std::int64_t cycles = days / cycle_days;
  std::int64_t rest = days % cycle_days;
  if (rest < 0) {
    rest += cycle_days;
    --cycles;
  }
  std::int64_t year = 1970 + cycles * 400;
  for (; rest >= (is_leap(year) ? 366 : 365); ++year) rest -= is_leap(year) ? 366 : 365;
  int month = 0;
  const auto length = [&] {
    return lengths[static_cast<std::size_t>(month)] + (month == 1 && is_leap(year));
  };
  for (; rest >= length(); ++month) rest -= length();
  return {year, month + 1, static_cast<int>(rest) + 1};
}

}  // namespace

Timestamp operator+(Timestamp at, Duration by) {
  if (at == Timestamp::never()) return at;
  Timestamp sum;
  if (!__builtin_add_overflow(at.us, static_cast<std::int64_t>(by.count()), &sum.us)) return sum;
  return by.count() > 0 ? Timestamp::never() : Timestamp{std::numeric_limits<std::int64_t>::min()};
}

Result<Duration> parse_duration(std::string_view text, std::string_view path) {
  std::string_view rest = text;
  std::int64_t total = 0;
  std::size_t next_unit = 0;  // each unit at most once, largest first
  do {
    Decimal decimal;
    if (!take_decimal(rest, decimal)) return invalid_input(path, text, expected);
    const auto unit = take_unit(rest);
    if (unit < next_unit || unit == units.size()) return invalid_input(path, text, expected);
    next_unit = unit + 1;
    std::int64_t part = 0;
    if (decimal.too_large || !scale(decimal, units[unit].us, part) ||
        __builtin_add_overflow(total, part, &total)) {
      return invalid_input(path, text, expected_smaller);
    }
  } while (!rest.empty());
  return Duration(total);
}

Result<Duration> to_duration(const Value& value, std::string_view path) {
  if (value.is_string()) return parse_duration(value.as_string(), path);
  if (!value.is_number()) return invalid_input(path, value, expected);
  if (value.is_int()) {
    std::int64_t us = 0;
    if (value.as_int() < 0) return invalid_input(path, value, "a duration that is not negative");
    if (__builtin_mul_overflow(value.as_int(), second_us, &us)) {
      return invalid_input(path, value, expected_smaller);
    }
    return Duration(us);
  }
  const double us = std::round(value.as_real() * static_cast<double>(second_us));
  if (std::signbit(us) && us != 0)
    return invalid_input(path, value, "a duration that is not negative");
  if (!(us < 0x1.0p63)) return invalid_input(path, value, expected_smaller);
  return Duration(static_cast<std::int64_t>(us));
}

std::string to_string(Duration duration) {
  if (duration.count() == 0) return "0s";
  // Unsigned, because the least duration has no positive counterpart.
  auto rest = static_cast<std::uint64_t>(duration.count());
  std::string out;
  if (duration.count() < 0) {
    rest = 0 - rest;
    out = "-";
  }
  for (std::size_t i = first_printed; i < units.size(); ++i) {
    const auto unit = static_cast<std::uint64_t>(units[i].us);
    if (rest < unit) continue;
    out += fmt::format("{}{}", rest / unit, units[i].name);
    rest %= unit;
  }
  return out;
}

std::string to_rfc3339(Timestamp at) {
  std::int64_t days = at.us / day_us;
  std::int64_t us = at.us % day_us;
  if (us < 0) {
    us += day_us;
    --days;
  }
  const auto date = civil_date(days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", date.year, date.month, date.day,
                     us / 3'600'000'000, us / 60'000'000 % 60, us / second_us % 60, us % second_us);
}

}  // namespace clew
