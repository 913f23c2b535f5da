// store/owner.hpp: who is alive. Each running Runtime is an owner; its leases live as long as it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "clew/store/column.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

using OwnerId = std::int64_t;  // from 1, never reused

// Which process an owner is, so that its death can be seen without waiting for its lease to lapse.
struct ProcessIdentity {
  std::string host;  // host name
  std::string boot;  // the kernel's boot id and the pid namespace; empty when unknown
  std::int64_t pid = 0;
  std::int64_t started = 0;  // start time of the process in the kernel's ticks: pids are reused
};

ProcessIdentity this_process();
// False only when it is certain that the process is gone: same host and boot, and no such process.
bool may_be_alive(const ProcessIdentity& process);

struct Owner {
  OwnerId id = 0;
  std::string name;
  ProcessIdentity process;
  Timestamp expires_at;  // live while now < expires_at
};

// Error `invalid_input` unless now < expires_at.
Result<OwnerId> add_owner(Transaction& tx, const std::string& name, const ProcessIdentity& process,
                          Timestamp now, Timestamp expires_at);
// Extends an owner's life; `stale_lease` when the owner was removed. An expired one may renew:
// until somebody takes its leases they are still its own.
Result<void> renew_owner(Transaction& tx, OwnerId owner, Timestamp expires_at);
// Forgets an owner that ended in order. Its leases must have been released or handed back.
Result<void> remove_owner(Transaction& tx, OwnerId owner);
// All, by id. `corrupt` naming a row that cannot be.
Result<std::vector<Owner>> list_owners(Transaction& tx);
// Reads every row, and reports those that cannot be.
Result<void> check_owners(Transaction& tx, const ReportRow& report);

}  // namespace clew::store
