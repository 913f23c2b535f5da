#include "clew/testkit/conformance/effects.hpp"

#include <atomic>
#include <optional>

#include "clew/base/env.hpp"
#include "clew/base/threads.hpp"

namespace clew::conformance {

class RecordingEffectHost::Controller final : public effect::EffectController {
 public:
  Controller(std::shared_ptr<Log> log, const effect::Scope& scope)
      : log_(std::move(log)), scope_(scope) {}

  const effect::Scope& scope() const override { return scope_; }
  void start_replay() override {}
  Result<Value> execute_effect(const effect::Envelope& envelope, effect::LocalExecutor,
                               effect::GoOn) override {
    const auto* scope = envelope.invocation().find("scope");
    {
      const Lock lock(log_->mutex);
      log_->records.push_back({scope_, scope == nullptr ? Value() : *scope, envelope.effect_id(),
                               envelope.kind(), envelope.replay_key(), envelope.hash()});
    }
    if (envelope.is_sleep()) return Value();
    return error(Code::unsupported, "a recording host has no outcome for {}", envelope.kind())
        .with("reason", "recording_effect_host_unsupported_command");
  }

 private:
  const std::shared_ptr<Log> log_;
  const effect::Scope scope_;
};

std::shared_ptr<effect::EffectController> RecordingEffectHost::scoped(const effect::Scope& scope) {
  {
    const Lock lock(log_->mutex);
    log_->scopes.push_back(scope);
  }
  return std::make_shared<Controller>(log_, scope);
}

std::vector<effect::Scope> RecordingEffectHost::selected_scopes() const {
  const Lock lock(log_->mutex);
  return log_->scopes;
}

std::vector<RecordingEffectHost::Record> RecordingEffectHost::records() const {
  const Lock lock(log_->mutex);
  return log_->records;
}

namespace {

using effect::EffectRun;
using effect::Envelope;
using effect::Scope;

// A host over a fresh storage. Timers run on the clock that the case moves.
struct Host {
  explicit Host(const Factory& fresh, Duration lease_ttl = std::chrono::seconds(30))
      : storage(fresh()),
        env(make_seeded_env(clock, 1)),
        database(must(storage.open(), "open")),
        timers(make_timers(clock)) {
    must(timers->start(), "start the timers");
    host = must(effect::make_effect_host(*database, *env, *timers, {"owner-a", lease_ttl}), "host");
    rival = must(effect::make_effect_host(*database, *env, *timers, {"owner-b", lease_ttl}),
                 "another host");
  }
  ~Host() {
    (void)timers->stop(StopMode::cancel, Timestamp::never());
    (void)database->close(Timestamp::never());
  }

