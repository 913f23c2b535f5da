// base/detail/json_text.hpp: the pieces that the printers of JSON share. Private to base/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace clew::detail {

// A string in quotes, with the escapes of RFC 8785: only what must be escaped is.
void append_quoted(std::string& out, std::string_view text);

void append_integer(std::string& out, std::int64_t value);

// The number as ECMAScript's Number::toString prints it: 1 for 1.0, 0 for -0.0, 1e+21.
void append_ecmascript(std::string& out, double value);

}  // namespace clew::detail
