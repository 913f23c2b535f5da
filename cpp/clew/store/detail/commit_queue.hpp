// store/detail/commit_queue.hpp: group commit. See commit_queue.cpp for how a group forms.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "clew/base/threads.hpp"
#include "clew/store/detail/group_runner.hpp"
#include "clew/store/detail/thread_scope.hpp"

namespace clew::store::detail {

// Who wants to change the database, in order, and the thread that lets them. Its functions are
// those of Database, which has the contracts. Thread-safe. Owns the writing session; one thread at
// a time has the turn at it: the writer thread, a caller that found everything idle, or a reader of
// a database in memory. Turns are given in the order in which they were asked for.
class CommitQueue {
 public:
  CommitQueue(std::unique_ptr<Session> session, const DatabaseOptions& options, bool is_memory,
              Clock& clock);
  ~CommitQueue();  // close() must have been called, unless start() was not
  void start();
  // As Database::close, but the session stays: its connection must be closed last, by disconnect().
  bool close(Timestamp deadline);
  void disconnect();  // after close(); idempotent

  void submit(Write write);
  Result<CommitInfo> write(Apply apply, Durability durability);
  void submit_or_commit(Write write);
  // Runs `use` between two groups, on the session. Errors: `closed`; those of `use`, and of `go_on`
  // while it waits for its turn.
  Result<void> exclusively(Function<Result<void>(Session&)> use, GoOn& go_on);

  CommitNumber written_up_to() const { return written_.load(std::memory_order_acquire); }
  CommitNumber durable_up_to() const { return durable_.load(std::memory_order_acquire); }
  Result<void> await_durable(CommitNumber number, Timestamp deadline);
  DatabaseStats stats() const;

 private:
  enum class Phase : std::uint8_t { open, draining, stopping, closed };

  void run_writer();
  bool has_work() CLEW_REQUIRES(mutex_);
  void gather(int expected);
  void commit_some() CLEW_REQUIRES(mutex_);
  void commit_group(std::span<Pending> group) CLEW_REQUIRES(mutex_);
  void settle() CLEW_REQUIRES(mutex_);
  void run_alone(GroupReport (GroupRunner::*work)()) CLEW_REQUIRES(mutex_);
  bool is_sync_due() CLEW_REQUIRES(mutex_);
  void record(const GroupReport& report) CLEW_REQUIRES(mutex_);
  // `session` when the calling thread has the turn at it.
  void complete(std::span<Pending> group, Session* session) noexcept CLEW_EXCLUDES(mutex_);

  bool may_lead() const CLEW_REQUIRES(mutex_);
  void lead(Lock& lock, Pending& pending) CLEW_REQUIRES(mutex_);
  void take_turn(Lock& lock) CLEW_REQUIRES(mutex_);
  Result<void> take_turn(Lock& lock, GoOn& go_on) CLEW_REQUIRES(mutex_);
  void end_turn() CLEW_REQUIRES(mutex_);
  std::optional<Error> refusal() const CLEW_REQUIRES(mutex_);
  void push(Pending pending) CLEW_REQUIRES(mutex_);
  std::vector<Pending> pop(int most) CLEW_REQUIRES(mutex_);

  const DatabaseOptions options_;
  const bool is_memory_;
  Clock& clock_;
  std::unique_ptr<Session> session_;  // used by whoever has the turn
  GroupRunner runner_;                // likewise
  Threads threads_;

  mutable Mutex mutex_;
  Condition work_;    // for the writer thread: something to do
  Condition turn_;    // for whoever waits for a turn
  Condition room_;    // for submitters: the queue is no longer full
  Condition synced_;  // for await_durable()
  Condition idle_;    // for close()
  std::deque<Pending> queue_ CLEW_GUARDED_BY(mutex_);
  Phase phase_ CLEW_GUARDED_BY(mutex_) = Phase::open;
  std::optional<Error> failed_ CLEW_GUARDED_BY(mutex_);
  std::uint64_t next_ticket_ CLEW_GUARDED_BY(mutex_) = 0;
  std::uint64_t serving_ CLEW_GUARDED_BY(mutex_) = 0;  // below next_ticket_: somebody has the turn
  std::set<std::uint64_t> given_up_ CLEW_GUARDED_BY(mutex_);  // tickets whose holders are gone
  std::optional<Timestamp> sync_due_ CLEW_GUARDED_BY(mutex_);
  bool is_sync_wanted_ CLEW_GUARDED_BY(mutex_) = false;
  bool is_maintenance_due_ CLEW_GUARDED_BY(mutex_) = false;
  int last_group_ CLEW_GUARDED_BY(mutex_) = 0;
  DatabaseStats stats_ CLEW_GUARDED_BY(mutex_);

  std::atomic<int> queued_{0};  // the queue's length, to be seen without the lock
  std::atomic<CommitNumber> written_{0};
  std::atomic<CommitNumber> durable_{0};
};

}  // namespace clew::store::detail
