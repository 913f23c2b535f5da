// base/semver.hpp: versions, ranges, and references to versioned things.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"

namespace clew {

// A Semantic Version 2.0.0. A value. Ordered by precedence; build metadata is kept for printing but
// distinguishes nothing. "v1", "1" and "1.0" are refused.
struct Version {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::uint64_t patch = 0;
  std::vector<std::string> pre;  // dotted identifiers after '-'
  std::string build;

  // Error `invalid_input` at `path`: missing parts, leading zeros, numbers beyond 64 bits.
  static Result<Version> parse(std::string_view text, std::string_view path = "version");
  std::string to_string() const;
  friend std::strong_ordering operator<=>(const Version& a, const Version& b);
  friend bool operator==(const Version& a, const Version& b) { return (a <=> b) == 0; }
};

// A version requirement in Cargo's grammar: ^1.2, ~1.2, =1.2.3, >=1, <2, 1.*, *, and
// comma-separated sums of at most 32. A bare "1.2.3" inside a range means ^1.2.3. A pre-release
// matches only when one comparator has the same major.minor.patch and names a pre-release itself.
// Immutable.
class VersionRange {
 public:
  VersionRange() = default;  // matches every release
  // Error `invalid_input` at `path`.
  static Result<VersionRange> parse(std::string_view text, std::string_view path = "range");
  bool matches(const Version& version) const;
  const std::string& text() const { return text_; }

 private:
  enum class Op : std::uint8_t {
    exact,
    greater,
    greater_equal,
    less,
    less_equal,
    tilde,
    caret,
    wildcard
  };
  struct Comparator {
    Op op = Op::caret;
    std::uint64_t major = 0;
    std::optional<std::uint64_t> minor;  // absent: not given, or a wildcard
    std::optional<std::uint64_t> patch;  // given only after a minor
    std::vector<std::string> pre;
  };
  struct Parser;
  static bool matches(const Comparator& comparator, const Version& version);
  static bool matches_exactly(const Comparator& comparator, const Version& version);
  static bool matches_tilde(const Comparator& comparator, const Version& version);
  static bool matches_caret(const Comparator& comparator, const Version& version);
  static std::partial_ordering compare(const Version& version, const Comparator& comparator);
  std::string text_ = "*";
  std::vector<Comparator> comparators_;
};

// "text.words@1.2.0" (exact), "text.words@^1" (range), "text.words" (bare: the only eligible one).
// After the '@' a full version is exact; "1" and "1.2" are refused, because they could mean either.
// Ids are dot-separated segments of [a-z0-9_-], each starting with a letter, at least one segment
// and at most 200 characters.
struct Reference {
  enum class Kind : std::uint8_t { bare, exact, range };
  std::string id;
  Kind kind = Kind::bare;
  Version version;     // when exact
  VersionRange range;  // when range
  // Error `invalid_input` at `path`.
  static Result<Reference> parse(std::string_view text, std::string_view path = "reference");
};

// Error `invalid_input` unless `id` is as Reference says.
Result<void> check_id(std::string_view id, std::string_view path);

}  // namespace clew
