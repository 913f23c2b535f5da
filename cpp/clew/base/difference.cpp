#include <algorithm>

#include "clew/base/detail/json_text.hpp"
#include "clew/base/json.hpp"

namespace clew {

namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// Goes down into the first children that differ, noting the way in `path`. `left` and `right` end
// as the two sides; null where one has nothing.
class Descent {
 public:
  Descent(const Value& left, const Value& right) : left_(&left), right_(&right) {}

  Difference run() {
    if (*left_ == *right_) return {};
    while (step()) {
    }
    return {true, std::move(path_), left_ == nullptr ? Value() : *left_,
            right_ == nullptr ? Value() : *right_};
  }

 private:
  bool step() {
    if (left_ == nullptr || right_ == nullptr || left_->kind() != right_->kind()) return false;
    if (left_->is_array()) return step_into_array();
    if (left_->is_object()) return step_into_object();
    return false;
  }

  bool step_into_array() {
    const auto left = left_->items();
    const auto right = right_->items();
    const auto [at_left, at_right] = std::ranges::mismatch(left, right);
    append_path_index(path_, static_cast<std::size_t>(at_left - left.begin()));
    left_ = at_left == left.end() ? nullptr : &*at_left;
    right_ = at_right == right.end() ? nullptr : &*at_right;
    return true;
  }

  bool step_into_object() {
    for (const Member& member : left_->members()) {
      const Value* other = right_->find(member.key);
      if (other != nullptr && *other == member.value) continue;
      return go(member.key, &member.value, other);
    }
    for (const Member& member : right_->members())
      if (left_->find(member.key) == nullptr) return go(member.key, nullptr, &member.value);
    check_failed("objects that are not equal differ in a member", path_);
  }

  bool go(std::string_view key, const Value* left, const Value* right) {
    append_path_key(path_, key);
    left_ = left;
    right_ = right;
    return true;
  }

  const Value* left_;
  const Value* right_;
  std::string path_;
};

}  // namespace

void append_path_key(std::string& path, std::string_view key) {
  if (!key.empty() && std::ranges::all_of(key, is_plain)) {
    if (!path.empty()) path += '.';
    path += key;
    return;
  }
  path += '[';
  detail::append_quoted(path, key);
  path += ']';
}

void append_path_index(std::string& path, std::size_t index) {
  path += '[';
  path += std::to_string(index);
  path += ']';
}

Difference first_difference(const Value& left, const Value& right) {
  return Descent(left, right).run();
}

}  // namespace clew
