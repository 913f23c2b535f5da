#include "clew/store/invariant.hpp"

namespace clew::store {
namespace {

std::string_view text_of(const Error& why, std::string_view key) {
  const Value* value = why.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

Result<void> note(const Result<void>& done, ReportViolation& report) {
  if (done || done.error().code() != Code::corrupt) return done;
  report("database.readable", done.error().to_string());
  return {};
}

}  // namespace

Result<void> check_invariants(Transaction& tx, std::span<const Invariant> invariants,
                              ReportViolation& report) {
  for (const auto& invariant : invariants) {
    const auto take = [&](const Row& row) -> Result<void> {
      report(invariant.name,
             fmt::format("{}: not so for \"{}\"", invariant.says, shown_at(row, 0)));
      return {};
    };
    CLEW_TRY(note(tx.each(invariant.broken, take), report));
  }
  return {};
}

Result<void> check_rows(Transaction& tx, CheckRows check, ReportViolation& report) {
  const ReportRow report_row = [&report](const Error& why) {
    const auto table = text_of(why, "table");
    report(fmt::format("{}.readable", table),
           fmt::format("row \"{}\" of {}: {}", text_of(why, "key"), table, why.message()));
  };
  return note(check(tx, report_row), report);
}

}  // namespace clew::store
