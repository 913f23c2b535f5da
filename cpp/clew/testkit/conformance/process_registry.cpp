#include "clew/testkit/conformance/process_registry.hpp"

#include <algorithm>
#include <thread>

#include "clew/base/env.hpp"
#include "clew/base/threads.hpp"
#include "clew/process/processes.hpp"
#include "clew/testkit/conformance/process_support.hpp"

namespace clew::conformance {
namespace {

using process::AppendRequest;
using process::HandleGrant;
using process::Scope;

constexpr Duration minute = std::chrono::minutes(1);

void process_registry_reports_declared_durability(const Factory& fresh) {
  const auto storage = fresh();
  const auto database = must(storage.open(), "open");
  expect_equal(!database->is_memory(), storage.is_durable, "the backend is what it declares to be");
}

void registration_is_idempotent_and_hash_conflicts_fail(const Factory& fresh) {
  Registry registry(fresh);
  const auto first = must(registry->register_process(registration("proc-idempotent")), "register");
  const auto second = must(registry->register_process(registration("proc-idempotent")), "again");
  expect_equal(first.registration_hash, second.registration_hash, "the same registration is one");
  const auto refused = expect_refused(
      registry->register_process(registration("proc-idempotent", {plain("producer.extra")})),
      Code::conflict, "another registration under the same id is refused");
  expect(refused.find("path") != nullptr, "the conflict names the first difference");
}

void external_refs_and_handle_grant_membership_round_trip(const Factory& fresh) {
  Registry registry(fresh);
  const process::ExternalRef ref{"worker", "job-123", json(R"({"queue": "critical"})")};
  expect_refused(registry->set_external_ref("missing-process", ref), Code::not_found,
                 "an unknown process has no external reference");
  must(registry->register_process(registration("proc-external-ref")), "register");
  const auto updated = must(registry->set_external_ref("proc-external-ref", ref), "set");
  expect(updated.external_ref && updated.external_ref->to_value() == ref.to_value(),
         "the answer carries the reference");
  const auto read = must(registry->get_process("proc-external-ref"), "get");
  expect(read && read->external_ref && read->external_ref->to_value() == ref.to_value(),
         "the record keeps the reference");

  const Scope owner{"grant-owner", ""};
  const auto has = [&] {
    return must(registry->has_handle_grant(owner, "proc-external-ref"), "look for the grant");
  };
  expect(!has(), "no grant before it is given");
  must(registry->grant_handle({owner, "proc-external-ref", "test", "external ref"}), "grant");
  expect(has(), "a grant once it is given");
  expect(must(registry->revoke_handle(owner, "proc-external-ref"), "revoke"), "it was there");
  expect(!has(), "no grant after it is revoked");
  expect(must(registry->list_handle_grants(owner, false), "list").empty(), "nothing is listed");
}

void validates_custom_events_and_materializes_wakes(const Factory& fresh) {
  Registry registry(fresh);
  const auto line = event_type(R"({"name": "producer.line",
      "payload_schema": {"type": "object", "required": ["line"],
        "properties": {"line": {"type": "string"}, "wake_input": {"type": "string"}}},
      "semantics": {"wake": {"when": {"present": "/wake_input"},
                             "input": {"pointer": "/wake_input"}}}})");
  must(registry->register_process(registration("proc-1", {line})), "register");
  const auto good = append(*registry, "proc-1", "producer.line",
                           R"({"line": "deploy failed", "wake_input": "Process event"})",
                           {.target = Scope{"s1", ""}});
  const auto appended = must(good, "append");
  expect_equal(appended.event.sequence, 1, "the first event is number 1");
  expect(appended.event.semantics.wake && appended.event.semantics.wake->input == "Process event",
         "the wake's input is what the selector selects");
  expect_equal(must(registry->wake_events_after("proc-1", 0, 100), "wakes").size(), 1U,
               "one wake waits");
  must(registry->ack_wake("proc-1", 1), "ack");
  expect(must(registry->wake_events_after("proc-1", 0, 100), "wakes").empty(),
         "an acknowledged wake waits no more");
  expect_refused(append(*registry, "proc-1", "producer.line", R"({"wake_input": "no line"})"),
                 Code::invalid_input, "a payload that does not fit is refused");
  expect_refused(append(*registry, "proc-1", "producer.other", "{}"), Code::invalid_input,
                 "a type that is not declared is refused");
  expect_equal(sequences(*registry, "proc-1"), std::vector<std::int64_t>{1},
               "a refused append leaves nothing");
}

void custom_wake_events_preserve_typed_provenance_and_replay(const Factory& fresh) {
  Registry registry(fresh);
  const auto cause =
      json(R"({"type": "session_node", "session_id": "target-session", "node_id": "button"})");
  auto registered = registration("proc-provenance", {waking("producer.custom_wake")});
  registered.provenance = {{"owner-session", ""}, "host-profile", cause};
  must(registry->register_process(registered), "register");
  const Scope target{"target-session", "target-frame"};
  const auto again = [&] {
    return must(append(*registry, "proc-provenance", "producer.custom_wake",
                       R"({"line": "build failed", "wake_input": "custom wake: build failed"})",
                       {.key = "custom-wake:build-failed", .target = target}),
                "append");
  };
  const auto first = again();
  const auto replay = again();
  expect_equal(first.event.sequence, 1, "the first event is number 1");
  expect_equal(replay.event.sequence, 1, "a replay is the same event");
  expect_equal(sequences(*registry, "proc-provenance"), std::vector<std::int64_t>{1},
               "a replay adds no event");
  expect_equal(first.event.invocation, json(R"({"scope": {"session_id": "owner-session"},
                        "subject": {"type": "process_event", "process_id": "proc-provenance",
                                    "sequence": 1, "event_type": "producer.custom_wake"},
                        "caused_by": {"type": "process", "process_id": "proc-provenance"},
                        "replay": {"key": "custom-wake:build-failed"}})"),
               "the event says where it comes from");
  expect(first.wake_delivery.has_value() && replay.wake_delivery.has_value(), "both wake");
  const auto& wake = *first.wake_delivery;
  expect_equal(wake.event_type, "producer.custom_wake", "the wake names the event's type");
  expect_equal(wake.event_invocation, first.event.invocation, "and carries its invocation");
  expect_equal(wake.process_caused_by, cause, "and what caused the process");
  expect_equal(wake.target_session_id, "target-session", "and the target's session");
  expect_equal(wake.target_scope_id, target.id(), "and its scope");
  expect_equal(wake.process_id, "proc-provenance", "and the process");
  expect_equal(wake.sequence, 1, "and the sequence");
  expect_equal(wake.dedupe_key, "proc-provenance:1", "an event's identity is its dedupe key");
  expect_equal(wake.input, "custom wake: build failed", "and the input");
  expect_equal(replay.wake_delivery->wake_id, wake.wake_id, "a replay makes the same wake");
}

