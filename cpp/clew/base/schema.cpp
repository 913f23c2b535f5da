#include "clew/base/schema.hpp"

#include <utility>

#include "clew/base/check.hpp"
#include "clew/base/detail/schema_program.hpp"
#include "clew/base/error.hpp"
#include "clew/base/json.hpp"

namespace clew {
namespace {

class CompiledSchema final : public Schema {
 public:
  explicit CompiledSchema(std::unique_ptr<const schema::Program> program)
      : program_(std::move(program)) {}

  bool accepts_everything() const override { return program_->root->accepts_everything(); }
  bool is_valid(const Value& instance) const override {
    return schema::run_program(*program_, instance, nullptr, 0);
  }
  std::vector<SchemaProblem> problems(const Value& instance, int limit) const override {
    CLEW_CHECK(limit > 0);
    std::vector<SchemaProblem> found;
    if (is_valid(instance)) return found;
    schema::run_program(*program_, instance, &found, static_cast<std::size_t>(limit));
    return found;
  }
  const Value& document() const override { return program_->document; }

 private:
  std::unique_ptr<const schema::Program> program_;
};

std::string joined(std::string_view root, const std::string& path) {
  std::string out(root);
  if (!out.empty() && !path.empty() && !path.starts_with('[')) out += '.';
  return out + path;
}

bool is_absence(const SchemaProblem& problem) {
  return problem.keyword == "required" || problem.keyword == "dependentRequired";
}

Value described(const SchemaProblem& problem, std::string_view root) {
  return Value::object(
      {{"path", joined(root, problem.path)},
       {"keyword", problem.keyword},
       {"expected", problem.expected},
       {"value", is_absence(problem) ? Value("missing") : Value(preview(problem.value))}});
}

}  // namespace

Result<std::shared_ptr<const Schema>> Schema::compile(const Value& schema, std::string_view path) {
  CLEW_TRY(auto program, schema::compile_program(schema, path));
  return std::shared_ptr<const Schema>(std::make_shared<CompiledSchema>(std::move(program)));
}

Result<void> Schema::check(const Value& instance, std::string_view root) const {
  if (is_valid(instance)) return {};
  const auto found = problems(instance);
  CLEW_CHECK(!found.empty());
  const auto& first = found.front();
  const auto path = joined(root, first.path);
  auto problem =
      is_absence(first)
          ? error(Code::invalid_input, "{}: expected {}, but it is missing", path, first.expected)
                .with("path", path)
                .with("expected", first.expected)
          : invalid_input(path, first.value, first.expected);
  problem = problem.with("keyword", first.keyword);
  if (found.size() == 1) return problem;
  std::vector<Value> all;
  for (const auto& each : found) all.push_back(described(each, root));
  return problem.with("problems", Value::array(std::move(all)));
}

}  // namespace clew
