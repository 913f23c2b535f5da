// bindings/convert.hpp: Python objects to Values and back, and every caster of this module. Each
// register file includes it, since a caster that one file misses would be undefined behaviour.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/errors.hpp"
#include "clew/base/env.hpp"
#include "clew/base/time.hpp"
#include "clew/base/value.hpp"

namespace clew::python {

// The bound on what one conversion makes, in bytes of the Value.
inline constexpr std::size_t value_bytes_max = std::size_t{64} << 20U;

// Converts JSON-like data: None, bool, int, float, str, list, tuple, dict with str keys, and their
// subclasses; members of enumerations (their value); dataclass instances and pydantic models
// (objects); numbers that say they are integers (`__index__`). Takes a copy: later changes are not
// seen. Needs the GIL; may run Python code of the last kinds.
// Throws Raised(`invalid_input`) with the path below `root`, the value and what was expected: other
// types, integers beyond 64 bits, NaN and infinities, keys that are no str, lone surrogates,
// nesting deeper than 128 (cycles too), more than `value_bytes_max`.
Value to_value(py::handle object, std::string_view root);

// A new reference to the Python form: dict, list, str, int, float, bool or None. Needs the GIL.
// Throws py::error_already_set when memory ends.
py::object to_python(const Value& value);

// The keyword arguments that an object stands for: its keys and its values in Python form, appended
// to `names` and `values` as new references. CLEW_CHECK: it is an object.
void append_members(const Value& object, std::vector<PyObject*>& names,
                    std::vector<PyObject*>& values);

// A str for text that is UTF-8. Short ones are kept and shared, as keys tend to come again.
py::object to_shared_str(std::string_view text);

// Seconds (int or float), a timedelta or a string such as "1h30m". Throws Raised(`invalid_input`).
Duration to_duration(py::handle object, std::string_view path);
// None means absent.
std::optional<Duration> to_optional_duration(py::handle object, std::string_view path);
// The same, above zero.
std::optional<Duration> to_timeout(py::handle object, std::string_view path);
// The same for waiting, as the standard library has it: what is negative means not to wait.
std::optional<Duration> to_patience(py::handle object, std::string_view path);
// An int, no bool, from `low` to `high`. Throws Raised(`invalid_input`).
std::int64_t to_integer(py::handle object, std::string_view path, std::int64_t low,
                        std::int64_t high);
// An aware datetime. Throws Raised(`invalid_input`), also for a naive one.
Timestamp to_timestamp(py::handle object, std::string_view path);
std::optional<Timestamp> to_optional_timestamp(py::handle object, std::string_view path);
// An aware datetime in UTC; None for never() and beyond the year 9999.
py::object to_datetime(Timestamp at);
py::object to_datetime(const std::optional<Timestamp>& at);

// The text of a str; throws Raised(`invalid_input`) for anything else.
std::string_view text_view(py::handle object, std::string_view path);
// None or a str.
std::string text_or_empty(py::handle object, std::string_view path);
// None, as empty, or a str with something in it.
std::string text_if_given(py::handle object, std::string_view path);
// None for empty text.
py::object text_or_none(std::string_view text);

// Loads what conversions need. The module is being imported.
void prepare_conversions();

}  // namespace clew::python

namespace pybind11::detail {

template <>
struct type_caster<clew::Value> {
  PYBIND11_TYPE_CASTER(clew::Value, const_name("Json"));
  bool load(handle source, bool) {
    value = clew::python::to_value(source, "");
    return true;
  }
  static handle cast(const clew::Value& source, return_value_policy, handle) {
    return clew::python::to_python(source).release();
  }
};

template <>
struct type_caster<clew::Timestamp> {
  PYBIND11_TYPE_CASTER(clew::Timestamp, const_name("datetime"));
  bool load(handle source, bool) {
    value = clew::python::to_timestamp(source, "");
    return true;
  }
  static handle cast(clew::Timestamp source, return_value_policy, handle) {
    return clew::python::to_datetime(source).release();
  }
};

// Results unpack themselves: the value, or the error raised.
template <typename T>
struct type_caster<clew::Result<T>> {
  using Inner = make_caster<T>;
  static constexpr auto name = Inner::name;
  static handle cast(clew::Result<T>&& source, return_value_policy policy, handle parent) {
    return Inner::cast(clew::python::unwrap(std::move(source)), policy, parent);
  }
};

template <>
struct type_caster<clew::Result<void>> {
  static constexpr auto name = const_name("None");
  static handle cast(const clew::Result<void>& source, return_value_policy, handle) {
    clew::python::unwrap(source);
    return none().release();
  }
};

}  // namespace pybind11::detail
