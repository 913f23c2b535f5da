// bindings/errors.hpp: clew::Error to exceptions of clew._errors and back.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <string>

#include "bindings/gil.hpp"
#include "clew/base/result.hpp"
#include "clew/capability/invocation.hpp"

namespace clew::python {

// Carries an Error through pybind11 to the translator. Throw it with raise().
class Raised : public std::exception {
 public:
  explicit Raised(Error error) : error_(std::move(error)) {}
  const Error& error() const { return error_; }
  const char* what() const noexcept override { return error_.message().c_str(); }

 private:
  Error error_;
};

[[noreturn]] inline void raise(Error error) { throw Raised(std::move(error)); }

// The value, or the error thrown.
template <typename T>
T unwrap(Result<T> result) {
  if (!result) raise(result.error());
  return std::move(*result);
}
inline void unwrap(const Result<void>& result) {
  if (!result) raise(result.error());
}

// The exception behind an error. Owned by the error, dropped anywhere.
class PyCause final : public ErrorCause {
 public:
  // `is_interrupt`: Ctrl-C arrived while the handler ran on the main thread; whoever waits for the
  // call must see it as it is.
  PyCause(py::object exception, bool is_interrupt)
      : exception_(std::move(exception)), is_interrupt_(is_interrupt) {}
  py::object exception() const { return exception_.object(); }
  bool is_interrupt() const { return is_interrupt_; }

 private:
  PyRef exception_;
  bool is_interrupt_;
};

// Loads the classes and installs the translator of this module. The module is being imported.
void register_errors(py::module_& m);

// A new exception for an error. `__cause__` is the original one when it was raised in this process.
py::object to_exception(const Error& error);
// Sets Python's error indicator to it.
void set_python_error(const Error& error);
// The same for the exception that is being handled: what pybind11 does around its functions, for
// those that it does not wrap.
void set_python_error_of_current_exception();

// What an exception that a handler raised makes of its call. Takes the error from Python's
// indicator and clears that.
//   Cancelled, and the call was asked to stop     cancelled
//   UnknownOutcome                                unknown_outcome: only the handler can know
//   Ctrl-C on the main thread                     cancelled, and the waiting caller is interrupted
//   anything else, exits included                 execution_failed; a ClewError's code, context and
//                                                 `retryable` are kept in the context
// The context names the exception's type and where it was raised; the cause is the exception.
Error error_of_handler(Invocation& invocation);

// An exception as an Error of its own class: a ClewError with its code and context, anything else
// as `otherwise`. For callbacks and converters. Clears Python's indicator.
Error error_of_python(Code otherwise);

}  // namespace clew::python
