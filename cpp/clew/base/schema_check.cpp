#include <algorithm>
#include <array>
#include <ranges>
#include <string>
#include <utility>

#include "clew/base/detail/schema_program.hpp"
#include "clew/base/error.hpp"
#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew::schema {
namespace {

// Bounds on one check. A schema's references may lead through many schemas for one value, and its
// alternatives multiply with depth; what exceeds a bound is refused, never accepted.
constexpr int depth_max = 1000;                 // nested schemas, hence the stack
constexpr std::int64_t steps_base = 1'000'000;  // schemas applied, and more for large instances
constexpr std::int64_t steps_per_byte = 64;

constexpr std::string_view too_much = "a value that can be checked in bounded steps";

// The way from the root to a value, as links on the stack; written out only for a problem.
struct Place {
  const Place* parent = nullptr;
  const std::string* key = nullptr;  // null: an element
  std::size_t index = 0;
};

void append_place(std::string& out, const Place& place) {
  if (place.parent == nullptr) return;
  append_place(out, *place.parent);
  if (place.key != nullptr)
    append_path_key(out, *place.key);
  else
    append_path_index(out, place.index);
}

// Which members or elements of one value some schema has looked at.
class Seen {
 public:
  explicit Seen(const Value& value) : marks_(value.size(), false) {}
  void mark(std::size_t index) { marks_[index] = true; }
  void mark_all() { marks_.assign(marks_.size(), true); }
  bool has(std::size_t index) const { return marks_[index]; }
  void merge(const Seen& other) {
    for (std::size_t i = 0; i < marks_.size(); ++i) marks_[i] = marks_[i] || other.marks_[i];
  }

 private:
  std::vector<bool> marks_;
};

// The $id resources that the way to here went through, innermost first.
struct Scope {
  const Scope* outer = nullptr;
  std::uint32_t resource = 0;
};

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string quoted(std::string_view text) { return to_json(Value(text)); }

std::string type_words(std::uint8_t types) {
  constexpr std::array<std::pair<TypeBit, std::string_view>, 7> words{
      {{type_null, "null"},
       {type_boolean, "true or false"},
       {type_integer, "an integer"},
       {type_number, "a number"},
       {type_string, "a string"},
       {type_array, "an array"},
       {type_object, "an object"}}};
  std::string out;
  for (const auto& [bit, word] : words) {
    if ((types & bit) == 0) continue;
    if (!out.empty()) out += " or ";
    out += word;
  }
  return out.empty() ? "nothing" : out;
}

// One check of one instance. Each step returns whether the check goes on: without a list of
// problems it ends at the first failure, with one when the list is full.
class Run {
 public:
  Run(const Program& program, const Value& instance, std::vector<SchemaProblem>* problems,
      std::size_t limit)
      : problems_(problems),
        limit_(limit),
        dynamic_(program.has_dynamic_refs),
        steps_left_(steps_base + steps_per_byte * static_cast<std::int64_t>(instance.byte_size())) {
  }

  // True when `value` is valid. Marks in `seen`, when given, what the schema looked at; the marks
  // mean nothing when it is not.
  bool check(const Node& node, const Value& value, const Place& place, Seen* seen) {
    if (node.is_leaf) return has_type(node, value) || (fail_type(node, value, place), false);
    if (exhausted_ || depth_ >= depth_max || --steps_left_ < 0) return give_up(value, place);
    ++depth_;
    const auto before = failures_;
    const bool went_on =
        dynamic_ ? enter_resource(node, value, place, seen) : rules(node, value, place, seen);
    --depth_;
    return went_on && failures_ == before && !exhausted_;
  }

  bool exhausted() const { return exhausted_; }

