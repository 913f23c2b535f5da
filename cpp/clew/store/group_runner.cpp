#include "clew/store/detail/group_runner.hpp"

#include <algorithm>
#include <exception>

#include "clew/base/fault.hpp"
#include "clew/store/detail/thread_scope.hpp"

namespace clew::store::detail {
namespace {

FaultPoint fault_before("store.commit.before");  // nothing has run
FaultPoint fault_inside("store.commit.inside");  // all have run, nothing is committed
FaultPoint fault_chance("store.commit.chance");  // as inside, and all may be run again
FaultPoint fault_after("store.commit.after");    // committed, nobody has been told
FaultPoint fault_sync("store.sync");             // an error here is a failed sync

// How often a group may be run again whole because its transaction failed by chance. What two
// processes want of each other in the wrong order they seldom want so twice.
constexpr int chances = 3;

// Groups that are run with savepoints after one in which a write failed: where one fails others
// may.
constexpr int careful_groups = 16;

Durability durability_of(std::span<const Pending> group) {
  const bool relaxed = std::ranges::all_of(group, [](const Pending& pending) {
    return pending.write.durability == Durability::relaxed;
  });
  return relaxed ? Durability::relaxed : Durability::sync;
}

void fail_all(std::span<Pending> group, const Error& why) {
  for (auto& pending : group) {
    if (!pending.error) pending.error = why;
  }
}

Duration since(std::int64_t from_ns, std::int64_t to_ns) {
  return Duration((to_ns - from_ns) / 1000);
}

}  // namespace

GroupReport GroupRunner::run(std::span<Pending> group) {
  GroupReport report;
  chances_left_ = chances;
  auto next = group.size() == 1 || careful_ > 0 ? Attempt::careful : Attempt::together;
  if (careful_ > 0) --careful_;
  if (next == Attempt::together) next = attempt_again(group, next, report);
  if (next == Attempt::careful) next = attempt_again(group, next, report);
  if (next == Attempt::alone) {
    for (auto& pending : group) (void)attempt_again(std::span(&pending, 1), next, report);
  }
  report.broken = broken_;
  return report;
}

GroupRunner::Attempt GroupRunner::attempt_again(std::span<Pending> group, Attempt how,
                                                GroupReport& report) {
  auto next = attempt(group, how, report);
  while (next == Attempt::again && chances_left_-- > 0) next = attempt(group, how, report);
  if (next != Attempt::again) return next;
  return group.size() > 1 ? Attempt::alone : Attempt::over;
}

// One transaction with all of `group`. What to try next, or `over`.
GroupRunner::Attempt GroupRunner::attempt(std::span<Pending> group, Attempt how,
                                          GroupReport& report) {
  const auto begun_ns = clock_.ticks_ns();
  const auto durability = durability_of(group);
  const bool is_shared = group.size() > 1;
  Result<void> begun;
  if (broken_) begun = *broken_;
  if (begun) begun = fault_before.hit();
  if (begun) begun = session_.begin(Access::write, durability);
  if (!begun) {
    if (session_.is_broken()) broken_ = begun.error();
    for (auto& pending : group) pending.error = begun.error();  // not that of an earlier attempt
    return Attempt::over;
  }
  int kept = 0;
  for (auto& pending : group) {
    if (pending.info.runs > 0) ++report.reruns;
    pending.error.reset();
    apply(pending, is_shared && how == Attempt::careful);
    if (const auto* lost = session_.lost()) {
      fail_all(group, *lost);
      const auto next = after_loss(is_shared);
      session_.rollback();
      return next;
    }
    if (!pending.error) {
      ++kept;
    } else if (how == Attempt::together) {
      session_.rollback();
      return be_careful();
    }
  }
  if (auto settled = kept > 0 ? session_.settle() : Result<void>(); !settled) {
    fail_all(group, settled.error());
    const bool is_lost = session_.lost() != nullptr;
    const auto next = is_lost || how != Attempt::together ? after_loss(is_shared) : be_careful();
    session_.rollback();
    return next;
  }
  if (auto chance = kept > 0 ? fault_chance.hit() : Result<void>(); !chance) {
    fail_all(group, chance.error());
    session_.rollback();
    return Attempt::again;
  }
  if (kept == 0) {
    session_.rollback();
  } else if (auto done = commit(durability, report); !done) {
    fail_all(group, done.error());
    const bool is_unknown = done.error().code() == Code::unknown_outcome;
    if (broken_ || is_unknown) return Attempt::over;
    return after_loss(is_shared);
  }
  acknowledge(group, begun_ns, kept, report);
  return Attempt::over;
}

GroupRunner::Attempt GroupRunner::after_loss(bool is_shared) const {
  if (session_.may_run_again()) return Attempt::again;
  return is_shared ? Attempt::alone : Attempt::over;
}

// One of the writes failed, which has brought down the others with it.
GroupRunner::Attempt GroupRunner::be_careful() {
  careful_ = careful_groups;
  return Attempt::careful;
}

// A write that is alone needs no savepoint: rolling back all is rolling back its part.
void GroupRunner::apply(Pending& pending, bool in_savepoint) {
  Result<void> done;
  if (in_savepoint) done = session_.savepoint();
  if (done) {
    done = call(pending);
    if (in_savepoint && session_.lost() == nullptr) {
      // A savepoint that cannot be ended leaves a transaction that must not be committed; the
      // session then reports it as lost.
      auto ended = done ? session_.release_savepoint() : session_.rollback_to_savepoint();
      if (done && !ended) done = ended;
    }
  }
  if (!done) pending.error = done.error();
}

Result<void> GroupRunner::call(Pending& pending) {
  ++pending.info.runs;
  const ThreadScope scope(database_, Doing::apply);
  try {
    return pending.write.apply(session_);
  } catch (const std::exception& bug) {
    return Error(Code::internal, bug.what());
  } catch (...) {
    return Error(Code::internal, "a write threw something that is no exception");
  }
}

Result<void> GroupRunner::commit(Durability durability, GroupReport& report) {
  if (auto hit = fault_inside.hit(); !hit) {
    session_.rollback();
    return hit;
  }
  const bool syncs = durability == Durability::sync && !is_memory_;
  if (auto hit = syncs ? fault_sync.hit() : Result<void>(); !hit) {
    session_.rollback();
    broken_ = hit.error();
    return hit;
  }
  if (auto done = session_.commit(); !done) {
    if (session_.is_broken()) broken_ = done.error();
    return done;
  }
  report.written = ++last_;
  if (syncs || is_memory_) report.durable = last_;
  report.commits += 1;
  report.syncs += syncs ? 1 : 0;
  return {};
}

void GroupRunner::acknowledge(std::span<Pending> group, std::int64_t begun_ns, int kept,
                              GroupReport& report) {
  // Committed though the caller learns of a failure: as when a process dies before it can answer.
  if (auto hit = kept > 0 ? fault_after.hit() : Result<void>(); !hit) {
    fail_all(group, hit.error());
    return;
  }
  const auto now_ns = clock_.ticks_ns();
  for (auto& pending : group) {
    if (pending.error) continue;
    pending.info = {.number = last_,
                    .group_size = kept,
                    .runs = pending.info.runs,
                    .queued = since(pending.queued_ns, begun_ns),
                    .committed = since(begun_ns, now_ns)};
  }
  report.acknowledged += kept;
  report.refused += static_cast<int>(group.size()) - kept;
  report.largest = std::max(report.largest, kept);
}

GroupReport GroupRunner::sync() {
  GroupReport report;
  Result<void> done;
  if (broken_) done = *broken_;
  if (done) done = fault_sync.hit();
  if (!done) {
    broken_ = done.error();
  } else if (done = session_.sync(); done) {
    report.written = last_;
    report.durable = last_;
    report.syncs = 1;
  } else if (session_.is_broken()) {
    broken_ = done.error();
  } else {
    report.is_sync_missed = true;
  }
  report.broken = broken_;
  return report;
}

GroupReport GroupRunner::maintain() {
  if (auto done = session_.maintain(); !done) broken_ = done.error();
  GroupReport report;
  report.broken = broken_;
  return report;
}

}  // namespace clew::store::detail
