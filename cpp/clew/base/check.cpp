#include "clew/base/check.hpp"

#include <fmt/core.h>

namespace clew {

void check_failed(std::string_view condition, std::string_view detail, const char* file, int line) {
  throw CheckFailure(fmt::format("check failed at {}:{}: {}{}{}", file, line, condition,
                                 detail.empty() ? "" : ": ", detail));
}

}  // namespace clew
