#include "clew/store/lease.hpp"

#include <algorithm>

namespace clew::store {
namespace {

constexpr OwnerId nobody = 0;

const Statement find_lease_sql(R"sql(
    SELECT owner, token, closed FROM leases WHERE kind = :kind AND number = :number)sql");
const Statement lock_lease_sql(R"sql(
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

const Statement all_leases_sql(R"sql(
    SELECT owner, token, closed, kind, number FROM leases ORDER BY kind, number)sql");

const Statement owner_expiry_sql("SELECT expires_at FROM owners WHERE id = :owner");

const Statement next_holder_sql(R"sql(
    SELECT owner FROM leases WHERE kind = :kind AND closed = 0 AND owner > :after
     ORDER BY owner LIMIT 1)sql");

const Statement held_by_sql(R"sql(
    SELECT number FROM leases WHERE kind = :kind AND closed = 0 AND owner = :owner
     ORDER BY number LIMIT :limit)sql");

Result<LeaseState> decode_lease(const Row& row) {
  LeaseState found;
  CLEW_TRY(found.owner, row.integer(0));
  CLEW_TRY(found.token, row.integer(1));
  CLEW_TRY(const auto closed, row.integer(2));
  if (found.owner < nobody || found.token < 1 || found.token == INT64_MAX || closed < 0 ||
      closed > 1) {
    return error(Code::corrupt, "impossible lease: owner {}, token {}, closed {}", found.owner,
                 found.token, closed);
  }
  found.is_closed = closed == 1;
  return found;
}

}  // namespace

Error in_lease(const Error& why, Resource resource) {
  return in_row(why, "leases", fmt::format("{}/{}", resource.kind, resource.number))
      .with("kind", resource.kind)
      .with("number", resource.number);
}

namespace {

Result<LeaseState> decode_lease_of(const Row& row, Resource resource) {
  auto lease = decode_lease(row);
  if (!lease) return in_lease(lease.error(), resource);
  return lease;
}

Result<std::optional<LeaseState>> find_by(const Statement& statement, Transaction& tx,
                                          Resource resource) {
  std::optional<LeaseState> found;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(found, decode_lease_of(row, resource));
    return {};
  };
  CLEW_TRY(tx.first(statement, take, resource.kind, resource.number));
  return found;
}

// Whoever locks it knows until its end who may change the resource.
Result<std::optional<LeaseState>> lock_lease(Transaction& tx, Resource resource) {
  return find_by(lock_lease_sql, tx, resource);
}

// Live while now < expires_at, unless the caller knows better.
Result<bool> is_live(Transaction& tx, OwnerId owner, Timestamp now,
                     const std::vector<OwnerId>& dead) {
  if (owner == nobody || std::ranges::find(dead, owner) != dead.end()) return false;
  Timestamp expires_at{INT64_MIN};
  const auto take = [&](const Row& row) -> Result<void> {
    auto expires = integer_at(row, 0, 0);
    if (!expires) return in_row(expires.error(), "owners", fmt::format("{}", owner));
    expires_at.us = *expires;
    return {};
  };
  CLEW_TRY(const bool known, tx.first(owner_expiry_sql, take, owner));
  return known && now < expires_at;
}

Error about(const Error& why, Resource resource) {
  return why.with("kind", resource.kind).with("number", resource.number);
}

Error stale(Resource resource, const Lease& lease, const std::optional<LeaseState>& found) {
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

}  // namespace

Result<std::optional<LeaseState>> find_lease(Transaction& tx, Resource resource) {
  return find_by(find_lease_sql, tx, resource);
}

Result<Lease> take_lease(Transaction& tx, Resource resource, OwnerId owner, Timestamp now,
                         const std::vector<OwnerId>& dead) {
  CLEW_TRY(const auto found, lock_lease(tx, resource));
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

Result<void> judge_lease(const Row* row, Resource resource, const Lease& lease) {
  std::optional<LeaseState> found;
  if (row != nullptr) {
    CLEW_TRY(found, decode_lease_of(*row, resource));
  }
  if (found && found->owner == lease.owner && found->token == lease.token) return {};
  return stale(resource, lease, found);
}

Result<void> check_lease(Transaction& tx, Resource resource, const Lease& lease) {
  auto judge = [kind = std::string(resource.kind), number = resource.number,
                lease](const Row* row) { return judge_lease(row, {kind, number}, lease); };
  return tx.expect(lock_lease_sql, std::move(judge), resource.kind, resource.number);
}

Result<void> check_leases(Transaction& tx, const ReportRow& report) {
  return tx.each(all_leases_sql, [&report](const Row& row) -> Result<void> {
    Result<void> sound;
    if (const auto lease = decode_lease(row); !lease) sound = lease.error();
    if (const auto kind = word_at(row, 3); sound && !kind) sound = kind.error();
    if (const auto number = integer_at(row, 4, 1); sound && !number) sound = number.error();
    const auto key = fmt::format("{}/{}", shown_at(row, 3), shown_at(row, 4));
    if (!sound) report(in_row(sound.error(), "leases", key));
    return {};
  });
}

Result<void> release_lease(Transaction& tx, Resource resource, const Lease& lease) {
  CLEW_TRY(check_lease(tx, resource, lease));
  return tx.post(give_back_sql, false, resource.kind, resource.number, lease.owner, lease.token);
}

Result<void> close_lease(Transaction& tx, Resource resource, const Lease& lease) {
  CLEW_TRY(check_lease(tx, resource, lease));
  return tx.post(give_back_sql, true, resource.kind, resource.number, lease.owner, lease.token);
}

// Goes from holder to holder, of which there are few, and never over the leases of the living.
Result<std::vector<std::int64_t>> lapsed_leases(Transaction& tx, std::string_view kind,
                                                Timestamp now, const std::vector<OwnerId>& dead,
                                                int limit, OwnerId mine) {
  std::vector<std::int64_t> numbers;
  OwnerId holder = INT64_MIN;  // below nobody: an owner that cannot be is met in take_lease()
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
