#include "bindings/convert.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "clew/base/json.hpp"

namespace clew::python {
namespace {

constexpr std::string_view accepted =
    "JSON data: None, bool, int, float, str, list, tuple, dict, dataclass, enum or pydantic model";

// Names and types that are looked up once.
struct Known {
  PyObject* enum_type = nullptr;
  PyObject* str_fields = nullptr;      // "__dataclass_fields__"
  PyObject* str_model_dump = nullptr;  // "model_dump"
  PyObject* str_value = nullptr;       // "value"
  PyObject* dump_names = nullptr;      // ("mode",)
  PyObject* str_json = nullptr;        // "json"
};
Known known;

// Where the walk stands: from the innermost step outwards. The path is spelled out only for an
// error.
struct Step {
  const Step* outer = nullptr;
  PyObject* key = nullptr;  // or
  Py_ssize_t index = 0;
};

std::string text_of(PyObject* object) {
  const auto bytes = py::reinterpret_steal<py::object>(
      PyUnicode_AsEncodedString(object, "utf-8", "backslashreplace"));
  if (!bytes) throw py::error_already_set();
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

// As repr() shows it, shortened; never fails.
std::string shown(PyObject* object) {
  const auto text = py::reinterpret_steal<py::object>(PyObject_Repr(object));
  if (!text) {
    PyErr_Clear();
    return std::string("a ") + Py_TYPE(object)->tp_name;
  }
  auto whole = text_of(text.ptr());
  if (whole.size() <= 80) return whole;
  std::size_t end = 77;
  while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xC0U) == 0x80U) --end;
  return whole.substr(0, end) + "…";
}

// Where elements are gathered before they become one Value: stacks that the conversions of a thread
// share, also nested ones, so that a list or dict costs a single allocation.
struct Stacks {
  std::vector<Value> items;
  std::vector<Member> members;
};
thread_local Stacks stacks_of_thread;

// Walks one object.
class Walk {
 public:
  explicit Walk(std::string_view root) : root_(root) {}
  // After an error, what was gathered goes.
  ~Walk() {
    constexpr std::size_t kept_max = 4096;
    items_.resize(items_base_);
    members_.resize(members_base_);
    if (items_base_ == 0 && items_.capacity() > kept_max) items_.shrink_to_fit();
    if (members_base_ == 0 && members_.capacity() > kept_max) members_.shrink_to_fit();
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  Value convert(PyObject* object, const Step* at, int depth) {
    auto* const type = Py_TYPE(object);
    if (type == &PyUnicode_Type) return string(object, at);
    if (type == &PyLong_Type) return integer(object, at);
    if (type == &PyDict_Type) return dict(object, at, depth);
    if (object == Py_None) return charge(Value(), at);
    if (type == &PyBool_Type) return charge(Value(object == Py_True), at);
    if (type == &PyFloat_Type) return real(object, at);
    if (type == &PyList_Type) return list(object, at, depth);
    if (type == &PyTuple_Type) return tuple(object, at, depth);
    return convert_rare(object, at, depth);
  }

 private:
  // Subclasses and objects that stand for data. The walk into what they give is one level deeper,
  // so that an object that gives itself comes to an end.
  Value convert_rare(PyObject* object, const Step* at, int depth) {
    if (const auto given = py::reinterpret_steal<py::object>(enum_value(object))) {
      bound_depth(depth + 1, at);
      return convert(given.ptr(), at, depth + 1);
    }
    if (PyUnicode_Check(object) != 0) return string(object, at);
    if (PyLong_Check(object) != 0) return integer(object, at);
    if (PyFloat_Check(object) != 0) return real(object, at);
    if (PyDict_Check(object) != 0) return dict(object, at, depth);
    if (PyList_Check(object) != 0) return list(object, at, depth);
    if (PyTuple_Check(object) != 0) return tuple(object, at, depth);
    if (PyType_Check(object) == 0) {
      auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
      if (const auto fields = attribute(type, known.str_fields)) {
        return dataclass(object, fields, at, depth);
      }
      if (PyObject_HasAttr(type, known.str_model_dump) != 0) return model(object, at, depth);
      // An array of one element has __index__ too.
      if (PyIndex_Check(object) != 0 && PySequence_Check(object) == 0) {
        const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(object));
        if (!number) throw py::error_already_set();
        return integer(number.ptr(), at);
      }
    }
    refuse(object, at, accepted);
  }

