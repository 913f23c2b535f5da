// What a registry of processes must do beyond the cases that others know too.
#include <thread>

#include "clew/base/threads.hpp"
#include "clew/store/outbox.hpp"
#include "clew/testkit/conformance/process_registry.hpp"
#include "clew/testkit/conformance/process_support.hpp"

namespace clew::conformance {
namespace {

using process::Scope;

constexpr Duration minute = std::chrono::minutes(1);

Value success(int value) { return Value::object({{"type", "success"}, {"value", value}}); }

std::string everything(store::Database& database) {
  return dump(database, {"processes", "process_grants", "process_wakes", "events", "requests",
                         "timed_leases", "outbox"});
}

void a_lost_lease_ends_nothing(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("leased")), "register");
  const auto first = must(registry->claim_process_lease("leased", "A", Duration(0)), "A claims");
  const auto second = must(registry->claim_process_lease("leased", "B", minute), "B claims");
  const auto before = everything(*registry.database);
  expect_refused(registry->complete_process("leased", success(1), {first.token, ""}),
                 Code::stale_lease, "A has lost it");
  expect_refused(append(*registry, "leased", "process.cancel_requested", "{}",
                        {.key = "k", .lease_token = first.token}),
                 Code::stale_lease, "whatever it appends");
  expect_equal(everything(*registry.database), before, "a refused append leaves nothing");
  must(registry->complete_process("leased", success(2), {second.token, ""}), "B completes");
  expect_equal(status_of(*registry, "leased"), "completed", "the end is B's");
}

void an_expired_lease_that_nobody_took_still_ends_its_process(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("late")), "register");
  const auto lease = must(registry->claim_process_lease("late", "A", minute), "claim");
  registry.clock.advance(minute * 2);
  must(registry->renew_process_lease("late", lease.token, minute), "renew what nobody took");
  registry.clock.advance(minute * 2);
  must(registry->complete_process("late", success(1), {lease.token, ""}), "complete");
}

void the_end_of_a_leased_process_needs_its_lease_or_an_authority(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("leased")), "register");
  must(registry->claim_process_lease("leased", "A", minute), "claim");
  expect_refused(registry->complete_process("leased", success(1)), Code::stale_lease,
                 "somebody runs it");
  expect_equal(status_of(*registry, "leased"), "running", "it goes on");
  const auto end = must(registry->complete_process("leased", success(1), {"", "operator"}), "end");
  const auto* authority = end.event.invocation.find("authority");
  expect(authority != nullptr && *authority == Value("operator"), "the event says by whom");
}

void leases_are_over_at_the_very_instant_of_their_expiry(const Factory& fresh) {
  Registry registry(fresh);
  for (const int us : {-1, 0, 1}) {
    const auto id = fmt::format("p{}", us);
    must(registry->register_process(registration(id)), "register");
    must(registry->claim_process_lease(id, "A", minute), "A claims");
    registry.clock.advance(minute + Duration(us));
    const auto claimed = registry->claim_process_lease(id, "B", minute);
    if (us < 0) {
      expect_refused(claimed, Code::conflict, "live until its last microsecond");
    } else {
      expect_equal(must(claimed, "B claims").fence, 2, "over from then on");
    }
  }
}

void a_claim_that_is_repeated_with_its_token_is_the_same_lease(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("p")), "register");
  const auto first = must(registry->claim_process_lease("p", "A", minute, "nonce"), "claim");
  const auto again = must(registry->claim_process_lease("p", "A", minute, "nonce"), "again");
  expect(first == again, "the answer was lost, not the claim");
  expect_refused(registry->claim_process_lease("p", "B", minute, "nonce"), Code::conflict,
                 "a token is its owner's alone");
  expect_refused(registry->claim_process_lease("p", "A", std::chrono::hours(24 * 367)),
                 Code::invalid_input, "no lease is longer than a year");
}

