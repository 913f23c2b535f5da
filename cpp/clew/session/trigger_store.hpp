// session/trigger_store.hpp: host events and triggers of all sessions.
#pragma once

#include "clew/base/env.hpp"
#include "clew/session/triggers.hpp"

namespace clew::session {

// Thread-safe; borrows what it is made with. Everything blocks for the disk. The contracts are
// those of the functions in triggers.hpp.
class TriggerStore {
 public:
  TriggerStore(store::Database& database, Env& env) : database_(database), env_(env) {}

  Result<TriggerSubscription> subscribe(const TriggerDraft& draft);
  Result<std::vector<TriggerSubscription>> list(const TriggerFilter& filter = {},
                                                std::int64_t after = 0, int limit = 1000);
  Result<bool> cancel(const std::string& session_id, const std::string& handle);
  Result<HostEvent> record(const HostEventRequest& request);
  Result<std::vector<TriggerDelivery>> reserve(const std::string& occurrence_id);
  // The two in one transaction.
  Result<std::vector<TriggerDelivery>> record_and_reserve(const HostEventRequest& request);
  Result<std::vector<TriggerDelivery>> unregistered(Timestamp until, int limit = 1000);
  Result<bool> mark_registered(const std::string& process_id);
  Result<std::int64_t> prune(Timestamp before);

 private:
  store::Database& database_;
  Env& env_;
};

}  // namespace clew::session
