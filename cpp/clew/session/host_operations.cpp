// The operations of triggers and attachments.
#include "clew/session/detail/operations.hpp"
#include "clew/session/trigger_store.hpp"

namespace clew::session::detail {
namespace {

TriggerStore triggers(const Stores& stores) { return {stores.database, stores.env}; }
AttachmentStore attachments(const Stores& stores) {
  return {stores.database, stores.env, stores.attachments};
}

Result<Value> subscribe(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto draft, trigger_draft_from_value(in.value("draft"), ""));
  return valued(triggers(stores).subscribe(draft));
}

Result<Value> list(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto filter, trigger_filter_from_value(in.value("filter"), ""));
  CLEW_TRY(const auto after, in.integer("after", 0, 0));
  CLEW_TRY(const auto limit, limit_of(in));
  return valued(triggers(stores).list(filter, after, limit));
}

Result<Value> cancel(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto session, in.id("session_id"));
  CLEW_TRY(const auto handle, in.id("handle"));
  return valued(triggers(stores).cancel(session, handle));
}

Result<Value> record(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto request, host_event_from_value(in.value("event"), ""));
  return valued(triggers(stores).record(request));
}

Result<Value> reserve(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto occurrence, in.id("occurrence_id"));
  return valued(triggers(stores).reserve(occurrence));
}

Result<Value> record_and_reserve(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto request, host_event_from_value(in.value("event"), ""));
  return valued(triggers(stores).record_and_reserve(request));
}

Result<Value> unregistered(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto until, in.instant("until", stores.env.clock().now()));
  CLEW_TRY(const auto limit, limit_of(in));
  return valued(triggers(stores).unregistered(until, limit));
}

Result<Value> mark(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto process, in.id("process_id"));
  return valued(triggers(stores).mark_registered(process));
}

Result<Value> prune(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto before, in.instant("before"));
  return valued(triggers(stores).prune(before));
}

Result<Value> source_key(const Stores&, Fields& in) {
  CLEW_TRY(const auto type, in.id("source_type"));
  return Value(source_key_for(type, in.value("source")));
}

Result<Value> stat(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto session, in.id("session_id"));
  CLEW_TRY(const auto id, in.id("attachment_id"));
  return valued(attachments(stores).stat(session, id));
}

Result<Value> list_stored(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto session, in.id("session_id"));
  return valued(attachments(stores).list(session));
}

Result<Value> record_intent(const Stores& stores, Fields& in) {
  AttachmentIntent intent;
  CLEW_TRY(intent.session_id, in.id("session_id"));
  CLEW_TRY(intent.attachment_id, in.id("attachment_id"));
  CLEW_TRY(intent.canonical_uri, in.text("canonical_uri"));
  CLEW_TRY(intent.intent_at, in.instant("intent_at", stores.env.clock().now()));
  return valued(attachments(stores).record_intent(intent));
}

Result<Value> commit_refs(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto session, in.id("session_id"));
  CLEW_TRY(const auto ids, ids_of(in, "attachment_ids"));
  return valued(attachments(stores).commit_refs(session, ids));
}

Result<Value> list_uncommitted(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto until, in.instant("until", stores.env.clock().now()));
  return valued(attachments(stores).list_uncommitted(until));
}

Result<Value> forget(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto session, in.id("session_id"));
  CLEW_TRY(const auto id, in.id("attachment_id"));
  return valued(attachments(stores).forget(session, id));
}

Result<Value> sweep(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto before, in.instant("before"));
  CLEW_TRY(const auto report, attachments(stores).sweep(before));
  return Value::object(
      {{"deleted_files", report.deleted_files}, {"deleted_stages", report.deleted_stages}});
}

constexpr Operation table[] = {
    {"attachment.commit_refs", commit_refs},
    {"attachment.forget", forget},
    {"attachment.list", list_stored},
    {"attachment.list_uncommitted", list_uncommitted},
    {"attachment.record_intent", record_intent},
    {"attachment.stat", stat},
    {"attachment.sweep", sweep},
    {"trigger.cancel", cancel},
    {"trigger.list", list},
    {"trigger.mark_registered", mark},
    {"trigger.prune", prune},
    {"trigger.record", record},
    {"trigger.record_and_reserve", record_and_reserve},
    {"trigger.reserve", reserve},
    {"trigger.source_key", source_key},
    {"trigger.subscribe", subscribe},
    {"trigger.unregistered", unregistered},
};

}  // namespace

std::span<const Operation> host_operations() { return table; }

}  // namespace clew::session::detail
