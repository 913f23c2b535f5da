// base/compare.hpp: values by what they are worth: 1 and 1.0 are one number.
#pragma once

#include <compare>

#include "clew/base/value.hpp"

namespace clew {

// Compares two numbers exactly: no integer is rounded to a double on the way.
std::strong_ordering compare_numbers(const Value& a, const Value& b);

// Equality of JSON Schema: numbers by what they are worth, objects without regard to order.
bool same_value(const Value& a, const Value& b);

}  // namespace clew
