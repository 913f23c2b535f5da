// base/schema_includes.hpp: whether one JSON Schema accepts all that another accepts.
#pragma once

#include <cstdint>

#include "clew/base/value.hpp"

namespace clew {

// What an object may hold under names that no `properties` of the narrow schema mentions, nor of
// those that it joins for the same value, when none says anything of other names.
enum class Unnamed : std::uint8_t {
  anything,  // what the standard says
  unused     // nothing: nobody sends what nobody has named
};

// Whether every instance that `narrow` accepts is accepted by `wide` too. Both must compile as
// Schema. A decision by structure: true is always right (with Unnamed::anything), and false may
// also mean that the two are written so differently that their relation is not seen: conditionals,
// negations and unevaluated members only compare equal. Bounded: beyond 10,000 comparisons false.
bool schema_includes(const Value& wide, const Value& narrow, Unnamed unnamed = Unnamed::anything);

}  // namespace clew