 private:
  // Notes a failure. `expected` makes the words, only when they are wanted.
  template <typename Words>
  bool fail(std::string_view keyword, const Value& value, const Place& place, Words&& expected) {
    return problems_ != nullptr && note(keyword, value, place, std::forward<Words>(expected));
  }
  // Kept out of its callers, because they recurse and their frames must stay small.
  template <typename Words>
  [[gnu::noinline]] bool note(std::string_view keyword, const Value& value, const Place& place,
                              Words&& expected) {
    ++failures_;
    SchemaProblem problem;
    append_place(problem.path, place);
    problem.keyword = keyword;
    problem.expected = std::forward<Words>(expected)();
    problem.value = value;
    problems_->push_back(std::move(problem));
    return !stopped();
  }
  bool stopped() const { return problems_ == nullptr || problems_->size() >= limit_; }

  bool give_up(const Value& value, const Place& place) {
    if (exhausted_) return false;
    exhausted_ = true;
    fail("$ref", value, place, [] { return std::string(too_much); });
    return false;
  }

  // The check of a schema whose failure is only one case of several: its problems are not noted.
  bool holds(const Node& node, const Value& value, const Place& place, Seen* seen) {
    auto* const problems = std::exchange(problems_, nullptr);
    const bool valid = check(node, value, place, seen);
    problems_ = problems;
    return valid;
  }

  // True when the check goes on after `node`, valid or not.
  bool apply(const Node& node, const Value& value, const Place& place, Seen* seen = nullptr) {
    return check(node, value, place, seen) || !stopped();
  }

  static bool has_type(const Node& node, const Value& value) {
    constexpr std::array<std::uint8_t, 7> bits{
        type_null,  type_boolean, type_integer | type_number, type_number, type_string,
        type_array, type_object};
    const auto bit = bits[static_cast<std::size_t>(value.kind())];
    if ((node.types & bit) != 0) return true;
    return value.is_real() && (node.types & type_integer) != 0 && is_integral(value);
  }
  bool fail_type(const Node& node, const Value& value, const Place& place) {
    return fail(node.is_false ? "false" : "type", value, place,
                [&] { return type_words(node.types); });
  }

  bool enter_resource(const Node& node, const Value& value, const Place& place, Seen* seen) {
    if (scope_ != nullptr && scope_->resource == node.resource)
      return rules(node, value, place, seen);
    const Scope scope{scope_, node.resource};
    scope_ = &scope;
    const bool went_on = rules(node, value, place, seen);
    scope_ = scope.outer;
    return went_on;
  }

  bool rules(const Node& node, const Value& value, const Place& place, Seen* seen) {
    if (!node.tracks()) return own_rules(node, value, place, seen);
    const auto before = failures_;
    Seen own(value);
    if (!own_rules(node, value, place, &own)) return false;
    if (failures_ == before && !unevaluated(node, value, place, own)) return false;
    if (seen != nullptr) seen->merge(own);
    return true;
  }

  bool own_rules(const Node& node, const Value& value, const Place& place, Seen* seen) {
    if (!has_type(node, value) && !fail_type(node, value, place)) return false;
    if (node.values != nullptr && !enumeration(node, value, place)) return false;
    if (node.constant && !same_value(*node.constant, value) &&
        !fail("const", value, place, [&] { return preview(*node.constant); })) {
      return false;
    }
    if (node.number != nullptr && value.is_number() && !number(*node.number, value, place))
      return false;
    if (node.string != nullptr && value.is_string() && !string(*node.string, value, place))
      return false;
    if (node.array != nullptr && value.is_array() && !array(*node.array, value, place, seen))
      return false;
    if (node.object != nullptr && value.is_object() && !object(*node.object, value, place, seen))
      return false;
    return node.logic == nullptr || logic(*node.logic, value, place, seen);
  }

