// Every assertion of the wide schema must follow from what the narrow one asserts. What the narrow
// one asserts beyond that only makes it narrower.
#include "clew/base/schema_includes.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/base/schema.hpp"

namespace clew {
namespace {

constexpr std::array<std::string_view, 7> type_names = {"null",   "boolean", "integer", "number",
                                                        "string", "array",   "object"};
using Types = std::uint8_t;  // bit i: type_names[i]; "number" here means those that are no integer
constexpr Types integer_bit = 1U << 2U;
constexpr Types number_bit = 1U << 3U;
constexpr Types all_types = (1U << type_names.size()) - 1U;

Types types_of_word(std::string_view word) {
  const auto at = std::ranges::find(type_names, word) - type_names.begin();
  const auto bit = static_cast<Types>(1U << static_cast<unsigned>(at));
  return bit == number_bit ? static_cast<Types>(number_bit | integer_bit) : bit;
}

// Keywords that assert nothing.
constexpr std::array<std::string_view, 15> annotations = {
    "title",    "description", "default",     "examples",    "deprecated",
    "readOnly", "writeOnly",   "$comment",    "$schema",     "$defs",
    "$id",      "$anchor",     "$vocabulary", "definitions", "discriminator"};

bool holds(const Value& value, std::string_view text) {
  return std::ranges::any_of(value.items(), [&](const Value& each) {
    return each.is_string() && each.as_string() == text;
  });
}

const Value* member(const Value& schema, std::string_view key) {
  return schema.is_object() ? schema.find(key) : nullptr;
}

class Comparison {
 public:
  Comparison(const Value& wide, const Value& narrow, Unnamed unnamed)
      : wide_root_(wide), narrow_root_(narrow), unnamed_(unnamed) {}

  // For schemas of one value, all that is said of it in `narrow`.
  bool includes(const Value& wide, const Value& narrow) {
    const auto* outer = std::exchange(whole_, &narrow);
    const bool answer = part_includes(wide, narrow);
    whole_ = outer;
    return answer;
  }

 private:
  static constexpr int steps_max = 10'000;
  static constexpr int depth_max = 100;

  // The same within `whole_`, which may say more of that value than `narrow` does.
  bool part_includes(const Value& wide, const Value& narrow) {
    if (++steps_ > steps_max || depth_ >= depth_max) return false;
    ++depth_;
    const bool answer = decide(wide, narrow);
    --depth_;
    return answer;
  }

  bool decide(const Value& wide, const Value& narrow) {
    if (accepts_all(wide) || accepts_none(narrow)) return true;
    if (accepts_none(wide)) return false;
    if (member(wide, "$ref") != nullptr || member(narrow, "$ref") != nullptr) {
      return decide_references(wide, narrow);
    }
    if (const Value* values = enumerated(narrow)) return accepts_each(wide, *values, narrow);
    if (narrow.is_object() && splits(wide, narrow)) return true;
    if (!wide.is_object()) return false;
    return std::ranges::all_of(wide.members(), [&](const Member& assertion) {
      return follows(assertion.key, assertion.value, wide, narrow);
    });
  }

  static bool accepts_all(const Value& schema) {
    if (schema.is_bool()) return schema.as_bool();
    return std::ranges::all_of(schema.members(), [](const Member& each) {
      return std::ranges::find(annotations, std::string_view(each.key)) != annotations.end();
    });
  }
  static bool accepts_none(const Value& schema) { return schema.is_bool() && !schema.as_bool(); }

  // ---- references: only alone, and into the root's own definitions

  static const Value* target(const Value& root, const Value& schema) {
    const Value* reference = member(schema, "$ref");
    if (reference == nullptr) return &schema;
    std::string_view text = reference->as_string();
    if (!text.starts_with('#') || !rest_is_annotation(schema)) return nullptr;
    text.remove_prefix(1);
    const Value* at = &root;
    while (!text.empty() && at != nullptr) {
      if (text.front() != '/' || text.find('~') != text.npos || text.find('%') != text.npos) {
        return nullptr;
      }
      text.remove_prefix(1);
      const auto step = text.substr(0, text.find('/'));
      text.remove_prefix(step.size());
      at = member(*at, step);
    }
    return at;
  }
  static bool rest_is_annotation(const Value& schema) {
    return std::ranges::all_of(schema.members(), [](const Member& each) {
      return each.key == "$ref" ||
             std::ranges::find(annotations, std::string_view(each.key)) != annotations.end();
    });
  }

