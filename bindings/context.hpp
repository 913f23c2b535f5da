// bindings/context.hpp: what a handler written in Python may ask about its call.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/core.hpp"
#include "clew/capability/invocation.hpp"

namespace clew::python {

// Valid as long as somebody holds it; after the call has ended it says that it is cancelled.
class Context {
 public:
  Context(InvocationPtr invocation, CorePtr core, bool is_async)
      : invocation_(std::move(invocation)), core_(std::move(core)), is_async_(is_async) {}

  Invocation& invocation() const { return *invocation_; }
  const InvocationPtr& invocation_ptr() const { return invocation_; }
  const CorePtr& core() const { return core_; }
  // In an `async def` handler call() gives something to await.
  bool is_async() const { return is_async_; }
  // Throws Raised(`cancelled`) when the call should stop.
  void check_cancelled() const;

 private:
  InvocationPtr invocation_;
  CorePtr core_;
  bool is_async_;
};

// GIL. A Context as a Python object.
py::object make_context(InvocationPtr invocation, CorePtr core, bool is_async);

void register_context(py::module_& m);

}  // namespace clew::python
