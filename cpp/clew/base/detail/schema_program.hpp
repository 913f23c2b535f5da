// base/detail/schema_program.hpp: what a JSON Schema is compiled to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "clew/base/detail/number.hpp"
#include "clew/base/schema.hpp"

namespace re2 {
class RE2;
}

namespace clew::schema {

struct Node;

// The kinds of instance that `type` tells apart. An integer has both number bits; so has a real
// without a fraction.
enum TypeBit : std::uint8_t {
  type_null = 1,
  type_boolean = 2,
  type_integer = 4,
  type_number = 8,
  type_string = 16,
  type_array = 32,
  type_object = 64,
  type_any = 127,
};

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

struct Pattern {
  std::string text;
  std::shared_ptr<const re2::RE2> compiled;
};

using FormatCheck = bool (*)(std::string_view text);

struct NumberRules {
  std::optional<Value> minimum;
  std::optional<Value> maximum;
  std::optional<Value> exclusive_minimum;
  std::optional<Value> exclusive_maximum;
  std::optional<Value> multiple_of;
};

struct StringRules {
  std::size_t chars_min = 0;
  std::size_t chars_max = no_limit;
  std::optional<Pattern> pattern;
  std::string format;
  FormatCheck format_check = nullptr;
};

struct ArrayRules {
  std::vector<const Node*> prefix;
  const Node* rest = nullptr;  // `items`
  const Node* contains = nullptr;
  std::size_t contains_min = 1;
  std::size_t contains_max = no_limit;
  std::size_t items_min = 0;
  std::size_t items_max = no_limit;
  bool unique = false;
};

// A member that `properties` or `required` names.
struct Property {
  std::string key;
  const Node* node = nullptr;  // null when only required
  bool required = false;
};

// Finds properties by key. Members mostly come in the order of the schema, so the search starts at
// a cursor behind the last hit.
class PropertyTable {
 public:
  Property& at(std::string_view key);  // made when missing
  const Property* find(std::string_view key, std::size_t& cursor) const;
  const std::vector<Property>& all() const { return all_; }
  // Call once when complete.
  void build_index();

 private:
  static constexpr std::size_t linear_max = 8;
  std::vector<Property> all_;
  std::unordered_map<std::string_view, std::size_t> index_;  // empty up to linear_max
};

struct ObjectRules {
  PropertyTable table;
  std::size_t required_count = 0;
  std::vector<std::pair<Pattern, const Node*>> patterns;
  const Node* additional = nullptr;
  const Node* names = nullptr;
  std::size_t members_min = 0;
  std::size_t members_max = no_limit;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
};

struct DynamicRef {
  const Node* plain = nullptr;                                    // where it leads as a $ref
  std::vector<std::pair<std::uint32_t, const Node*>> candidates;  // by resource; empty: only plain
};

// Schemas for the same instance.
struct Logic {
  const Node* ref = nullptr;
  std::unique_ptr<DynamicRef> dynamic_ref;
  std::vector<const Node*> all_of;
  std::vector<const Node*> any_of;
  std::vector<const Node*> one_of;
  const Node* none_of = nullptr;  // `not`
  const Node* condition = nullptr;
  const Node* then = nullptr;
  const Node* otherwise = nullptr;
  std::vector<std::pair<std::string, const Node*>> dependent_schemas;
};

// One schema. Rules that it does not have are null. Immutable once compiled.
struct Node {
  std::uint8_t types = type_any;
  bool is_leaf = true;         // nothing but `types` to check
  bool is_false = false;       // the schema `false`
  std::uint32_t resource = 0;  // the $id it belongs to, for dynamic references
  std::unique_ptr<ValueSet> values;
  std::optional<Value> constant;
  std::unique_ptr<NumberRules> number;
  std::unique_ptr<StringRules> string;
  std::unique_ptr<ArrayRules> array;
  std::unique_ptr<ObjectRules> object;
  std::unique_ptr<Logic> logic;
  const Node* unevaluated_items = nullptr;
  const Node* unevaluated_members = nullptr;

  bool accepts_everything() const { return is_leaf && !is_false && types == type_any; }
  bool tracks() const { return unevaluated_items != nullptr || unevaluated_members != nullptr; }
};

// A compiled document. Owns its nodes.
struct Program {
  Value document;
  std::vector<std::unique_ptr<Node>> nodes;
  const Node* root = nullptr;
  bool has_dynamic_refs = false;
};

// Errors as Schema::compile.
Result<std::unique_ptr<const Program>> compile_program(const Value& document,
                                                       std::string_view path);

// Checks `instance`. Without `problems` stops at the first failure; with it collects at most
// `limit`.
bool run_program(const Program& program, const Value& instance,
                 std::vector<SchemaProblem>* problems, std::size_t limit);

// The check of a format that asserts, or nullptr for one that only annotates.
FormatCheck find_format(std::string_view name);

// Error `invalid_input` at `path` for what is no regular expression, or one that needs more than
// linear time (look-around, back references).
Result<Pattern> compile_pattern(std::string_view text, std::string_view path);
bool matches(const Pattern& pattern, std::string_view text);

}  // namespace clew::schema
