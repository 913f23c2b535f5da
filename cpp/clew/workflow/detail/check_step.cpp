// What one step says about itself.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/workflow/detail/check.hpp"

namespace clew::workflow::detail {
namespace {

constexpr std::array<std::string_view, 9> known_keys = {
    "call", "with", "for_each", "as", "concurrency", "after", "on_event", "retry", "timeout"};
constexpr std::array<std::string_view, 6> keys_of_calls = {"with",        "for_each", "as",
                                                           "concurrency", "retry",    "timeout"};
constexpr std::array<std::string_view, 4> event_keys = {"type", "where", "correlation", "timeout"};
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
    read_event(into);
    if (into.on_event && value_.find("call") == nullptr) return refuse_keys_of_calls();
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
      return problems_.add(
          at("call"),
          fmt::format("\"call\" is missing; expected {}, or \"on_event\" alone", expected));
    }
    if (!call->is_string()) return problems_.add(at("call"), *call, expected);
    into.call_text = call->as_string();
    auto reference = Reference::parse(into.call_text, at("call"));
    if (!reference) return problems_.add(reference.error(), at("call"));
    into.call = std::move(reference).value();
  }

  std::shared_ptr<const expr::Template> compile(const Value& value, std::string_view key) {
    return compile_at(value, at(key));
  }
  std::shared_ptr<const expr::Template> compile_at(const Value& value, const std::string& path) {
    std::vector<Error> errors;
    auto compiled = expr::Template::compile(value, path, errors);
    for (const auto& error : errors) problems_.add(error, path);
    return compiled;
  }

  void refuse_keys_of_calls() {
    for (const auto key : keys_of_calls) {
      if (value_.find(key) == nullptr) continue;
      problems_.add(at(key), fmt::format("\"{}\" belongs to a \"call\", and there is none", key));
    }
  }

  // A type alone, or a mapping.
  void read_event(Step& into) {
    constexpr std::string_view expected =
        "an event type such as \"shop.settled@^1\", or a mapping with the key type";
    const Value* given = value_.find("on_event");
    if (given == nullptr) return;
    into.on_event.emplace();
    EventEdge& edge = *into.on_event;
    if (given->is_string()) return read_event_type(*given, at("on_event"), edge);
    if (!given->is_object()) return problems_.add(at("on_event"), *given, expected);
    problems_.check_keys(*given, at("on_event"), event_keys);
    const auto path_of = [this](std::string_view key) { return join_path(at("on_event"), key); };
    if (const Value* type = given->find("type"); type != nullptr) {
      read_event_type(*type, path_of("type"), edge);
    } else {
      problems_.add(path_of("type"),
                    fmt::format("\"type\" is missing; expected {}", type_expected));
    }
    if (const Value* where = given->find("where")) {
      edge.where =
          read_expression(*where, path_of("where"), "one {{ … }} that gives true or false");
    }
    if (const Value* correlation = given->find("correlation")) {
      read_correlation(*correlation, path_of("correlation"), edge);
    }
    if (const Value* timeout = given->find("timeout")) {
      edge.timeout = read_duration(*timeout, path_of("timeout"));
    }
  }

  void read_event_type(const Value& type, const std::string& path, EventEdge& edge) {
    if (!type.is_string()) return problems_.add(path, type, type_expected);
    edge.type_text = type.as_string();
    auto reference = Reference::parse(edge.type_text, path);
    if (!reference) return problems_.add(reference.error(), path);
    edge.type_id = reference->id;
    auto pattern = EventPattern::parse(edge.type_text, path);
    if (!pattern) return problems_.add(pattern.error(), path);
    edge.type = std::move(pattern).value();
  }

  void read_correlation(const Value& value, const std::string& path, EventEdge& edge) {
    using Correlation = EventEdge::Correlation;
    if (value == Value("run") || value == Value("any")) {
      edge.correlated = value == Value("run") ? Correlation::run : Correlation::any;
      return;
    }
    edge.correlated = Correlation::given;
    edge.correlation = read_expression(value, path, "run, any, or one {{ … }} that gives a text");
  }

  // What must be exactly one {{ … }}; null when it is not.
  std::shared_ptr<const expr::Template> read_expression(const Value& given, const std::string& path,
                                                        std::string_view expected) {
    if (!given.is_string()) {
      problems_.add(path, given, expected);
      return nullptr;
    }
    auto compiled = compile_at(given, path);
    if (compiled == nullptr || compiled->is_expression()) return compiled;
    problems_.add(path, given, expected);
    return nullptr;
  }

  std::optional<Duration> read_duration(const Value& value, const std::string& path) {
    auto duration = to_duration(value, path);
    if (!duration) {
      problems_.add(duration.error(), path);
      return std::nullopt;
    }
    if (*duration > Duration(0)) return *duration;
    problems_.add(path, value, "a duration above zero");
    return std::nullopt;
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
    const bool hides_event = into.on_event && as->as_string() == "event";
    if (as->as_string() == "input" || as->as_string() == "steps" || hides_event) {
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
    into.timeout = read_duration(*value, at("timeout"));
  }

  static constexpr std::string_view type_expected = "an event type such as \"shop.settled@^1\"";

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
    problems.add(path, value, "a mapping with the key call or on_event");
    return step;
  }
  StepReader(value, path, problems).read(step);
  return step;
}

}  // namespace clew::workflow::detail