void nothing_happens_in_a_process_after_its_end(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("over", {plain("line")})), "register");
  must(append(*registry, "over", "line", "1", {.key = "early"}), "append");
  must(registry->complete_process("over", success(1)), "complete");
  const auto before = everything(*registry.database);
  expect_refused(append(*registry, "over", "line", "2"), Code::conflict, "no event after the end");
  expect_refused(registry->request_cancel("over", "late"), Code::conflict, "no request either");
  expect_refused(registry->claim_process_lease("over", "A", minute), Code::conflict,
                 "there is nothing to run");
  expect_equal(everything(*registry.database), before, "nothing has changed");
  expect(must(append(*registry, "over", "line", "1", {.key = "early"}), "replay").is_replay,
         "what was appended before is answered again");
}

void a_record_can_be_rebuilt_from_its_events(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("told", {plain("line"), waking("wake")})),
       "register");
  for (int i = 0; i < 3; ++i) {
    registry.clock.advance(std::chrono::seconds(1));
    must(append(*registry, "told", "line", "{}"), "append");
    const auto record = must(registry->get_process("told"), "get");
    const auto events = must(registry->events_after("told", 0, 100), "events");
    expect_equal(must(process::refold(*record, events), "fold").to_value(), record->to_value(),
                 "the record is what its events say");
  }
  must(registry->complete_process(
           "told", json(R"({"type": "failure", "class": "x", "code": "c", "message": "m"})")),
       "fail");
  const auto record = must(registry->get_process("told"), "get");
  const auto events = must(registry->events_after("told", 0, 100), "events");
  expect_equal(must(process::refold(*record, events), "fold").to_value(), record->to_value(),
               "its end too");
  expect_equal(status_of(*registry, "told"), "failed", "as its output says");
}

void recovery_goes_by_the_disposition_of_a_process(const Factory& fresh) {
  Registry registry(fresh);
  for (const auto disposition :
       {process::Disposition::rerunnable, process::Disposition::owner_bound,
        process::Disposition::externally_owned}) {
    for (const auto* state : {"lapsed", "live", "released"}) {
      auto made = registration(fmt::format("{}-{}", process::name(disposition), state));
      made.disposition = disposition;
      must(registry->register_process(made), "register");
      const bool lapses = std::string_view(state) == "lapsed";
      const auto lease =
          must(registry->claim_process_lease(made.id, "A", lapses ? Duration(0) : minute), "claim");
      if (std::string_view(state) == "released") {
        must(registry->complete_process_lease(made.id, lease.token), "release");
      }
    }
  }
  const auto recovered = must(registry->recover_processes(100), "recover");
  expect_equal(
      recovered.rerunnable,
      std::vector<std::string>{"owner_bound-released", "rerunnable-lapsed", "rerunnable-released"},
      "what another may take up");
  expect_equal(recovered.abandoned, std::vector<std::string>{"owner_bound-lapsed"},
               "what its owner alone could go on with");
  expect_equal(status_of(*registry, "owner_bound-lapsed"), "abandoned", "that is its end");
  for (const auto* id :
       {"owner_bound-live", "rerunnable-lapsed", "rerunnable-live", "externally_owned-lapsed"}) {
    expect_equal(status_of(*registry, id), "running", "nothing else ends");
  }
  expect(must(registry->recover_processes(100), "again").abandoned.empty(), "once");
}

void a_pruned_process_never_comes_back(const Factory& fresh) {
  Registry registry(fresh);
  for (const auto* id : {"old", "young", "live"}) {
    must(registry->register_process(registration(id, {waking("wake")})), "register");
    must(registry->grant_handle({{"s", ""}, id, "", ""}), "grant");
    must(append(*registry, id, "wake", R"({"wake_input": "x"})",
                {.key = "k", .target = Scope{"s", ""}}),
         "append");
  }
  must(registry->complete_process("old", success(1)), "complete");
  registry.clock.advance(minute);
  const auto watermark = registry.clock.now();
  must(registry->complete_process("young", success(1)), "complete");
  expect_equal(must(registry->prune_processes(watermark, 100), "prune"),
               std::vector<std::string>{"old"}, "what ended before the watermark");
  expect(!must(registry->get_process("old"), "get").has_value(), "it is gone");
  expect_refused(registry->events_after("old", 0, 10), Code::not_found, "with its events");
  expect_equal(must(registry->list_handle_grants({"s", ""}, false), "grants").size(), 2U,
               "and its grants");
  expect_refused(registry->register_process(registration("old", {waking("wake")})), Code::conflict,
                 "its id is never used again, not even by the same registration");
  std::vector<std::string> violations;
  store::ReportViolation report = [&](std::string_view name, const std::string& detail) {
    violations.push_back(fmt::format("{}: {}", name, detail));
  };
  must(registry.database->read(
           [&](store::Transaction& tx) { return process::verify_processes(tx, report); }),
       "verify");
  expect(violations.empty(), "all invariants hold", shown(violations));
}

