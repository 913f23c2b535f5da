#include <re2/re2.h>

#include <algorithm>

#include "clew/base/detail/schema_program.hpp"
#include "clew/base/error.hpp"

namespace clew::schema {
namespace {

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

// White space as ECMAScript means it; RE2's \s is ASCII's only.
constexpr std::string_view white_space =
    R"(\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff})";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Writes a pattern of ECMAScript (with flag u) in RE2's spelling. What RE2 does not know either is
// left for it to refuse.
class Translation {
 public:
  explicit Translation(std::string_view text) : rest_(text) {}

  std::string run() {
    while (!rest_.empty()) {
      if (rest_[0] == '\\' && rest_.size() > 1) {
        escape();
        continue;
      }
      if (rest_[0] == '[') in_class_ = true;
      if (rest_[0] == ']') in_class_ = false;
      take(1);
    }
    return std::move(out_);
  }

 private:
  void take(std::size_t count) {
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }
  void replace(std::size_t count, std::string_view by) {
    out_ += by;
    rest_.remove_prefix(count);
  }

  void escape() {
    const auto digits = rest_.substr(2, 4);
    if (rest_[1] == 'u' && digits.size() == 4 && is_hex(digits)) {
      replace(6, "\\x{" + std::string(digits) + "}");
    } else if (rest_[1] == 'c' && rest_.size() > 2 && is_letter(rest_[2])) {
      replace(3, fmt::format("\\x{{{:x}}}", rest_[2] & 0x1F));
    } else if (rest_[1] == 's') {
      replace(2, in_class_ ? std::string(white_space) : fmt::format("[{}]", white_space));
    } else if (rest_[1] == 'S' && !in_class_) {
      replace(2, fmt::format("[^{}]", white_space));
    } else {
      take(2);
    }
  }

  std::string_view rest_;
  std::string out_;
  bool in_class_ = false;
};

}  // namespace

Result<Pattern> compile_pattern(std::string_view text, std::string_view path) {
  RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(Translation(text).run(), options);
  if (!compiled->ok()) {
    return invalid_input(path, text,
                         "a regular expression without look-around and back references (RE2)")
        .with("detail", compiled->error());
  }
  return Pattern{std::string(text), std::move(compiled)};
}

bool matches(const Pattern& pattern, std::string_view text) {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern.compiled);
}

}  // namespace clew::schema
