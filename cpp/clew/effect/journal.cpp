#include "clew/effect/journal.hpp"

#include <fmt/format.h>

#include "clew/base/json.hpp"

namespace clew::effect {
namespace {

using store::Row;
using store::Statement;

constexpr const char* tables_sql = R"sql(
CREATE TABLE effects (
  scope TEXT NOT NULL,
  replay_key TEXT NOT NULL,
  session_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  envelope TEXT NOT NULL,
  status TEXT NOT NULL,
  result TEXT,
  due_us {integer},
  at_us {integer} NOT NULL,
  PRIMARY KEY (scope, replay_key)
) {clustered};
CREATE INDEX effects_of_session ON effects (session_id);
CREATE INDEX effects_by_age ON effects (at_us) WHERE status <> 'in_progress';

CREATE VIEW v_effects AS
  SELECT scope, replay_key, session_id, envelope, status, result, due_us, at_us FROM effects;
)sql";

const Statement find_sql(R"sql(
    SELECT replay_key, hash, envelope, status, result, due_us FROM effects
     WHERE scope = :scope AND replay_key = :key {for_update})sql");

const Statement insert_sql(R"sql(
    INSERT INTO effects (scope, replay_key, session_id, hash, envelope, status, due_us, at_us)
    VALUES (:scope, :key, :session, :hash, :envelope, 'in_progress', :due, :now)
    ON CONFLICT (scope, replay_key) DO NOTHING)sql");

const Statement finalise_sql(R"sql(
    UPDATE effects SET status = :status, result = :result
     WHERE scope = :scope AND replay_key = :key AND hash = :hash AND status = 'in_progress')sql");

const Statement free_sql(R"sql(
    DELETE FROM effects
     WHERE scope = :scope AND replay_key = :key AND hash = :hash AND status = 'in_progress')sql");

const Statement decided_sql(R"sql(
    SELECT replay_key, hash, envelope, status, result, due_us FROM effects
     WHERE scope = :scope AND status <> 'in_progress' ORDER BY replay_key LIMIT :limit)sql");

const Statement retire_scope_sql(
    "DELETE FROM effects WHERE scope = :scope RETURNING scope, replay_key");

const Statement retire_session_sql(
    "DELETE FROM effects WHERE session_id = :session RETURNING scope, replay_key");

// Within the text of a scope the quotes of its ids are escaped.
const Statement purge_sql(R"sql(
    DELETE FROM effects WHERE (scope, replay_key) IN (
      SELECT e.scope, e.replay_key FROM effects e
       WHERE e.status <> 'in_progress' AND e.at_us < :before
         AND e.scope NOT LIKE '%"type":"process"%'
         AND NOT EXISTS (SELECT 1 FROM effects o WHERE o.scope = e.scope
                          AND (o.status = 'in_progress' OR o.at_us >= :before))
       ORDER BY e.at_us, e.scope, e.replay_key LIMIT :limit))sql");

const Statement all_sql(R"sql(
    SELECT replay_key, hash, envelope, status, result, due_us, scope FROM effects
     ORDER BY scope, replay_key)sql");

// An effect is leased under its scope, a blank and its key.
const store::Invariant invariants[] = {
    {"effects.running", "every effect in progress is, or was, leased", Statement(R"sql(
        SELECT e.scope || '/' || e.replay_key FROM effects e
          LEFT JOIN timed_leases l
               ON l.kind = 'effect' AND l.id = e.scope || ' ' || e.replay_key
         WHERE e.status = 'in_progress' AND l.id IS NULL)sql")},
    {"effects.decided", "an effect that is decided is leased by nobody", Statement(R"sql(
        SELECT e.scope || '/' || e.replay_key FROM effects e
          JOIN timed_leases l ON l.kind = 'effect' AND l.id = e.scope || ' ' || e.replay_key
         WHERE e.status <> 'in_progress' AND l.token <> '')sql")},
};

struct Found {
  Recorded recorded;
  std::string hash;
};

Result<Status> status_at(const Row& row, int column) {
  CLEW_TRY(const auto word, store::word_at(row, column));
  for (const auto status : {Status::in_progress, Status::completed, Status::failed}) {
    if (word == name(status)) return status;
  }
  return store::corrupt_column(row, column, "in_progress, completed or failed");
}

Result<Found> decode_columns(const Row& row) {
  CLEW_TRY(auto key, store::word_at(row, 0));
  CLEW_TRY(auto hash, store::word_at(row, 1));
  CLEW_TRY(const auto document, store::json_at(row, 2));
  auto envelope = Envelope::from_value(document, "envelope");
  if (!envelope || envelope->hash() != hash) {
    return store::corrupt_column(row, 2, "the envelope of its hash");
  }
  Found found{{std::move(key), *std::move(envelope), {}, {}, {}, {}}, std::move(hash)};
  auto& recorded = found.recorded;
  CLEW_TRY(recorded.status, status_at(row, 3));
  CLEW_TRY(const auto result, store::json_at(row, 4));
  if (recorded.status != Status::in_progress && row.is_null(4)) {
    return store::corrupt_column(row, 4, "the result of what is decided");
  }
  if (recorded.status == Status::completed) recorded.outcome = result;
  if (recorded.status == Status::failed) recorded.error = Error::from_value(result);
  if (!row.is_null(5)) {
    CLEW_TRY(const auto due, store::integer_at(row, 5, 0));
    recorded.due = Timestamp{due};
  }
  return found;
}

Result<Found> decode(const Row& row, std::string_view scope) {
  auto found = decode_columns(row);
  if (found) return found;
  return store::in_row(found.error(), "effects",
                       fmt::format("{}/{}", scope, store::shown_at(row, 0)));
}

Result<std::optional<Found>> find(Transaction& tx, std::string_view scope, std::string_view key) {
  std::optional<Found> found;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(found, decode(row, scope));
    return {};
  };
  CLEW_TRY(tx.first(find_sql, take, scope, key));
  return found;
}

// The id under which an effect is leased.
std::string lease_id(std::string_view scope, std::string_view key) {
  return fmt::format("{} {}", scope, key);
}

Error mismatch(const Envelope& before, const Envelope& given) {
  const auto difference = first_difference(before.to_value(), given.to_value());
  return error(Code::conflict, "the replay key \"{}\" belongs to another effect: {} was {}, not {}",
               given.replay_key(), difference.path, preview(difference.left),
               preview(difference.right))
      .with("reason", "effect_hash_conflict")
      .with("replay_key", given.replay_key())
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right);
}

Error missing(const Envelope& envelope) {
  return error(Code::not_found,
               "nothing is recorded under the replay key \"{}\", and a strict replay runs nothing",
               envelope.replay_key())
      .with("reason", "effect_missing")
      .with("replay_key", envelope.replay_key());
}

Error lease_lost(const Error& why, const Envelope& envelope) {
  return why.with("reason", "effect_lease_lost").with("replay_key", envelope.replay_key());
}

}  // namespace

