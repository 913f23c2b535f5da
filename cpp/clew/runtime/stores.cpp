#include "clew/runtime/stores.hpp"

#include "clew/session/artifacts.hpp"
#include "clew/session/head.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/session/sessions.hpp"
#include "clew/session/triggers.hpp"
#include "clew/store/due.hpp"
#include "clew/store/idempotency.hpp"
#include "clew/store/timed_lease.hpp"
#include "clew/store/work_queue.hpp"

namespace clew {

namespace {

// A wake becomes work of its session. Its identity is the work's source key, so that wakes of the
// same meaning are one. A session that was deleted meanwhile has no use for it.
Result<void> deliver_wake(store::Transaction& tx, const store::Message& wake, Timestamp now) {
  CLEW_TRY(const auto draft, session::wake_draft(wake.data));
  const auto awaited = session::check_not_deleted(tx, draft.session_id);
  if (!awaited) return awaited.error().code() == Code::conflict ? Result<void>() : awaited;
  CLEW_TRY(session::enqueue_batch(tx, draft, fmt::format("wake-{}", wake.id), now));
  return {};
}

}  // namespace

Result<std::unique_ptr<Stores>> Stores::open(store::Database& database, Env& env, Timers& timers,
                                             const std::string& owner, StoreRetention retention) {
  std::unique_ptr<Stores> stores(new Stores(database, env));
  std::map<std::string, store::Deliver> routes;
  routes.emplace(process::wake_topic, [&env](store::Transaction& tx, const store::Message& wake) {
    return deliver_wake(tx, wake, env.clock().now());
  });
  stores->outbox_ = store::start_outbox(database, env, std::move(routes));
  stores->processes_ = std::make_unique<process::Processes>(
      database, env, [outbox = stores->outbox_.get()] { outbox->wake(); });
  CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto due, store::next_message_due(tx, process::wake_topic));
    stores->has_messages_ = due != Timestamp::never();
    return {};
  }));
  CLEW_TRY(stores->effects_, effect::make_effect_host(database, env, timers, {.owner = owner}));
  stores->janitor_ = make_janitor(database, env, *stores->outbox_, retention);
  return stores;
}

Result<bool> Stores::delete_session(const std::string& session_id) {
  const auto now = env_.clock().now();
  process::DeclaredCache cache;
  bool is_deleted = false;
  CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(is_deleted, session::delete_session(tx, session_id, now));
    if (!is_deleted) return {};
    CLEW_TRY(const auto report, process::delete_session_process_state(tx, session_id));
    for (const auto& id : report.cancel_process_ids) {
      CLEW_TRY(process::request_cancel(tx, cache, id, "its session was deleted", now));
    }
    CLEW_TRY(effect::retire_session(tx, session_id));
    return {};
  }));
  if (is_deleted) processes_->tell();
  return is_deleted;
}

Result<std::vector<std::string>> Stores::prune_processes(Timestamp before, int limit) {
  std::vector<std::string> pruned;
  CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(pruned, clew::prune_processes(tx, before, limit));
    return {};
  }));
  if (!pruned.empty()) processes_->tell();
  return pruned;
}

Result<void> Stores::verify(store::Transaction& tx, store::ReportViolation& report) {
  for (const auto check :
       {store::check_timed_leases, store::check_requests, store::check_due, store::check_outbox}) {
    CLEW_TRY(store::check_rows(tx, check, report));
  }
  const store::ReportRow unreadable = [&report](const Error& why) {
    report("sessions.readable", why.to_string());
  };
  CLEW_TRY(session::check_sessions(tx, unreadable));
  CLEW_TRY(session::check_triggers(tx, unreadable));
  CLEW_TRY(session::check_artifacts(tx, unreadable));
  CLEW_TRY(process::verify_processes(tx, report));
  return effect::verify_effects(tx, report);
}

void Stores::start() {
  if (has_messages_) outbox_->wake();
  janitor_->start();
}

void Stores::stop() {
  janitor_->stop();
  outbox_->stop();
}

}  // namespace clew
