// process/processes.hpp: the registry of processes, for whoever has a database and no transaction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/process/registry.hpp"
#include "clew/store/changes.hpp"

namespace clew::process {

// Each operation of registry.hpp in a transaction of its own, acknowledged once it is durable, at
// the clock's time and with the registry's errors. Thread-safe; several handles over one database,
// in this process or others, see each other's commits at once. Blocks for the disk.
class Processes {
 public:
  // Both are borrowed. `on_wake` is told after each commit that put a wake into the outbox.
  Processes(store::Database& database, Env& env, Function<void()> on_wake = nullptr);

  Result<Record> register_process(const Registration& registration);
  Result<std::optional<Record>> get_process(const std::string& id);
  Result<std::vector<Record>> list_processes();
  Result<std::vector<Record>> list_non_terminal();
  Result<Record> set_external_ref(const std::string& id, const ExternalRef& ref);

  Result<AppendResult> append_event(const std::string& id, const AppendRequest& request);
  Result<AppendResult> complete_process(const std::string& id, const Value& output,
                                        const CompleteOptions& options = {});
  Result<AppendResult> request_cancel(const std::string& id, const std::string& reason);
  Result<std::vector<Event>> events_after(const std::string& id, std::int64_t after, int limit);
  Result<std::vector<Event>> wake_events_after(const std::string& id, std::int64_t after,
                                               int limit);
  Result<void> ack_wake(const std::string& id, std::int64_t sequence);

  // The first event of that type after that sequence, as soon as there is one, whoever appends it;
  // nothing once `until` has come. Blocks.
  Result<std::optional<Event>> wait_event_after(const std::string& id,
                                                const std::string& event_type, std::int64_t after,
                                                Timestamp until);
  // The output of the process, as soon as it has ended; nothing once `until` has come. Blocks.
  Result<std::optional<Value>> await_process(const std::string& id, Timestamp until);

  // Calls `changed` whenever one of the two above would look again, as store::Changes::listen().
  std::shared_ptr<void> listen(Function<void()> changed) {
    return changes_.listen(std::move(changed));
  }

  // Something was committed past this object that those who wait, or whoever delivers wakes, look
  // for.
  void tell();

  Result<void> grant_handle(const HandleGrant& grant);
  Result<bool> revoke_handle(const Scope& scope, const std::string& id);
  Result<bool> has_handle_grant(const Scope& scope, const std::string& id);
  Result<std::vector<HandleGrant>> list_handle_grants(const Scope& scope, bool live_only);
  Result<std::vector<HandleGrant>> handle_grants_for_process(const std::string& id);
  Result<void> transfer_handle_grants(const Scope& from, const Scope& to,
                                      const std::vector<std::string>& ids);
  Result<SessionDeleteReport> delete_session_process_state(const std::string& session_id);

  // `token`: chosen here when it is empty.
  Result<store::TimedLease> claim_process_lease(const std::string& id, const std::string& owner,
                                                Duration ttl, std::string token = "");
  Result<store::TimedLease> renew_process_lease(const std::string& id, const std::string& token,
                                                Duration ttl);
  Result<void> complete_process_lease(const std::string& id, const std::string& token);

  Result<Recovered> recover_processes(int limit);
  Result<std::vector<std::string>> prune_processes(Timestamp before, int limit);

 private:
  template <typename T, typename Use>
  Result<T> write(Use use);
  template <typename T, typename Use>
  Result<T> read(Use use);
  Result<AppendResult> told(Result<AppendResult> appended);

  store::Database& database_;
  Env& env_;
  Function<void()> on_wake_;
  DeclaredCache cache_;
  store::Changes changes_;
};

}  // namespace clew::process
