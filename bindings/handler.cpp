#include "bindings/handler.hpp"

#include <array>
#include <vector>

#include "bindings/context.hpp"
#include "bindings/convert.hpp"
#include "bindings/core.hpp"

namespace clew::python {
namespace {

PyRef unless_none(py::object object) {
  return object.is_none() ? PyRef() : PyRef(std::move(object));
}

// What a call of Python's code gave; throws what it raised.
template <typename F>
py::object checked(F&& call) {
  auto* const returned = outlive_interpreter(call);
  if (returned == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(returned);
}

// New references that go away together; the first few need no allocation.
class Arguments {
 public:
  explicit Arguments(std::size_t count) : count_(count) {
    if (count > inline_max) large_.resize(2 * count);
  }
  ~Arguments() {
    for (std::size_t i = 0; i < filled_; ++i) {
      Py_XDECREF(names()[i]);
      Py_XDECREF(values()[i]);
    }
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void add(py::object name, py::object value) {
    names()[filled_] = name.release().ptr();
    values()[filled_] = value.release().ptr();
    ++filled_;
  }
  PyObject** names() { return count_ > inline_max ? large_.data() : small_.data(); }
  PyObject** values() { return names() + (count_ > inline_max ? count_ : inline_max); }
  std::size_t size() const { return filled_; }

 private:
  static constexpr std::size_t inline_max = 8;
  std::size_t count_;
  std::size_t filled_ = 0;
  std::array<PyObject*, 2 * inline_max> small_;
  std::vector<PyObject*> large_;
};

}  // namespace

PythonHandler::PythonHandler(py::object function, py::object decode, py::object encode,
                             HandlerOptions options)
    : options_(std::move(options)),
      function_(std::move(function)),
      decode_(unless_none(std::move(decode))),
      encode_(unless_none(std::move(encode))) {
  if (takes_context()) context_name_ = PyRef(to_shared_str(options_.context));
}

Result<Value> PythonHandler::run(const InvocationPtr& invocation, const CorePtr& core) const {
  py::object returned;
  try {
    returned = call(invocation, core);
  } catch (const Raised& refused) {
    return refused.error();
  } catch (py::error_already_set& raised) {
    raised.restore();
    return error_of_handler(*invocation);
  }
  return result_of(returned);
}

py::object PythonHandler::call(const InvocationPtr& invocation, const CorePtr& core) const {
  if (!function_) raise(Error(Code::closed, "the runtime is closed"));
  const Value& input = invocation->input();
  const auto context = takes_context() ? make_context(invocation, core, is_async()) : py::object();
  const auto function = function_.object();  // kept while it runs
  if (!decode_) return call_plain(input, context);
  auto arguments = this->arguments(*invocation);
  if (context) arguments[context_name_.handle()] = context;
  return checked(
      [&] { return PyObject_VectorcallDict(function.ptr(), nullptr, 0, arguments.ptr()); });
}

py::object PythonHandler::call_plain(const Value& input, py::handle context) const {
  const auto function = function_.object();
  Arguments arguments(input.size() + 1);
  for (const auto& [key, value] : input.members()) {
    arguments.add(to_shared_str(key), to_python(value));
  }
  if (context) {
    arguments.add(context_name_.object(), py::reinterpret_borrow<py::object>(context));
  }
  const auto names = names_for(arguments.names(), arguments.size());
  return checked(
      [&] { return PyObject_Vectorcall(function.ptr(), arguments.values(), 0, names.ptr()); });
}

py::object PythonHandler::names_for(PyObject* const* names, std::size_t count) const {
  if (count == 0) return {};
  auto* const last = last_names_.get();
  if (last != nullptr && static_cast<std::size_t>(PyTuple_GET_SIZE(last)) == count &&
      std::equal(names, names + count, &PyTuple_GET_ITEM(last, 0))) {
    return last_names_.object();
  }
  auto tuple = py::tuple(count);
  for (std::size_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), Py_NewRef(names[i]));
  }
  last_names_ = PyRef(tuple);
  return tuple;
}

py::dict PythonHandler::arguments(const Invocation& invocation) const {
  auto given = to_python(invocation.input());
  if (decode_) {
    const auto decode = decode_.object();
    auto* const decoded =
        outlive_interpreter([&] { return PyObject_CallOneArg(decode.ptr(), given.ptr()); });
    // What the decoder refuses is the caller's mistake, so its error keeps its class.
    if (decoded == nullptr) raise(error_of_python(Code::execution_failed));
    given = py::reinterpret_steal<py::object>(decoded);
    if (PyDict_Check(given.ptr()) == 0) {
      raise(Error(Code::execution_failed, "the decoder of the arguments gave no dict"));
    }
  }
  return py::reinterpret_steal<py::dict>(given.release());
}

Result<Value> PythonHandler::result_of(py::handle returned) const {
  try {
    if (!encode_) return to_value(returned, "output");
    const auto encode = encode_.object();
    const auto encoded = checked([&] { return PyObject_CallOneArg(encode.ptr(), returned.ptr()); });
    return to_value(encoded, "output");
  } catch (const Raised& refused) {
    auto failure =
        Error(Code::execution_failed, "the result is no JSON: " + refused.error().message());
    for (const auto& [key, value] : refused.error().context()) failure = failure.with(key, value);
    return failure;
  } catch (py::error_already_set& raised) {
    raised.restore();
    return error_of_python(Code::execution_failed);
  }
}

void PythonHandler::release() const {
  for (auto* ref : {&function_, &decode_, &encode_, &last_names_}) ref->reset();
}

int PythonHandler::traverse(visitproc visit, void* arg) const {
  for (const auto* ref : {&function_, &decode_, &encode_}) {
    if (*ref) Py_VISIT(ref->get());
  }
  return 0;
}

}  // namespace clew::python
