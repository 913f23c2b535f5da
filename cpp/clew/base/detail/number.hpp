// base/detail/number.hpp: numbers and values as JSON Schema needs them beyond base/compare.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "clew/base/compare.hpp"

namespace clew::schema {

// True for every integer and for reals without a fraction.
bool is_integral(const Value& number);

// True when `number` is a whole multiple of `divisor` (> 0), both taken as the decimals that their
// shortest texts show: 0.0075 is a multiple of 0.0001.
bool is_multiple(const Value& number, const Value& divisor);

// Equal for values that same_value() holds to be equal.
std::size_t value_hash(const Value& value);

// Values to look others up in. Immutable once filled. Borrows nothing.
class ValueSet {
 public:
  // False when an equal one was there.
  bool insert(const Value& value);
  bool contains(const Value& value) const;
  const std::vector<Value>& values() const { return values_; }

 private:
  static constexpr std::size_t linear_max = 8;  // up to here looking at each is faster than hashing
  struct Hash {
    std::size_t operator()(const Value& value) const { return value_hash(value); }
  };
  struct Same {
    bool operator()(const Value& a, const Value& b) const { return same_value(a, b); }
  };
  std::vector<Value> values_;
  std::unordered_set<Value, Hash, Same> index_;  // empty up to linear_max
};

}  // namespace clew::schema
