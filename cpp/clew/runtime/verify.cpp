#include "clew/runtime/verify.hpp"

#include <algorithm>

#include "clew/capability/broker.hpp"
#include "clew/capability/contract_rows.hpp"
#include "clew/capability/idempotency.hpp"
#include "clew/capability/trace.hpp"
#include "clew/effect/journal.hpp"
#include "clew/process/registry.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/store/invariant.hpp"
#include "clew/workflow/engine.hpp"

namespace clew {
namespace {

Result<void> check_contracts(store::Transaction& tx, const store::ReportRow& damaged) {
  CLEW_TRY(load_contracts(tx, damaged));
  return {};
}

// What is checked row by row, each as "<what>.readable".
constexpr const char* readable[] = {"contracts",   "due_times",    "effects", "events",
                                    "idempotency", "leases",       "outbox",  "owners",
                                    "processes",   "published",    "runs",    "requests",
                                    "sessions",    "timed_leases", "traces",  "workflows"};

}  // namespace

Result<std::vector<Violation>> verify_database(store::Database& database, store::GoOn go_on) {
  std::vector<Violation> violations;
  CLEW_TRY(const auto damage, database.check_integrity());
  for (const auto& each : damage) violations.push_back({"database.integrity", each});
  store::ReportViolation add = [&violations](std::string_view name, std::string detail) {
    violations.push_back({std::string(name), std::move(detail)});
  };
  const store::ReportRow report_event = [&violations](const Error& why) {
    violations.push_back({"events.readable", why.to_string()});
  };
  const auto check = [&](store::Transaction& tx) -> Result<void> {
    for (const store::CheckRows rows :
         {store::CheckRows(check_traces), store::CheckRows(check_contracts),
          store::CheckRows(check_idempotency)}) {
      CLEW_TRY(store::check_rows(tx, rows, add));
    }
    CLEW_TRY(Stores::verify(tx, add));
    CLEW_TRY(check_event_log(tx, report_event));
    return workflow::verify_runs(tx, add);
  };
  CLEW_TRY(database.read(check, std::move(go_on)));
  return violations;
}

std::vector<InvariantInfo> store_invariants() {
  std::vector<InvariantInfo> all = {
      {"database.integrity", "the database's own check finds nothing"},
      {"database.readable", "no table is too damaged to be read"},
      {"runs.fold", "every run's events can have happened, and lead to where its row says"}};
  for (const auto* what : readable) {
    all.push_back({fmt::format("{}.readable", what), fmt::format("every row of {} can be", what)});
  }
  for (const auto& each :
       {workflow::run_invariants(), process::process_invariants(), effect::effect_invariants()}) {
    for (const auto& invariant : each) all.push_back({invariant.name, invariant.says});
  }
  std::ranges::sort(all, {}, &InvariantInfo::name);
  return all;
}

}  // namespace clew
