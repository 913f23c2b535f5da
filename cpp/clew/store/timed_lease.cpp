#include "clew/store/timed_lease.hpp"

namespace clew::store {
namespace {

const Statement find_sql(R"sql(
    SELECT owner, token, fence, claimed_us, expires_us FROM timed_leases
     WHERE kind = :kind AND id = :id {for_update})sql");

// Nothing is there: whoever else claims at the same time finds the row, or is found.
const Statement first_sql(R"sql(
    INSERT INTO timed_leases (kind, id, owner, token, fence, claimed_us, expires_us)
    VALUES (:kind, :id, :owner, :token,
            1 + COALESCE((SELECT fence FROM lease_floors WHERE kind = :kind), 0), :now, :expires)
    ON CONFLICT (kind, id) DO NOTHING)sql");

// The fence that was read guards the row against another claimant in between.
const Statement change_sql(R"sql(
    UPDATE timed_leases SET owner = :owner, token = :token, fence = :fence, claimed_us = :claimed,
                            expires_us = :expires
     WHERE kind = :kind AND id = :id AND fence = :seen_fence AND token = :seen_token)sql");

const Statement end_sql(R"sql(
    DELETE FROM timed_leases WHERE kind = :kind AND id = :id AND token = :token)sql");

const Statement raise_floor_sql(R"sql(
    INSERT INTO lease_floors (kind, fence) SELECT kind, MAX(fence) FROM timed_leases
     WHERE kind = :kind AND (token = '' OR expires_us <= :before) GROUP BY kind
    ON CONFLICT (kind) DO UPDATE SET fence = excluded.fence
     WHERE lease_floors.fence < excluded.fence)sql");

const Statement raise_floor_to_all_sql(R"sql(
    INSERT INTO lease_floors (kind, fence) SELECT kind, MAX(fence) FROM timed_leases
     WHERE kind = :kind GROUP BY kind
    ON CONFLICT (kind) DO UPDATE SET fence = excluded.fence
     WHERE lease_floors.fence < excluded.fence)sql");

const Statement forget_sql("DELETE FROM timed_leases WHERE kind = :kind AND id = :id");

// Again of the row as it stands once it is locked: somebody may have claimed it, or released it
// after the floor was raised.
const Statement purge_sql(R"sql(
    DELETE FROM timed_leases
     WHERE kind = :kind AND (token = '' OR expires_us <= :before)
       AND fence <= (SELECT fence FROM lease_floors WHERE kind = :kind)
       AND id IN (SELECT id FROM timed_leases
                   WHERE kind = :kind AND (token = '' OR expires_us <= :before)
                   ORDER BY id LIMIT :limit))sql");

const Statement all_sql(R"sql(
    SELECT owner, token, fence, claimed_us, expires_us, kind, id FROM timed_leases
     ORDER BY kind, id)sql");

constexpr Duration ttl_max = std::chrono::hours(24 * 366);

Result<TimedLease> decode(const Row& row) {
  TimedLease lease;
  CLEW_TRY(lease.owner, word_at(row, 0));
  CLEW_TRY(lease.token, row.text(1));
  CLEW_TRY(lease.fence, integer_at(row, 2, 1, INT64_MAX - 1));
  CLEW_TRY(lease.claimed_at.us, integer_at(row, 3, 0));
  CLEW_TRY(lease.expires_at.us, integer_at(row, 4, lease.claimed_at.us));
  return lease;
}

Error about(const Error& why, LeaseKey key) {
  return why.with("kind", key.kind).with("id", key.id);
}

Error stale(LeaseKey key, const std::optional<TimedLease>& found) {
  if (!found || found->token.empty()) {
    return about(
        error(Code::stale_lease, "the lease on {} \"{}\" is missing or expired", key.kind, key.id),
        key);
  }
  return about(error(Code::stale_lease,
                     "the lease on {} \"{}\" is missing or expired: \"{}\" has it now, with fence "
                     "{}",
                     key.kind, key.id, found->owner, found->fence)
                   .with("owner", found->owner)
                   .with("fence", found->fence),
               key);
}

Error held(LeaseKey key, const TimedLease& lease) {
  return about(error(Code::conflict, "{} \"{}\" is already leased by \"{}\" until {}", key.kind,
                     key.id, lease.owner, to_rfc3339(lease.expires_at))
                   .with("owner", lease.owner)
                   .with("expires_at", lease.expires_at.us),
               key);
}

// Puts `to` where `from` stands, unless somebody was quicker.
Result<bool> change(Transaction& tx, LeaseKey key, const TimedLease& from, const TimedLease& to) {
  CLEW_TRY(const auto changed, tx.run(change_sql, to.owner, to.token, to.fence, to.claimed_at,
                                      to.expires_at, key.kind, key.id, from.fence, from.token));
  return changed == 1;
}

Result<void> check_ttl(Duration ttl) {
  if (ttl >= Duration(0) && ttl <= ttl_max) return {};
  return invalid_input("ttl", to_string(ttl), "a duration from 0 to a year");
}

Result<void> check_claim(const LeaseClaim& claim) {
  if (claim.owner.empty()) return invalid_input("owner", claim.owner, "a word");
  if (claim.token.empty()) return invalid_input("token", claim.token, "a word");
  return check_ttl(claim.ttl);
}

Result<TimedLease> newest(Transaction& tx, LeaseKey key, std::string_view token) {
  CLEW_TRY(auto found, find_timed_lease(tx, key));
  if (!found || token.empty() || found->token != token) return stale(key, found);
  return *std::move(found);
}

}  // namespace

Result<std::optional<TimedLease>> find_timed_lease(Transaction& tx, LeaseKey key) {
  std::optional<TimedLease> found;
  const auto take = [&](const Row& row) -> Result<void> {
    auto lease = decode(row);
    if (!lease) {
      return in_row(lease.error(), "timed_leases", fmt::format("{}/{}", key.kind, key.id));
    }
    found = *std::move(lease);
    return {};
  };
  CLEW_TRY(tx.first(find_sql, take, key.kind, key.id));
  return found;
}

Result<TimedLease> claim_timed_lease(Transaction& tx, LeaseKey key, const LeaseClaim& claim) {
  CLEW_TRY(check_claim(claim));
  CLEW_TRY(auto found, find_timed_lease(tx, key));
  const auto expires_at = claim.now + claim.ttl;
  if (!found) {
    CLEW_TRY(const auto added,
             tx.run(first_sql, key.kind, key.id, claim.owner, claim.token, claim.now, expires_at));
    CLEW_TRY(found, find_timed_lease(tx, key));
    if (!found) return Error(Code::internal, "a lease that was claimed is not there");
    if (added == 1) return *std::move(found);
  }
  if (found->token == claim.token) {
    if (found->owner == claim.owner) return *std::move(found);
    return held(key, *found);  // with one token two owners would both be right
  }
  if (found->is_live(claim.now) && found->owner != claim.owner) return held(key, *found);
  const TimedLease taken{std::string(claim.owner), std::string(claim.token), found->fence + 1,
                         claim.now, expires_at};
  CLEW_TRY(const bool changed, change(tx, key, *found, taken));
  if (changed) return taken;
  return held(key, *found);
}

Result<TimedLease> renew_timed_lease(Transaction& tx, LeaseKey key, std::string_view token,
                                     Timestamp now, Duration ttl) {
  CLEW_TRY(check_ttl(ttl));
  CLEW_TRY(const auto lease, newest(tx, key, token));
  auto renewed = lease;
  renewed.expires_at = std::max(lease.expires_at, now + ttl);
  CLEW_TRY(const bool changed, change(tx, key, lease, renewed));
  if (!changed) return stale(key, lease);
  return renewed;
}

Result<void> check_timed_lease(Transaction& tx, LeaseKey key, std::string_view token) {
  CLEW_TRY(newest(tx, key, token));
  return {};
}

Result<bool> release_timed_lease(Transaction& tx, LeaseKey key, std::string_view token) {
  CLEW_TRY(const auto found, find_timed_lease(tx, key));
  if (!found || token.empty() || found->token != token) return false;
  auto released = *found;
  released.token.clear();
  return change(tx, key, *found, released);
}

Result<bool> end_timed_lease(Transaction& tx, LeaseKey key, std::string_view token) {
  if (token.empty()) return false;
  CLEW_TRY(const auto ended, tx.run(end_sql, key.kind, key.id, token));
  return ended == 1;
}

// The floor rises to the highest fence of all that may go, of which some may stay for now.
Result<int> purge_timed_leases(Transaction& tx, std::string_view kind, Timestamp before,
                               int limit) {
  CLEW_TRY(tx.post(raise_floor_sql, kind, before));
  CLEW_TRY(const auto gone, tx.run(purge_sql, kind, before, limit));
  return static_cast<int>(gone);
}

Result<void> forget_timed_leases(Transaction& tx, std::string_view kind,
                                 std::span<const std::string> ids) {
  if (ids.empty()) return {};
  CLEW_TRY(tx.post(raise_floor_to_all_sql, kind));
  for (const auto& id : ids) CLEW_TRY(tx.post(forget_sql, kind, id));
  return {};
}

Result<void> check_timed_leases(Transaction& tx, const ReportRow& report) {
  return tx.each(all_sql, [&report](const Row& row) -> Result<void> {
    Result<void> sound;
    if (const auto lease = decode(row); !lease) sound = lease.error();
    if (const auto kind = word_at(row, 5); sound && !kind) sound = kind.error();
    const auto key = fmt::format("{}/{}", shown_at(row, 5), shown_at(row, 6));
    if (!sound) report(in_row(sound.error(), "timed_leases", key));
    return {};
  });
}

}  // namespace clew::store
