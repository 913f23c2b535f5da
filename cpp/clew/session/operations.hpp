// session/operations.hpp: the session stores as operations on JSON, for bindings and tools.
#pragma once

#include <string_view>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/session/attachments.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

// What operations work on. Borrowed.
struct Stores {
  store::Database& database;
  Env& env;
  AttachmentOptions attachments;
};

// Carries out one operation: "session.commit", "trigger.list", … with an object of arguments.
// Blocks for the disk. Times are microseconds. Errors: `invalid_input` for an operation that there
// is not, and with the path of what is wrong in the arguments; those of the operation.
Result<Value> perform(const Stores& stores, std::string_view operation, const Value& arguments);
// All operations, sorted.
std::vector<std::string_view> operations();

}  // namespace clew::session