store::Migration effect_migration(int version) { return {version, "effects", tables_sql}; }

Result<Value> Recorded::result() const {
  CLEW_CHECK(status != Status::in_progress);
  if (error) return *error;
  return outcome;
}

Result<Claim> claim_effect(Transaction& tx, const Scope& scope, const Envelope& envelope,
                           const store::LeaseClaim& claim, bool is_strict) {
  const auto identity = scope.identity();
  const auto hash = envelope.hash();
  const auto lease_name = lease_id(identity, envelope.replay_key());
  const store::LeaseKey lease_key{"effect", lease_name};
  const auto due = envelope.is_sleep()
                       ? std::optional(claim.now + std::chrono::milliseconds(envelope.sleep_ms()))
                       : std::nullopt;
  CLEW_TRY(auto found, find(tx, identity, envelope.replay_key()));
  std::int64_t added = 0;
  while (!found && added == 0 && !is_strict) {
    CLEW_TRY(added, tx.run(insert_sql, identity, envelope.replay_key(), scope.session_id(), hash,
                           to_json(envelope.to_value()),
                           due ? store::Arg(*due) : store::Arg(nullptr), claim.now));
    if (added == 0) {  // somebody was quicker, and may have freed it again
      CLEW_TRY(found, find(tx, identity, envelope.replay_key()));
    }
  }
  std::optional<Standing> row;
  if (found) {
    CLEW_TRY(const auto lease, store::find_timed_lease(tx, lease_key));
    row = Standing{found->hash, found->recorded.status, lease && lease->is_live(claim.now), true};
  }
  Claim made;
  made.decision = decide(row, hash, is_strict);
  if (found) made.recorded = found->recorded;
  switch (made.decision) {
    case Decision::mismatch:
      return mismatch(found->recorded.envelope, envelope);
    case Decision::missing:
      return missing(envelope);
    case Decision::completed:
    case Decision::failed:
    case Decision::busy:
      return made;
    case Decision::corrupt:
      return store::in_row(Error(Code::corrupt, "a decided effect has no result"), "effects",
                           lease_name);
    case Decision::insert:
    case Decision::take_over:
      break;
  }
  if (!made.recorded) made.recorded = Recorded{envelope.replay_key(), envelope, {}, {}, {}, due};
  CLEW_TRY(made.lease, store::claim_timed_lease(tx, lease_key, claim));
  return made;
}

