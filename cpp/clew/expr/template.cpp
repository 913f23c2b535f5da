// Values in which strings hold expressions.
#include <algorithm>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/expr/detail/syntax.hpp"
#include "clew/expr/expr.hpp"

namespace clew::expr {
namespace {

using ExpressionPtr = std::shared_ptr<const Expression>;

// A part of a mixed text: what stands before an expression, and the expression, if any.
struct Piece {
  std::string before;
  ExpressionPtr expression;
};

// What a part of the value becomes. Parts without expressions are kept as they are.
struct Part {
  enum class Kind : std::uint8_t { constant, expression, text, array, object };
  Kind kind = Kind::constant;
  Value constant = {};
  std::vector<Piece> pieces = {};      // one of an expression, any number of a text
  std::vector<std::string> keys = {};  // of an object
  std::vector<Part> children = {};
  std::string path = {};  // of an expression or text
};

Error too_deep(std::string_view path) {
  return error(Code::invalid_input, "{}: the result nests deeper than {}", path, Value::depth_max)
      .with("path", path);
}

class Compiled final : public Template {
 public:
  Compiled(Part root, std::vector<Use> uses, std::string path)
      : root_(std::move(root)), uses_(std::move(uses)), path_(std::move(path)) {}

  Result<Value> render(const Scope& scope) const override {
    CLEW_TRY(auto value, render(root_, scope));
    if (value.depth() > Value::depth_max) return too_deep(path_);
    return value;
  }
  bool is_expression() const override { return root_.kind == Part::Kind::expression; }
  const std::vector<Use>& uses() const override { return uses_; }

 private:
  // Recursion is bounded by Value::depth_limit.
  Result<Value> render(const Part& part, const Scope& scope) const {
    switch (part.kind) {
      case Part::Kind::constant:
        return part.constant;
      case Part::Kind::expression:
        return evaluate(*part.pieces[0].expression, part, scope);
      case Part::Kind::text:
        return render_text(part, scope);
      case Part::Kind::array: {
        CLEW_TRY(auto items, render_children(part, scope));
        return Value::array(std::move(items));
      }
      case Part::Kind::object: {
        CLEW_TRY(auto values, render_children(part, scope));
        std::vector<Member> members;
        members.reserve(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
          members.push_back({part.keys[i], std::move(values[i])});
        }
        return Value::object(std::move(members));
      }
    }
    return Value();
  }

  Result<std::vector<Value>> render_children(const Part& part, const Scope& scope) const {
    std::vector<Value> values;
    values.reserve(part.children.size());
    for (const auto& child : part.children) {
      CLEW_TRY(auto value, render(child, scope));
      // Refused before it is wrapped: beyond Value::depth_limit no value can be made.
      if (value.depth() >= Value::depth_max) return too_deep(path_);
      values.push_back(std::move(value));
    }
    return values;
  }

  static Result<Value> render_text(const Part& part, const Scope& scope) {
    std::string out;
    for (const auto& piece : part.pieces) {
      out += piece.before;
      if (piece.expression == nullptr) continue;
      CLEW_TRY(const auto value, evaluate(*piece.expression, part, scope));
      if (value.is_string()) {
        out += value.as_string();
      } else {
        append_json(out, value);
      }
    }
    return Value(out);
  }

  static Result<Value> evaluate(const Expression& expression, const Part& part,
                                const Scope& scope) {
    auto value = expression.evaluate(scope);
    if (!value) return value.error().with("template", part.path);
    return value;
  }

  Part root_;
  std::vector<Use> uses_;
  std::string path_;
};

// Turns a value into parts, noting all expressions and problems in the order of the value.
class Compiler {
 public:
  explicit Compiler(std::vector<Error>& problems) : problems_(problems) {}

  Part compile(const Value& value, const std::string& path) {
    switch (value.kind()) {
      case Value::Kind::null:
      case Value::Kind::boolean:
      case Value::Kind::integer:
      case Value::Kind::real:
        return {.constant = value};
      case Value::Kind::string:
        return compile_text(value, path);
      case Value::Kind::array:
        return compile_array(value, path);
      case Value::Kind::object:
        return compile_object(value, path);
    }
    return {};
  }

