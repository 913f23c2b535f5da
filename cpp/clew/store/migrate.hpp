// store/migrate.hpp: the schema and its versions.
#pragma once

#include <vector>

#include "clew/store/session.hpp"

namespace clew::store {

// The tables of this layer: owners, leases, events. Version 1. Other layers append theirs: the
// composition root concatenates the lists, lowest layer first, and versions count through.
std::vector<Migration> core_migrations();

// Leases with a time of their own, requests, due times, outbox.
Migration coordination_migration(int version);

// The version that `migrations` lead to. CLEW_CHECK: they count from 1 without gaps.
int newest_version(const std::vector<Migration>& migrations);

// Brings the schema up to date, each migration in one transaction with its version. Another process
// may do the same at once: each step looks again at the version once it holds the lock.
// Errors: `unsupported` naming both versions for a newer schema; `internal` for a migration that is
// wrong; those of Transaction. A step that failed leaves the version before it.
Result<void> migrate(Session& session, const std::vector<Migration>& migrations);

}  // namespace clew::store
