#include "clew/capability/contract.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

#include "clew/base/json.hpp"

namespace clew {
namespace {

// Collects every problem of a document, so that its author sees all of them at once.
class Problems {
 public:
  void add(const Error& error) {
    if (!first_) first_ = error;
    const auto text = [&](std::string_view key) {
      const Value* value = error.find(key);
      return value != nullptr ? *value : Value();
    };
    all_.push_back(Value::object({{"path", text("path")},
                                  {"value", text("value")},
                                  {"expected", text("expected")},
                                  {"message", Value(error.message())}}));
  }
  void add(std::string_view path, const Value& value, std::string_view expected) {
    add(invalid_input(path, value, expected));
  }
  template <typename T>
  void take(Result<T> result, T& into) {
    if (result) {
      into = std::move(result).value();
    } else {
      add(result.error());
    }
  }
  bool any() const { return first_.has_value(); }
  Error error() const { return first_->with("problems", Value::array(all_)); }

 private:
  std::optional<Error> first_;
  std::vector<Value> all_;
};

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

void check_strings(const Value& value, std::string_view path, Problems& problems,
                   std::vector<std::string>& into) {
  if (!value.is_array()) return problems.add(path, value, "a list of strings");
  std::set<std::string_view> seen;
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Value& item = value.items()[i];
    const auto place = fmt::format("{}[{}]", path, i);
    if (!item.is_string() || item.as_string().empty()) {
      problems.add(place, item, "a non-empty string");
    } else if (!seen.insert(item.as_string()).second) {
      problems.add(place, item, "each string once");
    } else {
      strings.emplace_back(item.as_string());
    }
  }
  into = std::move(strings);
}

void check_number(const Value& value, std::string_view path, double low, double high,
                  Problems& problems, double& into) {
  if (!value.is_number() || value.as_real() < low || value.as_real() > high) {
    return problems.add(path, value, fmt::format("a number from {} to {}", low, high));
  }
  into = value.as_real();
}

void check_integer(const Value& value, std::string_view path, std::int64_t low, std::int64_t high,
                   Problems& problems, int& into) {
  if (!value.is_int() || value.as_int() < low || value.as_int() > high) {
    return problems.add(path, value, fmt::format("an integer from {} to {}", low, high));
  }
  into = static_cast<int>(value.as_int());
}

Result<Effect> parse_effect(const Value& value, std::string_view path) {
  for (const auto effect : {Effect::pure, Effect::idempotent, Effect::once}) {
    if (value.is_string() && value.as_string() == name(effect)) return effect;
  }
  return invalid_input(path, value, R"("pure", "idempotent" or "once")");
}

void read_retry(const Value& value, std::string_view path, Problems& problems, RetryPolicy& into) {
  if (!value.is_object()) return problems.add(path, value, "an object");
  for (const auto& [key, item] : value.members()) {
    const auto place = join_path(path, key);
    if (key == "attempts") {
      check_integer(item, place, 1, 1000, problems, into.attempts);
    } else if (key == "initial") {
      problems.take(to_duration(item, place), into.initial);
    } else if (key == "factor") {
      check_number(item, place, 1, 100, problems, into.factor);
    } else if (key == "max") {
      problems.take(to_duration(item, place), into.max);
    } else if (key == "jitter") {
      check_number(item, place, 0, 1, problems, into.jitter);
    } else {
      problems.add(place, item, "no such key: one of attempts, initial, factor, max, jitter");
    }
  }
}

void check_schema(const Value& value, std::string_view path, Problems& problems, Value& into) {
  if (auto compiled = Schema::compile(value, path); !compiled)
    return problems.add(compiled.error());
  into = value;
}

void read_text(const Value& value, std::string_view path, Problems& problems, std::string& into) {
  if (!value.is_string()) return problems.add(path, value, "a string");
  into = std::string(value.as_string());
}

struct Field {
  std::string_view key;
  void (*read)(const Value& value, std::string_view path, Problems& problems, Contract& into);
};

// The document's fields, in the order of its normal form.
constexpr std::array<Field, 15> fields = {{
    {"id",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_string()) return problems.add(path, value, "a string");
       if (auto ok = check_id(value.as_string(), path); !ok) return problems.add(ok.error());
       into.id = std::string(value.as_string());
     }},
    {"version",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_string()) return problems.add(path, value, "a version such as \"1.0.0\"");
       problems.take(Version::parse(value.as_string(), path), into.version);
     }},
    {"summary", [](const Value& value, std::string_view path, Problems& problems,
                   Contract& into) { read_text(value, path, problems, into.summary); }},
    {"effect", [](const Value& value, std::string_view path, Problems& problems,
                  Contract& into) { problems.take(parse_effect(value, path), into.effect); }},
    {"timeout",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       Duration timeout{0};
       problems.take(to_duration(value, path), timeout);
       if (timeout <= Duration{0}) return problems.add(path, value, "a duration above zero");
       into.timeout = timeout;
     }},
    {"retry", [](const Value& value, std::string_view path, Problems& problems,
                 Contract& into) { read_retry(value, path, problems, into.retry); }},
    {"max_concurrency",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       check_integer(value, path, 1, 1'000'000, problems, into.max_concurrency);
     }},
    {"inputs", [](const Value& value, std::string_view path, Problems& problems,
                  Contract& into) { check_schema(value, path, problems, into.inputs); }},
    {"outputs", [](const Value& value, std::string_view path, Problems& problems,
                   Contract& into) { check_schema(value, path, problems, into.outputs); }},
    {"emits", [](const Value& value, std::string_view path, Problems& problems,
                 Contract& into) { check_strings(value, path, problems, into.emits); }},
    {"tags", [](const Value& value, std::string_view path, Problems& problems,
                Contract& into) { check_strings(value, path, problems, into.tags); }},
    {"permitted_targets",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       check_strings(value, path, problems, into.permitted_targets);
       if (into.permitted_targets.empty()) problems.add(path, value, "at least one target");
     }},
    {"executor", [](const Value& value, std::string_view path, Problems& problems,
                    Contract& into) { read_text(value, path, problems, into.executor); }},
    {"wasm",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_object()) return problems.add(path, value, "an object of limits");
       into.wasm = value;
     }},
    {"schema_version",
     [](const Value& value, std::string_view path, Problems& problems, Contract&) {
       if (!value.is_string() || value.as_string() != "1.0.0") {
         problems.add(path, value, "\"1.0.0\"");
       }
     }},
}};

