#include <array>
#include <cstring>
#include <span>

#include "bindings/convert.hpp"

namespace clew::python {
namespace {

// Short strings seen lately, as Python objects: a key costs neither an allocation nor its hash
// again. Guarded by the GIL; what it holds is never freed, so its size is bounded.
class RecentTexts {
 public:
  // A new reference, or null with Python's error set.
  PyObject* get(std::string_view text) {
    if (text.size() > length_max) return make(text);
    auto& entry = entries_[slot_of(text)];
    if (entry.object != nullptr && entry.size == text.size() &&
        std::memcmp(entry.text.data(), text.data(), text.size()) == 0) {
      return Py_NewRef(entry.object);
    }
    auto* object = make(text);
    if (object == nullptr) return nullptr;
    PyUnicode_InternInPlace(&object);  // equal to the names of a function's parameters by identity
    Py_XSETREF(entry.object, Py_NewRef(object));
    entry.size = static_cast<std::uint8_t>(text.size());
    std::memcpy(entry.text.data(), text.data(), text.size());
    return object;
  }

 private:
  static constexpr std::size_t length_max = 32;
  struct Entry {
    PyObject* object = nullptr;
    std::uint8_t size = 0;
    std::array<char, length_max> text{};
  };

  static PyObject* make(std::string_view text) {
    return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
  }
  static std::size_t slot_of(std::string_view text) {
    std::uint64_t hash = 14695981039346656037U + text.size();
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return (hash >> 20U) % slots;
  }

  static constexpr std::size_t slots = 512;
  std::array<Entry, slots> entries_{};
};
RecentTexts recent_texts;

PyObject* checked(PyObject* object) {
  if (object == nullptr) throw py::error_already_set();
  return object;
}

PyObject* convert(const Value& value);

PyObject* convert_array(std::span<const Value> items) {
  const auto list =
      py::reinterpret_steal<py::object>(checked(PyList_New(static_cast<Py_ssize_t>(items.size()))));
  for (std::size_t i = 0; i < items.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), convert(items[i]));
  }
  return list.inc_ref().ptr();
}

PyObject* convert_object(std::span<const Member> members) {
  const auto dict = py::reinterpret_steal<py::object>(checked(PyDict_New()));
  for (const auto& [key, value] : members) {
    const auto name = py::reinterpret_steal<py::object>(checked(recent_texts.get(key)));
    const auto item = py::reinterpret_steal<py::object>(convert(value));
    if (PyDict_SetItem(dict.ptr(), name.ptr(), item.ptr()) != 0) throw py::error_already_set();
  }
  return dict.inc_ref().ptr();
}

// A new reference. Nesting is bounded by Value itself.
PyObject* convert(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      return Py_NewRef(Py_None);
    case Value::Kind::boolean:
      return Py_NewRef(value.as_bool() ? Py_True : Py_False);
    case Value::Kind::integer:
      return checked(PyLong_FromLongLong(value.as_int()));
    case Value::Kind::real:
      return checked(PyFloat_FromDouble(value.as_real()));
    case Value::Kind::string: {
      const auto text = value.as_string();
      return checked(
          PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
    }
    case Value::Kind::array:
      return convert_array(value.items());
    case Value::Kind::object:
      return convert_object(value.members());
  }
  check_failed("value has a kind", {});
}

}  // namespace

py::object to_python(const Value& value) {
  return py::reinterpret_steal<py::object>(convert(value));
}

void append_members(const Value& object, std::vector<PyObject*>& names,
                    std::vector<PyObject*>& values) {
  for (const auto& [key, value] : object.members()) {
    names.push_back(checked(recent_texts.get(key)));
    values.push_back(convert(value));
  }
}

py::object to_shared_str(std::string_view text) {
  return py::reinterpret_steal<py::object>(checked(recent_texts.get(text)));
}

}  // namespace clew::python
