// capability/detail/trace_rows.hpp: traces as rows. The only place that knows the table.
#pragma once

#include <cstdint>
#include <optional>

#include "clew/capability/trace.hpp"

namespace clew::detail {

// Adds a trace, unless one with its id is there. How many rows that made.
Result<std::int64_t> insert_trace(store::Transaction& tx, const TraceRecord& record);

Result<std::int64_t> count_traces(store::Transaction& tx);
// Deletes the `count` oldest. How many there were.
Result<std::int64_t> delete_oldest_traces(store::Transaction& tx, std::int64_t count);
// Of the `count` oldest, deletes those that started before `cutoff`. How many there were.
Result<std::int64_t> delete_traces_before(store::Transaction& tx, Timestamp cutoff,
                                          std::int64_t count);
// When the oldest trace started; none in an empty table.
Result<std::optional<Timestamp>> oldest_trace(store::Transaction& tx);

Result<std::optional<Trace>> find_trace(store::Transaction& tx, const Id& id);

// Where a page begins: below this id. None: at the newest. Errors as TraceQuery says.
using TracePosition = std::optional<Id>;
Result<TracePosition> check_query(const TraceQuery& query);
// A page of a query that check_query() has passed.
Result<TracePage> read_traces(store::Transaction& tx, const TraceQuery& query,
                              const TracePosition& below);

}  // namespace clew::detail
