// store/lease.hpp: who may change a thing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "clew/store/owner.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

// What a lease is on: a kind (one letter case word, such as "run") and the thing's number.
struct Resource {
  std::string_view kind;
  std::int64_t number = 0;
};

// The right of one owner to change one resource. The token rises for ever with each take, also
// across release; a write that carries an old token is refused.
struct Lease {
  std::int64_t number = 0;
  OwnerId owner = 0;
  std::int64_t token = 0;
};

// What is known of a resource's newest lease.
struct LeaseState {
  OwnerId owner = 0;  // 0: nobody
  std::int64_t token = 0;
  bool is_closed = false;  // the resource has ended
};

// Nothing when it never had one. `corrupt` naming a row that cannot be.
Result<std::optional<LeaseState>> find_lease(Transaction& tx, Resource resource);
// `why` as what is wrong with the row of that lease.
Error in_lease(const Error& why, Resource resource);

// Takes a resource that nobody has, or whose owner is not live at `now` (expired, or removed, or in
// `dead`): the new lease with the next token. `conflict` naming the owner when it is held (also by
// `owner` itself), or when the resource has ended.
Result<Lease> take_lease(Transaction& tx, Resource resource, OwnerId owner, Timestamp now,
                         const std::vector<OwnerId>& dead = {});
// Makes the first lease on a new resource, without looking. `conflict` when there is one.
Result<Lease> make_lease(Transaction& tx, Resource resource, OwnerId owner);
// Ok while `lease` is the newest on its resource; else `stale_lease` naming both tokens. May answer
// later (Transaction::expect).
Result<void> check_lease(Transaction& tx, Resource resource, const Lease& lease);
// What check_lease() judges: the row that has owner, token and closed first; null when there is
// none.
Result<void> judge_lease(const Row* row, Resource resource, const Lease& lease);
// Reads every row, and reports those that cannot be.
Result<void> check_leases(Transaction& tx, const ReportRow& report);
// Gives it back: anyone may take it at once. `stale_lease` as above.
Result<void> release_lease(Transaction& tx, Resource resource, const Lease& lease);
// Up to `limit` resources of that kind that take_lease would give now, by number. A resource whose
// lease was closed is never among them, nor one that `mine` holds, live or not.
Result<std::vector<std::int64_t>> lapsed_leases(Transaction& tx, std::string_view kind,
                                                Timestamp now, const std::vector<OwnerId>& dead,
                                                int limit, OwnerId mine = 0);
// The resource has ended: nobody will ever need it again; its token stays. Errors as check_lease().
Result<void> close_lease(Transaction& tx, Resource resource, const Lease& lease);

}  // namespace clew::store
