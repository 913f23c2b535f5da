#include "bindings/errors.hpp"

#include <array>
#include <string_view>

#include "bindings/convert.hpp"

namespace clew::python {
namespace {

constexpr std::size_t code_count = static_cast<std::size_t>(Code::internal) + 1;

// The classes of clew._errors. Loaded once; kept for ever, as the module keeps them.
struct Classes {
  std::array<PyObject*, code_count> by_code{};
  PyObject* base = nullptr;
};
Classes classes;

// Takes over the current Python error, normalised, with its traceback attached.
py::object take_current() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace != nullptr && value != nullptr) PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return py::reinterpret_steal<py::object>(value);
}

// Attributes of foreign exceptions may do anything; what fails counts as absent.
py::object attribute(py::handle object, const char* name) {
  auto found = py::reinterpret_steal<py::object>(PyObject_GetAttrString(object.ptr(), name));
  if (!found) PyErr_Clear();
  return found;
}

std::string text_of(py::handle object) {
  auto text = py::reinterpret_steal<py::object>(PyObject_Str(object.ptr()));
  if (!text) {
    PyErr_Clear();
    return "(its text cannot be had)";
  }
  auto bytes = py::reinterpret_steal<py::object>(
      PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace"));
  if (!bytes) {
    PyErr_Clear();
    return "(its text cannot be had)";
  }
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

std::string type_name(py::handle exception) {
  const auto type =
      py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())));
  const auto name = attribute(type, "__qualname__");
  const auto module = attribute(type, "__module__");
  const auto plain = name ? text_of(name) : std::string(Py_TYPE(exception.ptr())->tp_name);
  const auto home = module ? text_of(module) : std::string();
  return home.empty() || home == "builtins" ? plain : home + "." + plain;
}

// The innermost entry of the exception's traceback; may be none.
py::object innermost(py::handle exception) {
  auto trace = attribute(exception, "__traceback__");
  while (trace && !trace.is_none()) {
    auto next = attribute(trace, "tb_next");
    if (!next || next.is_none()) break;
    trace = std::move(next);
  }
  return trace && !trace.is_none() ? trace : py::object();
}

// "report.py:12 in words", or empty.
std::string place_of(py::handle exception) {
  const auto trace = innermost(exception);
  if (!trace) return {};
  const auto frame = attribute(trace, "tb_frame");
  const auto line = attribute(trace, "tb_lineno");
  const auto code = frame ? attribute(frame, "f_code") : py::object();
  if (!code || !line) return {};
  const auto file = attribute(code, "co_filename");
  const auto function = attribute(code, "co_name");
  if (!file || !function) return {};
  const auto path = text_of(file);
  return path.substr(path.rfind('/') + 1) + ":" + text_of(line) + " in " + text_of(function);
}

// Whether the exception came from a `raise` statement rather than from a signal: then the frame
// in which it appeared stands at that instruction.
bool was_raised_by_statement(py::handle exception) {
  const auto trace = innermost(exception);
  if (!trace) return false;
  const auto frame = attribute(trace, "tb_frame");
  const auto last = attribute(trace, "tb_lasti");
  const auto code = frame ? attribute(frame, "f_code") : py::object();
  const auto bytes = code ? attribute(code, "co_code") : py::object();
  if (!bytes || !last || PyBytes_Check(bytes.ptr()) == 0) return false;
  const auto at = PyLong_AsSsize_t(last.ptr());
  if (at < 0 || at >= PyBytes_GET_SIZE(bytes.ptr())) {
    PyErr_Clear();
    return false;
  }
  const auto opcode = static_cast<unsigned char>(PyBytes_AS_STRING(bytes.ptr())[at]);
  try {
    const auto names = py::module_::import("opcode").attr("opmap");
    for (const auto* name : {"RAISE_VARARGS", "RERAISE"}) {
      if (names.contains(name) && names[name].cast<int>() == opcode) return true;
    }
  } catch (py::error_already_set&) {
    return false;
  }
  return false;
}

bool is_a(py::handle exception, Code code) {
  return PyObject_IsInstance(exception.ptr(), classes.by_code[static_cast<std::size_t>(code)]) == 1;
}