  std::vector<Template::Use> take_uses() { return std::move(uses_); }

 private:
  static bool is_constant(const Part& part) { return part.kind == Part::Kind::constant; }

  Part compile_array(const Value& value, const std::string& path) {
    Part part{.kind = Part::Kind::array};
    for (const auto& item : value.items()) {
      auto below = path;
      append_path_index(below, part.children.size());
      part.children.push_back(compile(item, below));
    }
    return settle(std::move(part));
  }

  Part compile_object(const Value& value, const std::string& path) {
    Part part{.kind = Part::Kind::object};
    for (const auto& [key, item] : value.members()) {
      auto below = path;
      append_path_key(below, key);
      part.keys.push_back(key);
      part.children.push_back(compile(item, below));
    }
    return settle(std::move(part));
  }

  // An array or object of constants is one itself.
  static Part settle(Part part) {
    if (!std::ranges::all_of(part.children, is_constant)) return part;
    std::vector<Value> values;
    for (auto& child : part.children) values.push_back(std::move(child.constant));
    if (part.kind == Part::Kind::array) return {.constant = Value::array(std::move(values))};
    std::vector<Member> members;
    for (std::size_t i = 0; i < values.size(); ++i) {
      members.push_back({std::move(part.keys[i]), std::move(values[i])});
    }
    return {.constant = Value::object(std::move(members))};
  }

  Part compile_text(const Value& value, const std::string& path) {
    const auto text = value.as_string();
    if (text.find("{{") == std::string_view::npos) return {.constant = value};
    std::vector<Piece> pieces;
    if (auto split = split_text(text, pieces); !split) {
      problems_.push_back(at_path(split.error(), path));
      return {.constant = value};
    }
    for (const auto& piece : pieces) {
      if (piece.expression != nullptr) uses_.push_back({path, piece.expression});
    }
    if (pieces.size() == 1 && pieces[0].expression == nullptr)
      return {.constant = pieces[0].before};
    const bool whole = pieces.size() == 1 && pieces[0].before.empty();
    return {.kind = whole ? Part::Kind::expression : Part::Kind::text,
            .pieces = std::move(pieces),
            .path = path};
  }

  static Result<void> split_text(std::string_view text, std::vector<Piece>& pieces) {
    std::string before;
    std::size_t at = 0;
    while (true) {
      const auto open = text.find("{{", at);
      if (open == std::string_view::npos) break;
      std::size_t slashes = 0;
      while (open - slashes > at && text[open - slashes - 1] == '\\') ++slashes;
      before += text.substr(at, open - slashes - at);
      before.append(slashes / 2, '\\');
      if (slashes % 2 == 1) {
        before += "{{";
        at = open + 2;
        continue;
      }
      CLEW_TRY(const auto end, detail::find_end(text, open, open + 2));
      CLEW_TRY(auto expression, detail::compile_part(text, open + 2, end));
      pieces.push_back({std::exchange(before, {}), std::move(expression)});
      at = end + 2;
    }
    before += text.substr(at);
    if (!before.empty() || pieces.empty()) pieces.push_back({std::move(before), nullptr});
    return {};
  }

  static Error at_path(const Error& problem, std::string_view path) {
    Error placed = error(problem.code(), "{}: {}", path, problem.message()).with("path", path);
    for (const auto& [key, value] : problem.context()) placed = placed.with(key, value);
    return placed;
  }

  std::vector<Error>& problems_;
  std::vector<Template::Use> uses_;
};

}  // namespace

Result<std::shared_ptr<const Template>> Template::compile(const Value& value,
                                                          std::string_view path) {
  std::vector<Error> problems;
  auto compiled = compile(value, path, problems);
  if (compiled == nullptr) return problems.front();
  return compiled;
}

std::shared_ptr<const Template> Template::compile(const Value& value, std::string_view path,
                                                  std::vector<Error>& problems) {
  const auto before = problems.size();
  Compiler compiler(problems);
  auto root = compiler.compile(value, std::string(path));
  if (problems.size() > before) return nullptr;
  return std::make_shared<const Compiled>(std::move(root), compiler.take_uses(), std::string(path));
}

}  // namespace clew::expr