void event_streams_filter_order_and_wait_without_leaking_old_events(const Factory& fresh) {
  Registry registry(fresh);
  const auto id = "proc-stream";
  must(registry->register_process(registration(
           id, {plain("producer.line"), waking("producer.wake"), plain("producer.future")})),
       "register");
  must(append(*registry, id, "producer.line", R"({"line": "one"})"), "append");
  must(append(*registry, id, "producer.wake", R"({"wake_input": "wake two"})",
              {.target = Scope{"root", ""}}),
       "append");
  must(append(*registry, id, "producer.line", R"({"line": "three"})"), "append");
  const auto after_one = must(registry->events_after(id, 1, 100), "events after 1");
  expect(after_one.size() == 2 && after_one[0].sequence == 2 &&
             after_one[0].event_type == "producer.wake" && after_one[1].sequence == 3 &&
             after_one[1].event_type == "producer.line",
         "events come in order and exclude the older ones");
  expect(must(registry->events_after(id, 3, 100), "events after 3").empty(),
         "nothing at or before the cursor");
  const auto wakes = must(registry->wake_events_after(id, 1, 100), "wakes after 1");
  expect(wakes.size() == 1 && wakes[0].sequence == 2, "only what wakes");
  expect(must(registry->wake_events_after(id, 2, 100), "wakes after 2").empty(),
         "the cursor excludes its own event");
  const auto at_once =
      must(registry->wait_event_after(id, "producer.line", 1, Timestamp::never()), "wait");
  expect(at_once && at_once->sequence == 3, "what is there is answered at once");

  std::optional<Result<std::optional<process::Event>>> future;
  {
    Threads waiter;
    waiter.start("waiter", [&] {
      future.emplace(registry->wait_event_after(id, "producer.future", 3, Timestamp::never()));
    });
    must(append(*registry, id, "producer.future", R"({"line": "four"})"), "append");
  }
  const auto found = must(*std::move(future), "wait for the future");
  expect(found && found->sequence == 4, "a waiter gets the event once it is appended");
}