// The fields of a ClewError; false for any other exception.
struct ClewFields {
  Code code = Code::internal;
  std::string message;
  Value context = Value::object({});
  bool retryable = false;
};
std::optional<ClewFields> clew_fields(py::handle exception) {
  if (PyObject_IsInstance(exception.ptr(), classes.base) != 1) return std::nullopt;
  ClewFields fields;
  fields.message = text_of(exception);
  if (const auto code = attribute(exception, "code")) fields.code = code_of(text_of(code));
  if (const auto flag = attribute(exception, "retryable")) {
    fields.retryable = PyObject_IsTrue(flag.ptr()) == 1;
  }
  if (const auto context = attribute(exception, "context")) {
    try {
      if (auto value = to_value(context, "context"); value.is_object()) {
        fields.context = std::move(value);
      }
    } catch (const std::exception&) {  // a handler may put anything there
      fields.context = Value::object({{"context", Value(text_of(context))}});
    }
  }
  PyErr_Clear();
  return fields;
}

Error with_all(Error error, const Value& context) {
  for (const auto& [key, value] : context.members()) error = error.with(key, value);
  return error;
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const Raised& raised) {
    set_python_error(raised.error());
  } catch (const CheckFailure& failure) {
    set_python_error(Error(Code::internal, failure.what()));
  }
}

}  // namespace

void register_errors(py::module_& m) {
  const auto module = py::module_::import("clew._errors");
  classes.base = py::object(module.attr("ClewError")).release().ptr();
  const auto by_code = module.attr("BY_CODE");
  for (std::size_t i = 0; i < code_count; ++i) {
    const auto word = name(static_cast<Code>(i));
    classes.by_code[i] = py::object(by_code[py::str(word.data(), word.size())]).release().ptr();
  }
  py::register_local_exception_translator(translate);
  (void)m;
}

py::object to_exception(const Error& error) {
  const auto* cause = dynamic_cast<const PyCause*>(error.cause().get());
  if (cause != nullptr && cause->is_interrupt()) return cause->exception();
  py::dict context;
  for (const auto& [key, value] : error.context()) {
    context[py::str(key)] = to_python(value);
  }
  const auto type = py::handle(classes.by_code[static_cast<std::size_t>(error.code())]);
  py::object exception = type(error.message(), context, error.retryable());
  if (cause != nullptr) {
    PyException_SetCause(exception.ptr(), cause->exception().release().ptr());
  }
  return exception;
}

void set_python_error(const Error& error) {
  try {
    const auto exception = to_exception(error);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  } catch (py::error_already_set& failed) {
    failed.restore();
  }
}

void set_python_error_of_current_exception() {
  try {
    throw;
  } catch (py::error_already_set& raised) {
    raised.restore();
  } catch (const py::builtin_exception& builtin) {
    builtin.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const Raised& raised) {
    set_python_error(raised.error());
  } catch (const std::exception& other) {
    set_python_error(Error(Code::internal, other.what()));
  }
}

Error error_of_handler(Invocation& invocation) {
  const auto exception = take_current();
  const bool interrupted =
      PyErr_GivenExceptionMatches(exception.ptr(), PyExc_KeyboardInterrupt) != 0 &&
      on_main_thread() && !was_raised_by_statement(exception);
  const auto cause = std::make_shared<PyCause>(exception, interrupted);
  if (interrupted) {
    invocation.cancel("interrupted by Ctrl-C");
    return Error(Code::cancelled, "interrupted by Ctrl-C").with_cause(cause);
  }

  const auto fields = clew_fields(exception);
  if (fields && is_a(exception, Code::cancelled) && invocation.cancelled()) {
    return with_all(Error(Code::cancelled, fields->message), fields->context).with_cause(cause);
  }
  if (fields && is_a(exception, Code::unknown_outcome)) {
    return with_all(Error(Code::unknown_outcome, fields->message), fields->context)
        .with_cause(cause);
  }
  const auto type = type_name(exception);
  auto failure = Error(Code::execution_failed, fmt::format("{}: {}", type, text_of(exception)),
                       fields && fields->retryable)
                     .with("exception", Value(type));
  if (const auto place = place_of(exception); !place.empty()) {
    failure = failure.with("where", Value(place));
  }
  if (fields) {
    failure = with_all(failure.with("code", Value(name(fields->code))), fields->context);
  }
  return failure.with_cause(cause);
}

Error error_of_python(Code otherwise) {
  const auto exception = take_current();
  const auto cause = std::make_shared<PyCause>(exception, false);
  if (const auto fields = clew_fields(exception)) {
    return with_all(Error(fields->code, fields->message, fields->retryable), fields->context)
        .with_cause(cause);
  }
  return Error(otherwise, fmt::format("{}: {}", type_name(exception), text_of(exception)))
      .with_cause(cause);
}

}  // namespace clew::python