  bool decide_references(const Value& wide, const Value& narrow) {
    const Value* wide_target = target(wide_root_, wide);
    const Value* narrow_target = target(narrow_root_, narrow);
    if (wide_target == nullptr || narrow_target == nullptr) {
      return wide == narrow && wide_root_ == narrow_root_;
    }
    // A pair that is being compared is assumed to hold: any failure shows elsewhere.
    const std::tuple pair{wide_target, narrow_target, whole_};
    if (!open_.insert(pair).second) return true;
    const bool answer = part_includes(*wide_target, *narrow_target);
    open_.erase(pair);
    return answer;
  }

  // ---- alternatives

  static const Value* enumerated(const Value& narrow) {
    const Value* values = member(narrow, "enum");
    return values != nullptr ? values : member(narrow, "const");
  }
  // The listed values that `narrow` itself accepts, checked one by one.
  bool accepts_each(const Value& wide, const Value& values, const Value& narrow) const {
    const auto compiled = Schema::compile(rooted(wide, wide_root_));
    const auto own = Schema::compile(rooted(narrow, narrow_root_));
    if (!compiled || !own) return false;
    const auto accepted = [&](const Value& value) {
      return !(*own)->is_valid(value) || (*compiled)->is_valid(value);
    };
    if (member(narrow, "enum") == nullptr) return accepted(values);
    return std::ranges::all_of(values.items(), accepted);
  }
  // A part of a schema with the definitions that it may refer to.
  static Value rooted(const Value& part, const Value& root) {
    if (!part.is_object() || &part == &root) return part;
    std::vector<Member> members(part.members().begin(), part.members().end());
    for (const std::string_view key : {"$defs", "definitions"}) {
      const Value* definitions = member(root, key);
      if (definitions != nullptr && part.find(key) == nullptr) {
        members.push_back({std::string(key), *definitions});
      }
    }
    return Value::object(std::move(members));
  }

  // Whether the narrow schema falls into parts that are included one by one.
  bool splits(const Value& wide, const Value& narrow) {
    for (const std::string_view key : {"anyOf", "oneOf"}) {
      const Value* branches = member(narrow, key);
      if (branches != nullptr && std::ranges::all_of(branches->items(), [&](const Value& each) {
            return part_includes(wide, each);
          })) {
        return true;
      }
    }
    if (const Value* parts = member(narrow, "allOf")) {
      if (std::ranges::any_of(parts->items(),
                              [&](const Value& each) { return part_includes(wide, each); })) {
        return true;
      }
    }
    const Value* type = member(narrow, "type");
    const bool alternatives = member(wide, "anyOf") != nullptr || member(wide, "oneOf") != nullptr;
    if (!alternatives || type == nullptr || !type->is_array() || type->size() < 2) return false;
    return std::ranges::all_of(type->items(), [&](const Value& each) {
      std::vector<Member> members(narrow.members().begin(), narrow.members().end());
      std::ranges::find(members, "type", &Member::key)->value = each;
      return part_includes(wide, kept(Value::object(std::move(members))));
    });
  }
  // Parts made here live as long as the comparison, since pairs are told apart by address.
  const Value& kept(Value made) {
    made_.push_back(std::make_unique<Value>(std::move(made)));
    return *made_.back();
  }

  // ---- assertions

  bool follows(std::string_view key, const Value& value, const Value& wide, const Value& narrow) {
    if (std::ranges::find(annotations, key) != annotations.end()) return true;
    const Value* other = member(narrow, key);
    if (!concerns(key, narrow)) return true;
    if (key == "type") return (types_of(narrow) & ~types_of(wide)) == 0;
    if (key == "allOf") {
      return std::ranges::all_of(value.items(),
                                 [&](const Value& each) { return part_includes(each, narrow); });
    }
    if (key == "anyOf") {
      return std::ranges::any_of(value.items(),
                                 [&](const Value& each) { return part_includes(each, narrow); });
    }
    if (key == "oneOf") return is_in_one(value, narrow);
    if (const int sense = bound_sense(key); sense != 0)
      return bound_holds(key, value, narrow, sense);
    if (key == "multipleOf") return other != nullptr && is_multiple(*other, value);
    if (key == "uniqueItems") return !value.as_bool() || (other != nullptr && *other == value);
    if (key == "required") {
      return std::ranges::all_of(value.items(), [&](const Value& each) {
        return other != nullptr && holds(*other, each.as_string());
      });
    }
    if (key == "properties") return properties_hold(value, narrow);
    if (key == "additionalProperties") return additional_holds(value, wide, narrow);
    if (key == "items") return items_hold(value, wide, narrow);
    if (key == "prefixItems") return prefix_holds(value, narrow);
    if (key == "propertyNames") return other != nullptr && includes(value, *other);
    return is_local(key) && other != nullptr && *other == value;
  }

