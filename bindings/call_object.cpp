#include "bindings/call_object.hpp"

#include <array>
#include <new>
#include <span>

#include "bindings/convert.hpp"
#include "bindings/runtime_handle.hpp"

namespace clew::python {
namespace {

struct CallObject {
  PyObject ob_base;
  Call call;
};

PyTypeObject* call_type = nullptr;  // made once, never freed

// Runs `work`, with whatever it throws as Python's error.
template <typename F>
PyObject* guarded(F&& work) noexcept {
  return outlive_interpreter([&]() -> PyObject* {
    try {
      return work();
    } catch (const std::exception&) {
      set_python_error_of_current_exception();
      return nullptr;
    }
  });
}

// What Python gave to a method: positional arguments, then the named ones.
struct Arguments {
  PyObject* const* values;
  Py_ssize_t positional;
  PyObject* names;  // a tuple, or null

  std::size_t named() const {
    return names == nullptr ? 0 : static_cast<std::size_t>(PyTuple_GET_SIZE(names));
  }
  std::string_view name(std::size_t i) const {
    return text_view(PyTuple_GET_ITEM(names, static_cast<Py_ssize_t>(i)), "argument");
  }
  py::handle named_value(std::size_t i) const {
    return values[positional + static_cast<Py_ssize_t>(i)];
  }
};

[[noreturn]] void refuse(const char* method, std::string_view why) {
  throw py::type_error(fmt::format("{}(): {}", method, why));
}

// ---- Call

void destroy_call(PyObject* self) {
  auto* const type = Py_TYPE(self);
  reinterpret_cast<CallObject*>(self)->call.~Call();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* refuse_to_make(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "a Call is made by submit()");
  return nullptr;
}

// The error of a cancelled call is the standard library's too, where the call is its future.
[[noreturn]] void throw_cancelled(const Error& error) {
  const auto joint = py::module_::import("clew._call").attr("joint")(to_exception(error));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(joint.ptr())), joint.ptr());
  throw py::error_already_set();
}

py::object result_of(PyObject* self, py::handle timeout) {
  auto& call = reinterpret_cast<CallObject*>(self)->call;
  if (timeout.is_none() && call.done() && call.invocation().outcome().kind == CallOutcome::success)
      [[likely]] {
    return output_of(call.invocation().outcome());
  }
  const auto limit = to_patience(timeout, "timeout");
  if (Py_TYPE(self) != call_type && call.wait(limit) && call.cancelled()) {
    throw_cancelled(call.invocation().outcome().result.error());
  }
  return call.result(limit);
}

PyObject* call_result(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    const Arguments given{values, count, names};
    py::handle timeout = Py_None;
    if (count > 0) timeout = values[0];
    if (given.named() == 1 && count == 0 && given.name(0) == "timeout") {
      timeout = given.named_value(0);
    } else if (count > 1 || given.named() > 0) {
      refuse("result", "it takes one argument, timeout");
    }
    return result_of(self, timeout).release().ptr();
  });
}

template <typename Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef call_methods[] = {
    {"result", as_method(call_result), METH_FASTCALL | METH_KEYWORDS,
     "result($self, /, timeout=None)\n--\n\n"
     "Wait for the output.\n\n"
     "Raises:\n"
     "    ClewError: What the call failed with; cancelled, it is a `CancelledError` too.\n"
     "    Timeout: It has not ended within ``timeout``. The call goes on."},
    {nullptr, nullptr, 0, nullptr},
};

// `clew.Call`, once it is needed.
PyTypeObject* future_type() {
  static PyTypeObject* type = nullptr;
  if (type == nullptr) {
    const auto found = py::module_::import("clew._call").attr("Call");
    type = reinterpret_cast<PyTypeObject*>(py::object(found).release().ptr());
  }
  return type;
}

// ---- execute and submit

Core& core_of(PyObject* self, CorePtr const*& core) {
  // What py::cast does, without the search: the method's descriptor has checked the class.
  auto* const instance = reinterpret_cast<py::detail::instance*>(self);
  if (!py::detail::is_holder_constructed(self)) throw py::type_error("__init__ was not called");
  core = &static_cast<RuntimeHandle*>(instance->get_value_and_holder().value_ptr())->core();
  return **core;
}

