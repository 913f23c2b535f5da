#include <utility>

#include "clew/base/detail/schema_compiler.hpp"
#include "clew/base/error.hpp"
#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew::schema {
namespace {

std::string below(const std::string& path, std::string_view key) {
  std::string out = path;
  append_path_key(out, key);
  return out;
}

std::string below(const std::string& path, std::size_t index) {
  std::string out = path;
  append_path_index(out, index);
  return out;
}

Error unknown_keyword(const Site& site) {
  const auto meant = nearest(site.keyword, known_keywords());
  auto problem =
      error(Code::invalid_input, "{}: \"{}\" is no keyword of JSON Schema 2020-12{}", site.path,
            site.keyword, meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant))
          .with("path", site.path)
          .with("value", site.keyword)
          .with("expected", "a keyword of JSON Schema 2020-12")
          .with("keyword", site.keyword);
  return meant.empty() ? problem : problem.with("suggestion", meant);
}

// True when `types` says it all.
bool has_no_rules(const Node& node) {
  return node.values == nullptr && !node.constant && node.number == nullptr &&
         node.string == nullptr && node.array == nullptr && node.object == nullptr &&
         node.logic == nullptr && !node.tracks();
}

}  // namespace

Error Site::wrong(std::string_view expected) const { return invalid_input(path, value, expected); }

Result<void> Compiler::run(std::string_view path) {
  CLEW_TRY(program_.root, compile(program_.document, 0, std::string(path)));
  CLEW_TRY(references_.resolve_all(
      [this](const Value& schema, std::uint32_t resource, const std::string& at) {
        return compile(schema, resource, at);
      }));
  program_.has_dynamic_refs = references_.has_dynamic();
  return refuse_endless_refs(program_, path);
}

// Compiles each place once: shared parts of a document, and references to them, lead to one node.
Result<const Node*> Compiler::compile(const Value& schema, std::uint32_t resource,
                                      const std::string& path) {
  const std::pair key(&schema, resource);
  if (const auto known = nodes_.find(key); known != nodes_.end()) return known->second;
  auto& node = *program_.nodes.emplace_back(std::make_unique<Node>());
  nodes_.emplace(key, &node);
  if (schema.is_bool()) {
    node.is_false = !schema.as_bool();
    node.types = schema.as_bool() ? type_any : 0;
    return &node;
  }
  if (!schema.is_object()) return invalid_input(path, schema, "a schema: an object, true or false");
  CLEW_TRY(node.resource, resource_of(schema, node, resource, path));
  CLEW_TRY(compile_keywords(schema, node, path));
  node.is_leaf = has_no_rules(node);
  if (node.object != nullptr) node.object->table.build_index();
  return &node;
}

Result<std::uint32_t> Compiler::resource_of(const Value& schema, const Node& node,
                                            std::uint32_t enclosing, const std::string& path) {
  const auto* id = schema.find("$id");
  if (id == nullptr && has_root_resource_) return enclosing;
  has_root_resource_ = true;
  if (id != nullptr && !id->is_string()) return invalid_input(below(path, "$id"), *id, "a URI");
  CLEW_TRY(const auto own, references_.add_resource(schema, id == nullptr ? "" : id->as_string(),
                                                    enclosing, below(path, "$id")));
  references_.set_node(own, &node);
  return own;
}

Result<void> Compiler::compile_keywords(const Value& schema, Node& node, const std::string& path) {
  for (const auto& [keyword, value] : schema.members()) {
    const Site site{keyword, node, value, below(path, keyword)};
    const auto handler = find_handler(keyword);
    if (handler == nullptr) return unknown_keyword(site);
    CLEW_TRY(handler(*this, site));
  }
  return {};
}

Result<const Node*> Compiler::schema_at(const Site& site) {
  return compile(site.value, site.node.resource, site.path);
}

Result<std::vector<const Node*>> Compiler::schemas_at(const Site& site) {
  if (!site.value.is_array() || site.value.size() == 0)
    return site.wrong("a non-empty array of schemas");
  std::vector<const Node*> nodes;
  for (const auto& schema : site.value.items()) {
    CLEW_TRY(const auto* node, compile(schema, site.node.resource, below(site.path, nodes.size())));
    nodes.push_back(node);
  }
  return nodes;
}

Result<std::vector<std::pair<std::string, const Node*>>> Compiler::named_schemas_at(
    const Site& site) {
  if (!site.value.is_object()) return site.wrong("an object of schemas");
  std::vector<std::pair<std::string, const Node*>> nodes;
  for (const auto& [key, schema] : site.value.members()) {
    CLEW_TRY(const auto* node, compile(schema, site.node.resource, below(site.path, key)));
    nodes.emplace_back(key, node);
  }
  return nodes;
}

Result<void> Compiler::add_ref(const Site& site, bool dynamic) {
  if (!site.value.is_string()) return site.wrong("a reference such as \"#/$defs/name\"");
  auto& logic = made(site.node.logic);
  if (dynamic) logic.dynamic_ref = std::make_unique<DynamicRef>();
  references_.add_pending(
      {site.node.resource, std::string(site.value.as_string()), site.path, &logic, dynamic});
  return {};
}

Result<std::unique_ptr<const Program>> compile_program(const Value& document,
                                                       std::string_view path) {
  auto program = std::make_unique<Program>();
  program->document = document;
  CLEW_TRY(Compiler(*program).run(path));
  return std::unique_ptr<const Program>(std::move(program));
}

}  // namespace clew::schema
