#include "clew/base/value.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clew/base/json.hpp"
#include "random_value.hpp"

namespace clew {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Value nested(int depth) {
  Value value = 0;
  for (int i = 0; i < depth; ++i) value = Value::array({std::move(value)});
  return value;
}

// {"k0": 0, "k1": 1, …} in an order that is not that of the keys.
std::vector<Member> many_members(int count) {
  std::vector<Member> members;
  for (int i = count - 1; i >= 0; --i) members.push_back({"k" + std::to_string(i), i});
  return members;
}

TEST(ValueKinds, each_source_type_makes_its_kind) {
  const std::string text = "text";
  const std::pair<Value, Value::Kind> cases[] = {
      {Value(), Value::Kind::null},
      {nullptr, Value::Kind::null},
      {true, Value::Kind::boolean},
      {7, Value::Kind::integer},
      {std::int64_t{7}, Value::Kind::integer},
      {7.0, Value::Kind::real},
      {7.5F, Value::Kind::real},
      {"text", Value::Kind::string},
      {text, Value::Kind::string},
      {std::string_view(text), Value::Kind::string},
      {"", Value::Kind::string},
      {Value::array({}), Value::Kind::array},
      {Value::object({}), Value::Kind::object},
  };
  for (const auto& [value, kind] : cases) EXPECT_EQ(value.kind(), kind) << to_json(value);
}

TEST(ValueKinds, names_are_the_words_of_json_schema) {
  EXPECT_EQ(name(Value::Kind::null), "null");
  EXPECT_EQ(name(Value::Kind::boolean), "boolean");
  EXPECT_EQ(name(Value::Kind::integer), "integer");
  EXPECT_EQ(name(Value::Kind::real), "number");
  EXPECT_EQ(name(Value::Kind::string), "string");
  EXPECT_EQ(name(Value::Kind::array), "array");
  EXPECT_EQ(name(Value::Kind::object), "object");
}

TEST(ValueKinds, other_pointers_do_not_become_booleans) {
  EXPECT_FALSE((std::is_constructible_v<Value, const int*>));
  EXPECT_FALSE((std::is_constructible_v<Value, void*>));
  EXPECT_TRUE((std::is_constructible_v<Value, char*>));
}

TEST(ValueKinds, reading_another_kind_is_a_failed_check) {
  EXPECT_THROW(Value(1).as_bool(), CheckFailure);
  EXPECT_THROW(Value(1.0).as_int(), CheckFailure);
  EXPECT_THROW(Value("1").as_real(), CheckFailure);
  EXPECT_THROW(Value().as_string(), CheckFailure);
  EXPECT_THROW(Value::object({}).items(), CheckFailure);
  EXPECT_THROW(Value::array({}).members(), CheckFailure);
}

TEST(ValueKinds, as_real_reads_integers_too) {
  EXPECT_EQ(Value(3).as_real(), 3.0);
  EXPECT_EQ(Value(0.1F).as_real(), static_cast<double>(0.1F));
}

TEST(ValueKinds, infinities_and_nan_are_refused) {
  using Limits = std::numeric_limits<double>;
  for (const double bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()})
    EXPECT_THROW(static_cast<void>(Value(bad)), CheckFailure) << bad;
  EXPECT_EQ(Value(Limits::max()).as_real(), Limits::max());
}

TEST(ValueStrings, keep_every_byte) {
  const std::string zero("a\0b", 3);
  EXPECT_EQ(Value(zero).as_string(), zero);
  EXPECT_EQ(Value("").as_string(), "");
  EXPECT_EQ(Value(std::string(1000, 'x')).as_string(), std::string(1000, 'x'));
}

TEST(ValueContainers, keep_order_and_content) {
  const Value array = Value::array({1, "two", nullptr});
  ASSERT_EQ(array.items().size(), 3U);
  EXPECT_EQ(array.items()[1].as_string(), "two");

  const Value object = Value::object({{"b", 1}, {"a", Value::array({2})}});
  ASSERT_EQ(object.members().size(), 2U);
  EXPECT_EQ(object.members()[0].key, "b");
  EXPECT_EQ(object.members()[1].value, Value::array({2}));
}

TEST(ValueContainers, size_counts_children_only) {
  EXPECT_EQ(Value().size(), 0U);
  EXPECT_EQ(Value("four").size(), 0U);
  EXPECT_EQ(Value::array({}).size(), 0U);
  EXPECT_EQ(Value::array({1, 2}).size(), 2U);
  EXPECT_EQ(Value::object({{"a", 1}}).size(), 1U);
}

