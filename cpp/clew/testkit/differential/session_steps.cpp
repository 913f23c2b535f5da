// The words of sessions, their queues and triggers, of processes and of effects.
#include "clew/base/json.hpp"
#include "clew/effect/journal.hpp"
#include "clew/process/processes.hpp"
#include "clew/session/graph.hpp"
#include "clew/session/head.hpp"
#include "clew/session/sessions.hpp"
#include "clew/session/triggers.hpp"
#include "clew/testkit/conformance/process_support.hpp"
#include "clew/testkit/conformance/session_world.hpp"
#include "clew/testkit/differential/steps.hpp"

namespace clew::differential {
namespace {

using Answer = Result<std::string>;

template <typename T>
std::string all_of(const std::vector<T>& list) {
  std::string text;
  for (const auto& each : list) text += to_json(to_value(each)) + "; ";
  return text;
}

// Sessions: which, at which revision, which node below which, of which turn.
Answer session_commit(Stage& stage, Transaction& tx, Numbers n) {
  const auto id = word("session", n[0]);
  auto commit = conformance::first_commit(id);
  if (n[1] > 0) commit.expected_head_revision = n[1];
  if (n[1] == 0) {  // the revision that stands there
    CLEW_TRY(const auto stands, session::load_session(tx, id, {}));
    if (stands) commit.expected_head_revision = stands->head_revision;
  }
  if (n[2] > 0) {
    const auto parent = n[3] == 0 ? "" : word("node", n[3]);
    auto node = conformance::node(word("node", n[2]), parent);
    commit = conformance::with_nodes(std::move(commit), {std::move(node)}, word("node", n[2]));
  }
  if (n[4] > 0) conformance::stamp(commit, word("turn", n[4]));
  CLEW_TRY(session::check_commit(commit));
  CLEW_TRY(const auto result, session::commit_session(tx, commit, stage.now));
  return to_json(to_value(result));
}
Answer session_load(Stage&, Transaction& tx, Numbers n) {
  session::ReadScope scope;
  scope.is_active_path = n[1] > 0;
  if (n[1] > 1) scope.leaf_node_id = word("node", n[1]);
  CLEW_TRY(const auto loaded, session::load_session(tx, word("session", n[0]), scope));
  return loaded ? to_json(to_value(*loaded)) : "nothing";
}
Answer session_meta(Stage& stage, Transaction& tx, Numbers n) {
  session::SessionMeta meta;
  meta.session_id = word("session", n[0]);
  meta.session_name = word("name", n[1]);
  meta.created_at = stage.now;
  meta.model = "model";
  CLEW_TRY(session::save_meta(tx, meta));
  CLEW_TRY(const auto stands, session::load_meta(tx, meta.session_id));
  return stands ? to_json(to_value(*stands)) : "nothing";
}
Answer session_delete(Stage& stage, Transaction& tx, Numbers n) {
  if (n[1] > 0) return "not this time";
  CLEW_TRY(const bool done, session::delete_session(tx, word("session", n[0]), stage.now));
  return yes_or_no(done);
}
Answer session_collect(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto report, session::gc_unreachable(tx, Timestamp{stage.now.us - n[0]}));
  return fmt::format("roots {} retained {} deleted {}", report.root_count,
                     report.retained_blob_count, report.deleted_blob_count);
}

// Queued work of sessions: which session, source, policies; who claims, and for how long.
Answer queue_enqueue(Stage& stage, Transaction& tx, Numbers n) {
  auto draft = conformance::draft(word("session", n[0]), word("text", n[1]),
                                  n[2] == 0 ? "" : word("source", n[2]));
  draft.slot_policy = n[3] % 2 == 0 ? session::SlotPolicy::exclusive : session::SlotPolicy::join;
  draft.merge_key.kind = static_cast<session::MergeKey::Kind>(n[3] / 2 % 3);
  if (draft.merge_key.kind == session::MergeKey::Kind::group) draft.merge_key.group = "group";
  if (n[4] > 0) draft.available_at = stage.now + Duration(n[4]);
  const auto batch_id = word("batch", n[5]);
  CLEW_TRY(const auto receipt,
           session::enqueue_batch(tx, draft, batch_id, stage.now, n[1] % 2 == 1));
  return to_json(to_value(receipt));
}
Answer queue_list(Stage& stage, Transaction& tx, Numbers n) {
  const auto id = word("session", n[0]);
  CLEW_TRY(const auto all, session::list_batches(tx, id));
  CLEW_TRY(const auto pending, session::list_pending_batches(tx, id, stage.now));
  return all_of(all) + "pending " + all_of(pending);
}
Answer queue_claim(Stage& stage, Transaction& tx, Numbers n) {
  const session::QueuedWorkTerms terms{word("claim", n[1]), word("owner", n[1]),
                                       word("token", n[1]), stage.now, Duration(n[3])};
  CLEW_TRY(auto claim,
           session::claim_ready(tx, word("session", n[0]),
                                static_cast<session::ClaimBoundary>(n[4]), n[2] + 1, terms));
  if (!claim) return "nothing";
  auto text = to_json(to_value(*claim));
  stage.batches[10 * n[0] + n[1]] = *std::move(claim);
  return text;
}
const session::QueuedWorkClaim* claim_in(const Stage& stage, Numbers n) {
  const auto found = stage.batches.find(10 * n[0] + n[1]);
  return found == stage.batches.end() ? nullptr : &found->second;
}
Answer queue_renew(Stage& stage, Transaction& tx, Numbers n) {
  const auto* claim = claim_in(stage, n);
  if (claim == nullptr) return "no claim";
  CLEW_TRY(const auto renewed, session::renew_batches(tx, *claim, stage.now, Duration(n[2])));
  return to_json(to_value(renewed));
}
Answer queue_abandon(Stage& stage, Transaction& tx, Numbers n) {
  const auto* claim = claim_in(stage, n);
  if (claim == nullptr) return "no claim";
  CLEW_TRY(session::abandon_batches(tx, claim->completion()));
  return "given back";
}
Answer queue_complete(Stage& stage, Transaction& tx, Numbers n) {
  const auto* claim = claim_in(stage, n);
  if (claim == nullptr) return "no claim";
  CLEW_TRY(session::complete_batches(tx, claim->completion(), stage.now));
  return "done";
}
Answer queue_cancel(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto batch,
           session::cancel_batch(tx, word("session", n[0]), word("batch", n[1]), stage.now));
  return batch ? to_json(to_value(*batch)) : "nothing";
}

