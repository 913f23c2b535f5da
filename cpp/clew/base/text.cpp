#include "clew/base/text.hpp"

#include <cstdint>
#include <cstring>

namespace clew {
namespace {

// How many bytes the character at the front of `rest` takes; 0 when it is none (RFC 3629: no
// overlong form, no surrogate, nothing beyond U+10FFFF).
std::size_t character_size(std::string_view rest) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const std::size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (size == 0 || first > 0xF4 || rest.size() < size) return 0;
  unsigned low = 0x80;  // bounds of the second byte
  unsigned high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((at(i) & 0xC0U) != 0x80U) return 0;
  }
  return size;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t eight = 0;
    while (text.size() >= sizeof(eight)) {  // most text is ASCII
      std::memcpy(&eight, text.data(), sizeof(eight));
      if ((eight & 0x8080808080808080U) != 0) break;
      text.remove_prefix(sizeof(eight));
    }
    if (text.empty()) break;
    const auto size = character_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace clew
