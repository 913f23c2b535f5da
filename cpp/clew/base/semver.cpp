#include "clew/base/semver.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "clew/base/error.hpp"

namespace clew {
namespace {

constexpr std::size_t comparators_max = 32;
constexpr std::size_t id_chars_max = 200;
constexpr std::string_view version_form = "a version such as \"1.2.0\" or \"1.2.0-rc.1\"";
constexpr std::string_view range_form =
    "a version range such as \"^1.2\", \"~1.2.3\", \">=1, <3\", \"1.*\" or \"*\"";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_identifier_char(char c) {
  return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '-';
}
bool is_numeric(std::string_view text) { return std::ranges::all_of(text, is_digit); }

// Reads version parts from the front of `rest`. Every read says whether it found what it wanted.
struct Scanner {
  std::string_view rest;

  bool skip(char c) {
    if (!rest.starts_with(c)) return false;
    rest.remove_prefix(1);
    return true;
  }
  void skip_spaces() {
    while (skip(' ')) {
    }
  }
  bool skip_wildcard() { return skip('*') || skip('x') || skip('X'); }

  // Digits without a leading zero that fit 64 bits.
  bool number(std::uint64_t& out) {
    const auto length =
        static_cast<std::size_t>(std::ranges::find_if_not(rest, is_digit) - rest.begin());
    if (length == 0 || (length > 1 && rest[0] == '0')) return false;
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + length, out);
    if (problem != std::errc()) return false;
    rest.remove_prefix(length);
    return true;
  }

  // Dotted identifiers, none empty. `strict`: numeric ones have no leading zero.
  bool identifiers(bool strict, std::vector<std::string>& out) {
    do {
      const auto end = std::ranges::find_if_not(rest, is_identifier_char);
      const std::string_view part(rest.begin(), end);
      if (part.empty()) return false;
      if (strict && part.size() > 1 && part[0] == '0' && is_numeric(part)) return false;
      out.emplace_back(part);
      rest.remove_prefix(part.size());
    } while (skip('.'));
    return true;
  }

  // The optional "-pre" and "+build" after a full version.
  bool suffixes(std::vector<std::string>& pre, std::string& build) {
    if (skip('-') && !identifiers(true, pre)) return false;
    if (!skip('+')) return true;
    const auto start = rest;
    std::vector<std::string> parts;
    if (!identifiers(false, parts)) return false;
    build = start.substr(0, start.size() - rest.size());
    return true;
  }
};

std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const bool a_numeric = is_numeric(a);
  const bool b_numeric = is_numeric(b);
  if (a_numeric != b_numeric)
    return a_numeric ? std::strong_ordering::less : std::strong_ordering::greater;
  // Without leading zeros the longer number is the greater one, however many digits it has.
  if (a_numeric && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

// Precedence of pre-releases; none at all is the release itself, which comes last.
std::strong_ordering compare_pre(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return a.empty() <=> b.empty();
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (const auto order = compare_identifiers(a[i], b[i]); order != 0) return order;
  }
  return a.size() <=> b.size();
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) {
    if (!out.empty()) out += '.';
    out += part;
  }
  return out;
}

}  // namespace

Result<Version> Version::parse(std::string_view text, std::string_view path) {
  Scanner scan{text};
  Version version;
  const bool ok = scan.number(version.major) && scan.skip('.') && scan.number(version.minor) &&
                  scan.skip('.') && scan.number(version.patch) &&
                  scan.suffixes(version.pre, version.build) && scan.rest.empty();
  if (!ok) return invalid_input(path, text, version_form);
  return version;
}

std::string Version::to_string() const {
  auto out = fmt::format("{}.{}.{}", major, minor, patch);
  if (!pre.empty()) out += "-" + join(pre);
  if (!build.empty()) out += "+" + build;
  return out;
}

std::strong_ordering operator<=>(const Version& a, const Version& b) {
  if (const auto order = a.major <=> b.major; order != 0) return order;
  if (const auto order = a.minor <=> b.minor; order != 0) return order;
  if (const auto order = a.patch <=> b.patch; order != 0) return order;
  return compare_pre(a.pre, b.pre);
}

// Reads one comparator from the front of a range.
struct VersionRange::Parser {
  Scanner scan;

  static Op read_op(Scanner& scan, bool& given) {
    given = true;
    if (scan.skip('=')) return Op::exact;
    if (scan.skip('>')) return scan.skip('=') ? Op::greater_equal : Op::greater;
    if (scan.skip('<')) return scan.skip('=') ? Op::less_equal : Op::less;
    if (scan.skip('~')) return Op::tilde;
    given = scan.skip('^');
    return Op::caret;
  }

  // One of minor and patch: a number, a wildcard, or nothing. After a wildcard only wildcards.
  bool part(std::optional<std::uint64_t>& out, bool& wildcard) {
    if (!scan.skip('.')) return true;
    if (scan.skip_wildcard()) {
      wildcard = true;
      return true;
    }
    std::uint64_t number = 0;
    if (wildcard || !scan.number(number)) return false;
    out = number;
    return true;
  }

  bool comparator(Comparator& out) {
    bool op_given = false;
    bool wildcard = false;
    out.op = read_op(scan, op_given);
    scan.skip_spaces();
    if (!scan.number(out.major) || !part(out.minor, wildcard)) return false;
    if ((out.minor || wildcard) && !part(out.patch, wildcard)) return false;
    if (wildcard && !op_given) out.op = Op::wildcard;
    std::string build;  // allowed, distinguishes nothing
    if (out.patch && !scan.suffixes(out.pre, build)) return false;
    scan.skip_spaces();
    return true;
  }
};