// Triggers: which session and source; which key and payload an event has.
constexpr std::string_view source_type = "test.source";
Value source(int number) { return Value::object({{"number", number}}); }

Answer trigger_subscribe(Stage& stage, Transaction& tx, Numbers n) {
  session::TriggerDraft draft;
  draft.session_id = word("session", n[0]);
  draft.source_type = source_type;
  draft.source = source(n[1]);
  draft.source_key = session::source_key_for(source_type, draft.source);
  draft.event_type = "Test";
  draft.module_ref = "module";
  draft.required_surface_ref = "surface";
  draft.process_ref = "process";
  draft.process_name = n[2] == 0 ? "" : word("process", n[2]);
  draft.input_template = {{"event", true, {}}};
  // An id of its own: what is refused may use up a number on one database and not on another.
  const auto id = word("subscription", stage.step);
  CLEW_TRY(const auto made, session::subscribe_trigger(tx, draft, id, stage.now));
  return to_json(to_value(made));
}
Answer trigger_list(Stage&, Transaction& tx, Numbers n) {
  session::TriggerFilter filter;
  if (n[0] > 0) filter.session_id = word("session", n[0]);
  CLEW_TRY(const auto all, session::list_triggers(tx, filter));
  return all_of(all);
}
Answer trigger_cancel(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const bool done, session::cancel_trigger(tx, word("session", n[0]),
                                                    fmt::format("trigger:{}", n[1]), stage.now));
  return yes_or_no(done);
}
Answer trigger_event(Stage& stage, Transaction& tx, Numbers n) {
  const session::HostEventRequest request{
      std::string(source_type), session::source_key_for(source_type, source(n[0])),
      Value::object({{"n", n[2]}}), word("key", n[1]), source(n[0])};
  CLEW_TRY(const auto event, session::record_host_event(tx, request, stage.now));
  CLEW_TRY(const auto reserved, session::reserve_deliveries(tx, event.occurrence_id, stage.now));
  return to_json(to_value(event)) + " " + all_of(reserved);
}
Answer trigger_register(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto waiting, session::unregistered_deliveries(tx, stage.now, 10));
  if (waiting.empty()) return "nothing";
  const auto& one = waiting[static_cast<std::size_t>(n[0]) % waiting.size()];
  CLEW_TRY(const bool done, session::mark_registered(tx, one.process_id, stage.now));
  return one.process_id + " " + yes_or_no(done);
}
Answer trigger_prune(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, session::prune_host_events(tx, Timestamp{stage.now.us - n[0]}));
  return fmt::format("{}", gone);
}