TEST(ValueContainers, elements_are_moved_out_of_the_buffer) {
  const std::string long_key(100, 'k');
  std::vector<Member> members{{long_key, Value("content")}};
  const char* characters = members[0].key.data();

  const Value object = Value::take_object(members);

  EXPECT_EQ(object.members()[0].key.data(), characters);
  EXPECT_TRUE(members[0].value.is_null());

  std::vector<Value> items{Value("content")};
  const char* text = items[0].as_string().data();
  const Value array = Value::take_array(items);
  EXPECT_EQ(array.items()[0].as_string().data(), text);
  EXPECT_TRUE(items[0].is_null());
}

TEST(ValueContainers, find_sees_each_key_and_no_other) {
  for (const int count : {0, 1, 7, 8, 9, 10, 100}) {
    SCOPED_TRACE(count);
    const Value object = Value::object(many_members(count));
    for (int i = 0; i < count; ++i) {
      const Value* found = object.find("k" + std::to_string(i));
      ASSERT_NE(found, nullptr) << i;
      EXPECT_EQ(found->as_int(), i);
    }
    for (const auto* absent : {"", "k", "k00", "a", "z", "k999"})
      EXPECT_EQ(object.find(absent), nullptr) << absent;
  }
}

TEST(ValueContainers, find_in_anything_else_is_null) {
  EXPECT_EQ(Value().find("a"), nullptr);
  EXPECT_EQ(Value("a").find("a"), nullptr);
  EXPECT_EQ(Value::array({Value::object({{"a", 1}})}).find("a"), nullptr);
}

TEST(ValueContainers, a_key_given_twice_is_a_failed_check_that_names_it) {
  for (const int count : {2, 8, 9, 50}) {
    SCOPED_TRACE(count);
    auto members = many_members(count);
    members.back().key = members.front().key;
    const auto before = members;

    EXPECT_THAT([&] { Value::take_object(members); },
                ThrowsMessage<CheckFailure>(HasSubstr(members.front().key)));
    EXPECT_EQ(members, before);
  }
}

TEST(ValueContainers, has_unique_keys_names_the_first_repetition) {
  for (const int count : {8, 9, 50}) {
    // Among the sorted keys, the first repetition comes once before and once after the second.
    for (const auto& [first, second] : {std::pair("a", "z"), std::pair("z", "a")}) {
      SCOPED_TRACE(count);
      auto members = many_members(count);
      std::string_view duplicate = "untouched";
      EXPECT_TRUE(Value::has_unique_keys(members, &duplicate));
      EXPECT_EQ(duplicate, "untouched");

      members[2].key = members[4].key = first;
      members[3].key = members[6].key = second;
      EXPECT_FALSE(Value::has_unique_keys(members, &duplicate));
      EXPECT_EQ(duplicate.data(), members[4].key.data());
      EXPECT_FALSE(Value::has_unique_keys(members));
    }
  }
  EXPECT_TRUE(Value::has_unique_keys({}));
}

TEST(ValueSharing, a_copy_shares_its_content) {
  const Value original = Value::array({"content"});
  const Value copy = original;
  EXPECT_EQ(copy.items().data(), original.items().data());
}

TEST(ValueSharing, content_lives_as_long_as_any_copy) {
  Value kept;
  {
    const Value object = Value::object({{"a", Value::array({"deep content of some length"})}});
    kept = *object.find("a");
  }
  EXPECT_EQ(kept.items()[0].as_string(), "deep content of some length");
}

TEST(ValueSharing, a_part_may_replace_its_whole) {
  Value value = Value::array({Value::array({"inner"})});
  value = value.items()[0];
  EXPECT_EQ(value, Value::array({"inner"}));
  const Value& alias = value;
  value = alias;
  EXPECT_EQ(value, Value::array({"inner"}));
}

TEST(ValueSharing, a_value_that_was_moved_from_is_null) {
  Value from = "text";
  Value to = std::move(from);
  EXPECT_TRUE(from.is_null());
  EXPECT_EQ(to.as_string(), "text");
  to = Value::array({1});
  EXPECT_EQ(to.size(), 1U);
  Value& alias = to;
  to = std::move(alias);
  EXPECT_EQ(to.size(), 1U);
}