Value strings_value(const std::vector<std::string>& strings) {
  std::vector<Value> items(strings.begin(), strings.end());
  return Value::array(std::move(items));
}

}  // namespace

std::string_view name(Effect effect) {
  switch (effect) {
    case Effect::pure:
      return "pure";
    case Effect::idempotent:
      return "idempotent";
    case Effect::once:
      return "once";
  }
  check_failed("effect has a name", {});
}

Duration RetryPolicy::delay_before(int next, double unit) const {
  const double grown = static_cast<double>(initial.count()) * std::pow(factor, next - 2);
  const double capped = std::min(grown, static_cast<double>(max.count()));
  return Duration(static_cast<std::int64_t>(capped * (1.0 - jitter * unit)));
}

Result<RetryPolicy> RetryPolicy::from_value(const Value& value, std::string_view path) {
  Problems problems;
  RetryPolicy policy;
  read_retry(value, path, problems, policy);
  if (problems.any()) return problems.error();
  return policy;
}

Value RetryPolicy::to_value() const {
  return Value::object({{"attempts", Value(attempts)},
                        {"initial", Value(to_string(initial))},
                        {"factor", Value(factor)},
                        {"max", Value(to_string(max))},
                        {"jitter", Value(jitter)}});
}

bool is_retried_by_default(Code code) {
  switch (code) {
    case Code::invalid_input:
    case Code::cancelled:
    case Code::unknown_outcome:
    case Code::not_found:
    case Code::conflict:
    case Code::ambiguous:
    case Code::closed:
    case Code::unsupported:
    case Code::stale_lease:
      return false;
    case Code::rejected:
    case Code::no_eligible_target:
    case Code::execution_failed:
    case Code::timeout:
    case Code::resource_exhausted:
    case Code::corrupt:
    case Code::unavailable:
    case Code::internal:
      return true;
  }
  return false;
}

bool is_retried_by_default(const Error& error) {
  if (!is_retried_by_default(error.code())) return false;
  const Value* raised = error.find("code");
  if (error.code() != Code::execution_failed || raised == nullptr || !raised->is_string()) {
    return true;
  }
  return is_retried_by_default(code_of(raised->as_string()));
}

Result<Contract> Contract::from_document(const Value& document) {
  if (!document.is_object()) return invalid_input("contract", document, "an object");
  Problems problems;
  Contract contract;
  for (const auto& [key, value] : document.members()) {
    const auto field = std::ranges::find(fields, std::string_view(key), &Field::key);
    if (field == fields.end()) {
      problems.add(key, value, "no such field in a contract");
    } else {
      field->read(value, key, problems, contract);
    }
  }
  for (const std::string_view required : {"id", "version"}) {
    if (document.find(required) == nullptr) problems.add(required, Value(), "this field");
  }
  if (problems.any()) return problems.error();
  return contract;
}

Value Contract::to_document() const {
  std::vector<Member> members = {
      {"id", Value(id)}, {"version", Value(version.to_string())}, {"effect", Value(name(effect))}};
  const auto add = [&](bool present, std::string key, Value value) {
    if (present) members.push_back({std::move(key), std::move(value)});
  };
  add(!summary.empty(), "summary", summary);
  add(timeout.has_value(), "timeout", to_string(timeout.value_or(Duration{0})));
  add(!(retry == RetryPolicy{}), "retry", retry.to_value());
  add(max_concurrency > 0, "max_concurrency", max_concurrency);
  add(true, "inputs", inputs);
  add(true, "outputs", outputs);
  add(!emits.empty(), "emits", strings_value(emits));
  add(!tags.empty(), "tags", strings_value(tags));
  add(true, "permitted_targets", strings_value(permitted_targets));
  add(!executor.empty(), "executor", executor);
  add(!wasm.is_null(), "wasm", wasm);
  return Value::object(std::move(members));
}

}  // namespace clew
