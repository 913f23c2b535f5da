#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/process/detail/rows.hpp"
#include "clew/store/idempotency.hpp"

namespace clew::process {
namespace {

using store::Row;
using store::Statement;

const Statement add_sql(R"sql(
    INSERT INTO processes (id, owner_session, hash, registration, status, last_seq, created_us,
                           updated_us)
    VALUES (:id, :session, :hash, :registration, 'running', 0, :now, :now)
    ON CONFLICT (id) DO NOTHING)sql");

const Statement external_sql("UPDATE processes SET external_ref = :ref WHERE number = :number");

const Statement ended_sql(R"sql(
    SELECT id FROM processes
     WHERE status <> 'running' AND pruned_us IS NULL AND updated_us < :before
     ORDER BY updated_us, id LIMIT :limit)sql");

const Statement bury_sql(R"sql(
    UPDATE processes SET pruned_us = :now, registration = '{}', output = NULL, external_ref = NULL
     WHERE number = :number)sql");

const Statement drop_grants_sql("DELETE FROM process_grants WHERE process_id = :id");

const Statement drop_wakes_sql("DELETE FROM process_wakes WHERE process = :number");

const Statement leased_sql(R"sql(
    SELECT p.id FROM processes p JOIN timed_leases l ON l.kind = 'process' AND l.id = p.id
     WHERE p.status = 'running' AND (l.token = '' OR l.expires_us <= :now)
     ORDER BY p.id)sql");

Error another_registration(Transaction& tx, const ProcessRow& row, const Registration& given) {
  if (row.is_pruned) {
    return error(Code::conflict, "process \"{}\" has been: its id is never used again", row.id)
        .with("process_id", row.id);
  }
  const auto before = registration_of(tx, row);
  if (!before) return before.error();
  const auto difference = first_difference(before->to_value(), given.to_value());
  return error(Code::conflict,
               "process \"{}\" is registered already, and differs: {} was {}, not {}", row.id,
               difference.path, preview(difference.left), preview(difference.right))
      .with("process_id", row.id)
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right);
}

template <typename... Given>
Result<std::vector<std::string>> ids_of(Transaction& tx, const Statement& query,
                                        const Given&... given) {
  std::vector<std::string> ids;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto id, store::word_at(row, 0));
    ids.push_back(std::move(id));
    return {};
  };
  CLEW_TRY(tx.each(query, take, given...));
  return ids;
}

Result<std::vector<Record>> records(Transaction& tx, bool live_only) {
  CLEW_TRY(const auto rows, all_rows(tx, live_only));
  std::vector<Record> list;
  for (const auto& row : rows) {
    CLEW_TRY(auto record, to_record(tx, row));
    list.push_back(std::move(record));
  }
  return list;
}

}  // namespace

Result<Record> register_process(Transaction& tx, const Registration& registration, Timestamp now) {
  const auto document = registration.to_value();
  const auto hash = to_hex(digest_of(document));
  CLEW_TRY(tx.post(add_sql, registration.id, registration.provenance.owner_scope.session_id, hash,
                   to_json(document), now));
  CLEW_TRY(const auto row, find_row(tx, registration.id));
  if (!row) return Error(Code::internal, "a process that was registered is not there");
  if (row->is_pruned || row->hash != hash) return another_registration(tx, *row, registration);
  return to_record(tx, *row);
}

Result<std::optional<Record>> get_process(Transaction& tx, std::string_view id) {
  CLEW_TRY(const auto row, find_row(tx, id));
  if (!row || row->is_pruned) return std::optional<Record>();
  CLEW_TRY(auto record, to_record(tx, *row));
  return std::optional<Record>(std::move(record));
}

Result<std::vector<Record>> list_processes(Transaction& tx) { return records(tx, false); }

Result<std::vector<Record>> list_non_terminal(Transaction& tx) { return records(tx, true); }

