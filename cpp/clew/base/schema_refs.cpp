#include "clew/base/detail/schema_refs.hpp"

#include <charconv>
#include <utility>

#include "clew/base/detail/schema_uri.hpp"
#include "clew/base/error.hpp"

namespace clew::schema {
namespace {

bool is_anchor_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (name.empty() || !is_letter(name[0])) return false;
  for (const char c : name) {
    if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.') return false;
  }
  return true;
}

Error leads_nowhere(const PendingRef& ref) {
  return invalid_input(ref.path, ref.text, "a reference to a schema of this document");
}

// The member or element that one step of a pointer names, or nullptr.
const Value* step_into(const Value& value, const std::string& step) {
  if (value.is_object()) return value.find(step);
  if (!value.is_array() || (step.size() > 1 && step[0] == '0')) return nullptr;
  std::size_t index = 0;
  const auto [end, problem] = std::from_chars(step.data(), step.data() + step.size(), index);
  if (problem != std::errc() || end != step.data() + step.size()) return nullptr;
  return index < value.size() ? &value.items()[index] : nullptr;
}

// The schemas that `node` applies to the same instance. A dynamic reference's other targets are
// left to the bound on steps while checking, because which of them it takes depends on the way.
std::vector<const Node*> same_instance(const Node& node) {
  std::vector<const Node*> out;
  if (node.logic == nullptr) return out;
  const auto& logic = *node.logic;
  const auto add = [&](const Node* next) {
    if (next != nullptr) out.push_back(next);
  };
  add(logic.ref);
  if (logic.dynamic_ref != nullptr && logic.dynamic_ref->candidates.empty())
    add(logic.dynamic_ref->plain);
  for (const auto* list : {&logic.all_of, &logic.any_of, &logic.one_of}) {
    for (const auto* next : *list) add(next);
  }
  for (const auto* next : {logic.none_of, logic.condition, logic.then, logic.otherwise}) add(next);
  for (const auto& [key, next] : logic.dependent_schemas) add(next);
  return out;
}

}  // namespace

Result<std::uint32_t> References::add_resource(const Value& root, std::string_view id,
                                               std::uint32_t enclosing, std::string_view path) {
  const auto hash = id.find('#');
  if (hash != std::string_view::npos && hash + 1 != id.size()) {
    return invalid_input(path, id, "a URI without a fragment; $anchor names a place inside");
  }
  const auto base = resources_.empty() ? std::string() : resources_[enclosing].uri;
  auto uri = resolve_uri(base, id.substr(0, hash));
  const auto index = static_cast<std::uint32_t>(resources_.size());
  if (!by_uri_.try_emplace(uri, index).second) {
    return invalid_input(path, id, "an $id that no other schema of this document has");
  }
  by_root_.try_emplace(&root, index);
  resources_.push_back({std::move(uri), &root, nullptr, {}, {}});
  return index;
}

Result<void> References::add_anchor(std::uint32_t resource, const Value& name, const Node* node,
                                    bool dynamic, std::string_view path) {
  if (!name.is_string() || !is_anchor_name(name.as_string())) {
    return invalid_input(path, name, "a name of letters, digits, '_', '-' and '.'");
  }
  const std::string text(name.as_string());
  auto& home = resources_[resource];
  // One schema may carry both kinds of anchor under one name.
  if (const auto [at, added] = home.anchors.try_emplace(text, node); !added && at->second != node) {
    return invalid_input(path, name, "an anchor that this schema resource has only once");
  }
  if (dynamic) home.dynamic_anchors.try_emplace(text, node);
  return {};
}

Result<void> References::resolve_all(const CompileAt& compile_at) {
  for (; !pending_.empty(); pending_.pop_front()) {
    const auto ref = pending_.front();
    CLEW_TRY(const auto* target, resolve(ref, compile_at));
    if (ref.dynamic)
      ref.logic->dynamic_ref->plain = target;
    else
      ref.logic->ref = target;
  }
  add_candidates();
  return {};
}

Result<const Node*> References::resolve(const PendingRef& ref, const CompileAt& compile_at) {
  const std::string_view text = ref.text;
  const auto hash = text.find('#');
  CLEW_TRY(const auto resource, find_resource(ref, text.substr(0, hash)));
  const auto fragment =
      percent_decoded(hash == std::string_view::npos ? "" : text.substr(hash + 1));
  if (!fragment) return leads_nowhere(ref);
  if (fragment->empty()) return resources_[resource].node;
  if (fragment->starts_with('/')) return follow_pointer(ref, resource, *fragment, compile_at);

  const auto& home = resources_[resource];
  const auto found = home.anchors.find(*fragment);
  if (found == home.anchors.end()) return leads_nowhere(ref);
  if (ref.dynamic && home.dynamic_anchors.contains(*fragment)) {
    dynamic_.emplace_back(ref.logic->dynamic_ref.get(), *fragment);
  }
  return found->second;
}

Result<std::uint32_t> References::find_resource(const PendingRef& ref, std::string_view uri) const {
  if (uri.empty()) return ref.resource;
  const auto full = resolve_uri(resources_[ref.resource].uri, uri);
  if (const auto found = by_uri_.find(full); found != by_uri_.end()) return found->second;
  return error(Code::unsupported, "{}: \"{}\" refers to another document, which is not supported",
               ref.path, ref.text)
      .with("path", ref.path)
      .with("value", ref.text);
}

Result<const Node*> References::follow_pointer(const PendingRef& ref, std::uint32_t resource,
                                               std::string_view pointer,
                                               const CompileAt& compile_at) {
  const auto steps = pointer_steps(pointer);
  if (!steps) return leads_nowhere(ref);
  const Value* at = resources_[resource].root;
  for (std::size_t i = 0; i < steps->size(); ++i) {
    // Going through a schema with an $id changes what the schemas below it are relative to.
    if (const auto own = by_root_.find(at); i > 0 && own != by_root_.end()) resource = own->second;
    at = step_into(*at, (*steps)[i]);
    if (at == nullptr) return leads_nowhere(ref);
  }
  return compile_at(*at, resource, ref.path);
}

void References::add_candidates() {
  for (const auto& [ref, name] : dynamic_) {
    for (std::uint32_t i = 0; i < resources_.size(); ++i) {
      const auto found = resources_[i].dynamic_anchors.find(name);
      if (found != resources_[i].dynamic_anchors.end())
        ref->candidates.emplace_back(i, found->second);
    }
  }
}

Result<void> refuse_endless_refs(const Program& program, std::string_view path) {
  // Depth first with a stack of our own: chains of references can be longer than the real one.
  enum class Mark : std::uint8_t { fresh, open, done };
  struct Visit {
    const Node* node;
    std::vector<const Node*> next;
  };
  std::unordered_map<const Node*, Mark> marks;
  for (const auto& start : program.nodes) {
    if (marks[start.get()] != Mark::fresh) continue;
    std::vector<Visit> open;
    const auto enter = [&](const Node* node) {
      marks[node] = Mark::open;
      open.push_back({node, same_instance(*node)});
    };
    enter(start.get());
    while (!open.empty()) {
      if (open.back().next.empty()) {
        marks[open.back().node] = Mark::done;
        open.pop_back();
        continue;
      }
      const auto* next = open.back().next.back();
      open.back().next.pop_back();
      if (marks[next] == Mark::open) {
        return error(Code::invalid_input,
                     "{}: a chain of references leads back to its start for the same value, so "
                     "checking would never end",
                     path)
            .with("path", path);
      }
      if (marks[next] == Mark::fresh) enter(next);
    }
  }
  return {};
}

}  // namespace clew::schema