void a_wake_and_its_message_are_one_change(const Factory& fresh) {
  Registry registry(fresh);
  must(registry->register_process(registration("p", {waking("wake")})), "register");
  const auto messages = [&] {
    return must(in_read<std::vector<store::Message>>(*registry.database,
                                                     [](store::Transaction& tx) {
                                                       return store::all_messages(
                                                           tx, process::wake_topic, 100);
                                                     }),
                "messages");
  };
  const auto appended = must(append(*registry, "p", "wake", R"({"wake_input": "x"})",
                                    {.key = "k", .target = Scope{"s", "f"}}),
                             "append");
  const auto queued = messages();
  expect(queued.size() == 1 && queued[0].key == "s", "one message, for the session");
  expect_equal(queued[0].data, appended.wake_delivery->to_value(), "which is the delivery");
  must(append(*registry, "p", "wake", R"({"wake_input": "x"})",
              {.key = "k", .target = Scope{"s", "f"}}),
       "replay");
  expect_equal(messages().size(), 1U, "a replay sends none");
  // What else was to change together with it is refused: then neither has happened.
  const auto before = everything(*registry.database);
  process::DeclaredCache cache;
  process::AppendRequest request;
  request.event_type = "wake";
  request.payload = json(R"({"wake_input": "y"})");
  request.wake_target_scope = Scope{"s", ""};
  expect_refused(
      in_write(*registry.database,
               [&](store::Transaction& tx) -> Result<void> {
                 CLEW_TRY(process::append_event(tx, cache, "p", request, registry.clock.now()));
                 return Error(Code::rejected, "something else");
               }),
      Code::rejected, "the transaction fails as a whole");
  expect_equal(everything(*registry.database), before, "nothing has changed");
}

void a_registration_that_was_undone_declares_nothing(const Factory& fresh) {
  Registry registry(fresh);
  process::DeclaredCache cache;
  const auto register_and_append = [&](const char* id, const char* type, bool is_undone) {
    process::AppendRequest request;
    request.event_type = type;
    return in_write(*registry.database, [&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(
          process::register_process(tx, registration(id, {plain(type)}), registry.clock.now()));
      CLEW_TRY(process::append_event(tx, cache, id, request, registry.clock.now()));
      if (is_undone) return Error(Code::rejected, "undone");
      return {};
    });
  };
  expect_refused(register_and_append("first", "line", true), Code::rejected, "undone");
  must(register_and_append("second", "other", false), "what is declared is the second's own");
  expect_equal(sequences(*registry, "second"), std::vector<std::int64_t>{1}, "its event is there");
}

void racing_claims_have_one_winner(const Factory& fresh) {
  constexpr int threads = 16;
  constexpr int rounds = 20;
  Registry registry(fresh);
  for (int round = 0; round < rounds; ++round) {
    const auto id = fmt::format("raced-{}", round);
    must(registry->register_process(registration(id)), "register");
    std::atomic<int> winners{0};
    std::atomic<int> refused{0};
    {
      Threads racing;
      for (int i = 0; i < threads; ++i) {
        racing.start("claimant", [&, i] {
          const auto lease = registry->claim_process_lease(id, fmt::format("owner-{}", i), minute);
          if (lease) winners.fetch_add(1);
          if (!lease && lease.error().code() == Code::conflict) refused.fetch_add(1);
        });
      }
    }
    expect_equal(winners.load(), 1, "one has it");
    expect_equal(refused.load(), threads - 1, "all others are told");
  }
}

