#include "clew/base/schema_includes.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/base/schema.hpp"

namespace clew {
namespace {

Value json(std::string_view text) { return parse_json(text).value(); }

struct Case {
  std::string_view wide;
  std::string_view narrow;
};

TEST(SchemaIncludes, what_follows_is_seen) {
  const Case cases[] = {
      {"true", R"({"type":"string"})"},
      {R"({"type":"string"})", "false"},
      {R"({"title":"any"})", R"({"type":"string"})"},
      {R"({"type":"number"})", R"({"type":"integer"})"},
      {R"({"type":["string","null"]})", R"({"type":"null"})"},
      {R"({"minimum":1})", R"({"exclusiveMinimum":1})"},
      {R"({"exclusiveMinimum":0.5})", R"({"minimum":1})"},
      {R"({"maxLength":9})", R"({"maxLength":3,"pattern":"a"})"},
      {R"({"minLength":0})", R"({"type":"string"})"},
      {R"({"minimum":3})", R"({"type":"string"})"},
      {R"({"enum":["a","b","c"]})", R"({"enum":["a","c"]})"},
      {R"({"type":"integer","minimum":1})", R"({"const":3})"},
      {R"({"multipleOf":3})", R"({"multipleOf":6})"},
      {R"({"properties":{"a":{"type":"number"}}})",
       R"({"properties":{"a":{"type":"integer"}},"required":["a"]})"},
      {R"({"type":"object","additionalProperties":false,"properties":{"a":{},"b":{}}})",
       R"({"type":"object","additionalProperties":false,"properties":{"a":{}}})"},
      {R"({"items":{"type":"number"}})", R"({"items":{"type":"integer"},"maxItems":3})"},
      {R"({"items":{"type":"number"}})", R"({"prefixItems":[{"type":"integer"}],"items":false})"},
      {R"({"prefixItems":[{"type":"number"}]})", R"({"items":{"type":"integer"}})"},
      {R"({"anyOf":[{"type":"string"},{"type":"number"}]})", R"({"type":["integer","string"]})"},
      {R"({"anyOf":[{"type":"string"},{"type":"number"}]})",
       R"({"anyOf":[{"type":"integer"},{"const":"x"}]})"},
      {R"({"oneOf":[{"type":"string"},{"type":"number"}]})", R"({"type":"integer"})"},
      {R"({"allOf":[{"minimum":1},{"maximum":9}]})", R"({"minimum":2,"maximum":8})"},
      {R"({"minimum":1})", R"({"allOf":[{"minimum":2},{"maximum":9}]})"},
      {R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"number"}}})", R"({"type":"integer"})"},
      {R"({"type":"number"})", R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"integer"}}})"},
      {R"({"$ref":"#/$defs/t","$defs":{"t":{"properties":{"next":{"$ref":"#/$defs/t"}}}}})",
       R"({"$ref":"#/$defs/t","$defs":{"t":{"properties":{"next":{"$ref":"#/$defs/t"},
          "x":{"type":"integer"}}}}})"},
      {R"({"not":{"type":"string"}})", R"({"not":{"type":"string"},"type":"integer"})"},
  };
  for (const auto& [wide, narrow] : cases) {
    EXPECT_TRUE(schema_includes(json(wide), json(narrow))) << wide << " in " << narrow;
  }
}

