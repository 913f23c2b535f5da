#include "clew/store/due.hpp"

namespace clew::store {
namespace {

const Statement set_sql(R"sql(
    INSERT INTO due_times (kind, id, due_us) VALUES (:kind, :id, :due)
    ON CONFLICT (kind, id) DO UPDATE SET due_us = excluded.due_us)sql");

const Statement clear_sql("DELETE FROM due_times WHERE kind = :kind AND id = :id");

const Statement due_sql(R"sql(
    SELECT id, due_us FROM due_times WHERE kind = :kind AND due_us <= :now
     ORDER BY due_us, id LIMIT :limit {skip_locked})sql");

const Statement next_sql(R"sql(
    SELECT due_us FROM due_times WHERE kind = :kind ORDER BY due_us LIMIT 1)sql");

const Statement all_sql("SELECT id, due_us, kind FROM due_times ORDER BY kind, id");

Result<DueThing> decode(const Row& row) {
  DueThing thing;
  CLEW_TRY(thing.id, row.text(0));
  CLEW_TRY(thing.due.us, integer_at(row, 1, 0));
  return thing;
}

}  // namespace

Result<void> set_due(Transaction& tx, std::string_view kind, std::string_view id, Timestamp due) {
  CLEW_TRY(tx.post(set_sql, kind, id, due));
  return {};
}

Result<bool> clear_due(Transaction& tx, std::string_view kind, std::string_view id) {
  CLEW_TRY(const auto cleared, tx.run(clear_sql, kind, id));
  return cleared == 1;
}

Result<std::vector<DueThing>> due_things(Transaction& tx, std::string_view kind, Timestamp now,
                                         int limit) {
  std::vector<DueThing> things;
  const auto take = [&](const Row& row) -> Result<void> {
    auto thing = decode(row);
    if (!thing) {
      return in_row(thing.error(), "due_times", fmt::format("{}/{}", kind, shown_at(row, 0)));
    }
    things.push_back(*std::move(thing));
    return {};
  };
  CLEW_TRY(tx.each(due_sql, take, kind, now, limit));
  return things;
}

Result<std::optional<Timestamp>> next_due(Transaction& tx, std::string_view kind) {
  std::optional<Timestamp> next;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto us, integer_at(row, 0, 0));
    next = Timestamp{us};
    return {};
  };
  CLEW_TRY(tx.first(next_sql, take, kind));
  return next;
}

Result<void> check_due(Transaction& tx, const ReportRow& report) {
  return tx.each(all_sql, [&report](const Row& row) -> Result<void> {
    const auto key = fmt::format("{}/{}", shown_at(row, 2), shown_at(row, 0));
    if (const auto thing = decode(row); !thing) report(in_row(thing.error(), "due_times", key));
    return {};
  });
}

}  // namespace clew::store
