// bindings/native.hpp: capabilities in C++ that come with the package, for tests and measurements.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/result.hpp"
#include "clew/capability/contract.hpp"

namespace clew::python {

// Their names, sorted.
std::vector<std::string> native_functions();

// A handler that runs the function of that name; `not_found` with the names there are. `env` is
// borrowed and outlives every call.
Result<std::shared_ptr<const Handler>> make_native_handler(const std::string& function, Env& env);

}  // namespace clew::python
