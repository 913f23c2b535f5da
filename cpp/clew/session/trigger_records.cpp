// Subscriptions and host events as JSON.
#include <set>

#include "clew/session/detail/fields.hpp"
#include "clew/session/triggers.hpp"

namespace clew::session {
namespace {

using detail::Fields;
using detail::object_of;
using detail::text_or_null;

Value input_value(const TriggerInput& input) {
  std::vector<Member> members{{"parameter", input.parameter},
                              {"kind", input.is_event ? "event" : "fixed"}};
  if (!input.is_event) members.push_back({"value", input.value});
  return Value::object(std::move(members));
}

Result<TriggerInput> input_from(const Value& value, const std::string& path) {
  TriggerInput input;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(input.parameter, in.id("parameter"));
  constexpr detail::Word<bool> kinds[] = {{true, "event"}, {false, "fixed"}};
  CLEW_TRY(input.is_event, in.word("kind", kinds));
  input.value = in.value("value");
  CLEW_TRY(in.end());
  if (input.is_event && !input.value.is_null()) {
    return invalid_input(in.path_of("value"), input.value, "no value beside the event");
  }
  return input;
}

}  // namespace

Value to_value(const TriggerDraft& draft) {
  std::vector<Value> inputs;
  for (const auto& each : draft.input_template) inputs.push_back(input_value(each));
  return object_of({{"session_id", draft.session_id},
                    {"name", text_or_null(draft.name)},
                    {"source_type", draft.source_type},
                    {"source_key", draft.source_key},
                    {"source", draft.source},
                    {"event_type", draft.event_type},
                    {"module_ref", draft.module_ref},
                    {"required_surface_ref", draft.required_surface_ref},
                    {"process_ref", draft.process_ref},
                    {"process_name", draft.process_name},
                    {"input_template", Value::array(std::move(inputs))}});
}

Value to_value(const TriggerSubscription& subscription) {
  return Value::object({{"subscription_id", subscription.subscription_id},
                        {"number", subscription.number},
                        {"handle", subscription.handle},
                        {"enabled", subscription.enabled},
                        {"created_at", subscription.created_at.us},
                        {"updated_at", subscription.updated_at.us},
                        {"draft", to_value(subscription.draft)}});
}

Value to_value(const HostEvent& event) {
  return Value::object({{"occurrence_id", event.occurrence_id},
                        {"source_type", event.request.source_type},
                        {"source_key", event.request.source_key},
                        {"payload", event.request.payload},
                        {"idempotency_key", event.request.idempotency_key},
                        {"source", event.request.source},
                        {"occurred_at", event.occurred_at.us}});
}

Value to_value(const TriggerDelivery& delivery) {
  return Value::object({{"occurrence", to_value(delivery.occurrence)},
                        {"subscription", to_value(delivery.subscription)},
                        {"process_id", delivery.process_id},
                        {"reserved_at", delivery.reserved_at.us}});
}

Result<TriggerDraft> trigger_draft_from_value(const Value& value, const std::string& path) {
  TriggerDraft draft;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(draft.session_id, in.id("session_id"));
  CLEW_TRY(draft.name, in.id_if_given("name"));
  CLEW_TRY(draft.source_type, in.id("source_type"));
  draft.source = in.value("source");
  CLEW_TRY(draft.source_key, in.id_if_given("source_key"));
  if (draft.source_key.empty()) draft.source_key = source_key_for(draft.source_type, draft.source);
  CLEW_TRY(draft.event_type, in.text("event_type"));
  CLEW_TRY(draft.module_ref, in.text("module_ref"));
  CLEW_TRY(draft.required_surface_ref, in.text("required_surface_ref"));
  CLEW_TRY(draft.process_ref, in.text("process_ref"));
  CLEW_TRY(draft.process_name, in.id("process_name"));
  CLEW_TRY(draft.input_template, in.list<TriggerInput>("input_template", input_from));
  CLEW_TRY(in.end());
  std::set<std::string_view> parameters;
  for (const auto& each : draft.input_template) {
    if (parameters.insert(each.parameter).second) continue;
    return invalid_input(in.path_of("input_template"), Value(each.parameter),
                         "each parameter once");
  }
  return draft;
}

Result<TriggerFilter> trigger_filter_from_value(const Value& value, const std::string& path) {
  TriggerFilter filter;
  if (value.is_null()) return filter;
  CLEW_TRY(auto in, Fields::of(value, path));
  const auto take = [&in](std::string_view key, std::optional<std::string>& into) -> Result<void> {
    if (!in.has(key)) return {};
    CLEW_TRY(into, in.id(key));
    return {};
  };
  CLEW_TRY(take("session_id", filter.session_id));
  CLEW_TRY(take("handle", filter.handle));
  CLEW_TRY(take("name", filter.name));
  CLEW_TRY(take("source_type", filter.source_type));
  CLEW_TRY(take("source_key", filter.source_key));
  CLEW_TRY(take("target", filter.target));
  if (in.has("enabled")) {
    CLEW_TRY(filter.enabled, in.boolean("enabled", true));
  }
  CLEW_TRY(in.end());
  return filter;
}

Result<HostEventRequest> host_event_from_value(const Value& value, const std::string& path) {
  HostEventRequest request;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(request.source_type, in.id("source_type"));
  CLEW_TRY(request.source_key, in.id("source_key"));
  request.payload = in.value("payload");
  CLEW_TRY(request.idempotency_key, in.id("idempotency_key"));
  request.source = in.value("source");
  CLEW_TRY(in.end());
  return request;
}

}  // namespace clew::session