TEST(SchemaIncludes, what_does_not_follow_is_not_claimed) {
  const Case cases[] = {
      {"false", "true"},
      {R"({"type":"integer"})", R"({"type":"number"})"},
      {R"({"type":"string"})", "true"},
      {R"({"minimum":2})", R"({"minimum":1})"},
      {R"({"exclusiveMinimum":1})", R"({"minimum":1})"},
      {R"({"maxLength":3})", R"({"type":"string"})"},
      {R"({"enum":["a"]})", R"({"enum":["a","b"]})"},
      {R"({"enum":["a"]})", R"({"type":"string"})"},
      {R"({"required":["a","b"]})", R"({"required":["a"]})"},
      {R"({"properties":{"a":{"type":"string"}}})", R"({"type":"object"})"},
      {R"({"additionalProperties":false})", R"({"type":"object"})"},
      {R"({"additionalProperties":false,"properties":{"a":{}}})",
       R"({"additionalProperties":false,"properties":{"b":{}}})"},
      {R"({"uniqueItems":true})", R"({"type":"array"})"},
      {R"({"oneOf":[{"type":"integer"},{"minimum":3}]})", R"({"type":"integer"})"},
      {R"({"anyOf":[{"type":"string"},{"type":"null"}]})", R"({"type":["string","integer"]})"},
      {R"({"if":{"type":"string"},"then":{"minLength":1}})", R"({"type":"string"})"},
      {R"({"unevaluatedProperties":false})", R"({"properties":{"a":{}}})"},
      {R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"integer"}}})", R"({"type":"number"})"},
  };
  for (const auto& [wide, narrow] : cases) {
    EXPECT_FALSE(schema_includes(json(wide), json(narrow))) << wide << " in " << narrow;
  }
}

TEST(SchemaIncludes, an_unnamed_member_may_count_as_unused) {
  const auto old = json(R"({"type":"object","properties":{"a":{"type":"string"}}})");
  const auto wider =
      json(R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}}})");
  EXPECT_FALSE(schema_includes(wider, old));
  EXPECT_TRUE(schema_includes(wider, old, Unnamed::unused));
  const auto open = json(R"({"type":"object","additionalProperties":true})");
  EXPECT_FALSE(schema_includes(wider, open, Unnamed::unused));
}

TEST(SchemaIncludes, a_member_that_any_part_of_the_schema_names_is_used) {
  const Case cases[] = {
      {R"({"anyOf":[{"properties":{"a":{"minimum":1}}},{"type":"null"}]})",
       R"({"anyOf":[{"properties":{"a":{"minimum":0}}},{"type":"null"}]})"},
      {R"({"type":"object","allOf":[{"properties":{"a":{"minimum":1}}}]})",
       R"({"type":"object","allOf":[{"properties":{"a":{"minimum":0}}}]})"},
      {R"({"properties":{"a":{"minimum":1}},"allOf":[{"properties":{"b":{}}}]})",
       R"({"properties":{"a":{"minimum":0}},"allOf":[{"properties":{"b":{}}}]})"},
      {R"({"additionalProperties":{"type":"integer"}})",
       R"({"allOf":[{"properties":{"a":{"type":"string"}}},{"title":"b"}]})"},
      {R"({"properties":{"a":{"minimum":1}}})",
       R"({"if":{"properties":{"a":{"minimum":0}}},"then":{"required":["a"]}})"},
      {R"({"properties":{"a":{"minimum":1}}})", R"({"allOf":[{"additionalProperties":true}]})"},
      {R"({"items":{"properties":{"a":{"minimum":1}}}})", R"({"type":"array"})"},
      {R"({"allOf":[{"properties":{"a":{"minimum":1}}}]})",
       R"({"allOf":[{"$ref":"#/$defs/n"}],"$defs":{"n":{"properties":{"a":{"minimum":0}}}}})"},
  };
  for (const auto& [wide, narrow] : cases) {
    EXPECT_FALSE(schema_includes(json(wide), json(narrow), Unnamed::unused)) << wide << narrow;
  }
  // Within alternatives too, a member that none of them names may be added.
  EXPECT_TRUE(schema_includes(
      json(R"({"anyOf":[{"type":"object","properties":{"a":{},"b":{"type":"string"}}},
                        {"type":"null"}]})"),
      json(R"({"anyOf":[{"type":"object","properties":{"a":{}}},{"type":"null"}]})"),
      Unnamed::unused));
}

// ---- at random: whatever is claimed must hold for every instance that is tried

class Maker {
 public:
  explicit Maker(unsigned seed) : chance_(seed) {}

