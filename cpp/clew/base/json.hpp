// base/json.hpp: JSON text to Value and back, canonical form and digests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew {

struct ParseLimits {
  std::size_t bytes_max = 64U << 20U;  // of text
  // Foreign text keeps to the default. Text that Clew itself stored may nest to Value::depth_limit,
  // which is also the most that counts here.
  int depth_max = Value::depth_max;
};

// Reads one JSON text (RFC 8259), nothing after it; a leading byte order mark is skipped. Integers
// that fit 64 bits stay exact integers ("-0" is 0); a number with fraction or exponent becomes a
// double ("-0.0" keeps its sign). Error `invalid_input` for bad syntax, a duplicate key (named by
// its path), bad UTF-8, an integer beyond 64 bits, a number beyond double, or a bound exceeded.
// Its context has `offset` (bytes before the last one that was read), `line` and `column` (in
// characters, both from 1).
Result<Value> parse_json(std::string_view text, const ParseLimits& limits = {});

// Compact JSON text, members in their own order. Doubles in the shortest form that reads back the
// same and always with '.', 'e' or both, so that 1.0 stays a double when read again.
std::string to_json(const Value& value);
void append_json(std::string& out, const Value& value);

// RFC 8785 text: members sorted by UTF-16 code units, numbers as ECMAScript prints them (1.0 as 1,
// -0.0 as 0), except that integers beyond 2^53 are printed exactly.
std::string canonical_json(const Value& value);

using Digest = std::array<std::uint8_t, 32>;

// SHA-256 of bytes. Thread-safe.
Digest sha256(std::string_view bytes);
// SHA-256 of canonical_json(value).
Digest digest_of(const Value& value);
// Lower-case hexadecimal.
std::string to_hex(const Digest& digest);
std::string to_hex(std::string_view bytes);

// The value as JSON, cut to at most `chars_max` characters (code points; the last is then "…") for
// error messages. Does not look at more of the value than it shows.
std::string preview(const Value& value, std::size_t chars_max = 80);

// Paths as Clew prints them everywhere: "limits.timeout", "steps[2].call"; a key that is no plain
// word is quoted: "headers[\"x.y\"]". These append one step.
void append_path_key(std::string& path, std::string_view key);
void append_path_index(std::string& path, std::size_t index);

// The first difference between two values (in the order of `left`, then what only `right` has) and
// both sides of it.
struct Difference {
  bool found = false;  // exactly when the values are not equal
  std::string path;    // empty when the whole values differ
  Value left;          // null when absent
  Value right;         // null when absent
};
Difference first_difference(const Value& left, const Value& right);

}  // namespace clew
