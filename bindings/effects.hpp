// bindings/effects.hpp: effects as Python asks for them.
#pragma once

#include <memory>

#include "bindings/core.hpp"
#include "bindings/register_runtime.hpp"
#include "clew/effect/host.hpp"

namespace clew::python {

// Effects of one scope. Keeps its runtime; a closed one answers `closed`. Thread-safe.
class EffectController {
 public:
  // Throws Raised.
  EffectController(CorePtr core, py::handle scope);
  // Blocks. Heeds Ctrl-C, which is never an outcome. `function` may be None.
  py::object execute_effect(py::handle envelope, py::object function) const;
  void start_replay() const;

 private:
  CorePtr core_;
  std::shared_ptr<effect::EffectController> controller_;
};

void register_effects(py::module_& m);
void define_effects(RuntimeClass& runtime);

}  // namespace clew::python
