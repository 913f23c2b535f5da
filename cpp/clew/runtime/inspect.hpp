// runtime/inspect.hpp: looking into a runtime: SQL that only reads, counters.
#pragma once

#include <string>
#include <vector>

#include "clew/capability/dispatch.hpp"
#include "clew/capability/trace.hpp"
#include "clew/exec/thread_pool.hpp"
#include "clew/store/store.hpp"
#include "clew/workflow/engine.hpp"

namespace clew {

// Runs one reading statement on a snapshot; see Runtime::sql.
Result<std::vector<Value>> read_sql(store::Database& database, const std::string& query,
                                    const std::vector<Value>& parameters);

// One object: {calls: …, pool: …, traces: …, store: …, runs: …}.
Value stats_of(const store::Database& database, const ThreadPool& pool,
               const Dispatcher& dispatcher, const TraceStore& traces, workflow::Engine& engine);

}  // namespace clew