// Processes: which one; what is appended under which key; who leases it.
Answer process_register(Stage& stage, Transaction& tx, Numbers n) {
  auto made = conformance::registration(word("process", n[0]),
                                        {conformance::plain("told"), conformance::waking("woke")});
  made.disposition = static_cast<process::Disposition>(n[1]);
  CLEW_TRY(const auto record, process::register_process(tx, made, stage.now));
  return to_json(record.to_value());
}
Answer process_get(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto record, process::get_process(tx, word("process", n[0])));
  return record ? to_json(record->to_value()) : "nothing";
}
Answer process_append(Stage& stage, Transaction& tx, Numbers n) {
  process::AppendRequest request;
  request.event_type = n[1] == 0 ? "unknown" : n[1] % 2 == 0 ? "told" : "woke";
  request.payload =
      n[1] == 3 ? Value::object({{"wake_input", "go"}, {"n", n[2]}}) : Value::object({{"n", n[2]}});
  if (n[3] > 0) request.replay_key = word("key", n[3]);
  if (n[4] > 0) request.wake_target_scope = process::Scope{word("session", n[4]), ""};
  CLEW_TRY(const auto result,
           process::append_event(tx, stage.declared, word("process", n[0]), request, stage.now));
  return to_json(result.to_value());
}
Answer process_complete(Stage& stage, Transaction& tx, Numbers n) {
  const auto output = Value::object({{"type", "success"}, {"value", n[1]}});
  process::CompleteOptions options;
  if (n[2] > 0) options.lease_token = word("token", n[2]);
  CLEW_TRY(const auto result, process::complete_process(tx, stage.declared, word("process", n[0]),
                                                        output, options, stage.now));
  return to_json(result.to_value());
}
Answer process_cancel(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto result, process::request_cancel(tx, stage.declared, word("process", n[0]),
                                                      word("reason", n[1]), stage.now));
  return to_json(result.to_value());
}
Answer process_events(Stage& stage, Transaction& tx, Numbers n) {
  const auto id = word("process", n[0]);
  CLEW_TRY(const auto events, process::events_after(tx, stage.declared, id, n[1], n[2] + 1));
  CLEW_TRY(const auto wakes, process::wake_events_after(tx, stage.declared, id, n[1], n[2] + 1));
  std::string text;
  for (const auto& each : events) text += to_json(each.to_value()) + "; ";
  return text + fmt::format("wakes {}", wakes.size());
}
Answer process_ack(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(process::ack_wake(tx, word("process", n[0]), n[1]));
  return "ok";
}
Answer process_grant(Stage&, Transaction& tx, Numbers n) {
  const process::Scope scope{word("session", n[1]), ""};
  if (n[2] == 0) {
    CLEW_TRY(const bool done, process::revoke_handle(tx, scope, word("process", n[0])));
    return yes_or_no(done);
  }
  CLEW_TRY(process::grant_handle(tx, {scope, word("process", n[0]), "kind", word("label", n[2])}));
  CLEW_TRY(const auto grants, process::list_handle_grants(tx, scope, n[2] == 1));
  std::string text;
  for (const auto& each : grants) text += to_json(each.to_value()) + "; ";
  return text;
}
Answer process_lease(Stage& stage, Transaction& tx, Numbers n) {
  const auto id = word("process", n[0]);
  const auto owner = word("owner", n[1]);
  const auto token = word("token", n[2]);
  CLEW_TRY(const auto lease,
           process::claim_process_lease(tx, id, {owner, token, stage.now, Duration(n[3])}));
  return fmt::format("fence {} until {}", lease.fence, lease.expires_at.us);
}
Answer process_unlease(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(process::complete_process_lease(tx, word("process", n[0]), word("token", n[1])));
  return "ok";
}
Answer process_recover(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto found, process::recover_processes(tx, stage.declared, stage.now, n[0] + 1));
  std::string text = "rerunnable";
  for (const auto& id : found.rerunnable) text += " " + id;
  text += ", abandoned";
  for (const auto& id : found.abandoned) text += " " + id;
  return text;
}
Answer process_prune(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, process::prune_processes(tx, Timestamp{stage.now.us - n[0]}, n[1] + 1));
  std::string text = "gone";
  for (const auto& id : gone) text += " " + id;
  return text;
}