Result<Record> set_external_ref(Transaction& tx, std::string_view id, const ExternalRef& ref) {
  CLEW_TRY(auto row, load_row(tx, id));
  CLEW_TRY(tx.post(external_sql, to_json(ref.to_value()), row.number));
  row.external_ref = ref;
  return to_record(tx, row);
}

Result<store::TimedLease> claim_process_lease(Transaction& tx, std::string_view id,
                                              const store::LeaseClaim& claim) {
  CLEW_TRY(const auto row, load_row(tx, id));
  if (is_terminal(row.status)) {
    return error(Code::conflict, "process \"{}\" has ended as {}: there is nothing to run", id,
                 name(row.status))
        .with("process_id", id)
        .with("status", name(row.status));
  }
  return store::claim_timed_lease(tx, {"process", id}, claim);
}

Result<store::TimedLease> renew_process_lease(Transaction& tx, std::string_view id,
                                              std::string_view token, Timestamp now, Duration ttl) {
  CLEW_TRY(load_row(tx, id));
  return store::renew_timed_lease(tx, {"process", id}, token, now, ttl);
}

Result<void> complete_process_lease(Transaction& tx, std::string_view id, std::string_view token) {
  CLEW_TRY(load_row(tx, id));
  CLEW_TRY(store::release_timed_lease(tx, {"process", id}, token));
  return {};
}

namespace {

// What becomes of one whose runner's lease is over. Each list takes `limit`.
Result<void> recover(Transaction& tx, DeclaredCache& cache, const std::string& id, Timestamp now,
                     std::size_t limit, Recovered& recovered) {
  CLEW_TRY(const auto row, load_row(tx, id));
  CLEW_TRY(const auto declared, declared_by(tx, cache, row));
  const auto disposition = declared->registration.disposition;
  if (disposition == Disposition::externally_owned) return {};
  CLEW_TRY(const auto lease, store::find_timed_lease(tx, {"process", id}));
  if (is_terminal(row.status) || !lease || lease->is_live(now)) return {};  // meanwhile
  // One whose runner gave the lease back in order may be taken up by another.
  if (disposition == Disposition::rerunnable || lease->token.empty()) {
    if (recovered.rerunnable.size() < limit) recovered.rerunnable.push_back(id);
    return {};
  }
  if (recovered.abandoned.size() == limit) return {};
  const auto output =
      Value::object({{"type", "abandoned"},
                     {"message", Value(fmt::format("its owner \"{}\" is gone", lease->owner))}});
  CLEW_TRY(complete_process(tx, cache, id, output, {"", "recovery"}, now));
  recovered.abandoned.push_back(id);
  return {};
}

}  // namespace

Result<Recovered> recover_processes(Transaction& tx, DeclaredCache& cache, Timestamp now,
                                    int limit) {
  const auto most = static_cast<std::size_t>(limit);
  Recovered recovered;
  // All of them: those that nobody takes up must not hide the ones behind them.
  CLEW_TRY(const auto ids, ids_of(tx, leased_sql, now));
  for (const auto& id : ids) {
    if (recovered.rerunnable.size() == most && recovered.abandoned.size() == most) break;
    CLEW_TRY(recover(tx, cache, id, now, most, recovered));
  }
  return recovered;
}

Result<std::vector<std::string>> prune_processes(Transaction& tx, Timestamp before, int limit) {
  CLEW_TRY(const auto ids, ids_of(tx, ended_sql, before, limit));
  std::vector<std::string> pruned;
  for (const auto& id : ids) {
    CLEW_TRY(const auto row, load_row(tx, id));
    CLEW_TRY(store::remove_stream(tx, row.stream()));
    CLEW_TRY(store::forget_requests(tx, "process_event", id));
    CLEW_TRY(tx.post(drop_grants_sql, id));
    CLEW_TRY(tx.post(drop_wakes_sql, row.number));
    CLEW_TRY(tx.post(bury_sql, before, row.number));
    pruned.push_back(id);
  }
  return pruned;
}

}  // namespace clew::process
