#include "clew/expr/detail/syntax.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "clew/base/json.hpp"
#include "clew/expr/detail/lexer.hpp"

namespace clew::expr::detail {
namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::end:
      return "the end";
    case Token::Kind::string:
      return fmt::format("the string {}", preview(Value(token.text), 40));
    case Token::Kind::name:
    case Token::Kind::integer:
    case Token::Kind::real:
    case Token::Kind::symbol:
      break;
  }
  return preview(Value(token.text), 40);
}

bool is_selection(const Node& node) {
  return node.kind == Node::Kind::member || node.kind == Node::Kind::index;
}

// Reads by recursive descent, one token ahead; each function reads what binds at least as tightly
// as its name says and gives the node that it has become. Confined.
class Parser {
 public:
  Parser(std::string_view text, std::size_t from) : text_(text), lexer_(text, from) {}

  Result<Tree> run() {
    CLEW_TRY(advance());
    CLEW_TRY(read_either());
    if (token_.kind != Token::Kind::end) return unexpected(expected_after());
    return std::move(tree_);
  }

 private:
  Result<void> advance() {
    CLEW_TRY(token_, lexer_.next());
    return {};
  }

  Error unexpected(std::string_view expected) const {
    return syntax_error(text_, token_.offset,
                        fmt::format("expected {}, got {}", expected, describe(token_)));
  }
  std::string_view expected_after() const {
    if (token_.is("-")) return "\".\" or \"[\" (a name with \"-\" goes in [\"…\"])";
    const auto kind = tree_.nodes.back().kind;
    const bool may_select = kind == Node::Kind::name || is_selection(tree_.nodes.back());
    return may_select ? "\".\", \"[\", an operator or the end" : "an operator or the end";
  }

  Result<int> read_either() {
    CLEW_TRY(int left, read_both());
    while (token_.is("||")) {
      CLEW_TRY(advance());
      CLEW_TRY(const int right, read_both());
      CLEW_TRY(left, push({.kind = Node::Kind::either, .operand = left, .right = right}));
    }
    return left;
  }

  Result<int> read_both() {
    CLEW_TRY(int left, read_comparison());
    while (token_.is("&&")) {
      CLEW_TRY(advance());
      CLEW_TRY(const int right, read_comparison());
      CLEW_TRY(left, push({.kind = Node::Kind::both, .operand = left, .right = right}));
    }
    return left;
  }

  bool at_comparison() const {
    constexpr std::array<std::string_view, 6> words = {"==", "!=", "<", "<=", ">", ">="};
    return std::ranges::any_of(words, [this](std::string_view word) { return token_.is(word); });
  }

  Result<int> read_comparison() {
    CLEW_TRY(const int left, read_negation());
    if (!at_comparison()) return left;
    auto word = token_.text;
    CLEW_TRY(advance());
    CLEW_TRY(const int right, read_negation());
    if (at_comparison()) return unexpected("&&, || or the end (comparisons form no chain)");
    return push(
        {.kind = Node::Kind::compare, .operand = left, .text = std::move(word), .right = right});
  }

  // Recursion here and in read_operand() is what nesting costs: it has its bound.
  Result<int> read_negation() {
    if (!token_.is("!")) return read_operand();
    CLEW_TRY(enter());
    CLEW_TRY(advance());
    CLEW_TRY(const int operand, read_negation());
    --nested_;
    return push({.kind = Node::Kind::negate, .operand = operand});
  }

  Result<int> read_operand() {
    if (token_.is("(")) {
      CLEW_TRY(enter());
      CLEW_TRY(advance());
      CLEW_TRY(const int inner, read_either());
      if (!token_.is(")")) return unexpected("an operator or \")\"");
      --nested_;
      CLEW_TRY(advance());
      return inner;
    }
    if (auto literal = read_literal()) {
      CLEW_TRY(advance());
      return push({.kind = Node::Kind::literal, .value = *std::move(literal)});
    }
    return read_reference();
  }

  // What the token stands for when it is a value.
  std::optional<Value> read_literal() const {
    switch (token_.kind) {
      case Token::Kind::string:
        return Value(token_.text);
      case Token::Kind::integer:
        return Value(token_.integer);
      case Token::Kind::real:
        return Value(token_.real);
      case Token::Kind::name:
        if (token_.text == "true") return Value(true);
        if (token_.text == "false") return Value(false);
        if (token_.text == "null") return Value();
        break;
      case Token::Kind::symbol:
      case Token::Kind::end:
        break;
    }
    return std::nullopt;
  }