Result<VersionRange> VersionRange::parse(std::string_view text, std::string_view path) {
  VersionRange range;
  range.text_ = text;
  Parser parser{{text}};
  parser.scan.skip_spaces();
  if (parser.scan.skip_wildcard()) {
    parser.scan.skip_spaces();
    if (!parser.scan.rest.empty())
      return invalid_input(path, text, "\"*\" alone, with nothing beside it");
    return range;
  }
  do {
    parser.scan.skip_spaces();
    Comparator comparator;
    if (!parser.comparator(comparator)) return invalid_input(path, text, range_form);
    range.comparators_.push_back(std::move(comparator));
    if (range.comparators_.size() > comparators_max) {
      return invalid_input(path, text, fmt::format("at most {} comparators", comparators_max));
    }
  } while (parser.scan.skip(','));
  if (!parser.scan.rest.empty()) return invalid_input(path, text, range_form);
  return range;
}

bool VersionRange::matches(const Version& version) const {
  const auto accepts = [&](const Comparator& c) { return matches(c, version); };
  if (!std::ranges::all_of(comparators_, accepts)) return false;
  if (version.pre.empty()) return true;
  return std::ranges::any_of(comparators_, [&](const Comparator& c) {
    return c.major == version.major && c.minor == version.minor && c.patch == version.patch &&
           !c.pre.empty();
  });
}

bool VersionRange::matches(const Comparator& c, const Version& version) {
  switch (c.op) {
    case Op::exact:
    case Op::wildcard:
      return matches_exactly(c, version);
    case Op::greater:
      return compare(version, c) > 0;
    case Op::greater_equal:
      return compare(version, c) >= 0;
    case Op::less:
      return compare(version, c) < 0;
    case Op::less_equal:
      return compare(version, c) <= 0;
    case Op::tilde:
      return matches_tilde(c, version);
    case Op::caret:
      return matches_caret(c, version);
  }
  return false;
}

// Equal as far as the comparator goes: 1.2.9 is neither above nor below 1.2. A pre-release has no
// place relative to a comparator that stops before the patch.
std::partial_ordering VersionRange::compare(const Version& version, const Comparator& c) {
  const auto within =
      version.pre.empty() ? std::partial_ordering::equivalent : std::partial_ordering::unordered;
  if (version.major != c.major) return version.major <=> c.major;
  if (!c.minor) return within;
  if (version.minor != *c.minor) return version.minor <=> *c.minor;
  if (!c.patch) return within;
  if (version.patch != *c.patch) return version.patch <=> *c.patch;
  return compare_pre(version.pre, c.pre);
}

bool VersionRange::matches_exactly(const Comparator& c, const Version& version) {
  return compare(version, c) == 0;
}

bool VersionRange::matches_tilde(const Comparator& c, const Version& version) {
  if (version.major != c.major || (c.minor && version.minor != *c.minor)) return false;
  return compare(version, c) >= 0;
}

// Keeps the leftmost number that is not zero.
bool VersionRange::matches_caret(const Comparator& c, const Version& version) {
  if (version.major != c.major) return false;
  if (!c.minor) return true;
  if (c.major == 0 && version.minor != *c.minor) return false;
  if (!c.patch) return version.minor >= *c.minor;
  if (c.major == 0 && *c.minor == 0 && version.patch != *c.patch) return false;
  return compare(version, c) >= 0;
}

Result<void> check_id(std::string_view id, std::string_view path) {
  constexpr std::string_view expected =
      "dot-separated words of a-z, 0-9, '_' and '-', each starting with a letter";
  if (id.size() > id_chars_max) {
    return invalid_input(path, id, fmt::format("at most {} characters", id_chars_max));
  }
  bool at_start = true;
  for (const char c : id) {
    const bool fits = at_start ? is_lower(c) : is_lower(c) || is_digit(c) || c == '_' || c == '-';
    if (!fits && (at_start || c != '.')) return invalid_input(path, id, expected);
    at_start = c == '.';
  }
  if (at_start) return invalid_input(path, id, expected);  // empty, or ends with a dot
  return {};
}

Result<Reference> Reference::parse(std::string_view text, std::string_view path) {
  constexpr std::string_view expected =
      "a full version such as \"1.2.0\" or a range such as \"^1.2\" after the '@'";
  Reference reference;
  const auto at = text.find('@');
  reference.id = text.substr(0, at);
  CLEW_TRY(check_id(reference.id, path));
  if (at == std::string_view::npos) return reference;

  const auto wanted = text.substr(at + 1);
  if (wanted.empty() || wanted.starts_with(' ') || wanted.ends_with(' ')) {
    return invalid_input(path, text, expected);
  }
  if (is_digit(wanted[0])) {  // else it is no version, and a refusal costs more than this look
    if (auto exact = Version::parse(wanted, path)) {
      reference.kind = Kind::exact;
      reference.version = std::move(exact).value();
      return reference;
    }
  }
  // "1", "1.2": Cargo would read a caret range, our readers an exact version.
  if (std::ranges::all_of(wanted, [](char c) { return is_digit(c) || c == '.'; })) {
    return invalid_input(path, text, expected);
  }
  auto range = VersionRange::parse(wanted, path);
  if (!range) return invalid_input(path, text, expected);
  reference.kind = Kind::range;
  reference.range = std::move(range).value();
  return reference;
}

}  // namespace clew
