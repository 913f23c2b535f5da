// bindings/async_executor.hpp: who runs `async def` functions.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "bindings/core.hpp"
#include "clew/capability/executor.hpp"

namespace clew::python {

// What blocking code must know about the loop. Thread-safe.
class LoopExecutor : public CapabilityExecutor {
 public:
  virtual bool is_this_thread() const = 0;
  // Whether calls made within `call` wait for the loop to begin them.
  virtual bool has_waiting_under(const Invocation& call) const = 0;
};

// Runs PythonHandlers that are `async def` on one event loop, on a thread of its own that starts
// with the first call (clew/_loop.py has the loop). Named "async", target "local". It takes no slot
// of the pool; a contract's max_concurrency holds. Calls are handed over in batches: while the loop
// has not looked yet, more of them cost no further wake-up, and none takes the GIL. Cancelling a
// call, its deadline and stop() cancel its asyncio task.
std::shared_ptr<LoopExecutor> make_async_executor(ThreadPool& pool, std::weak_ptr<Core> core);

// The classes that clew/_loop.py sees.
void register_async(py::module_& m);

}  // namespace clew::python
