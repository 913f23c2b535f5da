// capability/detail/trace_retention.hpp: how the table of traces stays within its bounds.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "clew/capability/trace.hpp"

namespace clew::detail {

// Deletes what is too many or too old. It keeps an estimate of the number of rows, so that writers
// need not count; the estimate errs when a transaction is rolled back after trim() or when another
// process writes, and is set right by counting now and then. Thread-safe.
class TraceKeeper {
 public:
  explicit TraceKeeper(TraceRetention retention);

  // Within the transaction that has just added `added` rows: deletes the oldest that are too many,
  // at most a few more than were added. Called again when its transaction is run again.
  Result<void> trim(store::Transaction& tx, std::int64_t added);
  // A transaction that called trim() has failed: count anew.
  void distrust() { counted_.store(false, std::memory_order_relaxed); }

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
  Result<std::int64_t> sweep_some(store::Transaction& tx, Timestamp cutoff);

  const TraceRetention retention_;
  const std::int64_t slack_;  // how many may be too many before trim() acts
  const Duration sweep_every_;
  std::atomic<bool> counted_{false};
  std::atomic<std::int64_t> rows_{0};
  std::atomic<std::int64_t> added_since_count_{0};
  std::atomic<std::int64_t> deleted_{0};
  std::atomic<std::int64_t> swept_us_{INT64_MIN};   // when the last sweep began
  std::atomic<std::int64_t> oldest_us_{INT64_MIN};  // no trace started before; INT64_MIN: unknown
};

}  // namespace clew::detail
