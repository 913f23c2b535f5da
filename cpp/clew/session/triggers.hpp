// session/triggers.hpp: what happened at the host, who wants to hear of it, and the deliveries that
// follow. A delivery is reserved before its process is started, and stays findable until somebody
// says that the process is registered: a crash in between loses none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

// What a parameter of the started process gets: the whole event, or a value.
struct TriggerInput {
  std::string parameter;
  bool is_event = false;
  Value value;  // of a fixed one
  friend bool operator==(const TriggerInput&, const TriggerInput&) = default;
};

// "When this source says something, start that process."
struct TriggerDraft {
  std::string session_id;
  std::string name;  // empty: none
  std::string source_type;
  std::string source_key;
  Value source;
  std::string event_type;
  std::string module_ref;
  std::string required_surface_ref;
  std::string process_ref;
  std::string process_name;
  std::vector<TriggerInput> input_template;
  friend bool operator==(const TriggerDraft&, const TriggerDraft&) = default;
};

struct TriggerSubscription {
  std::int64_t number = 0;  // in the order of creation, never used again
  std::string subscription_id;
  std::string handle;  // "trigger:<number>"
  TriggerDraft draft;
  bool enabled = true;
  Timestamp created_at;
  Timestamp updated_at;
  friend bool operator==(const TriggerSubscription&, const TriggerSubscription&) = default;
};

// All that are given must hold.
struct TriggerFilter {
  std::optional<std::string> session_id = {};
  std::optional<std::string> handle = {};
  std::optional<std::string> name = {};
  std::optional<std::string> source_type = {};
  std::optional<std::string> source_key = {};
  std::optional<std::string> target = {};  // a process's name
  std::optional<bool> enabled = {};
};

struct HostEventRequest {
  std::string source_type;
  std::string source_key;
  Value payload;
  std::string idempotency_key;
  Value source;  // null: none
};

struct HostEvent {
  std::string occurrence_id;
  HostEventRequest request;
  Timestamp occurred_at;
};

// One start of a process that follows from an event.
struct TriggerDelivery {
  HostEvent occurrence;
  TriggerSubscription subscription;
  std::string process_id;  // delivery_process_id()
  Timestamp reserved_at;
};

// The key of a source: the same for the same type and content, whatever the order of its members.
std::string source_key_for(std::string_view source_type, const Value& source);
// The id of a delivery's process: the same each time.
std::string delivery_process_id(std::string_view occurrence_id, std::string_view subscription_id);

// Errors: `invalid_input` with the path of a blank id, a parameter that occurs twice or no
// parameters that get the event; `conflict` for a deleted session.
Result<TriggerSubscription> subscribe_trigger(store::Transaction& tx, const TriggerDraft& draft,
                                              const std::string& subscription_id, Timestamp now);
// In the order of creation, after number `after`, at most `limit`.
Result<std::vector<TriggerSubscription>> list_triggers(store::Transaction& tx,
                                                       const TriggerFilter& filter,
                                                       std::int64_t after = 0, int limit = 1000);
// Ends a session's subscription, which stays listed. False when the session has none of that handle
// that is enabled.
Result<bool> cancel_trigger(store::Transaction& tx, std::string_view session_id,
                            std::string_view handle, Timestamp now);
// A deleted session's are gone, with what was reserved for them.
Result<void> remove_subscriptions(store::Transaction& tx, std::string_view session_id);

// Says that something happened; the same key of the same source is the same occurrence. Errors:
// `invalid_input` for blank words; `conflict` naming the first difference when the key stands for
// another payload.
Result<HostEvent> record_host_event(store::Transaction& tx, const HostEventRequest& request,
                                    Timestamp now);
Result<std::optional<HostEvent>> find_host_event(store::Transaction& tx,
                                                 std::string_view occurrence_id);
// Reserves a delivery for each enabled subscription on the event's source that has none yet: those
// that are new, in the order of the subscriptions. Each pair is given at most once ever.
// `not_found` for an unknown occurrence.
Result<std::vector<TriggerDelivery>> reserve_deliveries(store::Transaction& tx,
                                                        std::string_view occurrence_id,
                                                        Timestamp now);
// Deliveries whose process is not registered, here or where mark_registered() is told of, reserved
// not after `until`, earliest first: what a crash may have lost. Those of cancelled subscriptions
// too: they were promised.
Result<std::vector<TriggerDelivery>> unregistered_deliveries(store::Transaction& tx,
                                                             Timestamp until, int limit = 1000);
// The delivery's process is registered. False when it was before. `not_found`: never reserved.
Result<bool> mark_registered(store::Transaction& tx, std::string_view process_id, Timestamp now);
// Forgets events from before `before` whose deliveries are all registered, at most `limit`: how
// many.
Result<std::int64_t> prune_host_events(store::Transaction& tx, Timestamp before,
                                       int limit = INT32_MAX);

// Reads every row, and reports those that cannot be.
Result<void> check_triggers(store::Transaction& tx, const store::ReportRow& report);

Value to_value(const TriggerDraft& draft);
Value to_value(const TriggerSubscription& subscription);
Value to_value(const HostEvent& event);
Value to_value(const TriggerDelivery& delivery);
Result<TriggerDraft> trigger_draft_from_value(const Value& value, const std::string& path);
Result<TriggerFilter> trigger_filter_from_value(const Value& value, const std::string& path);
Result<HostEventRequest> host_event_from_value(const Value& value, const std::string& path);

}  // namespace clew::session
