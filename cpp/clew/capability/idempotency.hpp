// capability/idempotency.hpp: calls with an idempotency key happen once.
#pragma once

#include <cstdint>
#include <memory>

#include "clew/base/env.hpp"
#include "clew/base/function.hpp"
#include "clew/capability/invocation.hpp"
#include "clew/store/column.hpp"
#include "clew/store/owner.hpp"
#include "clew/store/store.hpp"

namespace clew {

// The table of keys, one migration.
store::Migration idempotency_migration(int version);
// Reads every row, and reports those that cannot be.
Result<void> check_idempotency(store::Transaction& tx, const store::ReportRow& report);

struct IdempotencyOptions {
  Duration ttl = std::chrono::hours(24);  // of a kept result; over at now >= kept + ttl
  store::Durability durability = store::Durability::sync;
};

// What calls of one capability (in one workspace) under one key have come to. The first of them
// runs; its success is kept in the store before anybody hears of it, and answers the others as long
// as `ttl`: those that come while it runs wait for it. Other input under a key is `conflict` naming
// the first difference. After any other end the key is free again, except that one of a `once`
// capability whose process died while it ran stays `unknown_outcome`. A key that another live
// process is running is `unavailable` (retryable). A call that ended at its deadline while its
// handler went on keeps its key until that has ended, too.
// Thread-safe. Blocks for the disk.
class IdempotencyKeys {
 public:
  virtual ~IdempotencyKeys() = default;
  // True when `call` is to run now, and settle() or let_go() will follow. Otherwise it has ended,
  // or ends together with the one that runs; should that never run, `again` is called: claim anew.
  virtual bool claim(const InvocationPtr& call, Function<void()> again) = 0;
  // The handler of a call that was claimed has ended so: keeps a success, and answers who waits.
  // `also` joins the transaction that keeps it. The error of a success that could not be kept:
  // `stale_lease` when another process, which held this one for dead, has taken the key.
  virtual Result<void> settle(Invocation& call, const Result<Value>& result,
                              store::Apply also = nullptr) = 0;
  // A call that was claimed will never run: who waits for it claims anew.
  virtual void let_go(Invocation& call) = 0;
};

// All borrowed. `owner` tells who this process is.
std::unique_ptr<IdempotencyKeys> make_idempotency_keys(store::Database& database, Env& env,
                                                       IdempotencyOptions options,
                                                       Function<store::OwnerId()> owner);

}  // namespace clew
