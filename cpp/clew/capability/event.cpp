#include "clew/capability/event.hpp"

#include <algorithm>
#include <array>

namespace clew {
namespace {

constexpr std::array<std::string_view, 4> lifecycle_words = {"draft", "active", "deprecated",
                                                             "retired"};
constexpr std::string_view pattern_expected =
    "an event type such as \"text.counted\", with * for one segment, > or ** for the rest, and "
    "perhaps a version or range after @";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> segments;
  for (;;) {
    const auto dot = text.find('.');
    segments.emplace_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return segments;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string_view name(EventLifecycle lifecycle) {
  return lifecycle_words[static_cast<std::size_t>(lifecycle)];
}

Result<EventLifecycle> parse_event_lifecycle(std::string_view word) {
  const auto found = std::ranges::find(lifecycle_words, word);
  if (found != lifecycle_words.end()) {
    return static_cast<EventLifecycle>(found - lifecycle_words.begin());
  }
  return invalid_input("lifecycle", Value(word), "draft, active, deprecated or retired");
}

Result<EventPattern> EventPattern::parse(std::string_view text, std::string_view path) {
  EventPattern pattern;
  pattern.text_ = text;
  const auto at = text.find('@');
  pattern.segments_ = split(text.substr(0, at));
  if (const auto& last = pattern.segments_.back(); last == ">" || last == "**") {
    pattern.is_open_ = true;
    pattern.segments_.pop_back();
  }
  for (const auto& segment : pattern.segments_) {
    if (segment != "*" && !check_id(segment, path)) {
      return invalid_input(path, Value(text), pattern_expected);
    }
  }
  if (at == std::string_view::npos) return pattern;
  // The rules for what stands after the '@' are those of every reference.
  auto reference = Reference::parse("type@" + std::string(text.substr(at + 1)), path);
  if (!reference) return invalid_input(path, Value(text), pattern_expected);
  if (reference->kind == Reference::Kind::exact) pattern.version_ = std::move(reference->version);
  if (reference->kind == Reference::Kind::range) pattern.range_ = std::move(reference->range);
  return pattern;
}

bool EventPattern::matches_type(std::string_view type) const {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const auto dot = type.find('.');
    if (segments_[i] != "*" && segments_[i] != type.substr(0, dot)) return false;
    const bool is_last = i + 1 == segments_.size();
    if (dot == std::string_view::npos) return is_last && !is_open_;
    type.remove_prefix(dot + 1);
  }
  return is_open_ && !type.empty();
}

bool EventPattern::matches(std::string_view type, std::string_view version) const {
  if (!matches_type(type)) return false;
  if (!version_ && !range_) return true;
  const auto parsed = Version::parse(version);
  if (!parsed) return false;
  return version_ ? *version_ == *parsed : range_->matches(*parsed);
}

}  // namespace clew
