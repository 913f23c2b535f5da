// Compiles expressions and evaluates them.
#include <algorithm>
#include <utility>

#include "clew/base/compare.hpp"
#include "clew/base/json.hpp"
#include "clew/base/text.hpp"
#include "clew/expr/detail/lexer.hpp"
#include "clew/expr/detail/syntax.hpp"
#include "clew/expr/expr.hpp"

namespace clew::expr {
namespace {

using detail::Node;
using detail::Tree;

constexpr std::size_t suggestion_keys_max = 1000;  // of a large object only the first are compared

std::string nearest_key(std::string_view key, const Value& object) {
  std::vector<std::string_view> keys;
  for (const auto& member : object.members()) {
    if (keys.size() == suggestion_keys_max) break;
    keys.emplace_back(member.key);
  }
  return std::string(nearest(key, keys));
}

// The names from the root of the reference that ends at `node`, up to its first index.
std::vector<std::string> parts_of(const Tree& tree, int node) {
  std::vector<std::string> parts;
  for (; node >= 0; node = tree.nodes[static_cast<std::size_t>(node)].operand) {
    const Node& part = tree.nodes[static_cast<std::size_t>(node)];
    if (part.kind == Node::Kind::index) {
      parts.clear();
    } else {
      parts.push_back(part.text);
    }
  }
  std::ranges::reverse(parts);
  return parts;
}

std::vector<std::vector<std::string>> references_of(const Tree& tree) {
  std::vector<std::vector<std::string>> references;
  for (std::size_t i = 0; i < tree.nodes.size(); ++i) {
    if (tree.nodes[i].kind > Node::Kind::index) continue;
    // Selections follow at once on what they select from.
    const bool goes_on = i + 1 < tree.nodes.size() && tree.nodes[i + 1].kind <= Node::Kind::index &&
                         tree.nodes[i + 1].operand == static_cast<int>(i);
    if (!goes_on) references.push_back(parts_of(tree, static_cast<int>(i)));
  }
  return references;
}

bool holds(std::string_view comparison, std::strong_ordering order) {
  if (comparison == "<") return order < 0;
  if (comparison == "<=") return order <= 0;
  return comparison == ">" ? order > 0 : order >= 0;
}

class Compiled final : public Expression {
 public:
  Compiled(std::string text, Tree tree)
      : text_(std::move(text)), tree_(std::move(tree)), references_(references_of(tree_)) {}

  Result<Value> evaluate(const Scope& scope) const override {
    return evaluate(static_cast<int>(tree_.nodes.size()) - 1, scope);
  }
  const std::vector<std::vector<std::string>>& references() const override { return references_; }
  const std::string& text() const override { return text_; }

 private:
  // Recursion is bounded by Expression::depth_max, and each node is looked at once.
  Result<Value> evaluate(int at, const Scope& scope) const {
    const Node& node = tree_.nodes[static_cast<std::size_t>(at)];
    switch (node.kind) {
      case Node::Kind::name:
        return look_up(node, scope);
      case Node::Kind::literal:
        return node.value;
      case Node::Kind::compare:
        return compare(at, scope);
      case Node::Kind::both:
      case Node::Kind::either:
        return combine(at, scope);
      case Node::Kind::negate: {
        CLEW_TRY(const bool inner, truth(at, node.operand, scope));
        return Value(!inner);
      }
      case Node::Kind::member:
      case Node::Kind::index:
        break;
    }
    CLEW_TRY(const auto operand, evaluate(node.operand, scope));
    return node.kind == Node::Kind::member ? member(at, operand) : element(at, operand);
  }

  static Result<Value> look_up(const Node& node, const Scope& scope) {
    const Value* found = scope(node.text);
    if (found != nullptr) return *found;
    return error(Code::invalid_input, "{}: there is no such name", node.text)
        .with("path", node.text);
  }

