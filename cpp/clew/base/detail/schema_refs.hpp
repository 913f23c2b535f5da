// base/detail/schema_refs.hpp: which schema a $ref means.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "clew/base/detail/schema_program.hpp"

namespace clew::schema {

// A reference that waits until the whole document is known.
struct PendingRef {
  std::uint32_t resource = 0;  // whose URI it is relative to
  std::string text;
  std::string path;
  Logic* logic = nullptr;  // where the answer goes
  bool dynamic = false;
};

// The schema resources of one document (its root and every subschema with an $id), their anchors,
// and the references between them. External: the compiler owns it.
class References {
 public:
  // Compiles the schema at a place that a pointer reached; the place's enclosing resource is given.
  using CompileAt = std::function<Result<const Node*>(const Value& schema, std::uint32_t resource,
                                                      const std::string& path)>;

  // Error `invalid_input` when `id` is malformed or taken. `enclosing` is ignored for the root.
  Result<std::uint32_t> add_resource(const Value& root, std::string_view id,
                                     std::uint32_t enclosing, std::string_view path);
  void set_node(std::uint32_t resource, const Node* node) { resources_[resource].node = node; }
  // Error `invalid_input` when the name is malformed or taken in that resource.
  Result<void> add_anchor(std::uint32_t resource, const Value& name, const Node* node, bool dynamic,
                          std::string_view path);
  void add_pending(PendingRef ref) { pending_.push_back(std::move(ref)); }

  // Answers every pending reference, also those that compiling on the way adds. Error `unsupported`
  // for one that leaves the document, `invalid_input` for one that leads nowhere.
  Result<void> resolve_all(const CompileAt& compile_at);
  bool has_dynamic() const { return !dynamic_.empty(); }

 private:
  struct Resource {
    std::string uri;
    const Value* root = nullptr;
    const Node* node = nullptr;
    std::map<std::string, const Node*, std::less<>> anchors;
    std::map<std::string, const Node*, std::less<>> dynamic_anchors;
  };

  Result<const Node*> resolve(const PendingRef& ref, const CompileAt& compile_at);
  Result<std::uint32_t> find_resource(const PendingRef& ref, std::string_view uri) const;
  Result<const Node*> follow_pointer(const PendingRef& ref, std::uint32_t resource,
                                     std::string_view pointer, const CompileAt& compile_at);
  void add_candidates();

  std::vector<Resource> resources_;
  std::map<std::string, std::uint32_t, std::less<>> by_uri_;
  std::unordered_map<const Value*, std::uint32_t> by_root_;
  std::deque<PendingRef> pending_;
  std::vector<std::pair<DynamicRef*, std::string>> dynamic_;  // and the anchor's name
};

// Error `invalid_input` when a schema leads back to itself without going into the instance, so that
// checking would never end.
Result<void> refuse_endless_refs(const Program& program, std::string_view path);

}  // namespace clew::schema
