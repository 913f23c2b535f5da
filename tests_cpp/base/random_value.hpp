// tests_cpp/base/random_value.hpp: random JSON values for property tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "clew/base/value.hpp"

namespace clew::testing {

// The seed of this run: CLEW_SEED when set, else always the same.
inline std::uint64_t seed() {
  const char* given = std::getenv("CLEW_SEED");
  return given == nullptr ? 20260131 : std::strtoull(given, nullptr, 10);
}

// Makes values of every kind and shape, rich in the odd ones: bounds of integers, subnormals,
// characters of every UTF-8 length, controls, deep and wide containers. Confined.
class RandomValues {
 public:
  explicit RandomValues(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

  Value scalar() {
    switch (below(5)) {
      case 0:
        return {};
      case 1:
        return below(2) == 0;
      case 2:
        return integer();
      case 3:
        return real();
      default:
        return text(12);
    }
  }

  // Containers hold at most `size` children and nest at most `depth` deep.
  Value value(int depth, std::uint64_t size) {
    if (depth == 0 || below(3) == 0) return scalar();
    const auto count = below(size + 1);
    if (below(2) == 0) {
      std::vector<Value> items;
      for (std::uint64_t i = 0; i < count; ++i) items.push_back(value(depth - 1, size));
      return Value::array(std::move(items));
    }
    std::vector<Member> members;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string key = text(6);
      const bool is_new =
          std::ranges::none_of(members, [&](const Member& other) { return other.key == key; });
      if (is_new) members.push_back({std::move(key), value(depth - 1, size)});
    }
    return Value::object(std::move(members));
  }

  std::int64_t integer() {
    const std::uint64_t bits = engine_() >> below(64);
    return std::bit_cast<std::int64_t>(below(2) == 0 ? bits : ~bits);
  }

  double real() {
    for (;;) {
      const double any =
          below(2) == 0 ? std::bit_cast<double>(engine_()) : static_cast<double>(integer()) / 1024;
      if (std::isfinite(any)) return any;
    }
  }

  std::string text(std::uint64_t length_max) {
    std::string out;
    for (std::uint64_t left = below(length_max + 1); left > 0; --left) append_character(out);
    return out;
  }

  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  void append_character(std::string& out) {
    constexpr std::uint32_t bounds[] = {0x20, 0x80, 0x80, 0x800, 0x10000, 0x110000};
    auto point = static_cast<std::uint32_t>(below(bounds[below(std::size(bounds))]));
    if (point >= 0xD800 && point < 0xE000) point += 0x2000;  // no surrogates: U+F800 on
    const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (point < 0x80) {
      put(point);
    } else if (point < 0x800) {
      put(0xC0 | point >> 6U);
    } else if (point < 0x10000) {
      put(0xE0 | point >> 12U);
    } else {
      put(0xF0 | point >> 18U);
      put(0x80 | (point >> 12U & 0x3FU));
    }
    if (point >= 0x800) put(0x80 | (point >> 6U & 0x3FU));
    if (point >= 0x80) put(0x80 | (point & 0x3FU));
  }

  std::mt19937_64 engine_;
};

// Runs `property(values, round)` for rounds of growing size until one fails, so that the failure
// shown is a small one.
template <typename Property>
void for_random_values(Property property, int rounds = 2000) {
  SCOPED_TRACE("CLEW_SEED=" + std::to_string(seed()));
  RandomValues random(seed());
  for (int round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
    const auto size = static_cast<std::uint64_t>(1 + round * 14 / rounds);
    property(random, random.value(1 + round * 4 / rounds, size));
  }
}

}  // namespace clew::testing
