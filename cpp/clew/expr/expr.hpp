// expr/expr.hpp: expressions and {{ }} templates. Read this first.
//
// The language is a subset of CEL: references, made of a name, .member, ["member"] and [index] with
// an index from 0; texts, numbers, true, false and null; the comparisons == != < <= > >=, and && ||
// ! and parentheses over their answers. Anything else is refused when compiled, with its position.
// A member that is no plain identifier is written in brackets: steps["my-step"].
//
// Numbers compare by what they are worth, exactly; texts by their bytes. Only two numbers or two
// texts have an order; == and != take any two values. && and || want booleans and look at their
// right side only when the left one does not decide: an error is never taken for false.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew::expr {

// What a root name such as `input` or `steps` stands for during one evaluation; nullptr when there
// is none of that name. The Value must outlive the evaluation.
using Scope = std::function<const Value*(std::string_view name)>;

// Whether `word` can be the first name of a reference: an identifier that CEL does not reserve.
bool is_root_name(std::string_view word);

// A compiled expression. Immutable, thread-safe, shared.
class Expression {
 public:
  // Nests at most this deep.
  static constexpr int depth_max = 128;

  // Error `invalid_input` with the `column` (in characters, from 1), what stands there and what was
  // expected.
  static Result<std::shared_ptr<const Expression>> compile(std::string_view text);
  virtual ~Expression() = default;
  // Errors: `invalid_input` naming the part of the path that is absent or of the wrong type, and
  // the value it was looked up in (an absent member is an error, never null); or the operand that
  // does not fit its operator.
  virtual Result<Value> evaluate(const Scope& scope) const = 0;
  // Each reference as its names from the root: {"steps", "list", "output", "files"}. An [index]
  // ends it, as would a part that is not constant. For checking definitions before anything runs.
  virtual const std::vector<std::vector<std::string>>& references() const = 0;
  virtual const std::string& text() const = 0;
};

// A value in which strings may hold {{ expression }}. Immutable, thread-safe, shared.
// A string that is exactly one {{ … }} becomes the expression's value and keeps its type; in mixed
// text, strings are inserted raw and other values as JSON. Keys of objects are never expanded, and
// text that came from data is never expanded again. The expression ends at the first }} that is not
// inside its strings or braces. Before a "{{", two backslashes stand for one, and a single one
// makes it literal: "\{{" is the text "{{".
class Template {
 public:
  // Compiles every string in `value`, however deep. Errors name the path below `path` and have a
  // `path` and `column`; this one returns the first,
  static Result<std::shared_ptr<const Template>> compile(const Value& value, std::string_view path);
  // and this one adds them all to `problems` and then returns null.
  static std::shared_ptr<const Template> compile(const Value& value, std::string_view path,
                                                 std::vector<Error>& problems);
  virtual ~Template() = default;
  // Errors: those of the expressions, with the place of the template as `template`, and
  // `invalid_input` when the result nests deeper than Value::depth_max. Shares what it inserts.
  virtual Result<Value> render(const Scope& scope) const = 0;
  // Whether all of it is one {{ … }}, so that it renders to a value of any kind.
  virtual bool is_expression() const = 0;

  struct Use {
    std::string path;  // where in the value
    std::shared_ptr<const Expression> expression;
  };
  virtual const std::vector<Use>& uses() const = 0;
};

}  // namespace clew::expr
