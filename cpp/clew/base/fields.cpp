#include "clew/base/fields.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew {
namespace {

// Unicode's property White_Space.
constexpr std::string_view spaces[] = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\u0085", "\u00A0", "\u1680",
    "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
    "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

std::string joined(std::string_view path, std::string_view key) {
  std::string whole(path);
  append_path_key(whole, key);
  return whole;
}

}  // namespace

bool is_blank(std::string_view text) {
  while (!text.empty()) {
    const auto* space =
        std::ranges::find_if(spaces, [text](auto each) { return text.starts_with(each); });
    if (space == std::end(spaces)) return false;
    text.remove_prefix(space->size());
  }
  return true;
}

Result<void> check_key(std::string_view path, std::string_view key) {
  if (is_blank(key)) return invalid_input(path, Value(key), "text that is not blank");
  if (key.size() > key_bytes_max) {
    return invalid_input(path, Value(key), fmt::format("at most {} bytes of text", key_bytes_max));
  }
  return check_text(path, key);
}

Result<void> check_text(std::string_view path, std::string_view text) {
  if (text.find('\0') == std::string_view::npos) return {};
  return invalid_input(path, Value(text), "text without U+0000");
}

Result<Fields> Fields::of(const Value& value, std::string_view path,
                          std::initializer_list<std::string_view> known) {
  if (!value.is_object()) return invalid_input(path, value, "an object");
  for (const auto& [key, member] : value.members()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    const auto meant = nearest(key, std::span(known.begin(), known.size()));
    auto expected = fmt::format("one of {}", fmt::join(known, ", "));
    if (!meant.empty()) expected += fmt::format(": did you mean {}?", meant);
    return invalid_input(joined(path, key), member, expected);
  }
  return Fields(value, path);
}

const Value* Fields::find(std::string_view key) const {
  const auto* found = value_->find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::string Fields::path_of(std::string_view key) const { return joined(path_, key); }

Error Fields::wrong(std::string_view key, std::string_view expected) const {
  const auto* found = value_->find(key);
  return invalid_input(path_of(key), found == nullptr ? Value() : *found, expected);
}

Result<Value> Fields::value(std::string_view key) const {
  const auto* found = value_->find(key);
  if (found == nullptr) return wrong(key, "a value");
  return *found;
}

Value Fields::value_or_null(std::string_view key) const {
  const auto* found = value_->find(key);
  return found == nullptr ? Value() : *found;
}

Result<std::string> Fields::word(std::string_view key) const {
  const auto* found = find(key);
  if (found == nullptr || !found->is_string() || is_blank(found->as_string())) {
    return wrong(key, "text that is not blank");
  }
  return std::string(found->as_string());
}

Result<std::string> Fields::word_if_given(std::string_view key) const {
  if (find(key) == nullptr) return std::string();
  return word(key);
}

Result<std::string> Fields::text_if_given(std::string_view key) const {
  const auto* found = find(key);
  if (found == nullptr) return std::string();
  if (!found->is_string()) return wrong(key, "text");
  return std::string(found->as_string());
}

Result<std::int64_t> Fields::integer(std::string_view key, std::int64_t low,
                                     std::int64_t high) const {
  const auto* found = find(key);
  if (found != nullptr && found->is_int() && found->as_int() >= low && found->as_int() <= high) {
    return found->as_int();
  }
  if (high == INT64_MAX) return wrong(key, fmt::format("an integer of at least {}", low));
  return wrong(key, fmt::format("an integer from {} to {}", low, high));
}

Result<std::int64_t> Fields::integer_or(std::string_view key, std::int64_t fallback,
                                        std::int64_t low, std::int64_t high) const {
  if (find(key) == nullptr) return fallback;
  return integer(key, low, high);
}

Result<bool> Fields::flag_or(std::string_view key, bool fallback) const {
  const auto* found = find(key);
  if (found == nullptr) return fallback;
  if (!found->is_bool()) return wrong(key, "true or false");
  return found->as_bool();
}

Result<std::span<const Value>> Fields::items(std::string_view key) const {
  const auto* found = find(key);
  if (found == nullptr) return std::span<const Value>();
  if (!found->is_array()) return wrong(key, "an array");
  return found->items();
}

Result<std::size_t> choice(const Value& value, std::string_view path,
                           std::span<const std::string_view> words) {
  if (value.is_string()) {
    const auto found = std::ranges::find(words, value.as_string());
    if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  }
  return invalid_input(path, value, fmt::format("one of {}", fmt::join(words, ", ")));
}

}  // namespace clew
