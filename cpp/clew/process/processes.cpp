#include "clew/process/processes.hpp"

namespace clew::process {
Processes::Processes(store::Database& database, Env& env, Function<void()> on_wake)
    : database_(database),
      env_(env),
      on_wake_(std::move(on_wake)),
      changes_(database, env.clock()) {}

// `use` may run several times: the answer of its last run is the one that was committed.
template <typename T, typename Use>
Result<T> Processes::write(Use use) {
  std::optional<T> answer;
  CLEW_TRY(database_.write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(answer, use(tx));
    return {};
  }));
  return *std::move(answer);
}

template <typename T, typename Use>
Result<T> Processes::read(Use use) {
  std::optional<T> answer;
  CLEW_TRY(database_.read([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(answer, use(tx));
    return {};
  }));
  return *std::move(answer);
}

Result<Record> Processes::register_process(const Registration& registration) {
  const auto now = env_.clock().now();
  return write<Record>([&](auto& tx) { return process::register_process(tx, registration, now); });
}

Result<std::optional<Record>> Processes::get_process(const std::string& id) {
  return read<std::optional<Record>>([&](auto& tx) { return process::get_process(tx, id); });
}

Result<std::vector<Record>> Processes::list_processes() {
  return read<std::vector<Record>>([](auto& tx) { return process::list_processes(tx); });
}

Result<std::vector<Record>> Processes::list_non_terminal() {
  return read<std::vector<Record>>([](auto& tx) { return process::list_non_terminal(tx); });
}

Result<Record> Processes::set_external_ref(const std::string& id, const ExternalRef& ref) {
  return write<Record>([&](auto& tx) { return process::set_external_ref(tx, id, ref); });
}

void Processes::tell() {
  changes_.tell();
  if (on_wake_) on_wake_();
}

// Wakes who waits here for an event, and whoever delivers wakes.
Result<AppendResult> Processes::told(Result<AppendResult> appended) {
  if (!appended || appended->is_replay) return appended;
  changes_.tell();
  if (appended->wake_delivery && on_wake_) on_wake_();
  return appended;
}

Result<AppendResult> Processes::append_event(const std::string& id, const AppendRequest& request) {
  const auto now = env_.clock().now();
  return told(write<AppendResult>(
      [&](auto& tx) { return process::append_event(tx, cache_, id, request, now); }));
}

Result<AppendResult> Processes::complete_process(const std::string& id, const Value& output,
                                                 const CompleteOptions& options) {
  const auto now = env_.clock().now();
  return told(write<AppendResult>(
      [&](auto& tx) { return process::complete_process(tx, cache_, id, output, options, now); }));
}

Result<AppendResult> Processes::request_cancel(const std::string& id, const std::string& reason) {
  const auto now = env_.clock().now();
  return told(write<AppendResult>(
      [&](auto& tx) { return process::request_cancel(tx, cache_, id, reason, now); }));
}

Result<std::vector<Event>> Processes::events_after(const std::string& id, std::int64_t after,
                                                   int limit) {
  return read<std::vector<Event>>(
      [&](auto& tx) { return process::events_after(tx, cache_, id, after, limit); });
}

Result<std::vector<Event>> Processes::wake_events_after(const std::string& id, std::int64_t after,
                                                        int limit) {
  return read<std::vector<Event>>(
      [&](auto& tx) { return process::wake_events_after(tx, cache_, id, after, limit); });
}

Result<void> Processes::ack_wake(const std::string& id, std::int64_t sequence) {
  CLEW_TRY(database_.write([&](auto& tx) { return process::ack_wake(tx, id, sequence); }));
  return {};
}

Result<std::optional<Event>> Processes::wait_event_after(const std::string& id,
                                                         const std::string& event_type,
                                                         std::int64_t after, Timestamp until) {
  std::optional<Event> found;
  CLEW_TRY(changes_.look_until(until, [&]() -> Result<bool> {
    CLEW_TRY(found, read<std::optional<Event>>([&](auto& tx) {
               return process::first_event_after(tx, cache_, id, event_type, after);
             }));
    return found.has_value();
  }));
  return found;
}

Result<std::optional<Value>> Processes::await_process(const std::string& id, Timestamp until) {
  std::optional<Value> output;
  CLEW_TRY(changes_.look_until(until, [&]() -> Result<bool> {
    CLEW_TRY(const auto record, get_process(id));
    if (!record) return error(Code::not_found, "no process \"{}\"", id).with("process_id", id);
    if (is_terminal(record->status)) output = record->await_output;
    return output.has_value();
  }));
  return output;
}

Result<void> Processes::grant_handle(const HandleGrant& grant) {
  CLEW_TRY(database_.write([&](auto& tx) { return process::grant_handle(tx, grant); }));
  return {};
}

Result<bool> Processes::revoke_handle(const Scope& scope, const std::string& id) {
  return write<bool>([&](auto& tx) { return process::revoke_handle(tx, scope, id); });
}

Result<bool> Processes::has_handle_grant(const Scope& scope, const std::string& id) {
  return read<bool>([&](auto& tx) { return process::has_handle_grant(tx, scope, id); });
}

Result<std::vector<HandleGrant>> Processes::list_handle_grants(const Scope& scope, bool live_only) {
  return read<std::vector<HandleGrant>>(
      [&](auto& tx) { return process::list_handle_grants(tx, scope, live_only); });
}

Result<std::vector<HandleGrant>> Processes::handle_grants_for_process(const std::string& id) {
  return read<std::vector<HandleGrant>>(
      [&](auto& tx) { return process::handle_grants_for_process(tx, id); });
}

Result<void> Processes::transfer_handle_grants(const Scope& from, const Scope& to,
                                               const std::vector<std::string>& ids) {
  CLEW_TRY(database_.write(
      [&](auto& tx) { return process::transfer_handle_grants(tx, from, to, ids); }));
  return {};
}

Result<SessionDeleteReport> Processes::delete_session_process_state(const std::string& session_id) {
  return write<SessionDeleteReport>(
      [&](auto& tx) { return process::delete_session_process_state(tx, session_id); });
}

Result<store::TimedLease> Processes::claim_process_lease(const std::string& id,
                                                         const std::string& owner, Duration ttl,
                                                         std::string token) {
  if (token.empty()) token = env_.ids().next().to_string();
  const store::LeaseClaim claim{owner, token, env_.clock().now(), ttl};
  return write<store::TimedLease>(
      [&](auto& tx) { return process::claim_process_lease(tx, id, claim); });
}

Result<store::TimedLease> Processes::renew_process_lease(const std::string& id,
                                                         const std::string& token, Duration ttl) {
  const auto now = env_.clock().now();
  return write<store::TimedLease>(
      [&](auto& tx) { return process::renew_process_lease(tx, id, token, now, ttl); });
}

Result<void> Processes::complete_process_lease(const std::string& id, const std::string& token) {
  CLEW_TRY(
      database_.write([&](auto& tx) { return process::complete_process_lease(tx, id, token); }));
  return {};
}

Result<Recovered> Processes::recover_processes(int limit) {
  const auto now = env_.clock().now();
  CLEW_TRY(auto recovered, write<Recovered>([&](auto& tx) {
             return process::recover_processes(tx, cache_, now, limit);
           }));
  if (!recovered.abandoned.empty()) tell();
  return recovered;
}

Result<std::vector<std::string>> Processes::prune_processes(Timestamp before, int limit) {
  CLEW_TRY(auto pruned, write<std::vector<std::string>>(
                            [&](auto& tx) { return process::prune_processes(tx, before, limit); }));
  if (!pruned.empty()) tell();
  return pruned;
}

}  // namespace clew::process