  bool enumeration(const Node& node, const Value& value, const Place& place);
  bool number(const NumberRules& rules, const Value& value, const Place& place);
  bool string(const StringRules& rules, const Value& value, const Place& place);
  bool array(const ArrayRules& rules, const Value& value, const Place& place, Seen* seen);
  bool contains(const ArrayRules& rules, const Value& value, const Place& place, Seen* seen);
  bool unique(const Value& value, const Place& place);
  bool object(const ObjectRules& rules, const Value& value, const Place& place, Seen* seen);
  bool members(const ObjectRules& rules, const Value& value, const Place& place, Seen* seen,
               std::size_t& required_found);
  bool additional(const ObjectRules& rules, const Member& member, const Place& place);
  bool missing(const std::string& key, std::string_view keyword, const Place& place,
               std::string_view reason);
  bool logic(const Logic& rules, const Value& value, const Place& place, Seen* seen);
  bool dynamic_ref(const DynamicRef& ref, const Value& value, const Place& place, Seen* seen);
  bool any_of(const Logic& rules, const Value& value, const Place& place, Seen* seen);
  bool one_of(const Logic& rules, const Value& value, const Place& place, Seen* seen);
  bool conditional(const Logic& rules, const Value& value, const Place& place, Seen* seen);
  bool unevaluated(const Node& node, const Value& value, const Place& place, Seen& seen);
  std::string closest_words(const std::vector<const Node*>& nodes, const Value& value,
                            const Place& place);

  std::vector<SchemaProblem>* problems_;
  std::size_t limit_;
  bool dynamic_;
  std::int64_t steps_left_;
  int depth_ = 0;
  std::size_t failures_ = 0;  // noted ones
  bool exhausted_ = false;
  const Scope* scope_ = nullptr;
};

bool Run::enumeration(const Node& node, const Value& value, const Place& place) {
  if (node.values->contains(value)) return true;
  return fail("enum", value, place, [&] {
    constexpr std::size_t shown_max = 10;
    std::string out;
    for (const auto& allowed : node.values->values() | std::views::take(shown_max)) {
      out += (out.empty() ? "" : ", ") + preview(allowed, 40);
    }
    if (out.empty()) return std::string("nothing");
    return "one of " + out + (node.values->values().size() > shown_max ? ", …" : "");
  });
}

bool Run::number(const NumberRules& rules, const Value& value, const Place& place) {
  const auto bound = [&](const std::optional<Value>& limit, std::string_view keyword,
                         std::string_view words, auto&& fits) {
    if (!limit || fits(compare_numbers(value, *limit))) return true;
    return fail(keyword, value, place,
                [&] { return fmt::format("{} {}", words, to_json(*limit)); });
  };
  if (!bound(rules.minimum, "minimum", "a number of at least",
             [](auto order) { return order >= 0; }))
    return false;
  if (!bound(rules.maximum, "maximum", "a number of at most",
             [](auto order) { return order <= 0; }))
    return false;
  if (!bound(rules.exclusive_minimum, "exclusiveMinimum", "a number above",
             [](auto order) { return order > 0; }))
    return false;
  if (!bound(rules.exclusive_maximum, "exclusiveMaximum", "a number below",
             [](auto order) { return order < 0; }))
    return false;
  if (!rules.multiple_of || is_multiple(value, *rules.multiple_of)) return true;
  return fail("multipleOf", value, place,
              [&] { return "a multiple of " + to_json(*rules.multiple_of); });
}

bool Run::string(const StringRules& rules, const Value& value, const Place& place) {
  const auto text = value.as_string();
  if (rules.chars_min > 0 || rules.chars_max != no_limit) {
    const auto chars = code_points(text);
    if (chars < rules.chars_min &&
        !fail(
            "minLength", value, place,
            [&] { return fmt::format("at least {} characters", rules.chars_min); }))
      return false;
    if (chars > rules.chars_max && !fail("maxLength", value, place, [&] {
          return fmt::format("at most {} characters", rules.chars_max);
        }))
      return false;
  }
  if (rules.pattern && !matches(*rules.pattern, text) && !fail("pattern", value, place, [&] {
        return "a string that matches " + quoted(rules.pattern->text);
      }))
    return false;
  if (rules.format_check == nullptr || rules.format_check(text)) return true;
  return fail("format", value, place,
              [&] { return "a string of the format " + quoted(rules.format); });
}

bool Run::array(const ArrayRules& rules, const Value& value, const Place& place, Seen* seen) {
  const auto items = value.items();
  if (items.size() < rules.items_min && !fail("minItems", value, place, [&] {
        return fmt::format("at least {} elements", rules.items_min);
      }))
    return false;
  if (items.size() > rules.items_max && !fail("maxItems", value, place, [&] {
        return fmt::format("at most {} elements", rules.items_max);
      }))
    return false;
  const auto checked =
      rules.rest != nullptr ? items.size() : std::min(items.size(), rules.prefix.size());
  for (std::size_t i = 0; i < checked; ++i) {
    const auto& node = i < rules.prefix.size() ? *rules.prefix[i] : *rules.rest;
    if (!apply(node, items[i], {&place, nullptr, i})) return false;
    if (seen != nullptr) seen->mark(i);
  }
  if (rules.contains != nullptr && !contains(rules, value, place, seen)) return false;
  return !rules.unique || unique(value, place);
}

bool Run::contains(const ArrayRules& rules, const Value& value, const Place& place, Seen* seen) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (!holds(*rules.contains, value.items()[i], {&place, nullptr, i}, nullptr)) continue;
    ++found;
    if (seen != nullptr) seen->mark(i);
  }
  if (found < rules.contains_min &&
      !fail(
          rules.contains_min == 1 ? "contains" : "minContains", value, place,
          [&] {
            return fmt::format("at least {} elements that fit \"contains\"", rules.contains_min);
          }))
    return false;
  if (found <= rules.contains_max) return true;
  return fail("maxContains", value, place, [&] {
    return fmt::format("at most {} elements that fit \"contains\"", rules.contains_max);
  });
}

