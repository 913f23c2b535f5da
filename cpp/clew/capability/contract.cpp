#include "clew/capability/contract.hpp"

#include <algorithm>
#include <cmath>

#include "clew/base/check.hpp"

namespace clew {

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

std::string_view name(Lifecycle lifecycle) {
  switch (lifecycle) {
    case Lifecycle::draft:
      return "draft";
    case Lifecycle::active:
      return "active";
    case Lifecycle::deprecated:
      return "deprecated";
    case Lifecycle::retired:
      return "retired";
    case Lifecycle::archived:
      return "archived";
  }
  check_failed("lifecycle has a name", {});
}

bool is_runnable(Lifecycle lifecycle) {
  return lifecycle == Lifecycle::active || lifecycle == Lifecycle::deprecated;
}

Result<Lifecycle> parse_lifecycle(const Value& word, std::string_view path) {
  for (const auto each : {Lifecycle::draft, Lifecycle::active, Lifecycle::deprecated,
                          Lifecycle::retired, Lifecycle::archived}) {
    if (word.is_string() && word.as_string() == name(each)) return each;
  }
  return invalid_input(path, word, "draft, active, deprecated, retired or archived");
}

std::string_view name(ServiceType type) {
  switch (type) {
    case ServiceType::stateless:
      return "stateless";
    case ServiceType::subscribable:
      return "subscribable";
    case ServiceType::stateful:
      return "stateful";
  }
  check_failed("service type has a name", {});
}

std::string_view name(Scope scope) { return scope == Scope::everyone ? "public" : "private"; }

Result<Scope> parse_scope(std::string_view word, std::string_view path) {
  if (word == "public") return Scope::everyone;
  if (word == "private") return Scope::overlay;
  return invalid_input(path, Value(word), "\"public\" or \"private\"");
}

Duration RetryPolicy::delay_before(int next, double unit) const {
  const double grown = static_cast<double>(initial.count()) * std::pow(factor, next - 2);
  const double capped = std::min(grown, static_cast<double>(max.count()));
  return Duration(static_cast<std::int64_t>(capped * (1.0 - jitter * unit)));
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

}  // namespace clew
