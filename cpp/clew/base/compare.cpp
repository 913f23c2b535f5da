#include "clew/base/compare.hpp"

#include <algorithm>
#include <cmath>

namespace clew {
namespace {

std::strong_ordering compare_doubles(double a, double b) {
  if (a == b) return std::strong_ordering::equal;
  return a < b ? std::strong_ordering::less : std::strong_ordering::greater;
}

std::strong_ordering compare_mixed(std::int64_t integer, double real) {
  if (!(real >= -0x1.0p63 && real < 0x1.0p63)) return compare_doubles(0, real);
  const double whole = std::trunc(real);
  if (const auto order = integer <=> static_cast<std::int64_t>(whole); order != 0) return order;
  return compare_doubles(whole, real);
}

bool same_objects(const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  return std::ranges::all_of(a.members(), [&](const Member& member) {
    const auto* other = b.find(member.key);
    return other != nullptr && same_value(member.value, *other);
  });
}

}  // namespace

std::strong_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return a.as_int() <=> b.as_int();
  if (a.is_real() && b.is_real()) return compare_doubles(a.as_real(), b.as_real());
  if (a.is_int()) return compare_mixed(a.as_int(), b.as_real());
  return 0 <=> compare_mixed(b.as_int(), a.as_real());
}

bool same_value(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Value::Kind::null:
    case Value::Kind::integer:
    case Value::Kind::real:
      return true;  // numbers were compared above
    case Value::Kind::boolean:
      return a.as_bool() == b.as_bool();
    case Value::Kind::string:
      return a.as_string() == b.as_string();
    case Value::Kind::array:
      return std::ranges::equal(a.items(), b.items(), same_value);
    case Value::Kind::object:
      return same_objects(a, b);
  }
  return false;
}

}  // namespace clew
