#include "clew/workflow/detail/problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew::workflow::detail {

void Problems::add(std::string_view path, std::string message, std::string suggestion) {
  if (found_.size() == problems_max) return;
  found_.push_back(
      {std::string(path), line_at(document_, path), std::move(message), std::move(suggestion)});
}

void Problems::add(std::string_view path, const Value& value, std::string_view expected) {
  add(path, fmt::format("expected {}, got {}", expected, preview(value)));
}

void Problems::add(const Error& error, std::string_view path) {
  const auto text = [&](std::string_view key) {
    const Value* value = error.find(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
  };
  auto place = text("path");
  if (place.empty()) place = path;
  std::string_view message = error.message();
  const auto prefix = place + ": ";
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  add(place, std::string(message), text("suggestion"));
}

void Problems::check_keys(const Value& object, std::string_view path,
                          std::span<const std::string_view> known) {
  for (const auto& [key, value] : object.members()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    add(join_path(path, key),
        fmt::format("there is no key {}; expected one of {}", preview(Value(key)), list_of(known)),
        std::string(nearest(key, known)));
  }
}

std::vector<Problem> Problems::take() {
  std::ranges::sort(found_, [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.path, a.message) < std::tie(b.line, b.path, b.message);
  });
  return std::exchange(found_, {});
}

std::string join_path(std::string_view path, std::string_view key) {
  std::string joined(path);
  append_path_key(joined, key);
  return joined;
}

std::string list_of(std::span<const std::string_view> words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace clew::workflow::detail
