// store/due.hpp: when each thing is next to be looked at.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/store/column.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

struct DueThing {
  std::string id;
  Timestamp due;
  friend bool operator==(const DueThing&, const DueThing&) = default;
};

// Each thing of a kind has at most one due time; setting it again moves it. Due from now >= due.
Result<void> set_due(Transaction& tx, std::string_view kind, std::string_view id, Timestamp due);
// False when it had none.
Result<bool> clear_due(Transaction& tx, std::string_view kind, std::string_view id);
// What is due at `now`, earliest first, then by id, at most `limit`. Locks what it answers, and
// passes over what another transaction has locked: two who ask at once get different things.
Result<std::vector<DueThing>> due_things(Transaction& tx, std::string_view kind, Timestamp now,
                                         int limit);
// The earliest due time of the kind; nothing when no thing has one.
Result<std::optional<Timestamp>> next_due(Transaction& tx, std::string_view kind);
// Reads every row, and reports those that cannot be.
Result<void> check_due(Transaction& tx, const ReportRow& report);

}  // namespace clew::store
