// base/detail/scalar.hpp: what the words of a YAML text stand for.
#pragma once

#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew::detail {

// A scalar without quotes, by the core schema of YAML 1.2: null, booleans, integers (also 0x and
// 0o), floats; every other is a string, also `yes`, `on`, dates and versions with two dots.
// Error: an integer beyond 64 bits, a number beyond double, .inf and .nan.
Result<Value> resolve_plain(std::string_view text);

// A scalar with a tag: the kind that the tag names ("tag:yaml.org,2002:int"). Error: the text is
// not of that kind, or the tag is not one of the core schema's.
Result<Value> resolve_tagged(std::string_view tag, std::string_view text);

}  // namespace clew::detail
