#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "clew/base/detail/schema_compiler.hpp"
#include "clew/base/error.hpp"

// What each keyword adds to its schema's node. The table is at the end.
namespace clew::schema {
namespace {

constexpr std::string_view dialect = "https://json-schema.org/draft/2020-12/schema";

// ---- values that several keywords read

Result<std::size_t> count(const Site& site) {
  const auto& value = site.value;
  const bool whole = value.is_number() && is_integral(value);
  if (!whole || compare_numbers(value, 0) < 0) return site.wrong("an integer of at least 0");
  if (value.is_int()) return static_cast<std::size_t>(value.as_int());
  return value.as_real() < 0x1.0p63 ? static_cast<std::size_t>(value.as_real()) : no_limit;
}

Result<std::vector<std::string>> unique_strings(const Site& site) {
  constexpr std::string_view expected = "an array of strings, each once";
  if (!site.value.is_array()) return site.wrong(expected);
  std::vector<std::string> out;
  for (const auto& item : site.value.items()) {
    if (!item.is_string()) return site.wrong(expected);
    out.emplace_back(item.as_string());
  }
  auto sorted = out;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) return site.wrong(expected);
  return out;
}

Result<bool> flag(const Site& site) {
  if (!site.value.is_bool()) return site.wrong("true or false");
  return site.value.as_bool();
}

// ---- handlers made from a member of the rules

template <auto Rules, auto Field>
Result<void> read_count(Compiler&, const Site& site) {
  CLEW_TRY(made(site.node.*Rules).*Field, count(site));
  return {};
}

template <auto Field>
Result<void> read_number(Compiler&, const Site& site) {
  if (!site.value.is_number()) return site.wrong("a number");
  made(site.node.number).*Field = site.value;
  return {};
}

template <auto Rules, auto Field>
Result<void> read_schema(Compiler& compiler, const Site& site) {
  CLEW_TRY(made(site.node.*Rules).*Field, compiler.schema_at(site));
  return {};
}

template <auto Field>
Result<void> read_unevaluated(Compiler& compiler, const Site& site) {
  CLEW_TRY(site.node.*Field, compiler.schema_at(site));
  return {};
}

template <auto Rules, auto Field>
Result<void> read_schemas(Compiler& compiler, const Site& site) {
  CLEW_TRY(made(site.node.*Rules).*Field, compiler.schemas_at(site));
  return {};
}

// ---- any kind of instance

Result<std::uint8_t> type_bit(const Site& site, const Value& word) {
  constexpr std::array<std::pair<std::string_view, TypeBit>, 7> words{{{"null", type_null},
                                                                       {"boolean", type_boolean},
                                                                       {"integer", type_integer},
                                                                       {"number", type_number},
                                                                       {"string", type_string},
                                                                       {"array", type_array},
                                                                       {"object", type_object}}};
  for (const auto& [name, bit] : words) {
    if (word.is_string() && word.as_string() == name) return static_cast<std::uint8_t>(bit);
  }
  return site.wrong(
      "\"null\", \"boolean\", \"integer\", \"number\", \"string\", \"array\" or \"object\", or an "
      "array "
      "of these");
}

Result<void> read_type(Compiler&, const Site& site) {
  if (!site.value.is_array()) {
    CLEW_TRY(site.node.types, type_bit(site, site.value));
    return {};
  }
  CLEW_TRY(const auto words, unique_strings(site));
  if (words.empty()) return site.wrong("at least one type");
  site.node.types = 0;
  for (const auto& word : words) {
    CLEW_TRY(const auto bit, type_bit(site, word));
    site.node.types = static_cast<std::uint8_t>(site.node.types | bit);
  }
  return {};
}

Result<void> read_enum(Compiler&, const Site& site) {
  if (!site.value.is_array()) return site.wrong("an array of values");
  auto& values = made(site.node.values);
  for (const auto& value : site.value.items()) values.insert(value);
  return {};
}

Result<void> read_const(Compiler&, const Site& site) {
  site.node.constant = site.value;
  return {};
}

// ---- numbers and strings

Result<void> read_multiple_of(Compiler&, const Site& site) {
  if (!site.value.is_number() || compare_numbers(site.value, 0) <= 0) {
    return site.wrong("a number greater than 0");
  }
  made(site.node.number).multiple_of = site.value;
  return {};
}

Result<void> read_pattern(Compiler&, const Site& site) {
  if (!site.value.is_string()) return site.wrong("a regular expression");
  CLEW_TRY(made(site.node.string).pattern, compile_pattern(site.value.as_string(), site.path));
  return {};
}

Result<void> read_format(Compiler&, const Site& site) {
  if (!site.value.is_string()) return site.wrong("the name of a format");
  const auto check = find_format(site.value.as_string());
  if (check == nullptr) return {};  // an annotation
  auto& rules = made(site.node.string);
  rules.format = site.value.as_string();
  rules.format_check = check;
  return {};
}

// ---- arrays

Result<void> read_items(Compiler& compiler, const Site& site) {
  if (site.value.is_array())
    return site.wrong("one schema; an array of them is \"prefixItems\" now");
  CLEW_TRY(made(site.node.array).rest, compiler.schema_at(site));
  return {};
}

Result<void> read_unique(Compiler&, const Site& site) {
  CLEW_TRY(made(site.node.array).unique, flag(site));
  return {};
}

// ---- objects

Result<void> read_properties(Compiler& compiler, const Site& site) {
  CLEW_TRY(const auto schemas, compiler.named_schemas_at(site));
  auto& table = made(site.node.object).table;
  for (const auto& [key, node] : schemas) table.at(key).node = node;
  return {};
}

Result<void> read_required(Compiler&, const Site& site) {
  CLEW_TRY(const auto keys, unique_strings(site));
  auto& rules = made(site.node.object);
  for (const auto& key : keys) rules.table.at(key).required = true;
  rules.required_count = keys.size();
  return {};
}

Result<void> read_pattern_properties(Compiler& compiler, const Site& site) {
  CLEW_TRY(const auto schemas, compiler.named_schemas_at(site));
  auto& rules = made(site.node.object);
  for (const auto& [text, node] : schemas) {
    CLEW_TRY(auto pattern, compile_pattern(text, site.path));
    rules.patterns.emplace_back(std::move(pattern), node);
  }
  return {};
}

Result<void> read_dependent_required(Compiler&, const Site& site) {
  if (!site.value.is_object()) return site.wrong("an object of arrays of strings");
  auto& rules = made(site.node.object);
  for (const auto& [key, list] : site.value.members()) {
    CLEW_TRY(auto keys, unique_strings({key, site.node, list, site.path + "." + key}));
    rules.dependent_required.emplace_back(key, std::move(keys));
  }
  return {};
}

Result<void> read_dependent_schemas(Compiler& compiler, const Site& site) {
  CLEW_TRY(made(site.node.logic).dependent_schemas, compiler.named_schemas_at(site));
  return {};
}

// ---- references, names and notes

Result<void> read_ref(Compiler& compiler, const Site& site) {
  return compiler.add_ref(site, false);
}
Result<void> read_dynamic_ref(Compiler& compiler, const Site& site) {
  return compiler.add_ref(site, true);
}

Result<void> read_anchor(Compiler& compiler, const Site& site) {
  return compiler.references().add_anchor(site.node.resource, site.value, &site.node, false,
                                          site.path);
}
Result<void> read_dynamic_anchor(Compiler& compiler, const Site& site) {
  return compiler.references().add_anchor(site.node.resource, site.value, &site.node, true,
                                          site.path);
}

Result<void> read_definitions(Compiler& compiler, const Site& site) {
  CLEW_TRY(compiler.named_schemas_at(site));
  return {};
}

Result<void> read_dialect(Compiler&, const Site& site) {
  const auto known = [](std::string_view uri) {
    return uri == dialect || (uri.starts_with(dialect) && uri.substr(dialect.size()) == "#");
  };
  if (!site.value.is_string()) return site.wrong("a URI");
  if (known(site.value.as_string())) return {};
  return error(Code::unsupported, "{}: the dialect \"{}\" is not supported, only {}", site.path,
               site.value.as_string(), dialect)
      .with("path", site.path)
      .with("value", site.value);
}

Result<void> accept(Compiler&, const Site&) { return {}; }

Result<void> refuse(Compiler&, const Site& site) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> successors{{
      {"additionalItems", "; use \"prefixItems\" with \"items\""},
      {"dependencies", "; use \"dependentRequired\" or \"dependentSchemas\""},
      {"$recursiveRef", "; use \"$dynamicRef\""},
      {"$recursiveAnchor", "; use \"$dynamicAnchor\""},
  }};
  const auto row =
      std::ranges::find(successors, site.keyword, [](const auto& pair) { return pair.first; });
  return error(Code::unsupported, "{}: the keyword \"{}\" is not supported{}", site.path,
               site.keyword, row == successors.end() ? "" : row->second)
      .with("path", site.path)
      .with("keyword", site.keyword);
}

