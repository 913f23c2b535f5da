#include "clew/base/fields.hpp"

#include <gtest/gtest.h>

#include <string>

namespace clew {
namespace {

TEST(Key, is_not_blank_whatever_the_space) {
  for (const char* blank : {"", " ", "\t\n\v\f\r ", "\u0085", "\u00A0", "\u1680", "\u2000\u200A",
                            "\u2028\u2029", "\u202F\u205F", " \u3000 "}) {
    const auto checked = check_key("id", blank);
    ASSERT_FALSE(checked) << '"' << blank << '"';
    EXPECT_EQ(checked.error().code(), Code::invalid_input);
  }
  // What shows nothing and yet is no white space; and half of a no-break space.
  for (const char* key : {"a", " a", "\u00A0a", "\u200B", "\uFEFF", "\xC2"}) {
    EXPECT_FALSE(is_blank(key)) << '"' << key << '"';
  }
}

TEST(Key, is_short_text_without_a_zero) {
  EXPECT_TRUE(check_key("id", std::string(key_bytes_max, 'x')));
  EXPECT_FALSE(check_key("id", std::string(key_bytes_max + 1, 'x')));
  EXPECT_FALSE(check_key("id", std::string("a\0b", 3)));
}

}  // namespace
}  // namespace clew