Result<void> finalise_effect(Transaction& tx, const Scope& scope, const Envelope& envelope,
                             std::string_view token, const Result<Value>& result) {
  const auto identity = scope.identity();
  const auto& key = envelope.replay_key();
  const auto hash = envelope.hash();
  const auto lease_name = lease_id(identity, key);
  const store::LeaseKey lease_key{"effect", lease_name};
  CLEW_TRY(find(tx, identity, key));  // locks it, in the order in which a claim does
  if (auto held = store::check_timed_lease(tx, lease_key, token); !held) {
    return held.error().code() == Code::stale_lease ? lease_lost(held.error(), envelope)
                                                    : held.error();
  }
  const bool is_kept = result || is_recordable(result.error());
  std::int64_t changed = 0;
  if (is_kept) {
    const auto text = to_json(result ? *result : result.error().to_value());
    CLEW_TRY(changed, tx.run(finalise_sql, name(result ? Status::completed : Status::failed), text,
                             identity, key, hash));
    CLEW_TRY(store::end_timed_lease(tx, lease_key, token));
  } else {
    CLEW_TRY(changed, tx.run(free_sql, identity, key, hash));
    CLEW_TRY(store::release_timed_lease(tx, lease_key, token));
  }
  if (changed == 1) return {};
  return lease_lost(error(Code::stale_lease, "the effect \"{}\" is no longer in progress", key),
                    envelope);
}

Result<store::TimedLease> renew_effect(Transaction& tx, const Scope& scope,
                                       std::string_view replay_key, std::string_view token,
                                       Timestamp now, Duration ttl) {
  return store::renew_timed_lease(tx, {"effect", lease_id(scope.identity(), replay_key)}, token,
                                  now, ttl);
}

Result<std::optional<Recorded>> find_effect(Transaction& tx, const Scope& scope,
                                            std::string_view replay_key) {
  CLEW_TRY(auto found, find(tx, scope.identity(), replay_key));
  if (!found) return std::optional<Recorded>();
  return std::optional<Recorded>(std::move(found->recorded));
}

Result<std::optional<Timestamp>> runs_until(Transaction& tx, const Scope& scope,
                                            std::string_view replay_key) {
  const auto lease_name = lease_id(scope.identity(), replay_key);
  CLEW_TRY(const auto lease, store::find_timed_lease(tx, {"effect", lease_name}));
  if (!lease || lease->token.empty()) return std::optional<Timestamp>();
  return std::optional(lease->expires_at);
}

Result<std::vector<Recorded>> decided_effects(Transaction& tx, const Scope& scope, int limit) {
  std::vector<Recorded> list;
  const auto identity = scope.identity();
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto found, decode(row, identity));
    list.push_back(std::move(found.recorded));
    return {};
  };
  CLEW_TRY(tx.each(decided_sql, take, identity, limit));
  return list;
}

namespace {

// With an effect goes its lease: whoever runs it finds it lost. Effects first, as a claim locks.
Result<std::int64_t> retire(Transaction& tx, const store::Statement& remove, std::string_view of) {
  std::vector<std::string> leases;
  const auto take = [&leases](const Row& row) -> Result<void> {
    CLEW_TRY(const auto scope, row.text(0));
    CLEW_TRY(const auto key, row.text(1));
    leases.push_back(lease_id(scope, key));
    return {};
  };
  CLEW_TRY(tx.each(remove, take, of));
  CLEW_TRY(store::forget_timed_leases(tx, "effect", leases));
  return static_cast<std::int64_t>(leases.size());
}

}  // namespace

Result<std::int64_t> retire_scope(Transaction& tx, const Scope& scope) {
  return retire(tx, retire_scope_sql, scope.identity());
}

Result<std::int64_t> retire_session(Transaction& tx, std::string_view session_id) {
  if (session_id.empty()) return invalid_input("session_id", Value(session_id), "an id");
  return retire(tx, retire_session_sql, session_id);
}

Result<std::int64_t> purge_effects(Transaction& tx, Timestamp before, int limit) {
  return tx.run(purge_sql, before, limit);
}

Result<void> check_effects(Transaction& tx, const store::ReportRow& report) {
  return tx.each(all_sql, [&report](const Row& row) -> Result<void> {
    if (const auto found = decode(row, store::shown_at(row, 6)); !found) report(found.error());
    return {};
  });
}

std::span<const store::Invariant> effect_invariants() { return invariants; }

Result<void> verify_effects(Transaction& tx, store::ReportViolation& report) {
  CLEW_TRY(store::check_rows(tx, check_effects, report));
  return store::check_invariants(tx, invariants, report);
}

}  // namespace clew::effect
