// store/invariant.hpp: what must always hold between rows, said as a query for what breaks it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "clew/store/column.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

struct Invariant {
  const char* name;  // "events.dense"
  const char* says;  // the rule, in words
  Statement broken;  // one row for each violation, what it is about in the first column
};

// Told of each violation: the invariant's name, and what is wrong.
using ReportViolation = Function<void(std::string_view name, std::string detail)>;

// Damage of the file itself, which may keep a table from being read, counts as a violation of
// "database.readable"; the other invariants are still looked at. Error: any other failure.
Result<void> check_invariants(Transaction& tx, std::span<const Invariant> invariants,
                              ReportViolation& report);
// The same for a check that reads rows: what it reports becomes a violation of "<table>.readable".
using CheckRows = Result<void> (*)(Transaction&, const ReportRow&);
Result<void> check_rows(Transaction& tx, CheckRows check, ReportViolation& report);

}  // namespace clew::store
