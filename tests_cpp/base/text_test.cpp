#include "clew/base/text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace clew {
namespace {

TEST(Utf8, takes_every_character_and_no_other_bytes) {
  for (const std::string text :
       {"", "plain", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "long enough \xc3\xa4 for two words at once"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
    EXPECT_TRUE(is_utf8("1234567" + text + "12345678")) << text;
  }
  for (const std::string bytes : {"\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82",
                                  "\xe2\x82(", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98",
                                  "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    for (std::size_t before = 0; before < 17; ++before) {
      EXPECT_FALSE(is_utf8(std::string(before, 'x') + bytes)) << before;
      EXPECT_FALSE(is_utf8(std::string(before, 'x') + bytes + "and more text")) << before;
    }
  }
}

}  // namespace
}  // namespace clew
