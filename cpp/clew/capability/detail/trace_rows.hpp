// capability/detail/trace_rows.hpp: traces as rows. The only place that knows the table.
#pragma once

#include <cstdint>
#include <optional>

#include "clew/capability/trace.hpp"

namespace clew::detail {

// Adds a trace, unless one with its id is there. `commit_ns`: see Trace::commit_us.
Result<void> insert_trace(store::Transaction& tx, const TraceRecord& record,
                          std::int64_t commit_ns);

Result<std::int64_t> count_traces(store::Transaction& tx);
// Deletes the `count` oldest. How many there were.
Result<std::int64_t> delete_oldest_traces(store::Transaction& tx, std::int64_t count);
// The trace that has `n` - 1 older ones; none when there are fewer.
Result<std::optional<Id>> nth_oldest_trace(store::Transaction& tx, std::int64_t n);
// Of the traces up to that one, deletes the `count` oldest. How many there were.
Result<std::int64_t> delete_traces_through(store::Transaction& tx, const Id& last,
                                           std::int64_t count);
// Of the `count` oldest, deletes those that started at `expired` or before. How many there were.
Result<std::int64_t> delete_expired_traces(store::Transaction& tx, Timestamp expired,
                                           std::int64_t count);
// When the oldest trace started; none in an empty table. Impossible times do not count.
Result<std::optional<Timestamp>> oldest_trace(store::Transaction& tx);

// Neither this nor read_traces() shows what started at `expired` or before.
Result<std::optional<Trace>> find_trace(store::Transaction& tx, const Id& id, Timestamp expired);

// Where a page begins: below this id. None: at the newest. Errors as TraceQuery says.
using TracePosition = std::optional<Id>;
Result<TracePosition> check_query(const TraceQuery& query);
// A page of a query that check_query() has passed.
Result<TracePage> read_traces(store::Transaction& tx, const TraceQuery& query,
                              const TracePosition& below, Timestamp expired);

}  // namespace clew::detail
