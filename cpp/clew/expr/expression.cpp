// Compiles references and evaluates them.
#include <span>
#include <utility>

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

class Reference final : public Expression {
 public:
  Reference(std::string text, Tree tree) : text_(std::move(text)), tree_(std::move(tree)) {
    std::vector<std::string> parts;
    for (const auto& node : tree_.nodes) {
      if (node.kind == Node::Kind::index) break;
      parts.push_back(node.text);
    }
    references_.push_back(std::move(parts));
  }

  Result<Value> evaluate(const Scope& scope) const override {
    return evaluate(static_cast<int>(tree_.nodes.size()) - 1, scope);
  }
  const std::vector<std::vector<std::string>>& references() const override { return references_; }
  const std::string& text() const override { return text_; }

 private:
  // Recursion is bounded by Expression::depth_max.
  Result<Value> evaluate(int at, const Scope& scope) const {
    const Node& node = tree_.nodes[static_cast<std::size_t>(at)];
    if (node.kind == Node::Kind::name) {
      const Value* found = scope(node.text);
      if (found != nullptr) return *found;
      return error(Code::invalid_input, "{}: there is no such name", node.text)
          .with("path", node.text);
    }
    CLEW_TRY(const auto operand, evaluate(node.operand, scope));
    return node.kind == Node::Kind::member ? member(at, operand) : element(at, operand);
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
    const auto path = detail::path_of(tree_, at);
    const auto inside = detail::path_of(tree_, tree_.nodes[static_cast<std::size_t>(at)].operand);
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
  written.remove_prefix(written.find_first_not_of(space));  // parse() found a name
  written.remove_suffix(written.size() - 1 - written.find_last_not_of(space));
  return std::make_shared<const Reference>(std::string(written), std::move(tree));
}

}  // namespace clew::expr