  Value schema(int depth) {
    std::vector<Member> members;
    const auto add = [&](std::string key, Value value) {
      for (const auto& each : members) {
        if (each.key == key) return;
      }
      members.push_back({std::move(key), std::move(value)});
    };
    const int count = pick(4);
    for (int i = 0; i < count; ++i) {
      switch (pick(depth > 0 ? 14 : 9)) {
        case 0:
          add("type", word());
          break;
        case 1:
          add("type", Value::array({word(), Value("null")}));
          break;
        case 2:
          add("minimum", pick(4));
          break;
        case 3:
          add("exclusiveMaximum", pick(5) + 1);
          break;
        case 4:
          add("enum", Value::array({instance(1), instance(0)}));
          break;
        case 5:
          add("maxLength", pick(3));
          break;
        case 6:
          add("required", Value::array({Value(name())}));
          break;
        case 7:
          add("minItems", pick(3));
          break;
        case 8:
          add("multipleOf", pick(3) + 1);
          break;
        case 9:
          add("items", schema(depth - 1));
          break;
        case 10:
          add("properties", Value::object({{name(), schema(depth - 1)}}));
          break;
        case 11:
          add("additionalProperties", pick(2) == 0 ? Value(false) : schema(depth - 1));
          break;
        case 12:
          add("anyOf", Value::array({schema(depth - 1), schema(depth - 1)}));
          break;
        default:
          add("oneOf", Value::array({schema(depth - 1), schema(depth - 1)}));
          break;
      }
    }
    return Value::object(std::move(members));
  }

  // The same schema with something changed, so that many pairs are related.
  Value neighbour(const Value& schema, int depth) {
    if (!schema.is_object() || schema.size() == 0 || pick(3) == 0) return this->schema(depth);
    std::vector<Member> members(schema.members().begin(), schema.members().end());
    auto& changed = members[static_cast<std::size_t>(pick(static_cast<int>(members.size())))];
    if (changed.value.is_int()) {
      changed.value = Value(std::max<std::int64_t>(1, changed.value.as_int() + pick(3) - 1));
    } else if (changed.value.is_object() && changed.key != "properties" && depth > 0) {
      changed.value = neighbour(changed.value, depth - 1);
    } else {
      members.erase(members.begin() + (&changed - members.data()));
    }
    return Value::object(std::move(members));
  }

  Value instance(int depth) {
    switch (pick(depth > 0 ? 7 : 5)) {
      case 0:
        return Value(pick(6));
      case 1:
        return Value(static_cast<double>(pick(8)) / 2);
      case 2:
        return Value(std::string(static_cast<std::size_t>(pick(4)), 'a'));
      case 3:
        return Value(pick(2) == 0);
      case 4:
        return Value();
      case 5: {
        std::vector<Value> items;
        for (int i = pick(3); i > 0; --i) items.push_back(instance(depth - 1));
        return Value::array(std::move(items));
      }
      default: {
        std::vector<Member> members;
        for (const char* key : {"a", "b"}) {
          if (pick(2) == 0) members.push_back({key, instance(depth - 1)});
        }
        return Value::object(std::move(members));
      }
    }
  }

 private:
  int pick(int below) { return static_cast<int>(chance_() % static_cast<unsigned>(below)); }
  Value word() {
    constexpr std::string_view words[] = {"integer", "number", "string", "array", "object"};
    return Value(words[pick(5)]);
  }
  std::string name() { return pick(2) == 0 ? "a" : "b"; }

  std::mt19937 chance_;
};

TEST(SchemaIncludes, no_instance_contradicts_what_is_claimed) {
  const char* const given = std::getenv("CLEW_SEED");
  const unsigned seed = given == nullptr ? 1U : static_cast<unsigned>(std::stoul(given));
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Maker maker(seed);
  int claimed = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto wide = maker.schema(2);
    const auto narrow = maker.neighbour(wide, 2);
    if (!schema_includes(wide, narrow)) continue;
    ++claimed;
    const auto outer = Schema::compile(wide).value();
    const auto inner = Schema::compile(narrow).value();
    for (int i = 0; i < 20; ++i) {
      const auto value = maker.instance(2);
      ASSERT_TRUE(!inner->is_valid(value) || outer->is_valid(value))
          << to_json(value) << " fits " << to_json(narrow) << " but not " << to_json(wide);
    }
  }
  EXPECT_GT(claimed, 1000);
}

}  // namespace
}  // namespace clew