bool Run::unique(const Value& value, const Place& place) {
  ValueSet known;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (known.insert(value.items()[i])) continue;
    return fail("uniqueItems", value.items()[i], {&place, nullptr, i},
                [] { return std::string("an element that did not come before"); });
  }
  return true;
}

bool Run::object(const ObjectRules& rules, const Value& value, const Place& place, Seen* seen) {
  const auto size = value.size();
  if (size < rules.members_min &&
      !fail(
          "minProperties", value, place,
          [&] { return fmt::format("at least {} members", rules.members_min); }))
    return false;
  if (size > rules.members_max && !fail("maxProperties", value, place, [&] {
        return fmt::format("at most {} members", rules.members_max);
      }))
    return false;
  std::size_t required_found = 0;
  if (!members(rules, value, place, seen, required_found)) return false;
  if (required_found < rules.required_count) {
    for (const auto& property : rules.table.all()) {
      if (!property.required || value.find(property.key) != nullptr) continue;
      if (!missing(property.key, "required", place, {})) return false;
    }
  }
  for (const auto& [key, needed] : rules.dependent_required) {
    if (value.find(key) == nullptr) continue;
    for (const auto& other : needed) {
      if (value.find(other) == nullptr && !missing(other, "dependentRequired", place, key))
        return false;
    }
  }
  return true;
}

bool Run::missing(const std::string& key, std::string_view keyword, const Place& place,
                  std::string_view reason) {
  return fail(keyword, Value(), {&place, &key}, [&] {
    return reason.empty() ? std::string("a required member")
                          : "a member, because " + quoted(reason) + " is there";
  });
}