// Effects: of which turn, which one, what it is; who runs it.
Result<effect::Envelope> envelope(int number, int code) {
  const auto id = word("effect", number);
  const auto invocation = Value::object(
      {{"scope", Value::object({{"session_id", "session-1"}, {"turn_index", 1}})},
       {"subject",
        Value::object({{"type", "effect"}, {"effect_id", Value(id)}, {"kind", "exec_code"}})},
       {"replay", Value::object({{"key", Value("key:" + id)}})}});
  return effect::Envelope::make(
      invocation, Value::object({{"type", "exec_code"}, {"code", Value(word("code", code))}}));
}
Answer effect_claim(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto scope, effect::Scope::turn("session-1", word("turn", n[0])));
  CLEW_TRY(const auto made, envelope(n[1], n[2]));
  const auto owner = word("owner", n[3]);
  const auto token = word("token", n[3]);
  CLEW_TRY(const auto claim,
           effect::claim_effect(tx, scope, made, {owner, token, stage.now, Duration(n[4])}, false));
  auto text =
      fmt::format("decision {} fence {}", static_cast<int>(claim.decision), claim.lease.fence);
  if (claim.recorded) text += " " + to_json(claim.recorded->outcome);
  return text;
}
Answer effect_finalise(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto scope, effect::Scope::turn("session-1", word("turn", n[0])));
  CLEW_TRY(const auto made, envelope(n[1], n[2]));
  Result<Value> result = Value(n[4]);
  if (n[4] == 0) result = Error(Code::execution_failed, "it failed");
  CLEW_TRY(effect::finalise_effect(tx, scope, made, word("token", n[3]), result));
  return "ok";
}
Answer effect_look(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto scope, effect::Scope::turn("session-1", word("turn", n[0])));
  CLEW_TRY(const auto decided, effect::decided_effects(tx, scope, 10));
  CLEW_TRY(const auto until, effect::runs_until(tx, scope, "key:" + word("effect", n[1])));
  std::string text = yes_or_no(until && stage.now < *until);
  for (const auto& each : decided) text += " " + each.replay_key + to_json(each.outcome);
  return text;
}
Answer effect_purge(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, effect::purge_effects(tx, Timestamp{stage.now.us - n[0]}, n[1] + 1));
  return fmt::format("{}", gone);
}

}  // namespace

std::vector<Verb> session_verbs() {
  return {{"session_commit", {3, 3, 6, 3, 4}, session_commit},
          {"session_load", {3, 4}, session_load},
          {"session_meta", {3, 3}, session_meta},
          {"session_delete", {3, 60}, session_delete},
          {"session_collect", {400}, session_collect},
          {"queue_enqueue", {2, 4, 4, 6, 20, 9}, queue_enqueue},
          {"queue_list", {2}, queue_list},
          {"queue_claim", {2, 3, 3, 40, 2}, queue_claim},
          {"queue_renew", {2, 3, 60}, queue_renew},
          {"queue_abandon", {2, 3}, queue_abandon},
          {"queue_complete", {2, 3}, queue_complete},
          {"queue_cancel", {2, 9}, queue_cancel},
          {"trigger_subscribe", {2, 2, 3}, trigger_subscribe},
          {"trigger_list", {3}, trigger_list},
          {"trigger_cancel", {2, 6}, trigger_cancel},
          {"trigger_event", {2, 4, 2}, trigger_event},
          {"trigger_register", {3}, trigger_register},
          {"trigger_prune", {400}, trigger_prune},
          {"process_register", {4, 3}, process_register},
          {"process_get", {4}, process_get},
          {"process_append", {4, 5, 2, 4, 3}, process_append},
          {"process_complete", {4, 2, 3}, process_complete},
          {"process_cancel", {4, 2}, process_cancel},
          {"process_events", {4, 3, 4}, process_events},
          {"process_ack", {4, 5}, process_ack},
          {"process_grant", {4, 3, 3}, process_grant},
          {"process_lease", {4, 3, 3, 30}, process_lease},
          {"process_unlease", {4, 3}, process_unlease},
          {"process_recover", {3}, process_recover},
          {"process_prune", {900, 3}, process_prune},
          {"effect_claim", {2, 4, 2, 2, 30}, effect_claim},
          {"effect_finalise", {2, 4, 2, 2, 3}, effect_finalise},
          {"effect_look", {2, 4}, effect_look},
          {"effect_purge", {60, 3}, effect_purge}};
}

}  // namespace clew::differential
