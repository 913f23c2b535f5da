#include "clew/base/semver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clew/base/error.hpp"

namespace clew {
namespace {

Version version(std::string_view text) { return Version::parse(text).value(); }

TEST(Version, reads_and_prints_back) {
  for (const auto* text :
       {"0.0.0", "1.2.3", "1.2.3-alpha", "1.2.3-alpha.1.x-y", "1.2.3--", "1.2.3-0", "1.2.3-0a",
        "1.2.3+build.007", "1.2.3-rc.1+5114f85", "18446744073709551615.0.18446744073709551615"}) {
    const auto parsed = Version::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), text);
  }
  EXPECT_EQ(version("1.2.3-a.b+c.d").pre, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(version("1.2.3-a.b+c.d").build, "c.d");
}

TEST(Version, refuses_what_is_none) {
  for (const auto* text : {"",          "1",
                           "1.0",       "v1.0.0",
                           "1.0.0.0",   "01.0.0",
                           "1.00.0",    "1.0.01",
                           "1.0.0-",    "1.0.0-a..b",
                           "1.0.0-01",  "1.0.0-a.01",
                           "1.0.0+",    "1.0.0+a..b",
                           "1.0.0-ä",   " 1.0.0",
                           "1.0.0 ",    "1.0.-1",
                           "-1.0.0",    "+1.0.0",
                           "1.0.x",     "18446744073709551616.0.0",
                           "1.0.0+a+b", "1..0",
                           "1.0.0-a_b"}) {
    const auto parsed = Version::parse(text, "capability.version");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Code::invalid_input);
    EXPECT_EQ(*parsed.error().find("path"), Value("capability.version"));
    EXPECT_EQ(*parsed.error().find("value"), Value(text));
  }
}

TEST(Version, is_ordered_by_precedence) {
  const std::vector<std::string> rising = {"0.0.1",         "0.1.0",
                                           "1.0.0-1",       "1.0.0-2",
                                           "1.0.0-10",      "1.0.0-99999999999999999999999",
                                           "1.0.0--",       "1.0.0-alpha",
                                           "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                           "1.0.0-beta",    "1.0.0-beta.2",
                                           "1.0.0-beta.11", "1.0.0-rc.1",
                                           "1.0.0",         "1.0.1",
                                           "1.2.0",         "1.10.0",
                                           "2.0.0"};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    for (std::size_t j = 0; j < rising.size(); ++j) {
      EXPECT_EQ(version(rising[i]) <=> version(rising[j]), i <=> j)
          << rising[i] << " " << rising[j];
    }
  }
  EXPECT_EQ(version("1.0.0+a"), version("1.0.0+b"));
  EXPECT_EQ(version("1.0.0-a+a"), version("1.0.0-a"));
}

struct RangeCase {
  std::string_view range;
  std::vector<std::string_view> yes;
  std::vector<std::string_view> no;
};