// One pass over the members; counts those that are required.
bool Run::members(const ObjectRules& rules, const Value& value, const Place& place, Seen* seen,
                  std::size_t& required_found) {
  std::size_t cursor = 0;
  const auto all = value.members();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& member = all[i];
    const Place at{&place, &member.key};
    bool looked_at = false;
    if (const auto* property = rules.table.find(member.key, cursor)) {
      required_found += property->required ? 1 : 0;
      looked_at = property->node != nullptr;
      if (looked_at && !apply(*property->node, member.value, at)) return false;
    }
    for (const auto& [pattern, node] : rules.patterns) {
      if (!matches(pattern, member.key)) continue;
      looked_at = true;
      if (!apply(*node, member.value, at)) return false;
    }
    if (!looked_at && rules.additional != nullptr) {
      looked_at = true;
      if (!additional(rules, member, at)) return false;
    }
    if (rules.names != nullptr && !holds(*rules.names, Value(member.key), at, nullptr) &&
        !fail("propertyNames", Value(member.key), at, [&] {
          return "a name for a member: " + closest_words({rules.names}, Value(member.key), at);
        })) {
      return false;
    }
    if (looked_at && seen != nullptr) seen->mark(i);
  }
  return true;
}

bool Run::additional(const ObjectRules& rules, const Member& member, const Place& place) {
  if (!rules.additional->is_false) return apply(*rules.additional, member.value, place);
  return fail("additionalProperties", member.value, place, [&] {
    std::vector<std::string_view> known;
    for (const auto& property : rules.table.all()) known.push_back(property.key);
    const auto meant = nearest(member.key, known);
    return "no member of this name" +
           (meant.empty() ? "" : "; did you mean " + quoted(meant) + "?");
  });
}

bool Run::logic(const Logic& rules, const Value& value, const Place& place, Seen* seen) {
  if (rules.ref != nullptr && !apply(*rules.ref, value, place, seen)) return false;
  if (rules.dynamic_ref != nullptr && !dynamic_ref(*rules.dynamic_ref, value, place, seen))
    return false;
  for (const auto* node : rules.all_of) {
    if (!apply(*node, value, place, seen)) return false;
  }
  if (!rules.any_of.empty() && !any_of(rules, value, place, seen)) return false;
  if (!rules.one_of.empty() && !one_of(rules, value, place, seen)) return false;
  if (rules.none_of != nullptr && holds(*rules.none_of, value, place, nullptr) &&
      !fail("not", value, place,
            [] { return std::string("a value that does not fit the schema of \"not\""); })) {
    return false;
  }
  if (rules.condition != nullptr && !conditional(rules, value, place, seen)) return false;
  for (const auto& [key, node] : rules.dependent_schemas) {
    if (value.find(key) != nullptr && !apply(*node, value, place, seen)) return false;
  }
  return true;
}

// Leads to the anchor of that name in the outermost resource on the way here that has one.
bool Run::dynamic_ref(const DynamicRef& ref, const Value& value, const Place& place, Seen* seen) {
  const Node* target = ref.plain;
  for (const auto* scope = ref.candidates.empty() ? nullptr : scope_; scope != nullptr;
       scope = scope->outer) {
    const auto found = std::ranges::find(ref.candidates, scope->resource,
                                         &std::pair<std::uint32_t, const Node*>::first);
    if (found != ref.candidates.end()) target = found->second;
  }
  return apply(*target, value, place, seen);
}

bool Run::any_of(const Logic& rules, const Value& value, const Place& place, Seen* seen) {
  bool any = false;
  for (const auto* node : rules.any_of) {
    if (seen == nullptr) {
      any = holds(*node, value, place, nullptr);
      if (any) break;
      continue;
    }
    Seen branch(value);  // every branch that fits tells what it looked at
    if (!holds(*node, value, place, &branch)) continue;
    any = true;
    seen->merge(branch);
  }
  if (any) return true;
  return fail("anyOf", value, place, [&] { return closest_words(rules.any_of, value, place); });
}

