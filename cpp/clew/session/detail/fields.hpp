// session/detail/fields.hpp: reading records from JSON objects, each complaint with its path.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"
#include "clew/base/result.hpp"
#include "clew/base/time.hpp"

namespace clew::session::detail {

// An id: what check_key() accepts.
Result<void> check_id(std::string_view path, std::string_view id);

std::string to_base64(std::string_view bytes);
// Error `invalid_input` with that path.
Result<std::string> from_base64(std::string_view path, const Value& text);

// One enumeration and its words.
template <typename E>
struct Word {
  E value;
  std::string_view word;
};

// Reads the members of one object; in the end() each must have been asked for. External.
class Fields {
 public:
  static Result<Fields> of(const Value& object, std::string path);
  // The same; text stands for an object that has it as its kind and nothing else.
  static Result<Fields> of_kind(const Value& value, std::string path);

  const std::string& path() const { return path_; }
  std::string path_of(std::string_view key) const;
  // The member, or null when it is absent.
  const Value& value(std::string_view key);
  bool has(std::string_view key) { return !value(key).is_null(); }
  // Text that must be there and not be blank.
  Result<std::string> id(std::string_view key);
  // Empty when absent; without U+0000.
  Result<std::string> text(std::string_view key);
  Result<std::string> id_if_given(std::string_view key);
  // From `low` on; `absent` when it is absent and that is given.
  Result<std::int64_t> integer(std::string_view key, std::int64_t low,
                               std::optional<std::int64_t> absent = {});
  Result<Timestamp> instant(std::string_view key, std::optional<Timestamp> absent = {});
  Result<std::optional<Timestamp>> instant_if_given(std::string_view key);
  Result<bool> boolean(std::string_view key, bool absent);
  // An array, empty when absent.
  Result<std::span<const Value>> items(std::string_view key);
  template <typename E, std::size_t n>
  Result<E> word(std::string_view key, const Word<E> (&words)[n],
                 std::type_identity_t<std::optional<E>> absent = {}) {
    const auto& found = value(key);
    if (found.is_null() && absent) return *absent;
    std::string expected;
    for (const auto& each : words) {
      if (found.is_string() && found.as_string() == each.word) return each.value;
      expected += (expected.empty() ? "" : " or ") + std::string(each.word);
    }
    return invalid_input(path_of(key), found, expected);
  }
  // The records of an array, each read by `read(value, path)`.
  template <typename T, typename Read>
  Result<std::vector<T>> list(std::string_view key, Read read) {
    std::vector<T> all;
    CLEW_TRY(const auto values, items(key));
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto path = path_of(key);
      append_path_index(path, i);
      CLEW_TRY(auto each, read(values[i], path));
      all.push_back(std::move(each));
    }
    return all;
  }
  // Error: `invalid_input` naming a member that was not asked for.
  Result<void> end() const;

 private:
  Fields(Value object, std::string path) : object_(std::move(object)), path_(std::move(path)) {}
  Value object_;
  std::string path_;
  std::vector<std::string> asked_;
};

template <typename E, std::size_t n>
std::string_view word_of(E value, const Word<E> (&words)[n]) {
  for (const auto& each : words) {
    if (each.value == value) return each.word;
  }
  check_failed("the value has a word", {});
}

// Null for empty text.
inline Value text_or_null(std::string_view text) { return text.empty() ? Value() : Value(text); }

// An object of the entries that are not null.
Value object_of(std::vector<Member> members);

}  // namespace clew::session::detail
