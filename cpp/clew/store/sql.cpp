#include "clew/store/sql.hpp"

#include <atomic>

#include "clew/store/dialect.hpp"

namespace clew::store {
namespace {

std::atomic<int> statements_made{0};

constexpr Dialect plain = {[](std::string_view) { return std::optional<std::string_view>(""); },
                           [](int) { return std::string("?"); }};

}  // namespace

Statement::Statement(const char* sql)
    : sql_(sql), index_(statements_made.fetch_add(1, std::memory_order_relaxed)) {}

Result<std::vector<std::string>> parameter_names(std::string_view sql) {
  CLEW_TRY(auto rendered, render(sql, plain));
  return std::move(rendered.parameters);
}

}  // namespace clew::store