const std::vector<RangeCase> range_cases = {
    {"1.2.3",
     {"1.2.3", "1.2.4", "1.3.0", "1.99.0", "1.2.3+b"},
     {"1.2.2", "2.0.0", "0.9.0", "1.2.3-a", "1.3.0-a", "2.0.0-a"}},
    {"^1.2.3", {"1.2.3", "1.9.0"}, {"1.2.2", "2.0.0", "2.0.0-alpha"}},
    {"^1.2", {"1.2.0", "1.9.9"}, {"1.1.9", "2.0.0", "1.2.0-a"}},
    {"^1", {"1.0.0", "1.9.9"}, {"0.9.9", "2.0.0"}},
    {"^0.2.3", {"0.2.3", "0.2.9"}, {"0.2.2", "0.3.0", "1.2.3", "0.1.9"}},
    {"^0.2", {"0.2.0", "0.2.9"}, {"0.1.9", "0.3.0"}},
    {"^0.0.3", {"0.0.3"}, {"0.0.2", "0.0.4", "0.1.3"}},
    {"^0.0", {"0.0.0", "0.0.9"}, {"0.1.0"}},
    {"^0", {"0.0.0", "0.9.9"}, {"1.0.0"}},
    {"~1.2.3", {"1.2.3", "1.2.9"}, {"1.2.2", "1.3.0", "2.2.3"}},
    {"~1.2", {"1.2.0", "1.2.9"}, {"1.1.9", "1.3.0", "1.2.0-a"}},
    {"~1", {"1.0.0", "1.9.9"}, {"0.9.9", "2.0.0", "1.5.0-a"}},
    {"=1.2.3", {"1.2.3", "1.2.3+x"}, {"1.2.4", "1.2.2", "1.2.3-a"}},
    {"=1.2", {"1.2.0", "1.2.9"}, {"1.3.0", "1.1.9"}},
    {"=1", {"1.0.0", "1.9.9"}, {"2.0.0"}},
    {">1.2.3", {"1.2.4", "1.3.0", "2.0.0"}, {"1.2.3", "1.2.2"}},
    {">1.2", {"1.3.0", "2.0.0"}, {"1.2.0", "1.2.9"}},
    {">1", {"2.0.0"}, {"1.0.0", "1.9.9"}},
    {">=1.2.3", {"1.2.3", "9.0.0"}, {"1.2.2"}},
    {">=1.2", {"1.2.0", "1.2.1"}, {"1.1.9"}},
    {"<1.2.3", {"1.2.2", "0.0.1"}, {"1.2.3", "1.2.3-a"}},
    {"<1.2", {"1.1.9"}, {"1.2.0"}},
    {"<=1.2.3", {"1.2.3", "0.1.0"}, {"1.2.4"}},
    {"<=1.2", {"1.2.9", "1.1.0"}, {"1.3.0", "1.2.0-a"}},
    {"<=1", {"1.9.9"}, {"2.0.0"}},
    {"*", {"0.0.0", "9.9.9"}, {"1.0.0-a"}},
    {"x", {"1.0.0"}, {"1.0.0-a"}},
    {"1.*", {"1.0.0", "1.9.9"}, {"2.0.0", "0.9.0"}},
    {"1.2.*", {"1.2.0", "1.2.9"}, {"1.3.0"}},
    {"1.X.*", {"1.9.9"}, {"2.0.0"}},
    {">=1.*", {"1.0.0", "2.0.0"}, {"0.9.9"}},
    {">=1, <2", {"1.0.0", "1.9.9"}, {"0.9.9", "2.0.0"}},
    {">=1.2,<1.5", {"1.2.0", "1.4.9"}, {"1.5.0", "1.1.0"}},
    {" >= 1.2.0 , < 2 ", {"1.2.0"}, {"2.0.0"}},
    {"^1.2.3-beta.2",
     {"1.2.3-beta.2", "1.2.3-beta.10", "1.2.3-rc", "1.2.3", "1.3.0"},
     {"1.2.3-beta.1", "1.3.0-beta.2", "1.2.4-beta.2"}},
    {"~1.2.3-beta.2", {"1.2.3-beta.2", "1.2.3", "1.2.4"}, {"1.2.3-alpha", "1.2.4-beta.3"}},
    {"=1.2.3-a", {"1.2.3-a", "1.2.3-a+b"}, {"1.2.3", "1.2.3-b"}},
    {">1.2.3-a", {"1.2.3-b", "1.2.3", "1.2.4"}, {"1.2.3-a", "1.2.4-a"}},
    {"<1.2.3-b", {"1.2.3-a", "1.2.2"}, {"1.2.3-b", "1.2.3", "1.2.2-a"}},
    {"^0.0.3-a", {"0.0.3-a", "0.0.3"}, {"0.0.4"}},
    // A partial comparator has no place for a pre-release, even when another one names it.
    {">=1.2, <1.2.0-rc.2", {}, {"1.2.0-rc.1", "1.2.0"}},
    {"<=1.2, >=1.2.0-rc.1", {"1.2.0"}, {"1.2.0-rc.1"}},
};

TEST(VersionRange, matches_as_cargo_does) {
  for (const auto& [text, yes, no] : range_cases) {
    const auto range = VersionRange::parse(text);
    ASSERT_TRUE(range) << text;
    EXPECT_EQ(range->text(), text);
    for (const auto each : yes)
      EXPECT_TRUE(range->matches(version(each))) << text << " on " << each;
    for (const auto each : no)
      EXPECT_FALSE(range->matches(version(each))) << text << " on " << each;
  }
  EXPECT_TRUE(VersionRange().matches(version("1.0.0")));
  EXPECT_FALSE(VersionRange().matches(version("1.0.0-a")));
  EXPECT_EQ(VersionRange().text(), "*");
}

