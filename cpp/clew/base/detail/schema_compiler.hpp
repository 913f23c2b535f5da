// base/detail/schema_compiler.hpp: from a schema document to a Program, keyword by keyword.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/base/detail/schema_program.hpp"
#include "clew/base/detail/schema_refs.hpp"

namespace clew::schema {

// Where a keyword stands: the node that its schema becomes, its value and path.
struct Site {
  std::string_view keyword;
  Node& node;
  const Value& value;
  std::string path;

  // Error `invalid_input` here.
  Error wrong(std::string_view expected) const;
};

// Compiles one document. Confined; used once.
class Compiler {
 public:
  explicit Compiler(Program& program) : program_(program) {}

  // Fills the program from its document. Errors as Schema::compile.
  Result<void> run(std::string_view path);

  // For the keywords' handlers: the node of one schema, of a non-empty array of them, of an object
  // of them.
  Result<const Node*> schema_at(const Site& site);
  Result<std::vector<const Node*>> schemas_at(const Site& site);
  Result<std::vector<std::pair<std::string, const Node*>>> named_schemas_at(const Site& site);
  Result<void> add_ref(const Site& site, bool dynamic);
  References& references() { return references_; }

 private:
  Result<const Node*> compile(const Value& schema, std::uint32_t resource, const std::string& path);
  Result<void> compile_keywords(const Value& schema, Node& node, const std::string& path);
  Result<std::uint32_t> resource_of(const Value& schema, const Node& node, std::uint32_t enclosing,
                                    const std::string& path);

  Program& program_;
  References references_;
  bool has_root_resource_ = false;
  std::map<std::pair<const Value*, std::uint32_t>, const Node*>
      nodes_;  // with the enclosing resource
};

using Handler = Result<void> (*)(Compiler& compiler, const Site& site);

// What compiles the keyword; nullptr when there is no such keyword.
Handler find_handler(std::string_view keyword);
// All keywords, sorted, for suggestions.
const std::vector<std::string_view>& known_keywords();

template <typename T>
T& made(std::unique_ptr<T>& rules) {
  if (rules == nullptr) rules = std::make_unique<T>();
  return *rules;
}

}  // namespace clew::schema
