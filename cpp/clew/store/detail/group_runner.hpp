// store/detail/group_runner.hpp: many writers, one transaction.
#pragma once

#include <optional>
#include <span>

#include "clew/store/session.hpp"

namespace clew::store::detail {

// A write on its way: what was asked, and what became of it.
struct Pending {
  Write write;
  std::int64_t queued_ns = 0;
  std::optional<Error> error;  // else `info` is set
  CommitInfo info;
};

// What running a group did.
struct GroupReport {
  CommitNumber written = 0;  // the last commit; 0 when there was none
  CommitNumber durable = 0;  // the last that was synced; 0 when there was none
  int commits = 0;
  int syncs = 0;
  int reruns = 0;
  int refused = 0;
  int acknowledged = 0;
  int largest = 0;
  bool is_sync_missed = false;  // it failed, but may go well later
  std::optional<Error> broken;  // the failure after which nothing may be written any more
};

// Runs groups on one session. Confined: to whoever has the turn at that session.
class GroupRunner {
 public:
  // `database` identifies the database to ThreadScope.
  GroupRunner(Session& session, const void* database, bool is_memory, Clock& clock)
      : session_(session), database_(database), is_memory_(is_memory), clock_(clock) {}

  // Gives each write its outcome. All share one transaction. Writes seldom fail, and a savepoint
  // for each would cost a third of the time: the group is run without first, and once more with
  // them when a write has failed. When the transaction fails as a whole, each runs in its own, so
  // that one that cannot succeed (too big for the disk, say) costs the others nothing; when it
  // fails by chance (Session::may_run_again), all of it is first run again. Bounded: an apply runs
  // at most six times, three of them because of such chances. Completions are the caller's
  // business.
  GroupReport run(std::span<Pending> group);

  // Makes relaxed commits durable. The report says up to where.
  GroupReport sync();
  bool is_maintenance_due() const { return !broken_ && session_.is_maintenance_due(); }
  GroupReport maintain();

 private:
  enum class Attempt : std::uint8_t { together, careful, alone, again, over };
  Attempt attempt_again(std::span<Pending> group, Attempt how, GroupReport& report);
  Attempt attempt(std::span<Pending> group, Attempt how, GroupReport& report);
  Attempt after_loss(bool is_shared) const;
  Attempt be_careful();
  void apply(Pending& pending, bool in_savepoint);
  Result<void> call(Pending& pending);
  Result<void> commit(Durability durability, GroupReport& report);
  void acknowledge(std::span<Pending> group, std::int64_t begun_ns, int kept, GroupReport& report);

  Session& session_;
  const void* const database_;
  const bool is_memory_;
  Clock& clock_;
  CommitNumber last_ = 0;
  int chances_left_ = 0;  // of the group that is being run
  int careful_ = 0;       // groups still to be run with savepoints
  std::optional<Error> broken_;
};

}  // namespace clew::store::detail