  Storage storage;
  ManualClock clock;
  std::unique_ptr<Env> env;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<Timers> timers;
  std::unique_ptr<effect::EffectHost> host;
  std::unique_ptr<effect::EffectHost> rival;
};

Scope turn(const std::string& session = "session-1") {
  return must(Scope::turn(session, "turn-7"), "a scope");
}

Envelope envelope(const std::string& id, const Value& command) {
  const auto invocation =
      Value::object({{"scope", Value::object({{"session_id", "session-1"}, {"turn_index", 7}})},
                     {"subject", Value::object({{"type", "effect"},
                                                {"effect_id", Value(id)},
                                                {"kind", *command.find("type")}})},
                     {"replay", Value::object({{"key", Value("session-1:turn-7:" + id)}})}});
  return must(Envelope::make(invocation, command), "an envelope");
}

Envelope exec(const std::string& id, const std::string& code = "work()") {
  return envelope(id, Value::object({{"type", "exec_code"}, {"code", Value(code)}}));
}

Envelope nap(const std::string& id, int ms) {
  return envelope(id, Value::object({{"type", "sleep"}, {"duration_ms", ms}}));
}

effect::LocalExecutor answering(const Value& value, std::atomic<int>* calls = nullptr) {
  return [value, calls](const EffectRun&) -> Result<Value> {
    if (calls != nullptr) calls->fetch_add(1);
    return value;
  };
}

effect::LocalExecutor never_called() {
  return [](const EffectRun&) -> Result<Value> {
    return Error(Code::internal, "an effect ran that must not");
  };
}

std::string reason_of(const Error& why) {
  const auto* reason = why.find("reason");
  return reason == nullptr ? "" : std::string(reason->as_string());
}

// A door that one thread opens and others wait at.
class Gate {
 public:
  void open() {
    const Lock lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void wait() {
    Lock lock(mutex_);
    while (!is_open_) opened_.wait(lock);
  }

 private:
  Mutex mutex_;
  Condition opened_;
  bool is_open_ CLEW_GUARDED_BY(mutex_) = false;
};

void effect_host_preserves_scope_metadata(const Factory& fresh) {
  Host hosts(fresh);
  const auto drain = must(Scope::queue_drain("session-1", "drain-1"), "a drain");
  const auto scoped = hosts.host->scoped(drain);
  expect(scoped->scope() == drain, "the controller keeps the scope");
  expect_equal(scoped->scope().id(), "drain-1", "its id is the drain's");
  expect(scoped->scope().turn_id().empty(), "a drain is no turn");
  const auto turned = hosts.host->scoped(must(Scope::turn("session-1", "turn-1"), "a turn"));
  expect_equal(turned->scope().id(), "turn-1", "its id is the turn's");
  expect_equal(turned->scope().turn_id(), "turn-1", "a turn knows its id");
}

void effect_host_rejects_missing_scope_ids(const Factory&) {
  for (const auto& made : {Scope::turn("", "turn"), Scope::turn("session", ""), Scope::process(" "),
                           Scope::queue_drain("session", ""), Scope::session_delete(""),
                           Scope::runtime_operation("\t")}) {
    const auto refused = expect_refused(made, Code::invalid_input, "a scope needs its ids");
    expect_equal(reason_of(refused), "missing_effect_scope_id", "the reason is stable");
  }
}

void effect_host_static_scope_preserves_metadata_when_available(const Factory& fresh) {
  Host hosts(fresh);
  const auto scope = must(Scope::runtime_operation("static-runtime-op"), "a scope");
  const auto kept = hosts.host->scoped(scope);  // may be kept as long as the host
  expect(kept->scope() == scope && kept->scope().id() == "static-runtime-op", "the same scope");
}

void recording_effect_host_records_selected_scope_and_envelope(const Factory&) {
  RecordingEffectHost host;
  const auto scope = must(Scope::runtime_operation("host-event:button-1"), "a scope");
  const auto controller = host.scoped(scope);
  const auto sleep = nap("sleep-effect", 0);
  must(controller->execute_effect(sleep, nullptr), "sleep without an executor");
  const auto refused = expect_refused(controller->execute_effect(exec("other"), nullptr),
                                      Code::unsupported, "it has no outcome for anything else");
  expect_equal(reason_of(refused), "recording_effect_host_unsupported_command", "it says so");
  const auto scopes = host.selected_scopes();
  expect(scopes.size() == 1 && scopes[0] == scope, "the scope is noted");
  const auto records = host.records();
  expect_equal(records.size(), 2U, "each request is noted once");
  expect(records[0].effect_scope == scope, "with its scope");
  expect_equal(records[0].effect_id, "sleep-effect", "its id");
  expect_equal(records[0].kind, "sleep", "its kind");
  expect_equal(records[0].replay_key, sleep.replay_key(), "its key");
  expect_equal(records[0].hash, sleep.hash(), "its hash");
}

void effect_controller_concurrent_replay_deterministic(const Factory& fresh) {
  Host hosts(fresh);
  const auto controller = hosts.host->scoped(turn());
  const auto slow = exec("effect-slow");
  const auto fast = exec("effect-fast");
  Mutex mutex;
  std::vector<std::string> order;
  const auto ended = [&](const char* which) {
    const Lock lock(mutex);
    order.push_back(which);
  };
  Gate slow_is_there;
  Gate fast_is_there;
  Gate fast_has_ended;
  std::optional<Result<Value>> of_slow;
  std::optional<Result<Value>> of_fast;
  {
    Threads threads;
    threads.start("slow", [&] {
      of_slow.emplace(controller->execute_effect(slow, [&](const EffectRun&) -> Result<Value> {
        slow_is_there.open();
        fast_is_there.wait();  // both run at once, or neither ends
        fast_has_ended.wait();
        ended("effect-slow");
        return Value("marker-slow");
      }));
    });
    threads.start("fast", [&] {
      of_fast.emplace(controller->execute_effect(fast, [&](const EffectRun&) -> Result<Value> {
        fast_is_there.open();
        slow_is_there.wait();
        ended("effect-fast");
        return Value("marker-fast");
      }));
      fast_has_ended.open();
    });
  }
  expect_equal(must(*of_slow, "slow"), Value("marker-slow"), "slow has its own outcome");
  expect_equal(must(*of_fast, "fast"), Value("marker-fast"), "fast has its own outcome");
  expect_equal(order, std::vector<std::string>{"effect-fast", "effect-slow"},
               "the controller does not serialise effects");

  for (const auto& replayed : {controller, hosts.rival->scoped(turn())}) {
    replayed->start_replay();
    expect_equal(must(replayed->execute_effect(fast, never_called()), "replay"),
                 Value("marker-fast"), "a replay answers by key");
    expect_equal(must(replayed->execute_effect(slow, never_called()), "replay"),
                 Value("marker-slow"), "in whatever order");
    const auto refused = expect_refused(replayed->execute_effect(exec("new"), never_called()),
                                        Code::not_found, "a strict replay runs nothing");
    expect_equal(reason_of(refused), "effect_missing", "it says so");
  }
}

void another_envelope_under_a_replay_key_is_refused_by_path(const Factory& fresh) {
  Host hosts(fresh);
  const auto controller = hosts.host->scoped(turn());
  must(controller->execute_effect(exec("one", "a()"), answering(1)), "run");
  for (const auto& again : {controller, hosts.rival->scoped(turn())}) {
    const auto refused = expect_refused(again->execute_effect(exec("one", "b()"), never_called()),
                                        Code::conflict, "other content under the key");
    expect_equal(reason_of(refused), "effect_hash_conflict", "it says so");
    expect_equal(std::string(told(refused, "path").as_string()), "command.code",
                 "and names the first difference");
  }
}

void the_same_turn_id_in_two_sessions_is_two_scopes(const Factory& fresh) {
  Host hosts(fresh);
  std::atomic<int> calls{0};
  for (const auto* session : {"session-1", "session-2"}) {
    must(hosts.host->scoped(turn(session))->execute_effect(exec("same"), answering(1, &calls)),
         "run");
  }
  expect_equal(calls.load(), 2, "each session runs its own");
}

void a_recorded_failure_is_answered_again_and_an_interruption_is_not(const Factory& fresh) {
  Host hosts(fresh);
  const auto controller = hosts.host->scoped(turn());
  std::atomic<int> calls{0};
  const auto failing = [&](Code code) -> effect::LocalExecutor {
    return [&calls, code](const EffectRun&) -> Result<Value> {
      calls.fetch_add(1);
      return Error(code, "no");
    };
  };
  expect_refused(controller->execute_effect(exec("fails"), failing(Code::execution_failed)),
                 Code::execution_failed, "the failure is the caller's");
  for (const auto& again : {controller, hosts.rival->scoped(turn())}) {
    const auto known = expect_refused(again->execute_effect(exec("fails"), never_called()),
                                      Code::execution_failed, "a failure is an outcome");
    expect_equal(known.message(), "no", "the same one");
  }
  for (const auto code : {Code::cancelled, Code::unavailable, Code::stale_lease, Code::corrupt,
                          Code::resource_exhausted, Code::closed, Code::internal}) {
    calls = 0;
    const auto id = "interrupted-" + std::string(name(code));
    expect_refused(controller->execute_effect(exec(id), failing(code)), code, "it was interrupted");
    expect_equal(must(controller->execute_effect(exec(id), answering(2, &calls)), "again"),
                 Value(2), "what kept an effect from happening is no outcome");
    expect_equal(calls.load(), 2, "it ran again");
  }
}

void an_effect_that_runs_longer_than_its_lease_is_not_stolen(const Factory& fresh) {
  const auto ttl = std::chrono::seconds(30);
  Host hosts(fresh, ttl);
  Gate is_running;
  Gate may_end;
  std::atomic<int> calls{0};
  std::optional<Result<Value>> first;
  std::optional<Result<Value>> second;
  {
    Threads threads;
    threads.start("owner", [&] {
      first.emplace(hosts.host->scoped(turn())->execute_effect(
          exec("long"), [&](const EffectRun&) -> Result<Value> {
            calls.fetch_add(1);
            is_running.open();
            may_end.wait();
            return Value("once");
          }));
    });
    is_running.wait();
    threads.start("rival", [&] {
      second.emplace(
          hosts.rival->scoped(turn())->execute_effect(exec("long"), answering("twice", &calls)));
    });
    const auto expiry = [&] {
      return must(
          in_read<std::int64_t>(
              *hosts.database,
              [](store::Transaction& tx) -> Result<std::int64_t> {
                static const store::Statement sql("SELECT MAX(expires_us) AS us FROM timed_leases");
                std::int64_t us = 0;
                CLEW_TRY(tx.first(sql, [&](const store::Row& row) -> Result<void> {
                  CLEW_TRY(us, row.integer(0));
                  return {};
                }));
                return us;
              }),
          "look at the lease");
    };
    for (int third = 0; third < 15; ++third) {  // five times its length
      const auto before = expiry();
      hosts.clock.advance(ttl / 3);
      hosts.timers->await_idle();
      // The renewal is on its way, and then the timer of the next.
      while (expiry() == before || hosts.timers->pending() == 0) std::this_thread::yield();
    }
    may_end.open();
  }
  expect_equal(must(*first, "the owner"), Value("once"), "the owner ends it");
  expect_equal(must(*second, "the rival"), Value("once"), "the rival hears of it");
  expect_equal(calls.load(), 1, "it ran once");
}

void an_effect_whose_owner_is_gone_is_taken_over_and_the_late_outcome_discarded(
    const Factory& fresh) {
  Host hosts(fresh);
  const auto scope = turn();
  const auto work = exec("orphan");
  const auto claim = [&](const char* token) {
    return in_write<effect::Claim>(
        *hosts.database, [&, token](store::Transaction& tx) -> Result<effect::Claim> {
          return effect::claim_effect(
              tx, scope, work, {"dead", token, hosts.clock.now(), std::chrono::seconds(1)}, false);
        });
  };
  const auto orphan = must(claim("token-1"), "claim");
  expect(orphan.decision == effect::Decision::insert, "the first claim is an insert");
  hosts.clock.advance(std::chrono::milliseconds(999));
  expect(must(claim("token-2"), "claim").decision == effect::Decision::busy,
         "before its end a lease is live");
  hosts.clock.advance(std::chrono::milliseconds(1));
  std::atomic<int> calls{0};
  expect_equal(
      must(hosts.host->scoped(scope)->execute_effect(work, answering("new", &calls)), "take over"),
      Value("new"), "a successor runs it");
  expect_equal(calls.load(), 1, "once");
  const auto late = in_write(*hosts.database, [&](store::Transaction& tx) {
    return effect::finalise_effect(tx, scope, work, orphan.lease.token, Value("late"));
  });
  const auto refused = expect_refused(late, Code::stale_lease, "the late outcome is discarded");
  expect_equal(reason_of(refused), "effect_lease_lost", "it says so");
  expect_equal(must(hosts.rival->scoped(scope)->execute_effect(work, never_called()), "read"),
               Value("new"), "the successor's stays");
}

void a_sleep_keeps_its_end_across_requests(const Factory& fresh) {
  Host hosts(fresh);
  const auto scope = turn();
  const auto work = nap("sleep", 1000);
  const auto claimed =
      must(in_write<effect::Claim>(*hosts.database,
                                   [&](store::Transaction& tx) -> Result<effect::Claim> {
                                     return effect::claim_effect(
                                         tx, scope, work,
                                         {"dead", "t", hosts.clock.now(), Duration(0)}, false);
                                   }),
           "a sleeper that dies");
  const auto due = claimed.recorded->due;
  expect(due && *due == hosts.clock.now() + std::chrono::seconds(1), "its end is fixed");
  hosts.clock.advance(std::chrono::milliseconds(600));
  std::optional<Result<Value>> slept;
  {
    Threads threads;
    threads.start("sleeper",
                  [&] { slept.emplace(hosts.host->scoped(scope)->execute_effect(work, nullptr)); });
    while (hosts.clock.next_deadline() > *due) std::this_thread::yield();
    expect_equal(hosts.clock.next_deadline(), *due, "only the rest is slept");
    hosts.clock.advance(std::chrono::milliseconds(400));
  }
  must(*slept, "sleep");
  must(hosts.rival->scoped(scope)->execute_effect(work, nullptr), "a sleep that is over is over");
}

void an_effect_that_nobody_can_run_is_not_recorded(const Factory& fresh) {
  Host hosts(fresh);
  const auto controller = hosts.host->scoped(turn());
  const auto refused = expect_refused(controller->execute_effect(exec("one"), nullptr),
                                      Code::unsupported, "it would have to run");
  expect_equal(reason_of(refused), "effect_executor_unavailable", "it says so");
  expect_equal(must(controller->execute_effect(exec("one"), answering(1)), "run"), Value(1),
               "the key is free");
}

void a_session_that_is_deleted_takes_its_journal_along(const Factory& fresh) {
  Host hosts(fresh);
  for (const auto* session : {"session-1", "session-2"}) {
    must(hosts.host->scoped(turn(session))->execute_effect(exec("one"), answering(session)), "run");
  }
  const auto retired = in_write<std::int64_t>(*hosts.database, [](store::Transaction& tx) {
    return effect::retire_session(tx, "session-1");
  });
  expect_equal(must(retired, "retire"), 1, "its own effects only");
  expect_equal(
      must(hosts.rival->scoped(turn("session-1"))->execute_effect(exec("one"), answering("again")),
           "run"),
      Value("again"), "nothing is recorded any more");
  expect_equal(
      must(hosts.rival->scoped(turn("session-2"))->execute_effect(exec("one"), never_called()),
           "replay"),
      Value("session-2"), "the other session keeps its own");
}

constexpr Case cases[] = {
    {"effect_host_preserves_scope_metadata", effect_host_preserves_scope_metadata},
    {"effect_host_rejects_missing_scope_ids", effect_host_rejects_missing_scope_ids},
    {"effect_host_static_scope_preserves_metadata_when_available",
     effect_host_static_scope_preserves_metadata_when_available},
    {"recording_effect_host_records_selected_scope_and_envelope",
     recording_effect_host_records_selected_scope_and_envelope},
    {"effect_controller_concurrent_replay_deterministic",
     effect_controller_concurrent_replay_deterministic},
    {"another_envelope_under_a_replay_key_is_refused_by_path",
     another_envelope_under_a_replay_key_is_refused_by_path},
    {"the_same_turn_id_in_two_sessions_is_two_scopes",
     the_same_turn_id_in_two_sessions_is_two_scopes},
    {"a_recorded_failure_is_answered_again_and_an_interruption_is_not",
     a_recorded_failure_is_answered_again_and_an_interruption_is_not},
    {"an_effect_that_runs_longer_than_its_lease_is_not_stolen",
     an_effect_that_runs_longer_than_its_lease_is_not_stolen},
    {"an_effect_whose_owner_is_gone_is_taken_over_and_the_late_outcome_discarded",
     an_effect_whose_owner_is_gone_is_taken_over_and_the_late_outcome_discarded},
    {"a_sleep_keeps_its_end_across_requests", a_sleep_keeps_its_end_across_requests},
    {"an_effect_that_nobody_can_run_is_not_recorded",
     an_effect_that_nobody_can_run_is_not_recorded},
    {"a_session_that_is_deleted_takes_its_journal_along",
     a_session_that_is_deleted_takes_its_journal_along},
};

}  // namespace

std::span<const Case> effect_cases() { return cases; }

}  // namespace clew::conformance
