// store/timed_lease.hpp: who may change a thing for a while. Where a Lease lives as long as the
// Runtime that holds it, this one has a time of its own: for owners that are no Runtimes, and for
// work whose owner may hang while its process lives.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "clew/store/column.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

// What a lease is on: a kind of thing ("process") and the thing's id.
struct LeaseKey {
  std::string_view kind;
  std::string_view id;
};

// The right of one owner. Live while now < expires_at; from then on anybody may claim the thing,
// and until somebody does, its owner may still renew and write. The fence rises for ever with each
// claim, also across release, expiry and purge.
struct TimedLease {
  std::string owner;
  std::string token;  // names this claim; empty: it was released
  std::int64_t fence = 0;
  Timestamp claimed_at;
  Timestamp expires_at;

  bool is_live(Timestamp now) const { return !token.empty() && now < expires_at; }
  friend bool operator==(const TimedLease&, const TimedLease&) = default;
};

struct LeaseClaim {
  std::string_view owner;
  std::string_view token;  // chosen by the claimant, never used before, save to try again
  Timestamp now;
  Duration ttl{0};  // 0: over at once
};

// The newest lease on a thing, released ones included; nothing when it never had one. Locks it.
// `corrupt` naming a row that cannot be.
Result<std::optional<TimedLease>> find_timed_lease(Transaction& tx, LeaseKey key);

// Takes what is free, over, or the claimant's own already: a new lease with the next fence, after
// which the older one of the same owner is worth nothing. The same token again answers the lease
// that it got, so that a claim whose answer was lost can be repeated. `conflict` naming the holder
// and how long it holds, also when its token is used by another; `invalid_input` for an empty owner
// or token, or a ttl below zero or above a year.
Result<TimedLease> claim_timed_lease(Transaction& tx, LeaseKey key, const LeaseClaim& claim);

// Makes it last until now + ttl (never shorter); fence and token stay. `stale_lease` when `token`
// is not the newest, or was released.
Result<TimedLease> renew_timed_lease(Transaction& tx, LeaseKey key, std::string_view token,
                                     Timestamp now, Duration ttl);

// Ok while `token` is the newest, released never; else `stale_lease` naming what stands there. For
// the transaction in which its owner writes: it locks the lease until that ends.
Result<void> check_timed_lease(Transaction& tx, LeaseKey key, std::string_view token);

// Gives it back: anybody may claim the thing at once. False, and nothing happens, when `token` is
// not the newest.
Result<bool> release_timed_lease(Transaction& tx, LeaseKey key, std::string_view token);

// The thing has ended: nobody will ever claim it again, and its row is gone. False as above.
Result<bool> end_timed_lease(Transaction& tx, LeaseKey key, std::string_view token);

// Forgets leases of `kind` that were released or over by `before`, at most `limit`; how many. The
// fences of things claimed later still lie above all that were forgotten.
Result<int> purge_timed_leases(Transaction& tx, std::string_view kind, Timestamp before, int limit);
// Forgets the leases on these things, whoever has them. Fences claimed later lie above, as before.
Result<void> forget_timed_leases(Transaction& tx, std::string_view kind,
                                 std::span<const std::string> ids);

// Reads every row, and reports those that cannot be.
Result<void> check_timed_leases(Transaction& tx, const ReportRow& report);

}  // namespace clew::store