using Row = std::pair<std::string_view, Handler>;

// Sorted by keyword.
constexpr std::array table = std::to_array<Row>({
    {"$anchor", read_anchor},
    {"$comment", accept},
    {"$defs", read_definitions},
    {"$dynamicAnchor", read_dynamic_anchor},
    {"$dynamicRef", read_dynamic_ref},
    {"$id", accept},  // read when the schema was entered
    {"$recursiveAnchor", refuse},
    {"$recursiveRef", refuse},
    {"$ref", read_ref},
    {"$schema", read_dialect},
    {"$vocabulary", refuse},
    {"additionalItems", refuse},
    {"additionalProperties", read_schema<&Node::object, &ObjectRules::additional>},
    {"allOf", read_schemas<&Node::logic, &Logic::all_of>},
    {"anyOf", read_schemas<&Node::logic, &Logic::any_of>},
    {"const", read_const},
    {"contains", read_schema<&Node::array, &ArrayRules::contains>},
    {"contentEncoding", accept},
    {"contentMediaType", accept},
    {"contentSchema", accept},
    {"default", accept},
    {"definitions", read_definitions},  // the name of $defs before 2019-09
    {"dependencies", refuse},
    {"dependentRequired", read_dependent_required},
    {"dependentSchemas", read_dependent_schemas},
    {"deprecated", accept},
    {"description", accept},
    {"discriminator", accept},  // OpenAPI's, which pydantic adds beside oneOf
    {"else", read_schema<&Node::logic, &Logic::otherwise>},
    {"enum", read_enum},
    {"examples", accept},
    {"exclusiveMaximum", read_number<&NumberRules::exclusive_maximum>},
    {"exclusiveMinimum", read_number<&NumberRules::exclusive_minimum>},
    {"format", read_format},
    {"if", read_schema<&Node::logic, &Logic::condition>},
    {"items", read_items},
    {"maxContains", read_count<&Node::array, &ArrayRules::contains_max>},
    {"maxItems", read_count<&Node::array, &ArrayRules::items_max>},
    {"maxLength", read_count<&Node::string, &StringRules::chars_max>},
    {"maxProperties", read_count<&Node::object, &ObjectRules::members_max>},
    {"maximum", read_number<&NumberRules::maximum>},
    {"minContains", read_count<&Node::array, &ArrayRules::contains_min>},
    {"minItems", read_count<&Node::array, &ArrayRules::items_min>},
    {"minLength", read_count<&Node::string, &StringRules::chars_min>},
    {"minProperties", read_count<&Node::object, &ObjectRules::members_min>},
    {"minimum", read_number<&NumberRules::minimum>},
    {"multipleOf", read_multiple_of},
    {"not", read_schema<&Node::logic, &Logic::none_of>},
    {"oneOf", read_schemas<&Node::logic, &Logic::one_of>},
    {"pattern", read_pattern},
    {"patternProperties", read_pattern_properties},
    {"prefixItems", read_schemas<&Node::array, &ArrayRules::prefix>},
    {"properties", read_properties},
    {"propertyNames", read_schema<&Node::object, &ObjectRules::names>},
    {"readOnly", accept},
    {"required", read_required},
    {"then", read_schema<&Node::logic, &Logic::then>},
    {"title", accept},
    {"type", read_type},
    {"unevaluatedItems", read_unevaluated<&Node::unevaluated_items>},
    {"unevaluatedProperties", read_unevaluated<&Node::unevaluated_members>},
    {"uniqueItems", read_unique},
    {"writeOnly", accept},
});
static_assert(std::ranges::is_sorted(table, {}, &Row::first));

}  // namespace

Handler find_handler(std::string_view keyword) {
  const auto row = std::ranges::lower_bound(table, keyword, {}, &Row::first);
  return row != table.end() && row->first == keyword ? row->second : nullptr;
}

const std::vector<std::string_view>& known_keywords() {
  static const std::vector<std::string_view> keywords = [] {
    std::vector<std::string_view> out;
    for (const auto& [keyword, handler] : table) out.emplace_back(keyword);
    return out;
  }();
  return keywords;
}

}  // namespace clew::schema
