#include "clew/capability/detail/trace_retention.hpp"

#include <algorithm>

#include "clew/base/check.hpp"
#include "clew/capability/detail/trace_rows.hpp"

namespace clew::detail {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
// A count reads an index of all rows, so it comes once in so many additions.
constexpr std::int64_t slack_max = 1024;
constexpr std::int64_t sweep_max = 1000;  // rows that one transaction of a sweep deletes
constexpr Duration sweep_every_min = std::chrono::milliseconds(10);
constexpr Duration sweep_every_max = std::chrono::minutes(1);

}  // namespace

TraceKeeper::TraceKeeper(TraceRetention retention)
    : retention_(retention),
      slack_(std::min(retention.count_max / 64, slack_max)),
      sweep_every_(std::clamp<Duration>(retention.age_max / 16, sweep_every_min, sweep_every_max)) {
  CLEW_CHECK(retention.count_max > 0);
  CLEW_CHECK(retention.age_max.count() > 0);
}

Result<std::int64_t> TraceKeeper::trim(store::Transaction& tx, std::int64_t added) {
  if (room_.fetch_sub(added, relaxed) - added >= 0) return 0;
  CLEW_TRY(const auto rows, count_traces(tx));
  const auto excess = rows - retention_.count_max;
  std::int64_t gone = 0;
  if (excess > slack_) {
    CLEW_TRY(gone, delete_oldest_traces(tx, std::min(excess, added + slack_max)));
  }
  // Others add too: after `count_max` of one's own it is time to look again.
  room_.store(std::min(slack_ - (excess - gone), retention_.count_max), relaxed);
  return gone;
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
  // A look at a snapshot spares the writer when nothing is to be done. What it finds to be too many
  // stays so, whoever else adds or sweeps meanwhile.
  std::optional<Id> newest_excess;
  bool needed = false;
  const auto look = [&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto rows, count_traces(tx));
    CLEW_TRY(const auto oldest, oldest_trace(tx));
    newest_excess.reset();
    const auto excess = rows - retention_.count_max;
    if (excess > 0) {
      CLEW_TRY(newest_excess, nth_oldest_trace(tx, excess));
    }
    needed = newest_excess || (oldest && *oldest <= cutoff);
    if (!needed && oldest) expect(*oldest);
    return {};
  };
  CLEW_TRY(database.read(look));
  if (!needed) return {};
  for (std::int64_t gone = 1; gone > 0; count_deleted(gone)) {
    const auto some = [&](store::Transaction& tx) -> Result<void> {
      gone = 0;
      if (newest_excess) {
        CLEW_TRY(gone, delete_traces_through(tx, *newest_excess, sweep_max));
      }
      if (gone > 0) return {};
      CLEW_TRY(gone, delete_expired_traces(tx, cutoff, sweep_max));
      return {};
    };
    CLEW_TRY(database.write(some, store::Durability::relaxed));
  }
  return database.read(look);  // what is oldest now
}

}  // namespace clew::detail
