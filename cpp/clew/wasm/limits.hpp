// wasm/limits.hpp: what one call of a module may use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/time.hpp"
#include "clew/base/value.hpp"

namespace clew::wasm {

// A value. A contract changes it by its constraints:
//   constraints: {wasm: {fuel: 1000000, memory_bytes: 8388608, wall: 2s}, environment: [MODE]}
struct Limits {
  static constexpr std::int64_t memory_bytes_max = 256LL << 20;

  std::int64_t fuel = 1'000'000'000;         // about one for each instruction; 1 to 10^15
  std::int64_t memory_bytes = 32LL << 20;    // of linear memory; 64 KiB to 256 MiB
  std::int64_t table_elements = 10'000;      // 1 to 1,000,000
  Duration wall = std::chrono::seconds(10);  // time inside the guest, host calls included
  std::int64_t output_bytes = 64LL << 10;    // of standard output; 1 to 16 MiB
  std::int64_t stderr_bytes = 16LL << 10;    // kept of standard error: its end; 0 to 1 MiB
  std::vector<std::string> environment;      // variables of this process that the guest sees

  // Reads the constraints of a contract; null gives the defaults. `invalid_input` names the path of
  // what is unknown, out of range, or not to be had: a guest has neither files nor network.
  static Result<Limits> from_constraints(const Value& constraints);
  Value to_value() const;
  friend bool operator==(const Limits&, const Limits&) = default;
};

}  // namespace clew::wasm
