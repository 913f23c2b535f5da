// testkit/conformance/check.hpp: how a conformance case looks at a store, without a test framework:
// the first rule that does not hold ends the case with a Failure.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/store/store.hpp"

namespace clew::conformance {

// A rule that does not hold: what() names it and shows what was found.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One storage and the handles over it. A case gets a fresh, empty one from a Factory.
struct Storage {
  // One more live handle, all migrations applied; each sees what the others committed. A storage
  // that is not durable gives one handle only.
  std::function<Result<std::unique_ptr<store::Database>>()> open;
  bool is_durable = false;
  std::string folder;          // for files beside the database; empty: none
  std::shared_ptr<void> keep;  // whatever the storage needs to go on existing
};
using Factory = std::function<Storage()>;

// What a case needs of its storage; a runner leaves it out where that is missing.
enum class Needs : std::uint8_t {
  nothing,
  reopen,  // a second live handle
  folder,  // for files
};

// One case of a suite.
struct Case {
  const char* name;
  void (*run)(const Factory& fresh);
  Needs needs = Needs::nothing;
};

[[noreturn]] inline void fail(std::string_view rule, std::string_view found = {}) {
  throw Failure(found.empty() ? std::string(rule) : fmt::format("{}: {}", rule, found));
}

inline void expect(bool holds, std::string_view rule, std::string_view found = {}) {
  if (!holds) fail(rule, found);
}

// A value as a failure shows it.
template <typename T>
std::string shown(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, Value>) {
    return preview(value);
  } else if constexpr (std::is_enum_v<T>) {
    return fmt::format("{}", static_cast<long>(value));
  } else if constexpr (std::is_same_v<T, Timestamp>) {
    return to_rfc3339(value);
  } else if constexpr (fmt::is_formattable<T>::value) {
    return fmt::format("{}", value);
  } else if constexpr (requires { value.begin(); }) {
    std::string text = "[";
    for (const auto& each : value) text += (text.size() > 1 ? ", " : "") + shown(each);
    return text + "]";
  } else {
    return "a value that cannot be shown";
  }
}

template <typename A, typename B>
void expect_equal(const A& found, const B& wanted, std::string_view rule) {
  if (!(found == wanted)) {
    fail(rule, fmt::format("found {}, wanted {}", shown(found), shown(wanted)));
  }
}

// The value of a step that has to succeed.
template <typename T>
T must(Result<T> done, std::string_view step) {
  if (!done) fail(step, done.error().to_string());
  return std::move(done).value();
}
inline void must(const Result<void>& done, std::string_view step) {
  if (!done) fail(step, done.error().to_string());
}

// The error of a step that has to be refused with that code.
template <typename T>
Error expect_refused(const Result<T>& done, Code code, std::string_view rule) {
  if (done) fail(rule, "it was not refused");
  if (done.error().code() != code) {
    fail(rule, fmt::format("wanted {}, found {}", name(code), done.error().to_string()));
  }
  return done.error();
}

// What an error has to say about itself. The reference lives as long as the error.
inline const Value& told(const Error& why, std::string_view key) {
  const auto* value = why.find(key);
  if (value == nullptr) fail(fmt::format("the error names its {}", key), why.to_string());
  return *value;
}

// One write that answers a value; `use` may run more than once.
template <typename T>
Result<T> in_write(store::Database& database, Function<Result<T>(store::Transaction&)> use) {
  std::optional<Result<T>> answer;
  const auto done = database.write([&](store::Transaction& tx) -> Result<void> {
    answer.emplace(use(tx));
    if (!*answer) return answer->error();
    return {};
  });
  if (!done) return done.error();
  return *std::move(answer);
}
inline Result<void> in_write(store::Database& database, store::Apply use) {
  CLEW_TRY(database.write(std::move(use)));
  return {};
}
template <typename T>
Result<T> in_read(store::Database& database, Function<Result<T>(store::Transaction&)> use) {
  std::optional<Result<T>> answer;
  CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
    answer.emplace(use(tx));
    return {};
  }));
  return *std::move(answer);
}

// Every row of the named tables, one line each, in an order that is the same for equal content: a
// refused change leaves the dump as it was.
std::string dump(store::Database& database, const std::vector<std::string>& tables);
Result<std::string> dump(store::Transaction& tx, const std::vector<std::string>& tables);
// All tables of a store, sorted.
const std::vector<std::string>& all_tables();
// The tables that the session stores change.
const std::vector<std::string>& session_tables();

}  // namespace clew::conformance
