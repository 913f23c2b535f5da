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

Result<Owner> decode_columns(const Row& row) {
  Owner owner;
  CLEW_TRY(owner.id, integer_at(row, 0, 1));
  CLEW_TRY(owner.name, row.text(1));
  CLEW_TRY(owner.process.host, row.text(2));
  CLEW_TRY(owner.process.boot, row.text(3));
  CLEW_TRY(owner.process.pid, integer_at(row, 4, 0));
  CLEW_TRY(owner.process.started, integer_at(row, 5, 0));
  CLEW_TRY(owner.expires_at.us, integer_at(row, 6, 0));
  return owner;
}

Result<Owner> decode_owner(const Row& row) {
  auto owner = decode_columns(row);
  if (owner) return owner;
  return in_row(owner.error(), "owners", shown_at(row, 0));
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
  CLEW_TRY(tx.post(remove_owner_sql, owner));
  return {};
}

Result<std::vector<Owner>> list_owners(Transaction& tx) {
  std::vector<Owner> owners;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto owner, decode_owner(row));
    owners.push_back(std::move(owner));
    return {};
  };
  CLEW_TRY(tx.each(list_owners_sql, take));
  return owners;
}

Result<void> check_owners(Transaction& tx, const ReportRow& report) {
  return tx.each(list_owners_sql, [&report](const Row& row) -> Result<void> {
    if (const auto owner = decode_owner(row); !owner) report(owner.error());
    return {};
  });
}

}  // namespace clew::store
