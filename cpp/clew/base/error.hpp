// base/error.hpp: what went wrong, as a value that crosses every layer.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/base/value.hpp"

namespace clew {

// One code for each class of error that a caller may branch on. The Python exception classes, the
// words in tables and the exit codes of the command line all derive from this list.
enum class Code : std::uint8_t {
  invalid_input,
  not_found,
  conflict,
  ambiguous,
  rejected,            // admission: a full queue or a limit
  no_eligible_target,  // placement found nobody who may run it
  execution_failed,    // the handler raised
  timeout,
  cancelled,
  resource_exhausted,
  unknown_outcome,  // an effect may or may not have happened
  stale_lease,      // another owner has a newer fencing token
  corrupt,
  unavailable,
  unsupported,
  closed,
  internal,
};

// The word of `code`, such as "invalid_input". Never empty.
std::string_view name(Code code);

// The code whose word is `word`; `internal` for a word that is none.
Code code_of(std::string_view word);

// Something foreign that belongs to an error, such as the Python exception behind it. Opaque below
// the bindings. The destructor must be safe on any thread.
class ErrorCause {
 public:
  virtual ~ErrorCause() = default;
};

// Why an operation did not happen. A value: cheap to move and to copy (one shared pointer).
// Immutable once shared; `with` returns a changed copy. One that was moved from can only be
// assigned to or destroyed.
class Error {
 public:
  Error(Code code, std::string message, bool retryable = false);

  Code code() const;
  const std::string& message() const;
  // Facts about the error in the order in which they were added.
  const std::vector<std::pair<std::string, Value>>& context() const;
  // The context entry of that name, or nullptr.
  const Value* find(std::string_view key) const;
  bool retryable() const;
  const std::shared_ptr<const ErrorCause>& cause() const;

  // A copy with one more fact; the first fact under a key wins, because the callee knew more.
  Error with(std::string_view key, Value value) const;
  Error with_cause(std::shared_ptr<const ErrorCause> cause) const;
  Error with_retryable(bool retryable) const;

  // A copy of bounded size, for what a handler said: message and texts of the context end after
  // 16 KiB with a note of how much was left out; other large facts become their previews.
  Error shortened() const;

  // "code: message (key=value, …)" for logs and test failures.
  std::string to_string() const;

  // {code, message, context, retryable}: how an error is stored. Round trips, but for the cause.
  Value to_value() const;
  // What to_value() made; anything else becomes a `corrupt` error that shows it.
  static Error from_value(const Value& stored);

 private:
  struct Data;
  std::shared_ptr<const Data> data_;
};

// An error with a formatted message.
template <typename... Args>
Error error(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Bad input at `path` (dotted, with [i] for elements): what stood there and what was expected.
// The value is shown shortened; a secret must not be passed here. An empty path means the root.
// Context: `path`, `expected`, and `value` (its preview when it is large).
Error invalid_input(std::string_view path, const Value& value, std::string_view expected);

}  // namespace clew
