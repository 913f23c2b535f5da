// bindings/handler.hpp: a capability written in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "bindings/gil.hpp"
#include "clew/capability/contract.hpp"
#include "clew/capability/invocation.hpp"

namespace clew::python {

class Core;

struct HandlerOptions {
  bool is_async = false;
  std::string context;      // the parameter that takes the Context; empty: none
  std::string fingerprint;  // tells a changed function from an unchanged one
};

// A Python function and what stands around it. Shared; may be dropped on any thread.
class PythonHandler final : public Handler {
 public:
  // GIL. `decode` and `encode` may be None.
  PythonHandler(py::object function, py::object decode, py::object encode, HandlerOptions options);

  std::string_view kind() const override { return options_.is_async ? "async" : "python"; }
  std::string fingerprint() const override { return options_.fingerprint; }
  bool is_async() const { return options_.is_async; }
  bool takes_context() const { return !options_.context.empty(); }

  // All of these need the GIL.

  // Calls the function with the members of the input as keyword arguments. Throws Raised when the
  // input cannot be decoded, py::error_already_set with what the function raised.
  py::object call(const InvocationPtr& invocation, const std::shared_ptr<Core>& core) const;
  // The arguments as a dict, for functions that are called elsewhere: without the context.
  py::dict arguments(const Invocation& invocation) const;
  // The function's result as a Value; `execution_failed` when it has no JSON form.
  Result<Value> result_of(py::handle returned) const;
  // call() and result_of(), with every exception turned into the call's error.
  Result<Value> run(const InvocationPtr& invocation, const std::shared_ptr<Core>& core) const;

  py::handle function() const { return function_.handle(); }
  // Lets go of the function for good: nobody may call it any more. Traces may keep the handler.
  void release() const;
  int traverse(visitproc visit, void* arg) const;

 private:
  py::object call_plain(const Value& input, py::handle context) const;
  py::object names_for(PyObject* const* names, std::size_t count) const;

  const HandlerOptions options_;
  // Guarded by the GIL.
  mutable PyRef function_;
  mutable PyRef decode_;  // empty: none
  mutable PyRef encode_;
  PyRef context_name_;
  // The names of the last call as a tuple: calls mostly have the same ones.
  mutable PyRef last_names_;
};

}  // namespace clew::python
