#include "clew/store/owner.hpp"

namespace clew::store {
namespace {

const Statement add_owner_sql(R"sql(
    INSERT INTO owners (name, host, boot, pid, started, expires_at)
    VALUES (:name, :host, :boot, :pid, :started, :expires_at) RETURNING id)sql");

const Statement renew_owner_sql("UPDATE owners SET expires_at = :expires_at WHERE id = :owner");

const Statement remove_owner_sql("DELETE FROM owners WHERE id = :owner");

const Statement list_owners_sql(R"sql(
    SELECT id, name, host, boot, pid, started, expires_at FROM owners ORDER BY id)sql");

Result<Owner> decode_owner(const Row& row) {
  Owner owner;
  CLEW_TRY(owner.id, row.integer(0));
  CLEW_TRY(owner.name, row.text(1));
  CLEW_TRY(owner.process.host, row.text(2));
  CLEW_TRY(owner.process.boot, row.text(3));
  CLEW_TRY(owner.process.pid, row.integer(4));
  CLEW_TRY(owner.process.started, row.integer(5));
  CLEW_TRY(owner.expires_at.us, row.integer(6));
  if (owner.id < 1) return error(Code::corrupt, "impossible owner {}", owner.id);
  return owner;
}

}  // namespace

Result<OwnerId> add_owner(Transaction& tx, const std::string& name, const ProcessIdentity& process,
                          Timestamp now, Timestamp expires_at) {
  if (expires_at <= now) {
    return invalid_input("expires_at", expires_at.us, "a time after now");
  }
  OwnerId id = 0;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(id, row.integer(0));
    return {};
  };
  CLEW_TRY(const bool added, tx.first(add_owner_sql, take, name, process.host, process.boot,
                                      process.pid, process.started, expires_at));
  CLEW_CHECK(added);
  return id;
}

Result<void> renew_owner(Transaction& tx, OwnerId owner, Timestamp expires_at) {
  CLEW_TRY(const auto renewed, tx.run(renew_owner_sql, expires_at, owner));
  if (renewed == 1) return {};
  return error(Code::stale_lease, "owner {} was removed", owner).with("owner", owner);
}

Result<void> remove_owner(Transaction& tx, OwnerId owner) {
  CLEW_TRY(tx.run(remove_owner_sql, owner));
  return {};
}

Result<std::vector<Owner>> list_owners(Transaction& tx) {
  std::vector<Owner> owners;
  const auto take = [&](const Row& row) -> Result<void> {
    auto owner = decode_owner(row);
    if (!owner) {
      return owner.error().with("table", "owners").with("row", static_cast<int>(owners.size()));
    }
    owners.push_back(*std::move(owner));
    return {};
  };
  CLEW_TRY(tx.each(list_owners_sql, take));
  return owners;
}

}  // namespace clew::store
