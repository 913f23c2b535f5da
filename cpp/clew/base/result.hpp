// base/result.hpp: a value or an Error, and the macros that pass errors on.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "clew/base/check.hpp"
#include "clew/base/error.hpp"

namespace clew {

// Holds a T or the Error that says why there is none. A value. Reading the side that is not there
// is a bug and fails a CLEW_CHECK.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <typename U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> &&
             !std::is_same_v<std::remove_cvref_t<U>, T>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return checked(), *std::get_if<0>(&state_); }
  const T& value() const& { return checked(), *std::get_if<0>(&state_); }
  T&& value() && { return checked(), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) && { return has_value() ? std::move(*this).value() : std::move(other); }

  const Error& error() const {
    CLEW_CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  void checked() const {
    if (!has_value()) [[unlikely]] {
      check_failed("result has a value", error().to_string());
    }
  }
  std::variant<T, Error> state_;
};

// Done, or the Error that says why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  void value() const {
    if (error_) [[unlikely]] {
      check_failed("result has a value", error_->to_string());
    }
  }
  const Error& error() const {
    CLEW_CHECK(error_.has_value());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace clew

#define CLEW_CAT_(a, b) a##b
#define CLEW_CAT(a, b) CLEW_CAT_(a, b)
// Each use has a name of its own, so that one may stand inside another's lambda.
#define CLEW_TRY_RUN_(expression) CLEW_TRY_RUN_AS_(CLEW_CAT(clew_result_, __LINE__), expression)
#define CLEW_TRY_RUN_AS_(name, expression)                    \
  do {                                                        \
    if (auto name = (expression); !name) return name.error(); \
  } while (false)
#define CLEW_TRY_TAKE_(declaration, ...) \
  CLEW_TRY_TAKE_AS_(CLEW_CAT(clew_result_, __LINE__), declaration, __VA_ARGS__)
#define CLEW_TRY_TAKE_AS_(name, declaration, ...) \
  auto name = (__VA_ARGS__);                      \
  if (!name) return name.error();                 \
  declaration = std::move(name).value()
#define CLEW_TRY_PICK_(_1, _2, _3, _4, _5, _6, name, ...) name

// CLEW_TRY(work()) or CLEW_TRY(auto x, work()): goes on with the value, or returns the Error.
// After the declaration, the expression may contain up to four bare commas.
#define CLEW_TRY(...)                                                                         \
  CLEW_TRY_PICK_(__VA_ARGS__, CLEW_TRY_TAKE_, CLEW_TRY_TAKE_, CLEW_TRY_TAKE_, CLEW_TRY_TAKE_, \
                 CLEW_TRY_TAKE_, CLEW_TRY_RUN_, unused)                                       \
  (__VA_ARGS__)
