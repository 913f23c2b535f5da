#include <pybind11/pybind11.h>
// Needs what pybind11 includes of Python first.
// clang-format off
#include <datetime.h>
// clang-format on

#include <chrono>
#include <cmath>

#include "bindings/convert.hpp"
#include "clew/base/json.hpp"

namespace clew::python {
namespace {

constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t day_us = 86'400 * second_us;
// 9999-12-31T23:59:59.999999Z and 0001-01-01T00:00:00Z: what datetime can say.
constexpr std::int64_t last_us = 253'402'300'799'999'999;
constexpr std::int64_t first_us = -62'135'596'800'000'000;

// The C interface of datetime. Needs the GIL.
void load_datetime() {
  if (PyDateTimeAPI == nullptr) PyDateTime_IMPORT;
  if (PyDateTimeAPI == nullptr) throw py::error_already_set();
}

// As repr() has it, shortened; a str as it is. Never fails.
Value shown(py::handle object) {
  constexpr Py_ssize_t shown_max = 80;
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_Check(object.ptr()) != 0 ? Py_NewRef(object.ptr()) : PyObject_Repr(object.ptr()));
  const auto part = py::reinterpret_steal<py::object>(
      text ? PyUnicode_Substring(text.ptr(), 0, shown_max) : nullptr);
  const auto bytes = py::reinterpret_steal<py::object>(
      part ? PyUnicode_AsEncodedString(part.ptr(), "utf-8", "backslashreplace") : nullptr);
  if (!bytes) {
    PyErr_Clear();
    return Value(fmt::format("a {}", Py_TYPE(object.ptr())->tp_name));
  }
  const bool is_whole = PyUnicode_GET_LENGTH(text.ptr()) <= shown_max;
  return Value(std::string(PyBytes_AS_STRING(bytes.ptr())) + (is_whole ? "" : "…"));
}

}  // namespace

Duration to_duration(py::handle object, std::string_view path) {
  load_datetime();
  if (PyDelta_Check(object.ptr())) {
    const std::int64_t days = PyDateTime_DELTA_GET_DAYS(object.ptr());
    const std::int64_t seconds = PyDateTime_DELTA_GET_SECONDS(object.ptr());
    const std::int64_t rest = PyDateTime_DELTA_GET_MICROSECONDS(object.ptr());
    // A timedelta has at most 10^9 days: more than 64 bits of microseconds hold.
    if (days < 0 || days > INT64_MAX / day_us - 1) {
      raise(invalid_input(path, shown(object),
                          "a duration that is not negative and below 290,000 years"));
    }
    return Duration(days * day_us + seconds * second_us + rest);
  }
  return unwrap(clew::to_duration(to_value(object, path), path));
}

std::optional<Duration> to_optional_duration(py::handle object, std::string_view path) {
  if (object.is_none()) return std::nullopt;
  return to_duration(object, path);
}

std::optional<Duration> to_timeout(py::handle object, std::string_view path) {
  const auto found = to_optional_duration(object, path);
  if (found && found->count() == 0) {
    const bool is_number = PyLong_Check(object.ptr()) != 0 || PyFloat_Check(object.ptr()) != 0;
    raise(invalid_input(path, is_number ? to_value(object, path) : shown(object),
                        "a duration above zero"));
  }
  return found;
}

std::optional<Duration> to_patience(py::handle object, std::string_view path) {
  load_datetime();
  bool is_past = false;
  if (PyFloat_Check(object.ptr()) != 0) {
    is_past = PyFloat_AS_DOUBLE(object.ptr()) < 0;
  } else if (PyLong_Check(object.ptr()) != 0) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    is_past = overflow < 0 || (overflow == 0 && number < 0);
  } else if (PyDelta_Check(object.ptr())) {
    is_past = PyDateTime_DELTA_GET_DAYS(object.ptr()) < 0;
  }
  if (is_past) return Duration{0};
  return to_optional_duration(object, path);
}

