// base/env.hpp: every source of chance, in one place that tests can replace.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/time.hpp"

namespace clew {

// A stream of random numbers. Thread-safe. The same seed and label give the same stream.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }
};

// 128 bits that name one thing: a UUIDv7 (RFC 9562), so ids sort by the time they were made.
struct Id {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const Id&, const Id&) = default;
  std::string to_string() const;  // 8-4-4-4-12
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  bool is_nil() const;
  static Result<Id> parse(std::string_view text);
  static Id from_bytes(std::string_view sixteen);  // CLEW_CHECK: 16 bytes
};

// Makes ids. Thread-safe; ids made by one source rise strictly, also within one millisecond.
class IdSource {
 public:
  virtual ~IdSource() = default;
  virtual Id next() = 0;
  // The same for whoever knows what time it is.
  virtual Id next_at(Timestamp now) = 0;
};

// What the composition root builds and passes down. Below it nobody asks the system for time,
// chance or ids. Thread-safe. Outlives everything that borrows it.
class Env {
 public:
  virtual ~Env() = default;
  virtual Clock& clock() = 0;
  virtual IdSource& ids() = 0;
  // The stream of that label, made at first use; the reference lives as long as the Env.
  virtual Random& random(std::string_view label) = 0;
};

// Real time, chance from the system.
std::unique_ptr<Env> make_real_env();
// `clock` is borrowed. Chance and ids follow from `seed` (ids also from the clock).
std::unique_ptr<Env> make_seeded_env(Clock& clock, std::uint64_t seed);

}  // namespace clew
