// bindings/runtime_handle.hpp: the owner of a runtime, which the Python class Runtime is.
#pragma once

#include <memory>

#include "bindings/core.hpp"

namespace clew::python {

// Closes its runtime, without draining, when it goes.
class RuntimeHandle {
 public:
  explicit RuntimeHandle(CorePtr core) : core_(std::move(core)) {}
  ~RuntimeHandle() {
    if (core_) core_->close_quietly(std::chrono::seconds(5));
  }
  RuntimeHandle(const RuntimeHandle&) = delete;
  RuntimeHandle& operator=(const RuntimeHandle&) = delete;

  const CorePtr& core() const { return core_; }

 private:
  CorePtr core_;
};

}  // namespace clew::python