void wake_semantics_matrix_materializes_declared_wakes(const Factory& fresh) {
  Registry registry(fresh);
  const auto id = "proc-wake-matrix";
  must(registry->register_process(registration(
           id,
           {wake("matrix.when_false", R"({"when": {"const": false}, "input": {"const": "never"}})"),
            wake("matrix.payload", R"({"input": "payload"})"),
            wake("matrix.const_input", R"({"input": {"const": "constant wake input"}})"),
            wake("matrix.template",
                 R"({"input": {"template": "line {line} #{n}", "fields":
                      {"line": {"pointer": "/line"}, "n": {"pointer": "/n"}}}})"),
            wake("matrix.selector_dedupe",
                 R"({"input": {"pointer": "/wake_input"},
                     "dedupe_key": {"selector": {"pointer": "/dedupe"}}})"),
            wake("matrix.const_dedupe",
                 R"({"input": {"pointer": "/wake_input"},
                     "dedupe_key": {"const": "constant-dedupe"}})")})),
       "register");
  const auto wake_of = [&](const char* type, const char* payload) {
    return must(append(*registry, id, type, payload, {.target = Scope{"root", ""}}), type)
        .wake_delivery;
  };
  expect(!wake_of("matrix.when_false", "{}"), "a false `when` wakes nobody");
  const auto payload = wake_of("matrix.payload", R"("payload wake")");
  expect(payload && payload->input == "payload wake", "the payload itself");
  expect_equal(payload->dedupe_key, "proc-wake-matrix:2", "an event's identity");
  expect_equal(wake_of("matrix.const_input", "{}")->input, "constant wake input", "a constant");
  expect_equal(wake_of("matrix.template", R"({"line": "done", "n": 7})")->input, "line done #7",
               "a template");
  for (const auto& [type, key] : {std::pair("matrix.selector_dedupe", "group-a"),
                                  std::pair("matrix.const_dedupe", "constant-dedupe")}) {
    const auto one = wake_of(type, R"({"wake_input": "one", "dedupe": "group-a"})");
    const auto two = wake_of(type, R"({"wake_input": "two", "dedupe": "group-a"})");
    expect_equal(one->dedupe_key, key, "the declared key");
    expect_equal(two->wake_id, one->wake_id, "one wake for one key");
  }
  std::vector<std::int64_t> waking_sequences;
  for (const auto& event : must(registry->wake_events_after(id, 0, 100), "wakes")) {
    waking_sequences.push_back(event.sequence);
  }
  expect_equal(waking_sequences, std::vector<std::int64_t>{2, 3, 4, 5, 6, 7, 8},
               "a dedupe key drops no event");
}

void keyed_events_materialize_idempotent_wakes(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-wake", {waking("process.wake")})), "register");
  const auto payload = R"({"message": "deploy failed", "wake_input": "Process wake"})";
  const auto again = [&] {
    return must(append(*registry, "proc-wake", "process.wake", payload,
                       {.key = "wake:deploy failed", .target = Scope{"session", ""}}),
                "append");
  };
  const auto first = again();
  const auto second = again();
  expect_equal(second.event.sequence, first.event.sequence, "the same key is the same event");
  expect_equal(second.wake_delivery->to_value(), first.wake_delivery->to_value(),
               "and the same delivery");
  expect_refused(append(*registry, "proc-wake", "process.wake",
                        R"({"message": "other", "wake_input": "Process wake"})",
                        {.key = "wake:deploy failed"}),
                 Code::conflict, "another payload under the key is refused");
}

void wake_semantic_events_without_target_fail_without_persisting(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-missing", {waking("process.wake")})),
       "register");
  const auto refused =
      expect_refused(append(*registry, "proc-missing", "process.wake", R"({"wake_input": "x"})",
                            {.key = "wake:missing-target"}),
                     Code::invalid_input, "a wake needs a target");
  expect(refused.message().find("without a wake target scope") != std::string::npos,
         "the error says what is missing", refused.message());
  expect(must(registry->events_after("proc-missing", 0, 100), "events").empty(),
         "nothing was appended");
}

void terminal_and_cancel_events_require_keys(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-terminal")), "register");
  expect_refused(
      append(*registry, "proc-terminal", "process.cancel_requested", R"({"reason": "stop"})"),
      Code::invalid_input, "a cancel request needs a key");
  expect_refused(append(*registry, "proc-terminal", "process.cancelled",
                        R"({"await_output": {"type": "cancelled", "message": "x"}})"),
                 Code::invalid_input, "an end needs a key");
  must(registry->request_cancel("proc-terminal", "stop"), "request");
  expect_equal(status_of(*registry, "proc-terminal"), "running", "a request stops nothing");
  must(registry->complete_process("proc-terminal",
                                  json(R"({"type": "cancelled", "message": "stopped"})")),
       "complete");
  expect_equal(status_of(*registry, "proc-terminal"), "cancelled", "the end is the output's");
}

