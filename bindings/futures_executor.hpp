// bindings/futures_executor.hpp: who runs Python functions elsewhere.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "clew/capability/executor.hpp"

namespace clew::python {

struct FuturesOptions {
  std::string name;
  std::vector<std::string> targets;
  int capacity = 1;
};

// Hands calls to any concurrent.futures.Executor: a process pool, Dask, … The executor stays its
// owner's to shut down. Takes PythonHandlers that are no `async def` and ask for no context; the
// function and its arguments must be such as the executor can carry. A contract's max_concurrency
// holds. Cancelling a call, its deadline and stop() cancel its future. An executor that says it is
// broken or shut down is left out by placement from then on; the call itself fails as
// `unavailable`. Needs the GIL.
std::shared_ptr<CapabilityExecutor> make_futures_executor(pybind11::object executor,
                                                          FuturesOptions options);

}  // namespace clew::python