  Result<int> read_reference() {
    if (token_.kind != Token::Kind::name || is_reserved(token_.text)) {
      return unexpected("a name such as input or steps, or a value");
    }
    CLEW_TRY(int at, push({.kind = Node::Kind::name, .text = token_.text}));
    CLEW_TRY(advance());
    while (token_.is(".") || token_.is("[")) {
      CLEW_TRY(at, token_.is(".") ? read_member(at) : read_index(at));
    }
    return at;
  }

  Result<int> read_member(int of) {
    const auto offset = token_.offset;
    CLEW_TRY(advance());
    if (token_.kind != Token::Kind::name || is_keyword(token_.text)) {
      return unexpected("a member's name (any other goes in [\"…\"])");
    }
    CLEW_TRY(const int at,
             push({.kind = Node::Kind::member, .operand = of, .text = token_.text}, offset));
    CLEW_TRY(advance());
    return at;
  }

  Result<int> read_index(int of) {
    const auto offset = token_.offset;
    CLEW_TRY(advance());
    Node node{.operand = of};
    if (token_.kind == Token::Kind::string) {
      node.kind = Node::Kind::member;
      node.text = token_.text;
    } else if (token_.kind == Token::Kind::integer) {
      node.kind = Node::Kind::index;
      node.index = token_.integer;
    } else if (token_.is("-")) {
      return syntax_error(text_, token_.offset, "an index counts from 0 and is never negative");
    } else {
      return unexpected("an index such as 0 or \"name\"");
    }
    CLEW_TRY(const int at, push(std::move(node), offset));
    CLEW_TRY(advance());
    if (!token_.is("]")) return unexpected("\"]\"");
    CLEW_TRY(advance());
    return at;
  }

  Error too_deep(std::size_t offset) const {
    return syntax_error(text_, offset, fmt::format("nests deeper than {}", Expression::depth_max));
  }

  Result<void> enter() {
    if (++nested_ > Expression::depth_max) return too_deep(token_.offset);
    return {};
  }

  Result<int> push(Node node, std::optional<std::size_t> offset = {}) {
    for (const int operand : {node.operand, node.right}) {
      if (operand < 0) continue;
      node.depth = std::max(node.depth, tree_.nodes[static_cast<std::size_t>(operand)].depth + 1);
    }
    if (node.depth > Expression::depth_max) return too_deep(offset.value_or(token_.offset));
    tree_.nodes.push_back(std::move(node));
    return static_cast<int>(tree_.nodes.size()) - 1;
  }

  std::string_view text_;
  Lexer lexer_;
  Token token_;
  Tree tree_;
  int nested_ = 0;
};

std::string reference_text(const Tree& tree, int node) {
  std::vector<const Node*> parts;
  for (; node >= 0; node = tree.nodes[static_cast<std::size_t>(node)].operand) {
    parts.push_back(&tree.nodes[static_cast<std::size_t>(node)]);
  }
  std::string path;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if ((*part)->kind == Node::Kind::index) {
      append_path_index(path, static_cast<std::size_t>((*part)->index));
    } else {
      append_path_key(path, (*part)->text);
    }
  }
  return path;
}

}  // namespace

Result<Tree> parse(std::string_view text, std::size_t from, std::size_t to) {
  return Parser(text.substr(0, to), from).run();
}

Result<std::size_t> find_end(std::string_view text, std::size_t open, std::size_t from) {
  Lexer lexer(text, from);
  std::size_t depth = 0;
  while (true) {
    const auto at = lexer.skip_space();
    if (depth == 0 && text.substr(at).starts_with("}}")) return at;
    CLEW_TRY(const auto token, lexer.next());
    if (token.kind == Token::Kind::end) {
      return syntax_error(text, open, "\"{{\" without its \"}}\"");
    }
    if (token.is("{")) ++depth;
    if (token.is("}") && depth > 0) --depth;
  }
}

std::string text_of(const Tree& tree, int node) {
  const Node& own = tree.nodes[static_cast<std::size_t>(node)];
  const auto side = [&](int operand) {
    const auto kind = tree.nodes[static_cast<std::size_t>(operand)].kind;
    const bool binds = kind <= Node::Kind::literal || kind == Node::Kind::negate;
    return binds ? text_of(tree, operand) : fmt::format("({})", text_of(tree, operand));
  };
  switch (own.kind) {
    case Node::Kind::name:
    case Node::Kind::member:
    case Node::Kind::index:
      return reference_text(tree, node);
    case Node::Kind::literal:
      return preview(own.value, 40);
    case Node::Kind::compare:
      return fmt::format("{} {} {}", side(own.operand), own.text, side(own.right));
    case Node::Kind::both:
      return fmt::format("{} && {}", side(own.operand), side(own.right));
    case Node::Kind::either:
      return fmt::format("{} || {}", side(own.operand), side(own.right));
    case Node::Kind::negate:
      return "!" + side(own.operand);
  }
  return {};
}

}  // namespace clew::expr::detail
