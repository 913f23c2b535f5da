#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <string>

#include "clew/base/json.hpp"
#include "random_value.hpp"

namespace clew {
namespace {

using ::testing::IsEmpty;

TEST(CanonicalJson, prints_the_numbers_of_rfc_8785) {
  const std::pair<std::uint64_t, std::string_view> cases[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, expected] : cases) {
    EXPECT_EQ(canonical_json(std::bit_cast<double>(bits)), expected) << std::hex << bits;
  }
}

TEST(CanonicalJson, prints_integers_exactly) {
  EXPECT_EQ(canonical_json(std::int64_t{9007199254740993}), "9007199254740993");
  EXPECT_EQ(canonical_json(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
}

TEST(CanonicalJson, one_and_one_point_zero_differ_but_hash_alike) {
  EXPECT_NE(Value(1), Value(1.0));
  EXPECT_EQ(canonical_json(1), canonical_json(1.0));
  EXPECT_EQ(digest_of(1), digest_of(1.0));
  EXPECT_EQ(digest_of(0.0), digest_of(-0.0));
  EXPECT_NE(digest_of(1), digest_of("1"));
}

TEST(CanonicalJson, sorts_the_example_of_rfc_8785) {
  const auto value = parse_json(R"({
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\ud83d\ude00": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis"
  })");
  ASSERT_TRUE(value);
  EXPECT_EQ(
      canonical_json(*value),
      "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
      "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\","
      "\"😀\":\"Emoji: Grinning Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
}

TEST(CanonicalJson, prints_the_whole_example_of_rfc_8785) {
  const auto value = parse_json(R"({
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  })");
  ASSERT_TRUE(value);
  EXPECT_EQ(canonical_json(*value),
            R"({"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],)"
            R"("string":"€$\u000f\nA'B\"\\\\\"/"})");
}

// The keys as UTF-16, computed in another way than the comparison under test.
std::u16string utf16(std::string_view text) {
  std::u16string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t j = 1; j < length; ++j)
      point = point << 6U | (static_cast<unsigned char>(text[i + j]) & 0x3FU);
    i += length;
    if (point < 0x10000) {
      out += static_cast<char16_t>(point);
    } else {
      out += static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10U));
      out += static_cast<char16_t>(0xDC00 + ((point - 0x10000) & 0x3FFU));
    }
  }
  return out;
}

TEST(CanonicalJson, orders_keys_by_utf16_code_units) {
  testing::for_random_values([](testing::RandomValues& random, const Value&) {
    std::string keys[2] = {random.text(4), random.text(4)};
    const std::string prefix = random.text(3);
    for (auto& key : keys) key.insert(0, prefix);
    if (keys[0] == keys[1]) return;
    const bool is_ordered = utf16(keys[0]) < utf16(keys[1]);
    const Value object = Value::object({{keys[0], 0}, {keys[1], 1}});
    EXPECT_EQ(canonical_json(object).ends_with(":1}"), is_ordered) << to_json(object);
  });
}

Value shuffled(testing::RandomValues& random, const Value& value) {
  if (value.is_array()) {
    std::vector<Value> items;
    for (const Value& item : value.items()) items.push_back(shuffled(random, item));
    return Value::array(std::move(items));
  }
  if (!value.is_object()) return value;
  std::vector<Member> members;
  for (const auto& [key, child] : value.members())
    members.push_back({key, shuffled(random, child)});
  random.shuffle(members);
  return Value::object(std::move(members));
}

TEST(CanonicalJson, does_not_depend_on_the_order_of_members) {
  testing::for_random_values([](testing::RandomValues& random, const Value& value) {
    const Value other = shuffled(random, value);
    EXPECT_EQ(canonical_json(other), canonical_json(value));
    EXPECT_EQ(digest_of(other), digest_of(value));
    EXPECT_FALSE(first_difference(value, other).found);
  });
}

TEST(CanonicalJson, reads_back_as_itself) {
  testing::for_random_values([](testing::RandomValues&, const Value& value) {
    const std::string text = canonical_json(value);
    const auto parsed = parse_json(text);
    // Whole doubles print as integers, which may lie beyond 64 bits: then only text is left.
    if (parsed) {
      EXPECT_EQ(canonical_json(*parsed), text);
    } else {
      EXPECT_NE(parsed.error().message().find("64 bits"), std::string::npos) << text;
    }
  });
}

TEST(Sha256, matches_the_known_answers) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(to_hex(sha256(text)), expected);
}

TEST(Sha256, digest_of_a_value_is_that_of_its_canonical_text) {
  const Value value = Value::object({{"b", 1.0}, {"a", "x"}});
  EXPECT_EQ(digest_of(value), sha256(R"({"a":"x","b":1})"));
}

TEST(Hex, prints_every_byte_in_lower_case) {
  EXPECT_EQ(to_hex(std::string_view("\x00\x0f\xA0\xff", 4)), "000fa0ff");
  EXPECT_EQ(to_hex(std::string_view()), "");
}

TEST(FirstDifference, names_path_and_sides) {
  struct Case {
    std::string_view left, right, path, at_left, at_right;
  };
  const Case cases[] = {
      {"1", "2", "", "1", "2"},
      {"1", "1.0", "", "1", "1.0"},
      {"[]", "{}", "", "[]", "{}"},
      {R"({"limits":{"timeout":1}})", R"({"limits":{"timeout":2}})", "limits.timeout", "1", "2"},
      {R"({"steps":[0,1,{"call":"a"}]})", R"({"steps":[0,1,{"call":"b"}]})", "steps[2].call",
       R"("a")", R"("b")"},
      {"[[1],[2]]", "[[1],[3]]", "[1][0]", "2", "3"},
      {"[1,2]", "[1]", "[1]", "2", "null"},
      {"[1]", "[1,2]", "[1]", "null", "2"},
      {R"({"a":1,"b":2})", R"({"a":1})", "b", "2", "null"},
      {R"({"a":1})", R"({"b":2,"a":1})", "b", "null", "2"},
      {R"({"b":1,"a":1})", R"({"a":2,"b":2})", "b", "1", "2"},
      {R"({"x.y":{"":1}})", R"({"x.y":{"":2}})", R"(["x.y"][""])", "1", "2"},
      {R"({"é":{"a-b":1}})", R"({"é":{"a-b":2}})", "é.a-b", "1", "2"},
      {R"({"a":null})", "{}", "a", "null", "null"},
  };
  for (const auto& [left, right, path, at_left, at_right] : cases) {
    const auto difference = first_difference(*parse_json(left), *parse_json(right));
    EXPECT_TRUE(difference.found) << left << right;
    EXPECT_EQ(difference.path, path);
    EXPECT_EQ(to_json(difference.left), at_left);
    EXPECT_EQ(to_json(difference.right), at_right);
  }
}

TEST(FirstDifference, is_found_exactly_when_values_are_not_equal) {
  testing::for_random_values([](testing::RandomValues& random, const Value& value) {
    const Value other = random.below(2) == 0 ? random.value(2, 2) : *parse_json(to_json(value));
    const auto difference = first_difference(value, other);
    EXPECT_EQ(difference.found, !(value == other)) << to_json(value) << to_json(other);
    if (!difference.found) {
      EXPECT_THAT(difference.path, IsEmpty());
    }
  });
}

}  // namespace
}  // namespace clew