TEST(ValueSharing, threads_may_copy_and_drop_one_value) {
  auto shared = Value::object({{"list", Value::array({"a text that is shared", 2})}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([mine = shared] {
      for (int round = 0; round < 5000; ++round) {
        Value copy = mine;
        const Value inner = *copy.find("list");
        copy = nullptr;
        ASSERT_EQ(inner.items()[0].as_string(), "a text that is shared");
      }
    });
  }
  shared = nullptr;
  for (auto& thread : threads) thread.join();
}

TEST(ValueEquality, tells_kinds_and_contents_apart) {
  const Value all[] = {
      nullptr,
      false,
      true,
      0,
      1,
      std::int64_t{1} << 53,
      0.5,
      1.0,
      9007199254740992.0,
      "",
      "1",
      "null",
      Value::array({}),
      Value::array({1}),
      Value::array({1.0}),
      Value::array({1, 2}),
      Value::array({2, 1}),
      Value::object({}),
      Value::object({{"a", 1}}),
      Value::object({{"a", 2}}),
      Value::object({{"b", 1}}),
      Value::object({{"a", 1}, {"b", 1}}),
  };
  for (std::size_t i = 0; i < std::size(all); ++i)
    for (std::size_t j = 0; j < std::size(all); ++j)
      EXPECT_EQ(all[i] == all[j], i == j) << to_json(all[i]) << " and " << to_json(all[j]);
}

TEST(ValueEquality, ignores_the_order_of_members) {
  for (const int count : {2, 8, 9, 40}) {
    auto members = many_members(count);
    const Value forward = Value::object(members);
    std::ranges::reverse(members);
    const Value backward = Value::object(members);
    EXPECT_EQ(forward, backward) << count;
    members.back().value = -1;
    EXPECT_NE(forward, Value::object(members)) << count;
  }
}

TEST(ValueEquality, does_not_walk_what_both_sides_share) {
  Value value = "x";
  for (int i = 0; i < 100; ++i) value = Value::array({value, value});  // 2^100 parts
  EXPECT_TRUE(value == Value(value));
  EXPECT_TRUE(Value::object({{"a", value}}) == Value::object({{"a", value}}));
}

TEST(ValueEquality, zero_equals_negative_zero) { EXPECT_EQ(Value(0.0), Value(-0.0)); }

TEST(ValueExtent, depth_counts_containers) {
  EXPECT_EQ(Value("text").depth(), 0);
  EXPECT_EQ(Value::array({}).depth(), 1);
  EXPECT_EQ(Value::object({}).depth(), 1);
  EXPECT_EQ(Value::array({1, Value::object({{"a", Value::array({})}}), 2}).depth(), 3);
}

TEST(ValueExtent, nesting_beyond_the_limit_is_a_failed_check) {
  const Value deepest = nested(Value::depth_limit);
  EXPECT_EQ(deepest.depth(), Value::depth_limit);
  EXPECT_EQ(deepest, nested(Value::depth_limit));

  EXPECT_THROW(Value::array({deepest}), CheckFailure);
  EXPECT_THROW(Value::object({{"a", deepest}}), CheckFailure);
  EXPECT_EQ(deepest.depth(), Value::depth_limit);
}

TEST(ValueExtent, byte_size_adds_up) {
  EXPECT_EQ(Value(1).byte_size(), 16U);
  EXPECT_EQ(Value("").byte_size(), 16U);
  EXPECT_EQ(Value("abc").byte_size(), 16U + 16U + 3U);
  const Value array = Value::array({1, "abc"});
  EXPECT_EQ(array.byte_size(), 16U + 32U + 16U + 35U);
  EXPECT_EQ(Value::object({{"key", array}}).byte_size(), 16U + 32U + 32U + 3U + array.byte_size());
  EXPECT_EQ(Value::array({array, array}).byte_size(), 48U + 2 * array.byte_size());
}

TEST(ValueExtent, byte_size_saturates) {
  Value value = "x";
  for (int i = 0; i < 100; ++i) value = Value::array({value, value});
  EXPECT_EQ(value.byte_size(), std::numeric_limits<std::size_t>::max());
  EXPECT_EQ(Value::object({{"a", value}}).byte_size(), std::numeric_limits<std::size_t>::max());
}

TEST(ValueProperties, copies_and_shuffled_objects_are_equal) {
  testing::for_random_values([](testing::RandomValues& random, const Value& value) {
    const Value copy = value;
    EXPECT_EQ(copy, value);
    if (!value.is_object()) return;
    std::vector<Member> members(value.members().begin(), value.members().end());
    random.shuffle(members);
    EXPECT_EQ(Value::object(members), value) << to_json(value);
    for (const auto& [key, member] : members) EXPECT_EQ(*value.find(key), member);
  });
}

}  // namespace
}  // namespace clew
