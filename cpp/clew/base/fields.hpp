// base/fields.hpp: reading the members of an object that came from outside.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew {

// Reads one object, member by member. Errors are `invalid_input` naming the member's path, what
// stood there and what was expected. A member that is null counts as absent. Confined; borrows the
// value.
class Fields {
 public:
  // Error: `value` is no object, or has a member that is not `known` (the nearest is suggested).
  static Result<Fields> of(const Value& value, std::string_view path,
                           std::initializer_list<std::string_view> known);

  // The member, or nullptr when it is absent or null.
  const Value* find(std::string_view key) const;
  std::string path_of(std::string_view key) const;

  // The member itself, which must be there; it may be null.
  Result<Value> value(std::string_view key) const;
  Value value_or_null(std::string_view key) const;
  // Text that is there and is not blank.
  Result<std::string> word(std::string_view key) const;
  // The same, or empty when the member is absent.
  Result<std::string> word_if_given(std::string_view key) const;
  // Any text, or empty when the member is absent.
  Result<std::string> text_if_given(std::string_view key) const;
  Result<std::int64_t> integer(std::string_view key, std::int64_t low,
                               std::int64_t high = INT64_MAX) const;
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high = INT64_MAX) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  // The items of an array; none when the member is absent.
  Result<std::span<const Value>> items(std::string_view key) const;

 private:
  Fields(const Value& value, std::string_view path) : value_(&value), path_(path) {}
  Error wrong(std::string_view key, std::string_view expected) const;

  const Value* value_;
  std::string path_;
};

// Whether the text has nothing but white space, as Unicode says what that is.
bool is_blank(std::string_view text);

// What names a thing in a store: text that is not blank, of at most `key_bytes_max` bytes and
// without U+0000, so that every kind of database can keep and index it. Error `invalid_input`.
inline constexpr std::size_t key_bytes_max = 768;  // three fit into an index of PostgreSQL
Result<void> check_key(std::string_view path, std::string_view key);
// Text that is not looked for by itself: without U+0000. Error `invalid_input`.
Result<void> check_text(std::string_view path, std::string_view text);

// The place of the one of `words` that `value` is; an enumeration has them in its order.
Result<std::size_t> choice(const Value& value, std::string_view path,
                           std::span<const std::string_view> words);

}  // namespace clew