void racing_ends_have_one_winner(const Factory& fresh) {
  constexpr int threads = 16;
  Registry registry(fresh);
  must(registry->register_process(registration("raced")), "register");
  std::atomic<int> winners{0};
  std::atomic<int> refused{0};
  {
    Threads racing;
    for (int i = 0; i < threads; ++i) {
      racing.start("ender", [&, i] {
        const auto ended = registry->complete_process("raced", success(i));
        if (ended && !ended->is_replay) winners.fetch_add(1);
        if (!ended && ended.error().code() == Code::conflict) refused.fetch_add(1);
      });
    }
  }
  expect_equal(winners.load(), 1, "one ends it");
  expect_equal(refused.load(), threads - 1, "all others are told");
  expect_equal(sequences(*registry, "raced"), std::vector<std::int64_t>{1}, "one event");
}

void what_names_nothing_is_refused_by_its_path(const Factory&) {
  const auto refusal = [](std::string_view document) {
    const auto made = process::Registration::from_value(json(document), "registration");
    return std::string(
        told(expect_refused(made, Code::invalid_input, "a bad registration"), "path").as_string());
  };
  expect_equal(refusal(R"({"id": " "})"), "registration.id", "a blank id");
  expect_equal(refusal(R"({"id": "a", "evnt_types": []})"), "registration.evnt_types",
               "an unknown member");
  expect_equal(refusal(R"({"id": "a", "provenance": {"owner_scope": ""}})"),
               "registration.provenance.owner_scope", "a blank session");
  expect_equal(refusal(R"({"id": "a", "provenance": {"host_profile_id": ""}})"),
               "registration.provenance.host_profile_id", "a blank profile");
  expect_equal(refusal(R"({"id": "a", "event_types": [{"name": "x"}, {"name": "x"}]})"),
               "registration.event_types[1].name", "a name that occurs twice");
  expect_equal(refusal(R"({"id": "a", "event_types": [{"name": ""}]})"),
               "registration.event_types[0].name", "a blank name");
  expect_equal(
      refusal(R"({"id": "a", "event_types": [{"name": "x", "payload_schema": {"typ": 1}}]})"),
      "registration.event_types[0].payload_schema.typ", "a schema that is none");
  expect_equal(refusal(R"({"id": "a", "event_types": [
                   {"name": "x", "semantics": {"terminal": {"state": "failed"}}}]})"),
               "registration.event_types[0].semantics.terminal.await_output",
               "a failure that does not say why");
}

constexpr Case cases[] = {
    {"a_lost_lease_ends_nothing", a_lost_lease_ends_nothing},
    {"an_expired_lease_that_nobody_took_still_ends_its_process",
     an_expired_lease_that_nobody_took_still_ends_its_process},
    {"the_end_of_a_leased_process_needs_its_lease_or_an_authority",
     the_end_of_a_leased_process_needs_its_lease_or_an_authority},
    {"leases_are_over_at_the_very_instant_of_their_expiry",
     leases_are_over_at_the_very_instant_of_their_expiry},
    {"a_claim_that_is_repeated_with_its_token_is_the_same_lease",
     a_claim_that_is_repeated_with_its_token_is_the_same_lease},
    {"nothing_happens_in_a_process_after_its_end", nothing_happens_in_a_process_after_its_end},
    {"a_record_can_be_rebuilt_from_its_events", a_record_can_be_rebuilt_from_its_events},
    {"recovery_goes_by_the_disposition_of_a_process",
     recovery_goes_by_the_disposition_of_a_process},
    {"a_pruned_process_never_comes_back", a_pruned_process_never_comes_back},
    {"a_wake_and_its_message_are_one_change", a_wake_and_its_message_are_one_change},
    {"a_registration_that_was_undone_declares_nothing",
     a_registration_that_was_undone_declares_nothing},
    {"racing_claims_have_one_winner", racing_claims_have_one_winner},
    {"racing_ends_have_one_winner", racing_ends_have_one_winner},
    {"what_names_nothing_is_refused_by_its_path", what_names_nothing_is_refused_by_its_path},
};

}  // namespace

std::span<const Case> process_ruling_cases() { return cases; }

}  // namespace clew::conformance