  // Keywords whose meaning stands in themselves, so that equal ones mean the same.
  static bool is_local(std::string_view key) {
    constexpr std::array<std::string_view, 9> local = {
        "enum", "const",    "pattern",           "format",          "patternProperties",
        "not",  "contains", "dependentRequired", "dependentSchemas"};
    return std::ranges::find(local, key) != local.end();
  }

  static Types types_of(const Value& schema) {
    const Value* type = member(schema, "type");
    if (type == nullptr) return all_types;
    if (type->is_string()) return types_of_word(type->as_string());
    Types all = 0;
    for (const Value& each : type->items()) all |= types_of_word(each.as_string());
    return all;
  }
  // Whether an assertion says anything about the instances that `narrow` allows.
  static bool concerns(std::string_view key, const Value& narrow) {
    struct Kind {
      std::string_view type;
      std::vector<std::string_view> keys;
    };
    static const std::vector<Kind> kinds = {
        {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
        {"string", {"minLength", "maxLength", "pattern", "format"}},
        {"array",
         {"items", "prefixItems", "contains", "minContains", "maxContains", "minItems", "maxItems",
          "uniqueItems", "unevaluatedItems"}},
        {"object",
         {"properties", "patternProperties", "additionalProperties", "required", "propertyNames",
          "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
          "unevaluatedProperties"}}};
    for (const auto& [type, keys] : kinds) {
      if (std::ranges::find(keys, key) == keys.end()) continue;
      return (types_of(narrow) & types_of_word(type)) != 0;
    }
    return true;
  }

  // Exactly one branch: one includes all, and no other meets any, by their types.
  bool is_in_one(const Value& branches, const Value& narrow) {
    const Types own = types_of(narrow);
    int including = 0;
    for (const Value& branch : branches.items()) {
      const Value* seen = target(wide_root_, branch);
      if (seen == nullptr) return false;
      if (accepts_none(*seen) || (types_of(*seen) & own) == 0) continue;
      if (!part_includes(branch, narrow)) return false;
      ++including;
    }
    return including == 1;
  }

  // +1: a lower bound, −1: an upper one.
  static int bound_sense(std::string_view key) {
    constexpr std::array<std::string_view, 5> lower = {"minimum", "exclusiveMinimum", "minLength",
                                                       "minItems", "minProperties"};
    constexpr std::array<std::string_view, 5> upper = {"maximum", "exclusiveMaximum", "maxLength",
                                                       "maxItems", "maxProperties"};
    if (std::ranges::find(lower, key) != lower.end()) return 1;
    return std::ranges::find(upper, key) != upper.end() ? -1 : 0;
  }
  static bool bound_holds(std::string_view key, const Value& bound, const Value& narrow,
                          int sense) {
    if (sense > 0 && key.starts_with("min") && key != "minimum" && is_zero(bound)) return true;
    const bool exclusive = key.starts_with("exclusive");
    const std::string_view loose = exclusive ? (sense > 0 ? "minimum" : "maximum") : key;
    const std::string_view strict = sense > 0 ? "exclusiveMinimum" : "exclusiveMaximum";
    const auto order = [&](const Value* given) {  // > 0: `given` is the narrower
      if (given == nullptr) return -2;
      const auto compared = compare_numbers(*given, bound);
      return sense > 0 ? compared : -compared;
    };
    if (const int got = order(member(narrow, loose)); got > 0 || (got == 0 && !exclusive)) {
      return true;
    }
    const bool is_numeric = exclusive || key == "minimum" || key == "maximum";
    return is_numeric && order(member(narrow, strict)) >= 0;
  }
  static bool is_zero(const Value& number) { return number.is_int() && number.as_int() == 0; }
  static int compare_numbers(const Value& a, const Value& b) {
    if (a.is_int() && b.is_int()) {
      return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
    }
    const double left = a.as_real();
    const double right = b.as_real();
    return left < right ? -1 : left > right ? 1 : 0;
  }
  static bool is_multiple(const Value& of, const Value& unit) {
    if (of == unit) return true;
    return of.is_int() && unit.is_int() && unit.as_int() > 0 && of.as_int() % unit.as_int() == 0;
  }

  // ---- objects and arrays

  // The members that a schema names, itself or in what it joins for the same value. Not clear when
  // it says something of others too, as one does that accepts everything.
  struct Names {
    std::set<std::string_view> all;
    bool are_clear = true;
  };
  const Names& names_of_whole() {
    const auto [at, is_new] = names_.try_emplace(whole_);
    if (is_new) {
      at->second.are_clear = !accepts_all(*whole_);
      collect_names(*whole_, at->second, 0);
    }
    return at->second;
  }
  void collect_names(const Value& schema, Names& names, int depth) const {
    if (!schema.is_object()) return;
    const Value* seen = target(narrow_root_, schema);
    if (seen == nullptr || depth > depth_max) {
      names.are_clear = false;
      return;
    }
    if (seen != &schema) return collect_names(*seen, names, depth + 1);
    for (const auto& [key, value] : schema.members()) {
      if (key == "properties") {
        for (const auto& each : value.members()) names.all.insert(each.key);
      } else if (key == "allOf" || key == "anyOf" || key == "oneOf") {
        for (const auto& each : value.items()) collect_names(each, names, depth + 1);
      } else if (key == "if" || key == "then" || key == "else" || key == "not") {
        collect_names(value, names, depth + 1);
      } else if (key == "dependentSchemas") {
        for (const auto& each : value.members()) collect_names(each.value, names, depth + 1);
      } else if (key == "additionalProperties" || key == "unevaluatedProperties") {
        if (!accepts_none(value)) names.are_clear = false;
      } else if (key == "patternProperties" || key == "$dynamicRef") {
        names.are_clear = false;
      }
    }
  }
  bool is_unused(std::string_view name) {
    if (unnamed_ != Unnamed::unused) return false;
    const auto& names = names_of_whole();
    return names.are_clear && !names.all.contains(name);
  }

  // What `narrow` says of a member.
  const Value& of_member(const Value& narrow, std::string_view name) {
    static const Value anything(true);
    static const Value nothing(false);
    const Value* named = member(narrow, "properties");
    if (named != nullptr && named->find(name) != nullptr) return *named->find(name);
    if (member(narrow, "patternProperties") != nullptr) return anything;
    if (const Value* rest = member(narrow, "additionalProperties")) return *rest;
    return is_unused(name) ? nothing : anything;
  }
  bool properties_hold(const Value& properties, const Value& narrow) {
    return std::ranges::all_of(properties.members(), [&](const Member& each) {
      return includes(each.value, of_member(narrow, each.key));
    });
  }
  bool additional_holds(const Value& rest, const Value& wide, const Value& narrow) {
    if (member(wide, "patternProperties") != nullptr || member(narrow, "patternProperties")) {
      return false;
    }
    const Value* named = member(narrow, "properties");
    for (std::size_t i = 0; named != nullptr && i < named->size(); ++i) {
      const auto& [key, value] = named->members()[i];
      const Value* same = member(wide, "properties");
      if (same != nullptr && same->find(key) != nullptr) continue;
      if (!includes(rest, value)) return false;
    }
    const Value* other = member(narrow, "additionalProperties");
    if (other != nullptr) return includes(rest, *other);
    // Beyond those of `narrow` itself, nothing may be sent that `rest` is about.
    return unnamed_ == Unnamed::unused && names_of_whole().are_clear &&
           std::ranges::all_of(names_of_whole().all, [&](std::string_view name) {
             const Value* here = member(wide, "properties");
             return (named != nullptr && named->find(name) != nullptr) ||
                    (here != nullptr && here->find(name) != nullptr);
           });
  }
  static std::size_t prefix_size(const Value& schema) {
    const Value* prefix = member(schema, "prefixItems");
    return prefix == nullptr ? 0 : prefix->size();
  }
  bool items_hold(const Value& items, const Value& wide, const Value& narrow) {
    static const Value anything(true);
    for (std::size_t i = prefix_size(wide); i < prefix_size(narrow); ++i) {
      if (!includes(items, narrow.find("prefixItems")->items()[i])) return false;
    }
    const Value* other = member(narrow, "items");
    return includes(items, other == nullptr ? anything : *other);
  }
  bool prefix_holds(const Value& prefix, const Value& narrow) {
    static const Value anything(true);
    for (std::size_t i = 0; i < prefix.size(); ++i) {
      const Value* other = member(narrow, "items");
      if (i < prefix_size(narrow)) other = &narrow.find("prefixItems")->items()[i];
      if (!includes(prefix.items()[i], other == nullptr ? anything : *other)) return false;
    }
    return true;
  }

  const Value& wide_root_;
  const Value& narrow_root_;
  const Unnamed unnamed_;
  const Value* whole_ = nullptr;
  std::map<const Value*, Names> names_;
  std::set<std::tuple<const Value*, const Value*, const Value*>> open_;
  std::vector<std::unique_ptr<Value>> made_;
  int steps_ = 0;
  int depth_ = 0;
};

}  // namespace

bool schema_includes(const Value& wide, const Value& narrow, Unnamed unnamed) {
  return wide == narrow || Comparison(wide, narrow, unnamed).includes(wide, narrow);
}

}  // namespace clew