  Value string(PyObject* object, const Step* at) {
    if (PyUnicode_IS_COMPACT_ASCII(object)) {
      const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(object));
      return charge(Value(std::string_view(static_cast<const char*>(PyUnicode_DATA(object)), size)),
                    at);
    }
    // Not PyUnicode_AsUTF8: it would keep a copy in the object for as long as that lives.
    const auto bytes = py::reinterpret_steal<py::object>(PyUnicode_AsUTF8String(object));
    if (!bytes) refuse_surrogate(object, at);
    return charge(Value(std::string_view(PyBytes_AS_STRING(bytes.ptr()),
                                         static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())))),
                  at);
  }

  Value integer(PyObject* object, const Step* at) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) refuse(object, at, "an integer of 64 bits");
    if (number == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return charge(Value(static_cast<std::int64_t>(number)), at);
  }

  Value real(PyObject* object, const Step* at) {
    const double number = PyFloat_AS_DOUBLE(object);
    if (!std::isfinite(number)) refuse(object, at, "a finite number");
    return charge(Value(number), at);
  }

  Value list(PyObject* object, const Step* at, int depth) {
    bound_depth(depth + 1, at);
    const auto start = items_.size();
    // Asked again each time: code that runs meanwhile may shorten the list.
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object); ++i) {
      const auto item = py::reinterpret_borrow<py::object>(PyList_GET_ITEM(object, i));
      const Step step{at, nullptr, i};
      items_.push_back(convert(item.ptr(), &step, depth + 1));
    }
    return take_items(start);
  }

  Value tuple(PyObject* object, const Step* at, int depth) {
    bound_depth(depth + 1, at);
    const auto start = items_.size();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i) {
      const Step step{at, nullptr, i};
      items_.push_back(convert(PyTuple_GET_ITEM(object, i), &step, depth + 1));
    }
    return take_items(start);
  }

  Value dict(PyObject* object, const Step* at, int depth) {
    bound_depth(depth + 1, at);
    const auto start = members_.size();
    const auto size = PyDict_GET_SIZE(object);
    bool plain_keys = true;
    PyObject* borrowed_key = nullptr;
    PyObject* borrowed_value = nullptr;
    for (Py_ssize_t position = 0;
         PyDict_Next(object, &position, &borrowed_key, &borrowed_value) != 0;) {
      // Owned meanwhile: code that runs in the walk may change the dict.
      const auto key = py::reinterpret_borrow<py::object>(borrowed_key);
      const auto value = py::reinterpret_borrow<py::object>(borrowed_value);
      if (PyUnicode_Check(key.ptr()) == 0) refuse(key.ptr(), at, "a key that is a str");
      plain_keys = plain_keys && PyUnicode_CheckExact(key.ptr());
      const Step step{at, key.ptr(), 0};
      auto text = key_text(key.ptr(), &step);
      auto converted = convert(value.ptr(), &step, depth + 1);
      members_.push_back({std::move(text), std::move(converted)});
      if (PyDict_GET_SIZE(object) != size) refuse(object, at, "a dict that does not change");
    }
    return take_members(start, plain_keys, object, at);
  }

  Value dataclass(PyObject* object, const py::object& fields, const Step* at, int depth) {
    bound_depth(depth + 1, at);
    const auto start = members_.size();
    const auto names = py::reinterpret_steal<py::object>(PySequence_List(fields.ptr()));
    if (!names) throw py::error_already_set();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names.ptr()); ++i) {
      PyObject* const name = PyList_GET_ITEM(names.ptr(), i);
      // A pseudo-field (ClassVar, InitVar) is no instance attribute's business.
      const auto field = py::reinterpret_steal<py::object>(PyObject_GetItem(fields.ptr(), name));
      if (!field) throw py::error_already_set();
      if (!is_real_field(field)) continue;
      const auto value = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, name));
      if (!value) throw py::error_already_set();
      const Step step{at, name, 0};
      auto text = key_text(name, &step);
      auto converted = convert(value.ptr(), &step, depth + 1);
      members_.push_back({std::move(text), std::move(converted)});
    }
    return take_members(start, true, object, at);
  }

  Value model(PyObject* object, const Step* at, int depth) {
    bound_depth(depth + 1, at);
    std::array<PyObject*, 2> arguments = {object, known.str_json};
    const auto data = py::reinterpret_steal<py::object>(
        PyObject_VectorcallMethod(known.str_model_dump, arguments.data(), 1, known.dump_names));
    if (!data) throw py::error_already_set();
    return convert(data.ptr(), at, depth + 1);
  }

  static bool is_real_field(const py::object& field) {
    const auto kind = field.attr("_field_type");
    const auto word = py::str(kind.attr("name")).cast<std::string>();
    return word == "_FIELD";
  }

  // The value of an enumeration's member, as a new reference; null for anything else. Members that
  // are a str, int or float themselves need no look-up.
  static PyObject* enum_value(PyObject* object) {
    if (PyUnicode_Check(object) != 0 || PyLong_Check(object) != 0 || PyFloat_Check(object) != 0) {
      return nullptr;
    }
    const int is_member = PyObject_IsInstance(object, known.enum_type);
    if (is_member < 0) throw py::error_already_set();
    if (is_member == 0) return nullptr;
    auto* const value = PyObject_GetAttr(object, known.str_value);
    if (value == nullptr) throw py::error_already_set();
    return value;
  }

  static py::object attribute(PyObject* object, PyObject* name) {
    auto found = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, name));
    if (!found) {
      if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) throw py::error_already_set();
      PyErr_Clear();
    }
    return found;
  }

  std::string key_text(PyObject* key, const Step* at) {
    if (PyUnicode_IS_COMPACT_ASCII(key)) {
      return {static_cast<const char*>(PyUnicode_DATA(key)),
              static_cast<std::size_t>(PyUnicode_GET_LENGTH(key))};
    }
    const auto bytes = py::reinterpret_steal<py::object>(PyUnicode_AsUTF8String(key));
    if (!bytes) refuse_surrogate(key, at);
    return {PyBytes_AS_STRING(bytes.ptr()),
            static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
  }

  Value take_items(std::size_t start) {
    auto value = Value::take_array(std::span(items_).subspan(start));
    items_.resize(start);
    return value;
  }

  Value take_members(std::size_t start, bool plain_keys, PyObject* object, const Step* at) {
    const auto taken = std::span(members_).subspan(start);
    charge_bytes(taken.size() * sizeof(Member), at);
    // Keys of a subclass may be unequal to Python and have the same text.
    if (!plain_keys && !Value::has_unique_keys(taken))
      refuse(object, at, "keys of different texts");
    auto value = Value::take_object(taken);
    members_.resize(start);
    return value;
  }

  Value charge(Value value, const Step* at) {
    charge_bytes(value.byte_size(), at);
    return value;
  }

  void charge_bytes(std::size_t bytes, const Step* at) {
    if (bytes > left_) {
      throw Raised(invalid_input(path_of(at), Value("(large)"),
                                 fmt::format("data of at most {} bytes", value_bytes_max)));
    }
    left_ -= bytes;
  }

  void bound_depth(int depth, const Step* at) const {
    if (depth > Value::depth_max) {
      throw Raised(invalid_input(path_of(at), Value("(nested)"),
                                 fmt::format("at most {} levels and no cycles", Value::depth_max)));
    }
  }

  [[noreturn]] void refuse(PyObject* object, const Step* at, std::string_view expected) const {
    throw Raised(invalid_input(path_of(at), Value(shown(object)), expected)
                     .with("type", Value(Py_TYPE(object)->tp_name)));
  }

  [[noreturn]] void refuse_surrogate(PyObject* object, const Step* at) const {
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    refuse(object, at, "text without lone surrogates");
  }

  std::string path_of(const Step* at) const {
    std::vector<const Step*> steps;
    for (; at != nullptr; at = at->outer) steps.push_back(at);
    std::string path(root_);
    std::for_each(steps.rbegin(), steps.rend(), [&path](const Step* step) {
      if (step->key != nullptr) {
        append_path_key(path, text_of(step->key));
      } else {
        append_path_index(path, static_cast<std::size_t>(step->index));
      }
    });
    return path;
  }

  std::string_view root_;
  std::size_t left_ = value_bytes_max;
  std::vector<Value>& items_ = stacks_of_thread.items;
  std::vector<Member>& members_ = stacks_of_thread.members;
  const std::size_t items_base_ = items_.size();
  const std::size_t members_base_ = members_.size();
};

}  // namespace

void prepare_conversions() {
  known.enum_type = py::object(py::module_::import("enum").attr("Enum")).release().ptr();
  known.str_fields = PyUnicode_InternFromString("__dataclass_fields__");
  known.str_model_dump = PyUnicode_InternFromString("model_dump");
  known.str_value = PyUnicode_InternFromString("value");
  known.str_json = PyUnicode_InternFromString("json");
  known.dump_names = py::make_tuple("mode").release().ptr();
}

Value to_value(py::handle object, std::string_view root) {
  return Walk(root).convert(object.ptr(), nullptr, 0);
}

}  // namespace clew::python
