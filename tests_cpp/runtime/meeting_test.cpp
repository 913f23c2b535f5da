// Two processes of one store that meet at a trigger, a file, a session, an effect or a key.
#include "store/meeting.hpp"

#include "clew/effect/journal.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/session/attachment_files.hpp"
#include "clew/session/head.hpp"
#include "clew/session/sessions.hpp"
#include "clew/session/triggers.hpp"
#include "runtime/fixture.hpp"

namespace clew {
namespace {

using store::Transaction;

constexpr Timestamp at(std::int64_t us) { return {1'000'000 + us}; }

class RuntimeMeeting : public Meeting {
 protected:
  RuntimeMeeting() : Meeting(store_migrations()) {}

  // A subscription of session "s" and an event for it: the event's id.
  std::string press() {
    session::TriggerDraft draft;
    draft.session_id = "s";
    draft.source_type = "button";
    draft.source_key = "blue";
    draft.event_type = "Pressed";
    draft.module_ref = "module";
    draft.required_surface_ref = "surface";
    draft.process_ref = "process";
    draft.process_name = "on_press";
    draft.input_template = {{"event", true, {}}};
    std::string id;
    write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(session::subscribe_trigger(tx, draft, "subscription", at(0)));
      CLEW_TRY(const auto event,
               session::record_host_event(tx, {"button", "blue", Value(1), "key", {}}, at(0)));
      id = event.occurrence_id;
      return {};
    });
    return id;
  }
};

TEST_F(RuntimeMeeting, deliveries_reserved_while_their_session_is_deleted_go_with_it) {
  const auto event = press();
  meet(
      [&](Transaction& tx) -> Result<void> {
        CLEW_TRY(session::reserve_deliveries(tx, event, at(1)));
        return {};
      },
      [](Transaction& tx) -> Result<void> {
        CLEW_TRY(session::delete_session(tx, "s", at(1)));
        return {};
      });
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto open, session::unregistered_deliveries(tx, at(2)));
    EXPECT_TRUE(open.empty());
    return {};
  });
}

TEST_F(RuntimeMeeting, event_whose_delivery_is_reserved_while_it_is_pruned_stays) {
  const auto event = press();
  ask("BEGIN");
  ask("SELECT 1 FROM host_events FOR UPDATE");
  std::int64_t gone = -1;
  auto pruned = begin_write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(gone, session::prune_host_events(tx, at(10)));
    return {};
  });
  ask("INSERT INTO trigger_deliveries (occurrence_id, number, process_id, reserved_us) SELECT '" +
      event + "', number, '" + session::delivery_process_id(event, "subscription") +
      "', 1 FROM trigger_subscriptions");
  ask("COMMIT");
  expect_done(pruned.get());
  EXPECT_EQ(gone, 0);
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto open, session::unregistered_deliveries(tx, at(10)));
    EXPECT_EQ(open.size(), 1U);
    return {};
  });
}

// Whose clock is behind, or who waited long, does not touch it anew.
TEST_F(RuntimeMeeting, file_that_is_claimed_while_files_are_doomed_stays) {
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(session::claim_file(tx, "file", at(0)));
    return {};
  });
  ask("BEGIN");
  ask("UPDATE attachment_files SET touched_us = touched_us + 1");
  ask("INSERT INTO attachments (session_id, attachment_id, uri, intent_us, place) "
      "VALUES ('s', 'file', '', 1, 'nowhere')");
  std::size_t doomed = 9;
  auto swept = begin_write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto files, session::doom_files(tx, at(10)));
    doomed = files.size();
    return {};
  });
  ask("COMMIT");
  expect_done(swept.get());
  EXPECT_EQ(doomed, 0U);
  EXPECT_EQ(ask("SELECT state FROM attachment_files"), "writing");
}

TEST_F(RuntimeMeeting, session_is_deleted_by_one_of_two) {
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(session::lock_head(tx, "s"));
    return {};
  });
  bool deleted[] = {false, false};
  const auto deleting = [&](int i) -> store::Apply {
    return [&, i](Transaction& tx) -> Result<void> {
      CLEW_TRY(deleted[i], session::delete_session(tx, "s", at(1)));
      return {};
    };
  };
  meet(deleting(0), deleting(1));
  EXPECT_NE(deleted[0], deleted[1]);
}

// The effect's row is there when it is to be inserted, and gone when it is looked for.
TEST_F(RuntimeMeeting, effect_that_is_freed_while_it_is_claimed_is_begun_anew) {
  ask("CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_advisory_xact_lock(hashtext(current_schema()), TG_ARGV[0]::int); "
      "RETURN NULL; END $$");
  ask("CREATE TRIGGER before BEFORE INSERT ON effects EXECUTE FUNCTION pause(1)");
  ask("CREATE TRIGGER after AFTER INSERT ON effects EXECUTE FUNCTION pause(2)");
  ask("SELECT pg_advisory_lock(hashtext(current_schema()), 1)");
  ask("SELECT pg_advisory_lock(hashtext(current_schema()), 2)");
  const auto scope = effect::Scope::turn("s", "turn").value();
  const auto envelope =
      effect::Envelope::make(*parse_json(R"({"scope": {"session_id": "s"}, "replay": {"key": "e"},
          "subject": {"type": "effect", "effect_id": "e", "kind": "exec_code"}})"),
                             *parse_json(R"({"type": "exec_code", "code": "work"
})"))
          .value();
  auto claimed = begin_write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto claim, effect::claim_effect(tx, scope, envelope,
                                                    {"me", "token", at(0), Duration(10)}, false));
    EXPECT_EQ(claim.decision, effect::Decision::insert);
    return {};
  });
  ask("INSERT INTO effects (scope, replay_key, session_id, hash, envelope, status, at_us) VALUES "
      "('" +
      scope.identity() + "', 'e', 's', '', '', 'in_progress', 0)");
  ask("SELECT pg_advisory_unlock(hashtext(current_schema()), 1)");
  client_->await(
      "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND NOT granted AND "
      "classid::bigint = hashtext(current_schema()) & 4294967295");
  ask("DELETE FROM effects");
  ask("SELECT pg_advisory_unlock(hashtext(current_schema()), 2)");
  expect_done(claimed.get());
  EXPECT_EQ(ask("SELECT status FROM effects"), "in_progress");
}

