#include "clew/capability/detail/trace_retention.hpp"

#include <algorithm>

#include "clew/base/check.hpp"
#include "clew/capability/detail/trace_rows.hpp"

namespace clew::detail {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::int64_t slack_max = 64;
constexpr std::int64_t sweep_max = 1000;  // rows that one transaction of a sweep deletes
constexpr Duration sweep_every_min = std::chrono::milliseconds(10);
constexpr Duration sweep_every_max = std::chrono::minutes(1);

}  // namespace

TraceKeeper::TraceKeeper(TraceRetention retention)
    : retention_(retention),
      slack_(std::min(retention.count_max / 16, slack_max)),
      sweep_every_(std::clamp<Duration>(retention.age_max / 16, sweep_every_min, sweep_every_max)) {
  CLEW_CHECK(retention.count_max > 0);
  CLEW_CHECK(retention.age_max.count() > 0);
}

Result<void> TraceKeeper::trim(store::Transaction& tx, std::int64_t added) {
  const auto since_count = added_since_count_.fetch_add(added, relaxed) + added;
  std::int64_t rows = 0;
  if (!counted_.load(relaxed) || since_count > retention_.count_max) {
    CLEW_TRY(rows, count_traces(tx));
    rows_.store(rows, relaxed);
    added_since_count_.store(0, relaxed);
    counted_.store(true, relaxed);
  } else {
    rows = rows_.fetch_add(added, relaxed) + added;
  }
  const auto excess = rows - retention_.count_max;
  if (excess <= slack_) return {};
  CLEW_TRY(const auto gone, delete_oldest_traces(tx, std::min(excess, added + slack_max)));
  rows_.fetch_sub(gone, relaxed);
  deleted_.fetch_add(gone, relaxed);
  return {};
}

Result<void> TraceKeeper::sweep_if_due(store::Database& database, Timestamp now) {
  const auto swept = swept_us_.load(relaxed);
  if (swept != INT64_MIN && now < Timestamp{swept} + sweep_every_) return {};
  return sweep(database, now);
}

Timestamp TraceKeeper::next_sweep() const {
  const auto swept = swept_us_.load(relaxed);
  const auto oldest = oldest_us_.load(relaxed);
  if (swept == INT64_MIN) return {INT64_MIN};
  const auto at_the_earliest = Timestamp{swept} + sweep_every_;
  if (oldest == INT64_MIN) return at_the_earliest;
  return std::max(at_the_earliest, Timestamp{oldest} + retention_.age_max);
}

void TraceKeeper::expect(Timestamp started) {
  auto oldest = oldest_us_.load(relaxed);
  while (started.us < oldest && !oldest_us_.compare_exchange_weak(oldest, started.us, relaxed)) {
  }
}

Result<void> TraceKeeper::sweep(store::Database& database, Timestamp now) {
  auto swept = try_sweep(database, now);
  if (!swept) oldest_us_.store(INT64_MIN, relaxed);
  return swept;
}

Result<void> TraceKeeper::try_sweep(store::Database& database, Timestamp now) {
  swept_us_.store(now.us, relaxed);
  oldest_us_.store(now.us, relaxed);  // for what is not committed yet and cannot be seen below
  const auto cutoff = expired(now);
  bool needed = false;  // a look at a snapshot spares the writer when nothing is to be done
  const auto look = [&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto rows, count_traces(tx));
    CLEW_TRY(const auto oldest, oldest_trace(tx));
    needed = rows > retention_.count_max || (oldest && *oldest <= cutoff);
    if (!needed && oldest) expect(*oldest);
    return {};
  };
  CLEW_TRY(database.read(look));
  if (!needed) return {};
  distrust();
  while (needed) {
    std::int64_t gone = 0;
    const auto some = [&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(gone, sweep_some(tx, cutoff));
      return {};
    };
    if (auto swept = database.write(some, store::Durability::relaxed); !swept) {
      distrust();
      return swept.error();
    }
    rows_.fetch_sub(gone, relaxed);
    deleted_.fetch_add(gone, relaxed);
    needed = gone > 0;
  }
  return database.read(look);  // what is oldest now
}

// Deletes some, and says how many. Run again when its transaction is, so it counts nothing off.
Result<std::int64_t> TraceKeeper::sweep_some(store::Transaction& tx, Timestamp cutoff) {
  if (!counted_.load(relaxed)) {
    CLEW_TRY(const auto rows, count_traces(tx));
    rows_.store(rows, relaxed);
    added_since_count_.store(0, relaxed);
    counted_.store(true, relaxed);
  }
  const auto excess = rows_.load(relaxed) - retention_.count_max;
  if (excess > 0) return delete_oldest_traces(tx, std::min(excess, sweep_max));
  return delete_expired_traces(tx, cutoff, sweep_max);
}

}  // namespace clew::detail
