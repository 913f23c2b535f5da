// effect/journal.hpp: what effects have come to, each change inside a transaction of the caller's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/effect/decide.hpp"
#include "clew/effect/effect.hpp"
#include "clew/store/invariant.hpp"
#include "clew/store/store.hpp"
#include "clew/store/timed_lease.hpp"

namespace clew::effect {

using store::Transaction;

// The tables of this layer, one migration.
store::Migration effect_migration(int version);

// An effect as it is recorded.
struct Recorded {
  std::string replay_key;
  Envelope envelope;
  Status status = Status::in_progress;
  Value outcome;                 // when completed
  std::optional<Error> error;    // when failed
  std::optional<Timestamp> due;  // of a sleep: when it is over

  // Its outcome or its error. CLEW_CHECK: it is decided.
  Result<Value> result() const;
};

struct Claim {
  Decision decision = Decision::busy;
  std::optional<Recorded> recorded;  // of what is decided, or being run
  store::TimedLease lease;           // of an insert or a take-over: the caller's
};

// Asks for an effect: decides (decide.hpp) and does what that prescribes, so that after an insert
// or a take-over the effect is the caller's to run. A take-over keeps the time at which a sleep is
// over. Errors: `conflict` with reason effect_hash_conflict naming the first difference,
// `not_found` with reason effect_missing in a strict replay, `corrupt`.
Result<Claim> claim_effect(Transaction& tx, const Scope& scope, const Envelope& envelope,
                           const store::LeaseClaim& claim, bool is_strict);

// Records what a claimed effect came to, under the lease that the claim got: an error that is not
// recordable frees the key, so that the next request runs the effect again. `stale_lease` with
// reason effect_lease_lost when another has taken it over: the outcome is discarded.
Result<void> finalise_effect(Transaction& tx, const Scope& scope, const Envelope& envelope,
                             std::string_view token, const Result<Value>& result);
Result<store::TimedLease> renew_effect(Transaction& tx, const Scope& scope,
                                       std::string_view replay_key, std::string_view token,
                                       Timestamp now, Duration ttl);

// The effect under that key; nothing when there is none.
Result<std::optional<Recorded>> find_effect(Transaction& tx, const Scope& scope,
                                            std::string_view replay_key);
// Until when whoever runs it has its lease; nothing when nobody does.
Result<std::optional<Timestamp>> runs_until(Transaction& tx, const Scope& scope,
                                            std::string_view replay_key);
// All that are decided in a scope, by key, at most `limit`.
Result<std::vector<Recorded>> decided_effects(Transaction& tx, const Scope& scope, int limit);

// Forgets what a scope, or a session's scopes, have recorded, with the leases of what is in
// progress: how many effects.
Result<std::int64_t> retire_scope(Transaction& tx, const Scope& scope);
Result<std::int64_t> retire_session(Transaction& tx, std::string_view session_id);
// Those decided before `before`, at most `limit`, of scopes in which nothing is in progress and
// nothing was decided since. Those of processes stay until retire_scope().
Result<std::int64_t> purge_effects(Transaction& tx, Timestamp before, int limit);

// Reads every row, and reports those that cannot be.
Result<void> check_effects(Transaction& tx, const store::ReportRow& report);
// The same, and what must hold between rows.
Result<void> verify_effects(Transaction& tx, store::ReportViolation& report);
std::span<const store::Invariant> effect_invariants();

}  // namespace clew::effect
