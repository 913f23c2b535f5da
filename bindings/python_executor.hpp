// bindings/python_executor.hpp: who runs plain Python functions.
#pragma once

#include <memory>

#include "bindings/core.hpp"
#include "clew/capability/executor.hpp"

namespace clew::python {

// Runs PythonHandlers that are no `async def`, on the pool or on the caller's thread, with the GIL.
// Named "python", target "local".
//
// A call that is finished is told at once: nothing is kept back behind the next handler. A bare
// call is finished with the GIL held, which costs less than to let go of it; a step of a run is
// finished without, because that may commit to the disk.
std::shared_ptr<CapabilityExecutor> make_python_executor(ThreadPool& pool,
                                                         std::weak_ptr<Core> core);

}  // namespace clew::python
