// What one step says about itself.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/workflow/detail/check.hpp"

namespace clew::workflow::detail {
namespace {

constexpr std::array<std::string_view, 8> known_keys = {
    "call", "with", "for_each", "as", "concurrency", "after", "retry", "timeout"};
constexpr std::array<std::string_view, 5> retry_keys = {"attempts", "initial", "factor", "max",
                                                        "jitter"};
constexpr std::size_t name_chars_max = 64;
constexpr std::int64_t concurrency_max = 10'000;

bool is_step_name(std::string_view name) {
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto fits = [&](char c) {
    return is_lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= name_chars_max && is_lower(name[0]) &&
         std::ranges::all_of(name, fits);
}

// Reads the keys of one step. Confined.
class StepReader {
 public:
  StepReader(const Value& value, std::string_view path, Problems& problems)
      : value_(value), path_(path), problems_(problems) {}

  void read(Step& into) {
    problems_.check_keys(value_, path_, known_keys);
    read_call(into);
    read_with(into);
    read_for_each(into);
    read_as(into);
    read_concurrency(into);
    read_retry(into);
    read_timeout(into);
  }

 private:
  std::string at(std::string_view key) const { return join_path(path_, key); }

  void read_call(Step& into) {
    constexpr std::string_view expected = "a capability such as \"text.words@^1\"";
    const Value* call = value_.find("call");
    if (call == nullptr) {
      return problems_.add(at("call"), fmt::format("\"call\" is missing; expected {}", expected));
    }
    if (!call->is_string()) return problems_.add(at("call"), *call, expected);
    into.call_text = call->as_string();
    auto reference = Reference::parse(into.call_text, at("call"));
    if (!reference) return problems_.add(reference.error(), at("call"));
    into.call = std::move(reference).value();
  }

  std::shared_ptr<const expr::Template> compile(const Value& value, std::string_view key) {
    std::vector<Error> errors;
    auto compiled = expr::Template::compile(value, at(key), errors);
    for (const auto& error : errors) problems_.add(error, at(key));
    return compiled;
  }

  void read_with(Step& into) {
    constexpr std::string_view expected =
        "a mapping of input names to values, or one {{ … }} that gives it";
    const Value* with = value_.find("with");
    if (with != nullptr && !with->is_object() && !with->is_string()) {
      return problems_.add(at("with"), *with, expected);
    }
    into.with = compile(with != nullptr ? *with : Value::object({}), "with");
    if (into.with != nullptr && with != nullptr && with->is_string() &&
        !into.with->is_expression()) {
      problems_.add(at("with"), *with, expected);
    }
  }

  void read_for_each(Step& into) {
    constexpr std::string_view expected = "a list, or one {{ … }} that gives a list";
    const Value* list = value_.find("for_each");
    if (list == nullptr) return;
    if (!list->is_array() && !list->is_string()) {
      return problems_.add(at("for_each"), *list, expected);
    }
    into.for_each = compile(*list, "for_each");
    if (into.for_each != nullptr && list->is_string() && !into.for_each->is_expression()) {
      problems_.add(at("for_each"), *list, expected);
    }
  }

  // The value of a key that means something only beside for_each; null when absent.
  const Value* find_beside_for_each(std::string_view key) {
    const Value* value = value_.find(key);
    if (value == nullptr || value_.find("for_each") != nullptr) return value;
    problems_.add(at(key), fmt::format("\"{}\" belongs to a \"for_each\", and there is none", key));
    return nullptr;
  }

  void read_as(Step& into) {
    constexpr std::string_view expected = "a name of letters, digits and \"_\"";
    const Value* as = find_beside_for_each("as");
    if (as == nullptr) return;
    if (!as->is_string() || !expr::is_root_name(as->as_string())) {
      return problems_.add(at("as"), *as, expected);
    }
    if (as->as_string() == "input" || as->as_string() == "steps") {
      return problems_.add(at("as"), *as, "another name: this one would hide the run's own");
    }
    into.as = as->as_string();
  }

  void read_concurrency(Step& into) {
    const Value* value = find_beside_for_each("concurrency");
    if (value == nullptr) return;
    if (!value->is_int() || value->as_int() < 1 || value->as_int() > concurrency_max) {
      return problems_.add(at("concurrency"), *value,
                           fmt::format("an integer from 1 to {}", concurrency_max));
    }
    into.concurrency = static_cast<int>(value->as_int());
  }

  void read_retry(Step& into) {
    const Value* retry = value_.find("retry");
    if (retry == nullptr) return;
    if (!retry->is_object()) {
      return problems_.add(at("retry"), *retry, "a mapping such as {attempts: 3, initial: 1s}");
    }
    problems_.check_keys(*retry, at("retry"), retry_keys);
    for (const auto& [key, value] : retry->members()) {
      if (std::ranges::find(retry_keys, key) == retry_keys.end()) continue;
      // One by one, so that each that is wrong is reported.
      auto alone = RetryPolicy::from_value(Value::object({{key, value}}), at("retry"));
      if (!alone) problems_.add(alone.error(), join_path(at("retry"), key));
    }
    auto whole = RetryPolicy::from_value(*retry, at("retry"));
    if (whole) into.retry = std::move(whole).value();
  }

  void read_timeout(Step& into) {
    const Value* value = value_.find("timeout");
    if (value == nullptr) return;
    auto timeout = to_duration(*value, at("timeout"));
    if (!timeout) return problems_.add(timeout.error(), at("timeout"));
    if (*timeout <= Duration(0)) {
      return problems_.add(at("timeout"), *value, "a duration above zero");
    }
    into.timeout = *timeout;
  }

  const Value& value_;
  std::string_view path_;
  Problems& problems_;
};

}  // namespace

Step read_step(std::string_view name, const Value& value, std::string_view path,
               Problems& problems) {
  Step step;
  step.name = name;
  if (!is_step_name(name)) {
    problems.add(path, Value(name),
                 "a step's name: a letter a-z, then at most 63 of a-z, 0-9, \"_\" and \"-\"");
  }
  if (!value.is_object()) {
    problems.add(path, value, "a mapping with the key call");
    return step;
  }
  StepReader(value, path, problems).read(step);
  return step;
}

}  // namespace clew::workflow::detail
