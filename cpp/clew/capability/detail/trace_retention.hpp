// capability/detail/trace_retention.hpp: how the table of traces stays within its bounds.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "clew/capability/trace.hpp"

namespace clew::detail {

// Deletes what is too many or too old. How many rows there are it counts only where it deletes, in
// the same transaction; in between it estimates, so that writers need not count. The estimate errs
// when a transaction is rolled back after trim(), or when another process writes: then the next
// count is early or late, and nothing is deleted that is not too many. Thread-safe.
class TraceKeeper {
 public:
  explicit TraceKeeper(TraceRetention retention);

  // Within the transaction that has just added `added` rows: deletes the oldest if they are more
  // than a few too many. How many, for count_deleted() once that is committed.
  Result<std::int64_t> trim(store::Transaction& tx, std::int64_t added);
  void count_deleted(std::int64_t rows) { deleted_.fetch_add(rows, std::memory_order_relaxed); }

  // Counts, and deletes all that is too many or too old at `now`. Blocks for the disk.
  Result<void> sweep(store::Database& database, Timestamp now);
  // As sweep(), but only when a good part of `age_max` has gone by since the last one.
  Result<void> sweep_if_due(store::Database& database, Timestamp now);
  // When a sweep will next have something old to delete, as far as is known; never much too early.
  Timestamp next_sweep() const;
  // A trace that started then is being added.
  void expect(Timestamp started);

  // At `now` the traces that started at that instant or before are over: nobody may see them.
  Timestamp expired(Timestamp now) const { return {now.us - retention_.age_max.count()}; }

  std::int64_t deleted() const { return deleted_.load(std::memory_order_relaxed); }

 private:
  Result<void> try_sweep(store::Database& database, Timestamp now);

  const TraceRetention retention_;
  const std::int64_t slack_;  // how many may be too many before trim() acts
  const Duration sweep_every_;
  std::atomic<std::int64_t> room_{0};  // how many may be added before the next count
  std::atomic<std::int64_t> deleted_{0};
  std::atomic<std::int64_t> swept_us_{INT64_MIN};   // when the last sweep began
  std::atomic<std::int64_t> oldest_us_{INT64_MIN};  // no trace started before; INT64_MIN: unknown
};

}  // namespace clew::detail
