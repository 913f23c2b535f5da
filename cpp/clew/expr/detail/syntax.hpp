// expr/detail/syntax.hpp: what an expression is made of, and how it is read from text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/expr/expr.hpp"

namespace clew::expr::detail {

// One operation. Operands are positions in the tree's `nodes`, always before their user.
struct Node {
  enum class Kind : std::uint8_t {
    name,     // `text` in the scope
    member,   // member `text` of `operand`
    index,    // element `index` of `operand`
    literal,  // `value`
    compare,  // `operand` with `right`, as `text` says
    both,     // `operand` && `right`
    either,   // `operand` || `right`
    negate,   // ! `operand`
  };
  Kind kind = Kind::name;
  int operand = -1;
  std::string text{};
  std::int64_t index = 0;
  int right = -1;
  Value value{};
  int depth = 1;  // of the tree that it is the root of
};

// A parsed expression: the last node is its root. A value.
struct Tree {
  std::vector<Node> nodes;
};

// `text` is read from byte `from` to `to`; columns in errors count from the beginning of `text`.
Result<Tree> parse(std::string_view text, std::size_t from, std::size_t to);

// Where the expression that begins at byte `from` ends: the offset of the "}}" that closes it.
// Error: there is none, at byte `open`; or what stands before it is no token.
Result<std::size_t> find_end(std::string_view text, std::size_t open, std::size_t from);

// How `node` is written: "steps.list.output[2]", "input.n >= 10".
std::string text_of(const Tree& tree, int node);

// As Expression::compile, for a part of a longer text.
Result<std::shared_ptr<const Expression>> compile_part(std::string_view text, std::size_t from,
                                                       std::size_t to);

}  // namespace clew::expr::detail
