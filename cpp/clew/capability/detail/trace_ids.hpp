// capability/detail/trace_ids.hpp: what the id of a call tells of its start.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "clew/base/env.hpp"

namespace clew::detail {

// An id knows the millisecond of its making, or of a neighbour's that was made before it. Dispatch
// sees to it that this is no more than so long after the start of its call, and never before.
constexpr Duration id_lag_max = std::chrono::milliseconds(10);

// No id of that millisecond is lower.
inline Id lowest_id(Timestamp at) {
  constexpr std::int64_t ms_max = (std::int64_t{1} << 48U) - 1;
  auto ms = static_cast<std::uint64_t>(std::clamp<std::int64_t>(at.us / 1000, 0, ms_max));
  Id id;
  for (std::size_t i = 6; i > 0; --i, ms >>= 8U) id.bytes[i - 1] = static_cast<std::uint8_t>(ms);
  return id;
}

}  // namespace clew::detail
