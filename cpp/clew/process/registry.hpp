// process/registry.hpp: the operations on processes, each inside a transaction of the caller's, so
// that they change together with whatever else it changes. processes.hpp runs them alone.
//
// Common to all: `not_found` for a process that is not there, `corrupt` for a row that cannot be.
// After its terminal event a process changes no more: an append is `conflict` unless it repeats one
// that went before.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/process/process.hpp"
#include "clew/store/invariant.hpp"
#include "clew/store/store.hpp"
#include "clew/store/timed_lease.hpp"

namespace clew::process {

using store::Transaction;

// The tables of this layer, one migration.
store::Migration process_migration(int version);

// Where wakes go: outbox messages of this topic, the target session's id as their key.
inline constexpr std::string_view wake_topic = "process.wake";

// A registration and its compiled schemas: both never change, so they are read once.
struct Declared {
  std::string hash;  // of the registration
  Registration registration;
  std::vector<std::shared_ptr<const Schema>> schemas;  // by event type
};

// Remembers what was declared, by the process's number; who asks compares the hash, for a number
// whose transaction failed may be given again. Thread-safe. Bounded.
class DeclaredCache {
 public:
  std::shared_ptr<const Declared> find(std::int64_t number);
  void put(std::int64_t number, std::shared_ptr<const Declared> declared);

 private:
  static constexpr std::size_t size_max = 4096;
  Mutex mutex_;
  std::map<std::int64_t, std::shared_ptr<const Declared>> known_ CLEW_GUARDED_BY(mutex_);
};

// Registers a process, or answers the record that the same registration made before. `conflict`
// naming the first difference when the id stands for another one, or was pruned: an id never comes
// back.
Result<Record> register_process(Transaction& tx, const Registration& registration, Timestamp now);
// Nothing when it is not there, or was pruned.
Result<std::optional<Record>> get_process(Transaction& tx, std::string_view id);
// By id.
Result<std::vector<Record>> list_processes(Transaction& tx);
Result<std::vector<Record>> list_non_terminal(Transaction& tx);
Result<Record> set_external_ref(Transaction& tx, std::string_view id, const ExternalRef& ref);

// Appends one event. In this order: a replay key that was used with the same type and payload
// answers that event, with its wake for this request's target (`conflict` naming the first
// difference for others); the type must be declared; terminal types and process.cancel_requested
// need a replay key; the payload must fit the type's schema; the process must not have ended; a
// wake needs a target; a lease token must be the newest; the end of a process that is leased needs
// the lease's token or an authority. Event, status and the wake's outbox message are one change: a
// refused append leaves nothing and burns no sequence.
Result<AppendResult> append_event(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                  const AppendRequest& request, Timestamp now);

struct CompleteOptions {
  std::string lease_token;
  std::string authority;
};

// Appends the terminal event that `output` stands for. Repeating it is no second end; another
// output or another end is `conflict`.
Result<AppendResult> complete_process(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                      const Value& output, const CompleteOptions& options,
                                      Timestamp now);
// Appends process.cancel_requested: a request to whoever runs it, which stops nothing itself.
Result<AppendResult> request_cancel(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                    std::string_view reason, Timestamp now);

// Events after that sequence, in order, at most `limit`.
Result<std::vector<Event>> events_after(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                        std::int64_t after, int limit);
// Those of them that wake somebody and were not acknowledged.
Result<std::vector<Event>> wake_events_after(Transaction& tx, DeclaredCache& cache,
                                             std::string_view id, std::int64_t after, int limit);
// The wake of that event has done its work. Nothing happens when there is none, or no more.
Result<void> ack_wake(Transaction& tx, std::string_view id, std::int64_t sequence);
// The first event of that type after that sequence; nothing when there is none yet.
Result<std::optional<Event>> first_event_after(Transaction& tx, DeclaredCache& cache,
                                               std::string_view id, std::string_view event_type,
                                               std::int64_t after);

Result<void> grant_handle(Transaction& tx, const HandleGrant& grant);  // again: newer descriptor
Result<bool> revoke_handle(Transaction& tx, const Scope& scope, std::string_view id);
Result<bool> has_handle_grant(Transaction& tx, const Scope& scope, std::string_view id);
// By process id; `live_only`: of processes that have not ended.
Result<std::vector<HandleGrant>> list_handle_grants(Transaction& tx, const Scope& scope,
                                                    bool live_only = false);
// By scope: session, then frame.
Result<std::vector<HandleGrant>> handle_grants_for_process(Transaction& tx, std::string_view id);
// All or none: `not_found` when `from` has no grant on one of them. No event tells of it.
Result<void> transfer_handle_grants(Transaction& tx, const Scope& from, const Scope& to,
                                    const std::vector<std::string>& ids);
// Revokes all grants of a session and its frames. Cancels nothing: the report says which processes
// nobody can address any more.
Result<SessionDeleteReport> delete_session_process_state(Transaction& tx,
                                                         std::string_view session_id);

// The lease on a process, see timed_lease.hpp. `conflict` when it is held, or has ended.
Result<store::TimedLease> claim_process_lease(Transaction& tx, std::string_view id,
                                              const store::LeaseClaim& claim);
Result<store::TimedLease> renew_process_lease(Transaction& tx, std::string_view id,
                                              std::string_view token, Timestamp now, Duration ttl);
// Gives it back. Nothing happens when the token is not the newest.
Result<void> complete_process_lease(Transaction& tx, std::string_view id, std::string_view token);

// What became of processes whose runner's lease is over.
struct Recovered {
  std::vector<std::string> rerunnable;  // to be claimed and run again
  std::vector<std::string> abandoned;   // owner-bound: ended by this call
};
// Looks through live processes that were leased. At most `limit` of each kind.
Result<Recovered> recover_processes(Transaction& tx, DeclaredCache& cache, Timestamp now,
                                    int limit);

// Removes processes that ended before `before`, at most `limit`, with their events, grants and
// leases; a tombstone keeps each id from being used again. Their ids.
Result<std::vector<std::string>> prune_processes(Transaction& tx, Timestamp before, int limit);

// The record that the events alone tell of: status, output, times. For checking.
Result<Record> refold(const Record& record, const std::vector<Event>& events);

// Reads every row, and reports those that cannot be, and records that differ from their events.
Result<void> check_processes(Transaction& tx, const store::ReportRow& report);
// The same, and what must hold between rows.
Result<void> verify_processes(Transaction& tx, store::ReportViolation& report);
std::span<const store::Invariant> process_invariants();

}  // namespace clew::process
