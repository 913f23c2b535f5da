// bindings/processes.hpp: the registry of processes, as Python holds it.
#pragma once

#include "bindings/core.hpp"
#include "bindings/register_runtime.hpp"
#include "clew/process/processes.hpp"

namespace clew::python {

// Keeps its runtime; a closed one answers `closed`. Thread-safe.
class ProcessRegistry {
 public:
  explicit ProcessRegistry(CorePtr core) : core_(std::move(core)) {}
  const CorePtr& core() const { return core_; }
  process::Processes& processes() const;

 private:
  CorePtr core_;
};

void register_processes(py::module_& m);
void define_processes(RuntimeClass& runtime);

}  // namespace clew::python