  Result<Value> compare(int at, const Scope& scope) const {
    const Node& node = tree_.nodes[static_cast<std::size_t>(at)];
    CLEW_TRY(const auto left, evaluate(node.operand, scope));
    CLEW_TRY(const auto right, evaluate(node.right, scope));
    if (node.text == "==") return Value(same_value(left, right));
    if (node.text == "!=") return Value(!same_value(left, right));
    if (left.is_number() && right.is_number()) {
      return Value(holds(node.text, compare_numbers(left, right)));
    }
    if (left.is_string() && right.is_string()) {
      return Value(holds(node.text, left.as_string() <=> right.as_string()));
    }
    const bool is_left = !left.is_number() && !left.is_string();
    return unfit(at, is_left ? node.operand : node.right, is_left ? left : right,
                 is_left ? "a number or a text" : name_of_kind(left));
  }

  static std::string_view name_of_kind(const Value& left) {
    return left.is_number() ? "a number" : "a text";
  }

  Result<Value> combine(int at, const Scope& scope) const {
    const Node& node = tree_.nodes[static_cast<std::size_t>(at)];
    CLEW_TRY(const bool left, truth(at, node.operand, scope));
    if (left == (node.kind == Node::Kind::either)) return Value(left);
    CLEW_TRY(const bool right, truth(at, node.right, scope));
    return Value(right);
  }

  Result<bool> truth(int at, int operand, const Scope& scope) const {
    CLEW_TRY(const auto value, evaluate(operand, scope));
    if (value.is_bool()) return value.as_bool();
    return unfit(at, operand, value, "true or false");
  }

  // The error of an operand that its operator cannot take.
  Error unfit(int at, int operand, const Value& value, std::string_view expected) const {
    const auto path = detail::text_of(tree_, operand);
    const auto shown = preview(value);
    return error(Code::invalid_input, "{}: expected {} in {}, got {}", path, expected,
                 detail::text_of(tree_, at), shown)
        .with("path", path)
        .with("value", shown);
  }

  Result<Value> member(int at, const Value& object) const {
    const auto& key = tree_.nodes[static_cast<std::size_t>(at)].text;
    if (const Value* found = object.find(key)) return *found;
    if (!object.is_object()) {
      return refuse(at, object, fmt::format("expected an object with member \"{}\"", key));
    }
    const auto near = nearest_key(key, object);
    if (near.empty()) return refuse(at, object, fmt::format("no member \"{}\"", key));
    return refuse(at, object, fmt::format("no member \"{}\" (did you mean \"{}\"?)", key, near))
        .with("suggestion", near);
  }

  Result<Value> element(int at, const Value& array) const {
    const auto index = tree_.nodes[static_cast<std::size_t>(at)].index;
    if (!array.is_array()) return refuse(at, array, "expected an array");
    if (std::cmp_less(index, array.size())) return array.items()[static_cast<std::size_t>(index)];
    return refuse(at, array, fmt::format("no element {} among {}", index, array.size()));
  }

  // The error of the operation `at` on `operand`.
  Error refuse(int at, const Value& operand, std::string_view message) const {
    const auto path = detail::text_of(tree_, at);
    const auto inside = detail::text_of(tree_, tree_.nodes[static_cast<std::size_t>(at)].operand);
    const auto shown = preview(operand);
    return error(Code::invalid_input, "{}: {} in {}, which is {}", path, message, inside, shown)
        .with("path", path)
        .with("value", shown);
  }

  std::string text_;
  Tree tree_;
  std::vector<std::vector<std::string>> references_;
};

}  // namespace

bool is_root_name(std::string_view word) {
  return detail::is_identifier(word) && !detail::is_reserved(word);
}

Result<std::shared_ptr<const Expression>> Expression::compile(std::string_view text) {
  return detail::compile_part(text, 0, text.size());
}

Result<std::shared_ptr<const Expression>> detail::compile_part(std::string_view text,
                                                               std::size_t from, std::size_t to) {
  CLEW_TRY(auto tree, parse(text, from, to));
  auto written = text.substr(from, to - from);
  constexpr std::string_view space = " \t\n\r\f";
  written.remove_prefix(written.find_first_not_of(space));  // parse() found something
  written.remove_suffix(written.size() - 1 - written.find_last_not_of(space));
  return std::make_shared<const Compiled>(std::string(written), std::move(tree));
}

}  // namespace clew::expr
