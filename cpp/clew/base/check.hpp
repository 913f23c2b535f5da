// base/check.hpp: what only a bug can break.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace clew {

// A broken invariant. Thrown by CLEW_CHECK; caught at a task's boundary, a thread's main function
// and the binding's edge, where it becomes Code::internal.
class CheckFailure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Throws CheckFailure naming the condition, the place and `detail`.
[[noreturn]] void check_failed(std::string_view condition, std::string_view detail,
                               const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace clew

// States what must be true here unless the code is wrong. On in every build.
#define CLEW_CHECK(condition)                                   \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::clew::check_failed(#condition, {}, __FILE__, __LINE__); \
  } while (false)