void await_reads_terminal_materialized_output(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-2")), "register");
  const auto output = json(R"({"type": "success", "value": {"ok": true}})");
  const auto end = must(registry->complete_process("proc-2", output), "complete");
  const auto awaited = must(registry->await_process("proc-2", Timestamp::never()), "await");
  expect(awaited && *awaited == output, "what was awaited is the output");
  expect_equal(status_of(*registry, "proc-2"), "completed", "the record has ended");
  const auto repeat = must(registry->complete_process("proc-2", output), "complete again");
  expect(repeat.is_replay && repeat.event.sequence == end.event.sequence,
         "the same end again is the same event");
  expect_refused(registry->complete_process("proc-2", json(R"({"type": "success", "value": 2})")),
                 Code::conflict, "another output is refused");
  expect_refused(
      registry->complete_process("proc-2", json(R"({"type": "cancelled", "message": "late"})")),
      Code::conflict, "another end is refused");
}

void transfer_handle_grants_moves_addressability(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-3")), "register");
  must(registry->register_process(registration("proc-4")), "register");
  const Scope s1{"s1", ""};
  const Scope s2{"s2", ""};
  must(registry->grant_handle({s1, "proc-3", "test", "three"}), "grant");
  expect_refused(registry->transfer_handle_grants(s1, s2, {"proc-3", "proc-4"}), Code::not_found,
                 "what was not granted cannot be handed on");
  expect_equal(must(registry->list_handle_grants(s1, false), "list").size(), 1U,
               "a refused transfer moves nothing");
  must(registry->transfer_handle_grants(s1, s2, {"proc-3"}), "transfer");
  expect(must(registry->list_handle_grants(s1, false), "list").empty(), "the source has none");
  const auto moved = must(registry->list_handle_grants(s2, false), "list");
  expect(moved.size() == 1 && moved[0].label == "three", "the target has it, as it was described");
  expect(must(registry->events_after("proc-3", 0, 10), "events").empty(), "no event tells of it");
}

void multiple_sessions_can_hold_grants(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-5")), "register");
  const auto holders = [&] {
    std::vector<std::string> sessions;
    for (const auto& grant : must(registry->handle_grants_for_process("proc-5"), "grants")) {
      sessions.push_back(grant.scope.session_id);
    }
    return sessions;
  };
  must(registry->grant_handle({{"s2", ""}, "proc-5", "test", ""}), "grant");
  must(registry->grant_handle({{"s1", ""}, "proc-5", "test", ""}), "grant");
  expect_equal(holders(), std::vector<std::string>{"s1", "s2"}, "by session");
  must(registry->transfer_handle_grants({"s1", ""}, {"s3", ""}, {"proc-5"}), "transfer");
  expect_equal(holders(), std::vector<std::string>{"s2", "s3"}, "the others keep theirs");
  expect(must(registry->events_after("proc-5", 0, 10), "events").empty(), "no event tells of it");
}

void processes_can_exist_with_zero_grants(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-6")), "register");
  expect(must(registry->handle_grants_for_process("proc-6"), "grants").empty(),
         "nobody needs to hold a process");
}

void delete_session_revokes_handles_by_session(const Factory& fresh) {
  Registry registry(fresh);
  const Scope deleted{"deleted", ""};
  const Scope remaining{"remaining", ""};
  for (const auto* id : {"sole", "shared", "terminal"}) {
    must(registry->register_process(registration(id, {waking("producer.wake")})), "register");
    must(registry->grant_handle({deleted, id, "test", id}), "grant");
  }
  must(registry->grant_handle({remaining, "shared", "test", "shared"}), "grant");
  must(registry->complete_process("terminal", json(R"({"type": "success", "value": null})")),
       "complete");
  must(append(*registry, "sole", "producer.wake", R"({"wake_input": "wake deleted"})",
              {.target = deleted}),
       "append");
  const auto report = must(registry->delete_session_process_state("deleted"), "delete");
  expect_equal(report.revoked_handle_count, 3, "all three are revoked");
  expect_equal(report.deleted_wake_count, 0, "wakes are no handles");
  expect_equal(report.cancel_process_ids, std::vector<std::string>{"sole"},
               "what nobody can address any more");
  expect_equal(report.preserved_process_ids, std::vector<std::string>{"shared"},
               "what somebody still can");
  expect(must(registry->list_handle_grants(deleted, false), "list").empty(), "no grant is left");
  expect_equal(must(registry->list_handle_grants(remaining, false), "list").size(), 1U,
               "the other session keeps its own");
  expect_equal(status_of(*registry, "sole"), "running", "deleting cancels nothing by itself");
}