Request request_of(Core& core, const char* method, const Arguments& given) {
  require_open(core, nullptr);  // before anything is said about the arguments
  if (given.positional > 2) refuse(method, "it takes ref and input, and the rest by name");
  py::handle ref = given.positional > 0 ? given.values[0] : nullptr;
  py::handle input = given.positional > 1 ? given.values[1] : nullptr;
  CallOptions options;
  for (std::size_t i = 0; i < given.named(); ++i) {
    const auto name = given.name(i);
    const auto value = given.named_value(i);
    if (name == "ref" && !ref) {
      ref = value;
    } else if (name == "input" && !input) {
      input = value;
    } else if (!set_option(options, name, value)) {
      refuse(method, fmt::format("there is no argument '{}', or it was given twice", name));
    }
  }
  if (!ref) refuse(method, "the argument ref is missing");
  if (input.ptr() == Py_Ellipsis) input = nullptr;
  return make_request(core, ref, input, options);
}

bool names_durable(const Arguments& given) {
  for (std::size_t i = 0; i < given.named(); ++i) {
    if (given.name(i) == "durable") return true;
  }
  return false;
}

// Such a call is a run, which is Python's to make.
py::object submit_durably(PyObject* self, const Arguments& given) {
  py::list values;
  values.append(py::handle(self));
  for (Py_ssize_t i = 0; i < given.positional; ++i) values.append(py::handle(given.values[i]));
  py::dict options;
  for (std::size_t i = 0; i < given.named(); ++i) {
    options[py::str(std::string(given.name(i)))] = given.named_value(i);
  }
  return py::module_::import("clew._durable").attr("submit")(*values, **options);
}

PyObject* runtime_execute(PyObject* self, PyObject* const* values, Py_ssize_t count,
                          PyObject* names) {
  return guarded([&] {
    CorePtr const* shared = nullptr;
    auto& core = core_of(self, shared);
    return execute(core, request_of(core, "execute", {values, count, names})).release().ptr();
  });
}

template <bool is_bare>
PyObject* runtime_submit(PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
  return guarded([&] {
    CorePtr const* shared = nullptr;
    auto& core = core_of(self, shared);
    const Arguments given{values, count, names};
    if (!is_bare && names_durable(given)) return submit_durably(self, given).release().ptr();
    auto call = submit(*shared, request_of(core, "submit", given));
    return to_object(std::move(call), is_bare).release().ptr();
  });
}

#define CLEW_CALL_SIGNATURE(more)                                                                  \
  "($self, /, ref, input=..., *, timeout=None, deadline=None, idempotency_key=None, target=None, " \
  "correlation_id=None, traceparent=None, priority=0, workspace=None" more ")\n--\n\n"

PyMethodDef entry_methods[] = {
    {"execute", as_method(runtime_execute), METH_FASTCALL | METH_KEYWORDS,
     "execute" CLEW_CALL_SIGNATURE("") "Run a call and return its output, or raise its error."},
    {"submit", as_method(runtime_submit<true>), METH_FASTCALL | METH_KEYWORDS,
     "submit" CLEW_CALL_SIGNATURE("") "Start a call. A refusal is the call's outcome."},
    {"submit_future", as_method(runtime_submit<false>), METH_FASTCALL | METH_KEYWORDS,
     "submit_future" CLEW_CALL_SIGNATURE(", durable=False") "The same, as a clew.Call."},
};

}  // namespace

py::object make_call_type() {
  static std::array<PyType_Slot, 4> slots = {
      {{Py_tp_dealloc, reinterpret_cast<void*>(destroy_call)},
       {Py_tp_new, reinterpret_cast<void*>(refuse_to_make)},
       {Py_tp_methods, call_methods},
       {0, nullptr}}};
  static PyType_Spec spec = {"clew._core.Call", sizeof(CallObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
  auto made = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!made) throw py::error_already_set();
  call_type = reinterpret_cast<PyTypeObject*>(made.inc_ref().ptr());
  return made;
}

py::object to_object(Call call, bool bare) {
  auto* const type = bare ? call_type : future_type();
  auto* const object = type->tp_alloc(type, 0);
  if (object == nullptr) throw py::error_already_set();
  ::new (&reinterpret_cast<CallObject*>(object)->call) Call(std::move(call));
  return py::reinterpret_steal<py::object>(object);
}

Call& call_of(py::handle object) {
  if (PyObject_TypeCheck(object.ptr(), call_type) == 0) throw py::type_error("a Call is needed");
  return reinterpret_cast<CallObject*>(object.ptr())->call;
}

void add_entries(py::handle runtime_class) {
  for (auto& method : entry_methods) {
    auto* const type = reinterpret_cast<PyTypeObject*>(runtime_class.ptr());
    const auto made = py::reinterpret_steal<py::object>(PyDescr_NewMethod(type, &method));
    if (!made) throw py::error_already_set();
    py::setattr(runtime_class, method.ml_name, made);
  }
}

}  // namespace clew::python
