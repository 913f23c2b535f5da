// runtime/inspect.hpp: looking into a runtime: SQL that only reads, counters.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clew/capability/broker.hpp"
#include "clew/capability/dispatch.hpp"
#include "clew/capability/trace.hpp"
#include "clew/exec/thread_pool.hpp"
#include "clew/store/store.hpp"
#include "clew/workflow/engine.hpp"

namespace clew {

// Runs one reading statement on a snapshot, as long as `go_on` lets it; see Runtime::sql.
Result<std::vector<Value>> read_sql(store::Database& database, const std::string& query,
                                    const std::vector<Value>& parameters, store::GoOn go_on);

// What lets a query go on: until `timeout` of real time is over (`timeout`), while `is_open` says
// so
// (`closed`) and `heed`, unless empty, has nothing against it. It is asked at least every 50 ms.
store::GoOn patience_for(std::optional<Duration> timeout, Function<Result<void>()> is_open,
                         Function<Result<void>()> heed);

// One object: {calls: …, pool: …, traces: …, store: …, runs: …, wasm: …}.
Value stats_of(const store::Database& database, const ThreadPool& pool,
               const Dispatcher& dispatcher, const TraceStore& traces, workflow::Engine& engine,
               const Broker& broker, Value wasm);

}  // namespace clew