void list_non_terminal_excludes_terminal_processes(const Factory& fresh) {
  Registry registry(fresh);
  for (const auto* id : {"proc-z", "proc-done", "proc-a"}) {
    must(registry->register_process(registration(id)), "register");
  }
  must(registry->complete_process("proc-done", json(R"({"type": "success", "value": null})")),
       "complete");
  std::vector<std::string> ids;
  for (const auto& record : must(registry->list_non_terminal(), "list")) {
    ids.push_back(record.registration.id);
  }
  expect_equal(ids, std::vector<std::string>{"proc-a", "proc-z"}, "the live ones, by id");
}

void list_live_handle_grants_excludes_terminal_history(const Factory& fresh) {
  Registry registry(fresh);
  const Scope scope{"session", ""};
  for (const auto* id : {"proc-live", "proc-done"}) {
    must(registry->register_process(registration(id)), "register");
    must(registry->grant_handle({scope, id, "", ""}), "grant");
  }
  must(registry->complete_process("proc-done", json(R"({"type": "success", "value": null})")),
       "complete");
  const auto ids = [&](bool live_only) {
    std::vector<std::string> list;
    for (const auto& grant : must(registry->list_handle_grants(scope, live_only), "list")) {
      list.push_back(grant.process_id);
    }
    return list;
  };
  expect_equal(ids(true), std::vector<std::string>{"proc-live"}, "of live processes only");
  expect_equal(ids(false), std::vector<std::string>{"proc-done", "proc-live"}, "all, by process");
}

void active_process_lease_fences_competing_owner(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-lease")), "register");
  const auto first = must(registry->claim_process_lease("proc-lease", "A", minute), "A claims");
  const auto refused = expect_refused(registry->claim_process_lease("proc-lease", "B", minute),
                                      Code::conflict, "B must wait");
  expect(refused.message().find("already leased") != std::string::npos, "it is already leased",
         refused.message());
  const auto second = must(registry->claim_process_lease("proc-lease", "A", minute), "A again");
  expect_equal(second.fence, first.fence + 1, "a new claim has the next fence");
  expect(second.token != first.token, "and a token of its own");
  expect_refused(registry->renew_process_lease("proc-lease", first.token, minute),
                 Code::stale_lease, "the older lease is worth nothing");
}

void superseded_process_lease_cannot_renew(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-lease")), "register");
  const auto first = must(registry->claim_process_lease("proc-lease", "A", Duration(0)), "A");
  must(registry->claim_process_lease("proc-lease", "B", minute), "B takes what is over at once");
  const auto refused =
      expect_refused(registry->renew_process_lease("proc-lease", first.token, minute),
                     Code::stale_lease, "A's lease is lost");
  expect(refused.message().find("missing or expired") != std::string::npos, "it says so",
         refused.message());
}

void renewed_process_lease_survives_original_expiry(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-lease")), "register");
  const auto ttl = std::chrono::milliseconds(20);
  const auto first = must(registry->claim_process_lease("proc-lease", "A", ttl), "claim");
  const auto renewed =
      must(registry->renew_process_lease("proc-lease", first.token, minute), "renew");
  expect_equal(renewed.token, first.token, "renewing keeps the token");
  expect_equal(renewed.fence, first.fence, "and the fence");
  expect_equal(renewed.expires_at, registry.clock.now() + minute, "until now and the time asked");
  registry.clock.advance(std::chrono::milliseconds(30));
  must(registry->renew_process_lease("proc-lease", renewed.token, minute), "renew once more");
}

void completed_lease_releases_and_reclaim_bumps_fencing(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-lease")), "register");
  const auto first = must(registry->claim_process_lease("proc-lease", "A", minute), "A");
  expect_equal(first.fence, 1, "the first fence is 1");
  must(registry->complete_process_lease("proc-lease", first.token), "A completes");
  const auto second = must(registry->claim_process_lease("proc-lease", "B", minute), "B");
  expect(second.fence > first.fence, "the fence rises across a release");
}

