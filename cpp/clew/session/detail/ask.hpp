// session/detail/ask.hpp: one transaction that answers a value.
#pragma once

#include <optional>

#include "clew/store/store.hpp"

namespace clew::session::detail {

// Commits what `use` does and gives its answer; blocks. `use` may run more than once.
template <typename T>
Result<T> change(store::Database& database, Function<Result<T>(store::Transaction&)> use) {
  std::optional<T> answer;
  CLEW_TRY(database.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(answer, use(tx));
    return {};
  }));
  return *std::move(answer);
}

// Reads one snapshot.
template <typename T>
Result<T> ask(store::Database& database, Function<Result<T>(store::Transaction&)> use) {
  std::optional<T> answer;
  CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(answer, use(tx));
    return {};
  }));
  return *std::move(answer);
}

}  // namespace clew::session::detail