TEST(VersionRange, refuses_what_is_none) {
  std::string long_sum = ">0";
  for (int i = 0; i < 32; ++i) long_sum += ",>0";
  for (const auto& text : std::vector<std::string>{"",
                                                   " ",
                                                   "a",
                                                   "v1",
                                                   "^",
                                                   "=",
                                                   ">=",
                                                   "1,",
                                                   ",1",
                                                   "1,,2",
                                                   "1 2",
                                                   "*,1",
                                                   "1,*",
                                                   ">*",
                                                   "^*",
                                                   "01",
                                                   "1.02",
                                                   "1.*.3",
                                                   "*.1",
                                                   "1.2.3.4",
                                                   "1.2-a",
                                                   "1-a",
                                                   "1.2.3-",
                                                   "1.2.3-01",
                                                   "=>1",
                                                   "!=1",
                                                   "1 || 2",
                                                   "18446744073709551616",
                                                   "1.18446744073709551616",
                                                   "~>1",
                                                   "1.",
                                                   long_sum}) {
    const auto range = VersionRange::parse(text, "uses.range");
    ASSERT_FALSE(range) << text;
    EXPECT_EQ(range.error().code(), Code::invalid_input);
    EXPECT_EQ(*range.error().find("path"), Value("uses.range"));
  }
  EXPECT_TRUE(VersionRange::parse(long_sum.substr(0, long_sum.size() - 3)));
}

TEST(Reference, tells_bare_exact_and_range) {
  const auto bare = Reference::parse("text.words").value();
  EXPECT_EQ(bare.kind, Reference::Kind::bare);
  EXPECT_EQ(bare.id, "text.words");
  const auto exact = Reference::parse("text.words@1.2.0-rc.1+b").value();
  EXPECT_EQ(exact.kind, Reference::Kind::exact);
  EXPECT_EQ(exact.id, "text.words");
  EXPECT_EQ(exact.version.to_string(), "1.2.0-rc.1+b");
  for (const auto* text : {"^1", "=1.2.0", "~1.2", ">=1, <2", "1.*", "*", "1.2.0, <3"}) {
    const auto range = Reference::parse(std::string("a.b@") + text);
    ASSERT_TRUE(range) << text;
    EXPECT_EQ(range->kind, Reference::Kind::range) << text;
    EXPECT_EQ(range->range.text(), text);
  }
}

TEST(Reference, refuses_what_is_unclear_and_says_what_was_expected) {
  for (const auto* text : {"a.b@", "a.b@1", "a.b@1.0", "a.b@v1.0.0", "a.b@ 1.0.0", "a.b@latest",
                           "a.b@1.0.0@2", "a.b@1.0.0.0"}) {
    const auto parsed = Reference::parse(text, "call");
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message(), ::testing::HasSubstr("after the '@'")) << text;
    EXPECT_EQ(*parsed.error().find("path"), Value("call"));
  }
  EXPECT_FALSE(Reference::parse("@1.0.0"));
  EXPECT_FALSE(Reference::parse(""));
}

TEST(Ids, are_dotted_words) {
  for (const auto* id : {"a", "a.b", "text.words", "a-b.c_d.e9", "a1", "a-"})
    EXPECT_TRUE(check_id(id, "id")) << id;
  for (const auto* id : {"", ".", "a.", ".a", "a..b", "A", "aB", "1a", "a.1", "a b", "ä", "_a",
                         "-a", "a.-b", "a/b"}) {
    const auto checked = check_id(id, "capability.id");
    ASSERT_FALSE(checked) << id;
    EXPECT_EQ(*checked.error().find("path"), Value("capability.id"));
  }
  EXPECT_TRUE(check_id(std::string(200, 'a'), "id"));
  EXPECT_FALSE(check_id(std::string(201, 'a'), "id"));
}

}  // namespace
}  // namespace clew