void stale_lease_completion_cannot_release_live_lease(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("proc-lease")), "register");
  const auto first = must(registry->claim_process_lease("proc-lease", "A", Duration(0)), "A");
  const auto second = must(registry->claim_process_lease("proc-lease", "B", minute), "B");
  must(registry->complete_process_lease("proc-lease", first.token), "A completes: nothing happens");
  const auto refused = expect_refused(registry->claim_process_lease("proc-lease", "C", minute),
                                      Code::conflict, "B still has it");
  expect(refused.message().find("already leased") != std::string::npos, "it is already leased",
         refused.message());
  must(registry->renew_process_lease("proc-lease", second.token, minute), "B renews");
}

void process_registry_survives_reopen(const Factory& fresh) {
  Reopened registries(fresh);
  auto& open = *registries.open;
  auto& reopen = *registries.reopen;
  const Scope scope{"session", ""};
  must(open.register_process(registration("proc-reopen", {waking("process.wake")})), "register");
  must(open.grant_handle({scope, "proc-reopen", "test", "reopen"}), "grant");
  const auto keyed = [](process::Processes& registry) {
    return must(append(registry, "proc-reopen", "process.wake", R"({"wake_input": "wake"})",
                       {.key = "wake:reopen", .target = Scope{"session", ""}}),
                "append");
  };
  const auto first = keyed(open);
  expect(must(reopen.get_process("proc-reopen"), "get").has_value(), "the record is there");
  expect_equal(sequences(reopen, "proc-reopen"), std::vector<std::int64_t>{first.event.sequence},
               "the event is there");
  expect_equal(must(reopen.list_handle_grants(scope, false), "grants").size(), 1U,
               "the grant is there");
  expect_equal(keyed(reopen).event.sequence, first.event.sequence,
               "a replay through the other handle is the same event");
}

constexpr Case cases[] = {
    {"process_registry_reports_declared_durability", process_registry_reports_declared_durability},
    {"registration_is_idempotent_and_hash_conflicts_fail",
     registration_is_idempotent_and_hash_conflicts_fail},
    {"external_refs_and_handle_grant_membership_round_trip",
     external_refs_and_handle_grant_membership_round_trip},
    {"validates_custom_events_and_materializes_wakes",
     validates_custom_events_and_materializes_wakes},
    {"custom_wake_events_preserve_typed_provenance_and_replay",
     custom_wake_events_preserve_typed_provenance_and_replay},
    {"event_streams_filter_order_and_wait_without_leaking_old_events",
     event_streams_filter_order_and_wait_without_leaking_old_events},
    {"wake_semantics_matrix_materializes_declared_wakes",
     wake_semantics_matrix_materializes_declared_wakes},
    {"keyed_events_materialize_idempotent_wakes", keyed_events_materialize_idempotent_wakes},
    {"wake_semantic_events_without_target_fail_without_persisting",
     wake_semantic_events_without_target_fail_without_persisting},
    {"terminal_and_cancel_events_require_keys", terminal_and_cancel_events_require_keys},
    {"await_reads_terminal_materialized_output", await_reads_terminal_materialized_output},
    {"transfer_handle_grants_moves_addressability", transfer_handle_grants_moves_addressability},
    {"multiple_sessions_can_hold_grants", multiple_sessions_can_hold_grants},
    {"processes_can_exist_with_zero_grants", processes_can_exist_with_zero_grants},
    {"delete_session_revokes_handles_by_session", delete_session_revokes_handles_by_session},
    {"list_non_terminal_excludes_terminal_processes",
     list_non_terminal_excludes_terminal_processes},
    {"list_live_handle_grants_excludes_terminal_history",
     list_live_handle_grants_excludes_terminal_history},
    {"active_process_lease_fences_competing_owner", active_process_lease_fences_competing_owner},
    {"superseded_process_lease_cannot_renew", superseded_process_lease_cannot_renew},
    {"renewed_process_lease_survives_original_expiry",
     renewed_process_lease_survives_original_expiry},
    {"completed_lease_releases_and_reclaim_bumps_fencing",
     completed_lease_releases_and_reclaim_bumps_fencing},
    {"stale_lease_completion_cannot_release_live_lease",
     stale_lease_completion_cannot_release_live_lease},
    {"process_registry_survives_reopen", process_registry_survives_reopen, Needs::reopen},
};

}  // namespace

std::span<const Case> process_registry_cases() { return cases; }

}  // namespace clew::conformance