std::int64_t to_integer(py::handle object, std::string_view path, std::int64_t low,
                        std::int64_t high) {
  int overflow = 0;
  const bool is_int = PyLong_Check(object.ptr()) != 0 && PyBool_Check(object.ptr()) == 0;
  const long long number = is_int ? PyLong_AsLongLongAndOverflow(object.ptr(), &overflow) : 0;
  if (!is_int || overflow != 0 || number < low || number > high) {
    raise(invalid_input(path, is_int && overflow == 0 ? Value(std::int64_t{number}) : shown(object),
                        fmt::format("an integer from {} to {}", low, high)));
  }
  return number;
}

Timestamp to_timestamp(py::handle object, std::string_view path) {
  load_datetime();
  constexpr auto expected = "an aware datetime";
  if (!PyDateTime_Check(object.ptr())) raise(invalid_input(path, shown(object), expected));
  const auto offset = object.attr("utcoffset")();
  if (offset.is_none()) raise(invalid_input(path, shown(object), expected));
  const std::chrono::year_month_day date{
      std::chrono::year(PyDateTime_GET_YEAR(object.ptr())),
      std::chrono::month(static_cast<unsigned>(PyDateTime_GET_MONTH(object.ptr()))),
      std::chrono::day(static_cast<unsigned>(PyDateTime_GET_DAY(object.ptr())))};
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = PyDateTime_DATE_GET_HOUR(object.ptr()) * 3600 +
                               PyDateTime_DATE_GET_MINUTE(object.ptr()) * 60 +
                               PyDateTime_DATE_GET_SECOND(object.ptr());
  const std::int64_t shift = PyDateTime_DELTA_GET_DAYS(offset.ptr()) * day_us +
                             PyDateTime_DELTA_GET_SECONDS(offset.ptr()) * second_us +
                             PyDateTime_DELTA_GET_MICROSECONDS(offset.ptr());
  return {days * day_us + seconds * second_us + PyDateTime_DATE_GET_MICROSECOND(object.ptr()) -
          shift};
}

std::optional<Timestamp> to_optional_timestamp(py::handle object, std::string_view path) {
  if (object.is_none()) return std::nullopt;
  return to_timestamp(object, path);
}

py::object to_datetime(Timestamp at) {
  if (at.us > last_us || at.us < first_us) return py::none();
  load_datetime();
  using std::chrono::floor;
  const std::chrono::sys_time<std::chrono::microseconds> instant{std::chrono::microseconds(at.us)};
  const auto day = floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(floor<std::chrono::microseconds>(instant - day));
  auto* const made = PyDateTimeAPI->DateTime_FromDateAndTime(
      static_cast<int>(date.year()), static_cast<int>(static_cast<unsigned>(date.month())),
      static_cast<int>(static_cast<unsigned>(date.day())), static_cast<int>(time.hours().count()),
      static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
      static_cast<int>(time.subseconds().count()), PyDateTime_TimeZone_UTC,
      PyDateTimeAPI->DateTimeType);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

py::object to_datetime(const std::optional<Timestamp>& at) {
  return at ? to_datetime(*at) : py::none();
}

std::string_view text_view(py::handle object, std::string_view path) {
  if (PyUnicode_Check(object.ptr()) == 0) raise(invalid_input(path, shown(object), "a str"));
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (text == nullptr) {
    PyErr_Clear();
    raise(invalid_input(path, Value("(text)"), "text without lone surrogates"));
  }
  return {text, static_cast<std::size_t>(size)};
}

std::string text_or_empty(py::handle object, std::string_view path) {
  return object.is_none() ? std::string() : std::string(text_view(object, path));
}

std::string text_if_given(py::handle object, std::string_view path) {
  if (object.is_none()) return {};
  const auto text = PyUnicode_Check(object.ptr()) != 0 ? text_view(object, path) : "";
  if (text.empty()) raise(invalid_input(path, shown(object), "a non-empty string"));
  return std::string(text);
}

py::object text_or_none(std::string_view text) {
  return text.empty() ? py::object(py::none()) : py::object(py::str(text.data(), text.size()));
}

}  // namespace clew::python
