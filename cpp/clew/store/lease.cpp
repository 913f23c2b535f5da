#include "clew/store/lease.hpp"

#include <algorithm>

namespace clew::store {
namespace {

constexpr OwnerId nobody = 0;

const Statement find_lease_sql(R"sql(
    SELECT owner, token, closed FROM leases
     WHERE kind = :kind AND number = :number {for_update})sql");

const Statement insert_lease_sql(R"sql(
    INSERT INTO leases (kind, number, owner, token, closed)
    VALUES (:kind, :number, :owner, 1, 0) ON CONFLICT (kind, number) DO NOTHING)sql");

// The token that was read guards the row against another taker in between.
const Statement take_lease_sql(R"sql(
    UPDATE leases SET owner = :owner, token = token + 1
     WHERE kind = :kind AND number = :number AND token = :token AND closed = 0)sql");

const Statement give_back_sql(R"sql(
    UPDATE leases SET owner = 0, closed = :closed
     WHERE kind = :kind AND number = :number AND owner = :owner AND token = :token)sql");

const Statement owner_expiry_sql("SELECT expires_at FROM owners WHERE id = :owner");

const Statement next_holder_sql(R"sql(
    SELECT owner FROM leases WHERE kind = :kind AND closed = 0 AND owner > :after
     ORDER BY owner LIMIT 1)sql");

const Statement held_by_sql(R"sql(
    SELECT number FROM leases WHERE kind = :kind AND closed = 0 AND owner = :owner
     ORDER BY number LIMIT :limit)sql");

struct LeaseRow {
  OwnerId owner = nobody;
  std::int64_t token = 0;
  bool is_closed = false;
};

Result<LeaseRow> decode_lease(const Row& row) {
  LeaseRow found;
  CLEW_TRY(found.owner, row.integer(0));
  CLEW_TRY(found.token, row.integer(1));
  CLEW_TRY(const auto closed, row.integer(2));
  if (found.owner < nobody || found.token < 1 || closed < 0 || closed > 1) {
    return error(Code::corrupt, "impossible lease: owner {}, token {}, closed {}", found.owner,
                 found.token, closed);
  }
  found.is_closed = closed == 1;
  return found;
}

Result<std::optional<LeaseRow>> find_lease(Transaction& tx, Resource resource) {
  std::optional<LeaseRow> found;
  const auto take = [&](const Row& row) -> Result<void> {
    auto lease = decode_lease(row);
    if (!lease) {
      return lease.error()
          .with("table", "leases")
          .with("kind", resource.kind)
          .with("number", resource.number);
    }
    found = *lease;
    return {};
  };
  CLEW_TRY(tx.first(find_lease_sql, take, resource.kind, resource.number));
  return found;
}

// Live while now < expires_at, unless the caller knows better.
Result<bool> is_live(Transaction& tx, OwnerId owner, Timestamp now,
                     const std::vector<OwnerId>& dead) {
  if (owner == nobody || std::ranges::find(dead, owner) != dead.end()) return false;
  Timestamp expires_at{INT64_MIN};
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(expires_at.us, row.integer(0));
    return {};
  };
  CLEW_TRY(const bool known, tx.first(owner_expiry_sql, take, owner));
  return known && now < expires_at;
}

Error about(const Error& why, Resource resource) {
  return why.with("kind", resource.kind).with("number", resource.number);
}

Error stale(Resource resource, const Lease& lease, const std::optional<LeaseRow>& found) {
  const auto newest = found ? found->token : 0;
  return about(
      error(Code::stale_lease,
            "{} {}: token {} of owner {} is not the lease: the newest "
            "token is {}, held by {}",
            resource.kind, resource.number, lease.token, lease.owner, newest,
            found && found->owner != nobody ? fmt::format("owner {}", found->owner) : "nobody")
          .with("token", lease.token)
          .with("newest", newest),
      resource);
}

Result<void> give_back(Transaction& tx, Resource resource, const Lease& lease, bool closed) {
  CLEW_TRY(const auto changed,
           tx.run(give_back_sql, closed, resource.kind, resource.number, lease.owner, lease.token));
  if (changed == 1) return {};
  CLEW_TRY(const auto found, find_lease(tx, resource));
  return stale(resource, lease, found);
}

}  // namespace

Result<Lease> take_lease(Transaction& tx, Resource resource, OwnerId owner, Timestamp now,
                         const std::vector<OwnerId>& dead) {
  CLEW_TRY(const auto found, find_lease(tx, resource));
  if (!found) return make_lease(tx, resource, owner);
  if (found->is_closed) {
    return about(error(Code::conflict, "{} {} has ended", resource.kind, resource.number),
                 resource);
  }
  CLEW_TRY(const bool held, is_live(tx, found->owner, now, dead));
  if (!held) {
    CLEW_TRY(const auto taken,
             tx.run(take_lease_sql, owner, resource.kind, resource.number, found->token));
    if (taken == 1) return Lease{resource.number, owner, found->token + 1};
  }
  return about(error(Code::conflict, "{} {} is held by owner {}", resource.kind, resource.number,
                     found->owner)
                   .with("owner", found->owner),
               resource);
}

Result<Lease> make_lease(Transaction& tx, Resource resource, OwnerId owner) {
  CLEW_TRY(const auto added, tx.run(insert_lease_sql, resource.kind, resource.number, owner));
  if (added == 1) return Lease{resource.number, owner, 1};
  return about(error(Code::conflict, "{} {} has a lease already", resource.kind, resource.number),
               resource);
}

Result<void> check_lease(Transaction& tx, Resource resource, const Lease& lease) {
  CLEW_TRY(const auto found, find_lease(tx, resource));
  if (found && found->owner == lease.owner && found->token == lease.token) return {};
  return stale(resource, lease, found);
}

Result<void> release_lease(Transaction& tx, Resource resource, const Lease& lease) {
  return give_back(tx, resource, lease, false);
}

Result<void> close_lease(Transaction& tx, Resource resource, const Lease& lease) {
  return give_back(tx, resource, lease, true);
}

// Goes from holder to holder, of which there are few, and never over the leases of the living.
Result<std::vector<std::int64_t>> lapsed_leases(Transaction& tx, std::string_view kind,
                                                Timestamp now, const std::vector<OwnerId>& dead,
                                                int limit, OwnerId mine) {
  std::vector<std::int64_t> numbers;
  OwnerId holder = nobody - 1;
  const auto take_holder = [&](const Row& row) -> Result<void> {
    CLEW_TRY(holder, row.integer(0));
    return {};
  };
  const auto take_number = [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto number, row.integer(0));
    numbers.push_back(number);
    return {};
  };
  for (;;) {
    CLEW_TRY(const bool more, tx.first(next_holder_sql, take_holder, kind, holder));
    if (!more) break;
    CLEW_TRY(const bool live, is_live(tx, holder, now, dead));
    if (live || (holder == mine && mine != nobody)) continue;
    CLEW_TRY(tx.each(held_by_sql, take_number, kind, holder, limit));
  }
  std::ranges::sort(numbers);
  if (numbers.size() > static_cast<std::size_t>(std::max(limit, 0))) {
    numbers.resize(static_cast<std::size_t>(std::max(limit, 0)));
  }
  return numbers;
}

}  // namespace clew::store