class KeyMeeting : public RuntimeMeeting {
 protected:
  std::unique_ptr<Runtime> start() {
    RuntimeOptions options;
    options.store = url_;
    options.lease_ttl = std::chrono::milliseconds(300);
    return clew::open(options);
  }
  static Result<Value> call(Runtime& runtime, const std::string& key) {
    auto asked = request("test.work");
    asked.idempotency_key = key;
    return runtime.execute(std::move(asked)).result;
  }
  // As whoever finds that a process has been silent for too long.
  std::string bury_owner_of(const std::string& key) {
    const auto owner = ask("SELECT owner FROM idempotency WHERE key = '" + key + "'");
    ask("DELETE FROM owners WHERE id = " + owner);
    return owner;
  }
};

TEST_F(KeyMeeting, key_that_changes_hands_while_it_is_claimed_is_not_taken) {
  const auto runtime = start();
  Journal ran;
  add(*runtime, "test.work", [&](Invocation& call, const Value&) -> Result<Value> {
    ran.add(call.idempotency_key());
    return Value(1);
  });
  ASSERT_TRUE(call(*runtime, "other"));
  const auto owner =
      ask("INSERT INTO owners (name, host, boot, pid, started, expires_at) SELECT 'another', host, "
          "boot, pid, started, 9000000000000000 FROM owners LIMIT 1 RETURNING id");
  const auto run_by_another =
      "INSERT INTO idempotency (workspace, capability, key, state, owner, input, expires_us) "
      "SELECT workspace, capability, 'key', 'running', " +
      owner + ", input, 9000000000000000 FROM idempotency WHERE key = 'other'";
  ask(run_by_another);
  ask("BEGIN");
  ask("SELECT 1 FROM idempotency WHERE key = 'key' FOR UPDATE");
  auto refused = begin([&] { return call(*runtime, "key"); });
  ask("DELETE FROM idempotency WHERE key = 'key'");
  ask(run_by_another);
  ask("COMMIT");
  const auto outcome = refused.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::unavailable);
  EXPECT_EQ(ran.count("key"), 0);
}

TEST_F(KeyMeeting, success_of_a_call_whose_key_was_taken_is_discarded) {
  const auto late = start();
  const auto quick = start();
  Gate gate;
  add(*late, "test.work", [&](Invocation&, const Value&) -> Result<Value> {
    gate.wait();
    return Value("late");
  });
  add(*quick, "test.work",
      [](Invocation&, const Value&) -> Result<Value> { return Value("quick"); });
  auto ended = std::async(std::launch::async, [&] { return call(*late, "key"); });
  gate.await_waiting(1);
  bury_owner_of("key");
  EXPECT_EQ(call(*quick, "key").value(), Value("quick"));
  gate.open();
  const auto outcome = ended.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Code::stale_lease);
  EXPECT_EQ(ask("SELECT output FROM idempotency"), "\"quick\"");
  EXPECT_EQ(call(*late, "key").value(), Value("quick"));
}

// Whoever finds it running by a process that is gone cannot know whether it took effect. When that
// process comes back, it does.
TEST_F(KeyMeeting, late_success_ends_what_was_unknown) {
  const auto late = start();
  const auto other = start();
  auto once = contract("test.work");
  once.effect = Effect::once;
  Gate gate;
  add(*late, once, [&](Invocation&, const Value&) -> Result<Value> {
    gate.wait();
    return Value("late");
  });
  add(*other, once, [](Invocation&, const Value&) -> Result<Value> { return Value("twice"); });
  auto ended = std::async(std::launch::async, [&] { return call(*late, "key"); });
  gate.await_waiting(1);
  bury_owner_of("key");
  EXPECT_EQ(call(*other, "key").error().code(), Code::unknown_outcome);
  gate.open();
  EXPECT_EQ(ended.get().value(), Value("late"));
  EXPECT_EQ(call(*other, "key").value(), Value("late"));
}

TEST_F(KeyMeeting, process_that_got_another_number_frees_the_keys_it_has) {
  const auto runtime = start();
  auto once = contract("test.work");
  once.effect = Effect::once;
  Gate gate;
  Journal ran;
  add(*runtime, once, [&](Invocation&, const Value&) -> Result<Value> {
    ran.add("work");
    gate.wait();
    if (ran.count("work") == 1) return error(Code::execution_failed, "not this time");
    return Value(2);
  });
  auto ended = std::async(std::launch::async, [&] { return call(*runtime, "key"); });
  gate.await_waiting(1);
  const auto owner = bury_owner_of("key");
  client_->await("SELECT 1 FROM owners WHERE id > " + owner);  // the next renewal finds out
  gate.open();
  EXPECT_FALSE(ended.get());
  EXPECT_EQ(call(*runtime, "key").value(), Value(2));
}

}  // namespace
}  // namespace clew
