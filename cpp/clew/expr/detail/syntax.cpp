#include "clew/expr/detail/syntax.hpp"

#include <algorithm>
#include <array>

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

// Reads by recursive descent, one token ahead. Confined.
class Parser {
 public:
  Parser(std::string_view text, std::size_t from) : text_(text), lexer_(text, from) {}

  Result<Tree> run() {
    CLEW_TRY(advance());
    CLEW_TRY(read_name());
    while (token_.kind != Token::Kind::end) CLEW_TRY(read_selection());
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

  Result<void> read_name() {
    if (token_.kind != Token::Kind::name || is_reserved(token_.text)) {
      return unexpected("a name such as input or steps");
    }
    tree_.nodes.push_back({.kind = Node::Kind::name, .operand = -1, .text = token_.text});
    return advance();
  }

  Result<void> read_selection() {
    if (tree_.nodes.size() == Expression::depth_max) {
      return syntax_error(text_, token_.offset,
                          fmt::format("nests deeper than {}", Expression::depth_max));
    }
    if (token_.is(".")) return read_member();
    if (token_.is("[")) return read_index();
    if (token_.is("-")) return unexpected("\".\" or \"[\" (a name with \"-\" goes in [\"…\"])");
    return unexpected("\".\", \"[\" or the end");
  }

  Result<void> read_member() {
    CLEW_TRY(advance());
    if (token_.kind != Token::Kind::name || is_keyword(token_.text)) {
      return unexpected("a member's name (any other goes in [\"…\"])");
    }
    push({.kind = Node::Kind::member, .operand = -1, .text = token_.text});
    return advance();
  }

  Result<void> read_index() {
    CLEW_TRY(advance());
    if (token_.kind == Token::Kind::string) {
      push({.kind = Node::Kind::member, .operand = -1, .text = token_.text});
    } else if (token_.kind == Token::Kind::integer) {
      push({.kind = Node::Kind::index, .operand = -1, .text = {}, .index = token_.integer});
    } else if (token_.is("-")) {
      return syntax_error(text_, token_.offset, "an index counts from 0 and is never negative");
    } else {
      return unexpected("an index such as 0 or \"name\"");
    }
    CLEW_TRY(advance());
    if (!token_.is("]")) return unexpected("\"]\"");
    return advance();
  }

  // Adds an operation on what was read so far.
  void push(Node node) {
    node.operand = static_cast<int>(tree_.nodes.size()) - 1;
    tree_.nodes.push_back(std::move(node));
  }

  std::string_view text_;
  Lexer lexer_;
  Token token_;
  Tree tree_;
};

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

std::string path_of(const Tree& tree, int node) {
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

}  // namespace clew::expr::detail
