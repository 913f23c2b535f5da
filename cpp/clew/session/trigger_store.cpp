#include "clew/session/trigger_store.hpp"

#include "clew/session/detail/ask.hpp"

namespace clew::session {

using detail::ask;
using detail::change;
using store::Transaction;

using Subscriptions = std::vector<TriggerSubscription>;
using Deliveries = std::vector<TriggerDelivery>;

Result<TriggerSubscription> TriggerStore::subscribe(const TriggerDraft& draft) {
  const auto now = env_.clock().now();
  const auto id = env_.ids().next_at(now).to_string();
  return change<TriggerSubscription>(
      database_, [&](Transaction& tx) { return subscribe_trigger(tx, draft, id, now); });
}

Result<Subscriptions> TriggerStore::list(const TriggerFilter& filter, std::int64_t after,
                                         int limit) {
  return ask<Subscriptions>(
      database_, [&](Transaction& tx) { return list_triggers(tx, filter, after, limit); });
}

Result<bool> TriggerStore::cancel(const std::string& session_id, const std::string& handle) {
  const auto now = env_.clock().now();
  return change<bool>(database_,
                      [&](Transaction& tx) { return cancel_trigger(tx, session_id, handle, now); });
}

Result<HostEvent> TriggerStore::record(const HostEventRequest& request) {
  const auto now = env_.clock().now();
  return change<HostEvent>(database_,
                           [&](Transaction& tx) { return record_host_event(tx, request, now); });
}

Result<Deliveries> TriggerStore::reserve(const std::string& occurrence_id) {
  const auto now = env_.clock().now();
  return change<Deliveries>(
      database_, [&](Transaction& tx) { return reserve_deliveries(tx, occurrence_id, now); });
}

Result<Deliveries> TriggerStore::record_and_reserve(const HostEventRequest& request) {
  const auto now = env_.clock().now();
  return change<Deliveries>(database_, [&](Transaction& tx) -> Result<Deliveries> {
    CLEW_TRY(const auto event, record_host_event(tx, request, now));
    return reserve_deliveries(tx, event.occurrence_id, now);
  });
}

Result<Deliveries> TriggerStore::unregistered(Timestamp until, int limit) {
  return ask<Deliveries>(
      database_, [&](Transaction& tx) { return unregistered_deliveries(tx, until, limit); });
}

Result<bool> TriggerStore::mark_registered(const std::string& process_id) {
  const auto now = env_.clock().now();
  return change<bool>(
      database_, [&](Transaction& tx) { return session::mark_registered(tx, process_id, now); });
}

Result<std::int64_t> TriggerStore::prune(Timestamp before) {
  return change<std::int64_t>(database_,
                              [&](Transaction& tx) { return prune_host_events(tx, before); });
}

}  // namespace clew::session
