// base/detail/schema_uri.hpp: the names by which schemas refer to each other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace clew::schema {

// Resolves `reference` (without fragment) against `base` as RFC 3986 section 5.2 says.
std::string resolve_uri(std::string_view base, std::string_view reference);

// "%25" and the like undone; nothing for a broken escape.
std::optional<std::string> percent_decoded(std::string_view text);

// The steps of a JSON Pointer ("/a/0", or empty for the whole); nothing when it is malformed.
std::optional<std::vector<std::string>> pointer_steps(std::string_view pointer);

}  // namespace clew::schema
