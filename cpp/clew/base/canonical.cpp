#include <algorithm>
#include <vector>

#include "clew/base/detail/json_text.hpp"
#include "clew/base/json.hpp"

namespace clew {

namespace {

// Orders UTF-8 as its UTF-16 code units would be. Both orders agree, except that characters beyond
// U+FFFF (lead bytes from 0xF0; surrogates in UTF-16) come before U+E000 to U+FFFF (lead bytes 0xEE
// and 0xEF). Continuation bytes are all below these.
bool before_in_utf16(std::string_view a, std::string_view b) {
  const auto [at_a, at_b] = std::ranges::mismatch(a, b);
  if (at_b == b.end()) return false;
  if (at_a == a.end()) return true;
  const auto byte_a = static_cast<unsigned char>(*at_a);
  const auto byte_b = static_cast<unsigned char>(*at_b);
  const bool is_far_a = byte_a >= 0xF0;
  const bool is_far_b = byte_b >= 0xF0;
  if (is_far_a != is_far_b && byte_a >= 0xEE && byte_b >= 0xEE) return is_far_a;
  return byte_a < byte_b;
}

void append_canonical(std::string& out, const Value& value);

void append_member(std::string& out, const Member& member, bool is_first) {
  if (!is_first) out += ',';
  detail::append_quoted(out, member.key);
  out += ':';
  append_canonical(out, member.value);
}

void append_object(std::string& out, const Value& object) {
  const auto members = object.members();
  out += '{';
  if (std::ranges::is_sorted(members, before_in_utf16, &Member::key)) {
    for (const Member& member : members) append_member(out, member, &member == members.data());
  } else {
    std::vector<const Member*> sorted;
    sorted.reserve(members.size());
    for (const Member& member : members) sorted.push_back(&member);
    std::ranges::sort(sorted, before_in_utf16,
                      [](const Member* member) -> std::string_view { return member->key; });
    for (const Member* member : sorted) append_member(out, *member, member == sorted.front());
  }
  out += '}';
}

void append_array(std::string& out, const Value& array) {
  out += '[';
  bool is_first = true;
  for (const Value& item : array.items()) {
    if (!is_first) out += ',';
    is_first = false;
    append_canonical(out, item);
  }
  out += ']';
}

void append_canonical(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
    case Value::Kind::boolean:
    case Value::Kind::integer:
    case Value::Kind::string:
      append_json(out, value);
      return;
    case Value::Kind::real:
      detail::append_ecmascript(out, value.as_real());
      return;
    case Value::Kind::array:
      append_array(out, value);
      return;
    case Value::Kind::object:
      append_object(out, value);
      return;
  }
}

}  // namespace

std::string canonical_json(const Value& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

}  // namespace clew
