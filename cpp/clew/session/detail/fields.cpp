#include "clew/session/detail/fields.hpp"

#include <algorithm>

#include "clew/base/fields.hpp"

namespace clew::session::detail {
namespace {

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const Value& no_value() {
  static const Value none;
  return none;
}

}  // namespace

Result<void> check_id(std::string_view path, std::string_view id) { return check_key(path, id); }

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto left = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8U | (k < left ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= left ? base64_digits[bits >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return out;
}

Result<std::string> from_base64(std::string_view path, const Value& text) {
  const auto wrong = [&] { return invalid_input(path, text, "bytes in Base64"); };
  if (!text.is_string() || text.as_string().size() % 4 != 0) return wrong();
  auto digits = text.as_string();
  std::size_t padding = 0;
  while (padding < 2 && !digits.empty() && digits.back() == '=') {
    digits.remove_suffix(1);
    ++padding;
  }
  std::string out;
  out.reserve(digits.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int have = 0;
  for (const char digit : digits) {
    const auto place = base64_digits.find(digit);
    if (place == std::string_view::npos) return wrong();
    bits = bits << 6U | static_cast<std::uint32_t>(place);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 0xFFU);
    }
  }
  if ((bits & ((1U << have) - 1U)) != 0) return wrong();  // only one text for the same bytes
  return out;
}

Result<Fields> Fields::of(const Value& object, std::string path) {
  if (!object.is_object()) return invalid_input(path, object, "an object");
  return Fields(object, std::move(path));
}

Result<Fields> Fields::of_kind(const Value& value, std::string path) {
  if (value.is_string()) return of(Value::object({{"kind", value}}), std::move(path));
  return of(value, std::move(path));
}

std::string Fields::path_of(std::string_view key) const {
  auto path = path_;
  append_path_key(path, key);
  return path;
}

const Value& Fields::value(std::string_view key) {
  asked_.emplace_back(key);
  const auto* found = object_.find(key);
  return found == nullptr ? no_value() : *found;
}

Result<std::string> Fields::id(std::string_view key) {
  const auto& found = value(key);
  if (!found.is_string()) return invalid_input(path_of(key), found, "text that is not blank");
  CLEW_TRY(check_id(path_of(key), found.as_string()));
  return std::string(found.as_string());
}

Result<std::string> Fields::text(std::string_view key) {
  const auto& found = value(key);
  if (found.is_null()) return std::string();
  if (!found.is_string()) return invalid_input(path_of(key), found, "text");
  CLEW_TRY(check_text(path_of(key), found.as_string()));
  return std::string(found.as_string());
}

Result<std::string> Fields::id_if_given(std::string_view key) {
  if (!has(key)) return std::string();
  return id(key);
}

Result<std::int64_t> Fields::integer(std::string_view key, std::int64_t low,
                                     std::optional<std::int64_t> absent) {
  const auto& found = value(key);
  if (found.is_null() && absent) return *absent;
  if (found.is_int() && found.as_int() >= low) return found.as_int();
  return invalid_input(path_of(key), found, fmt::format("an integer of at least {}", low));
}

Result<Timestamp> Fields::instant(std::string_view key, std::optional<Timestamp> absent) {
  constexpr std::int64_t last_us = 253'402'300'799'999'999;  // the end of the year 9999
  const auto& found = value(key);
  if (found.is_null() && absent) return *absent;
  if (found.is_int() && found.as_int() >= 0 && found.as_int() <= last_us) {
    return Timestamp{found.as_int()};
  }
  return invalid_input(path_of(key), found, "a time from 1970 to 9999 in microseconds");
}

Result<std::optional<Timestamp>> Fields::instant_if_given(std::string_view key) {
  if (value(key).is_null()) return std::optional<Timestamp>();
  CLEW_TRY(const auto given, instant(key));
  return std::optional(given);
}

Result<bool> Fields::boolean(std::string_view key, bool absent) {
  const auto& found = value(key);
  if (found.is_null()) return absent;
  if (!found.is_bool()) return invalid_input(path_of(key), found, "true or false");
  return found.as_bool();
}

Result<std::span<const Value>> Fields::items(std::string_view key) {
  const auto& found = value(key);
  if (found.is_null()) return std::span<const Value>();
  if (!found.is_array()) return invalid_input(path_of(key), found, "an array");
  return found.items();
}

Result<void> Fields::end() const {
  for (const auto& member : object_.members()) {
    if (std::ranges::find(asked_, member.key) != asked_.end()) continue;
    return invalid_input(path_of(member.key), member.value, "no such member");
  }
  return {};
}

Value object_of(std::vector<Member> members) {
  std::erase_if(members, [](const Member& member) { return member.value.is_null(); });
  return Value::object(std::move(members));
}

}  // namespace clew::session::detail