bool Run::one_of(const Logic& rules, const Value& value, const Place& place, Seen* seen) {
  int fitting = 0;
  for (const auto* node : rules.one_of) {
    if (seen == nullptr) {
      fitting += holds(*node, value, place, nullptr) ? 1 : 0;
    } else if (Seen branch(value); holds(*node, value, place, &branch)) {
      ++fitting;
      seen->merge(branch);
    }
    if (fitting > 1) break;
  }
  if (fitting == 1) return true;
  return fail("oneOf", value, place, [&] {
    return fitting == 0
               ? closest_words(rules.one_of, value, place)
               : std::string("a value that fits exactly one of the alternatives, not several");
  });
}

bool Run::conditional(const Logic& rules, const Value& value, const Place& place, Seen* seen) {
  bool fits = false;
  if (seen == nullptr) {
    fits = holds(*rules.condition, value, place, nullptr);
  } else {
    Seen branch(value);
    fits = holds(*rules.condition, value, place, &branch);
    if (fits) seen->merge(branch);
  }
  const auto* next = fits ? rules.then : rules.otherwise;
  return next == nullptr || apply(*next, value, place, seen);
}

bool Run::unevaluated(const Node& node, const Value& value, const Place& place, Seen& seen) {
  const bool is_array = value.is_array();
  const Node* rest = is_array ? node.unevaluated_items : node.unevaluated_members;
  if (rest == nullptr || (!is_array && !value.is_object())) return true;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (seen.has(i)) continue;
    const auto& child = is_array ? value.items()[i] : value.members()[i].value;
    const Place at{&place, is_array ? nullptr : &value.members()[i].key, i};
    if (!rest->is_false) {
      if (!apply(*rest, child, at)) return false;
    } else if (!fail(is_array ? "unevaluatedItems" : "unevaluatedProperties", child, at, [&] {
                 return std::string(is_array ? "no further element" : "no member of this name");
               })) {
      return false;
    }
  }
  seen.mark_all();
  return true;
}

// What each alternative would have wanted, for people.
std::string Run::closest_words(const std::vector<const Node*>& nodes, const Value& value,
                               const Place& place) {
  constexpr std::size_t shown_max = 4;
  std::string out;
  for (const auto* node : nodes | std::views::take(shown_max)) {
    std::vector<SchemaProblem> first;
    auto* const problems = std::exchange(problems_, &first);
    const auto limit = std::exchange(limit_, 1);
    check(*node, value, place, nullptr);
    problems_ = problems;
    limit_ = limit;
    if (first.empty()) continue;
    std::string here;
    append_place(here, place);
    if (!out.empty()) out += "; or ";
    if (first[0].path != here) out += first[0].path + " as ";
    out += first[0].expected;
  }
  if (nodes.size() > shown_max) out += "; or …";
  return out;
}

}  // namespace

Property& PropertyTable::at(std::string_view key) {
  const auto found = std::ranges::find(all_, key, &Property::key);
  return found != all_.end() ? *found
                             : all_.emplace_back(Property{std::string(key), nullptr, false});
}

void PropertyTable::build_index() {
  if (all_.size() <= linear_max) return;
  for (std::size_t i = 0; i < all_.size(); ++i) index_.emplace(all_[i].key, i);
}

const Property* PropertyTable::find(std::string_view key, std::size_t& cursor) const {
  if (cursor < all_.size() && all_[cursor].key == key) return &all_[cursor++];
  std::size_t place = all_.size();
  if (index_.empty()) {
    place = static_cast<std::size_t>(std::ranges::find(all_, key, &Property::key) - all_.begin());
  } else if (const auto found = index_.find(key); found != index_.end()) {
    place = found->second;
  }
  if (place == all_.size()) return nullptr;
  cursor = place + 1;
  return &all_[place];
}

bool run_program(const Program& program, const Value& instance,
                 std::vector<SchemaProblem>* problems, std::size_t limit) {
  Run run(program, instance, problems, limit);
  const bool valid = run.check(*program.root, instance, {}, nullptr) && !run.exhausted();
  if (!valid && problems != nullptr && problems->empty()) {
    problems->push_back({{}, "$ref", std::string(too_much), instance});
  }
  return valid;
}

}  // namespace clew::schema
