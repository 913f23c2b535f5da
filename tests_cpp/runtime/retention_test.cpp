// What nobody will ask for any more goes; what somebody needs stays.
#include "clew/base/fault.hpp"
#include "clew/effect/journal.hpp"
#include "clew/process/processes.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/session/triggers.hpp"
#include "runtime/fixture.hpp"

namespace clew {
namespace {

using effect::Scope;
using store::Transaction;

constexpr Duration day = std::chrono::hours(24);
constexpr Timestamp begin{
    4'102'444'800'000'000};  // in 2100: nothing is old for the runtime's janitor

const store::Statement effect_keys_sql("SELECT replay_key FROM effects ORDER BY replay_key");
const store::Statement leases_sql("SELECT id FROM timed_leases ORDER BY id");
const store::Statement sources_sql("SELECT source_key FROM work_sources ORDER BY source_key");
const store::Statement add_source_sql(R"sql(
    INSERT INTO work_sources (queue, lane, source_key, seq, id, digest, done_us)
    VALUES ('session', 's', :key, :seq, :key, '', :done))sql");
const store::Statement add_event_sql(R"sql(
    INSERT INTO host_events (occurrence_id, source_type, source_key, idempotency_key, payload,
                             source, occurred_us)
    VALUES (:id, 't', 'k', :id, '{}', NULL, :at))sql");
const store::Statement add_delivery_sql(R"sql(
    INSERT INTO trigger_deliveries (occurrence_id, number, process_id, reserved_us, registered_us)
    VALUES (:id, 1, :process, 1, :registered))sql");
const store::Statement events_sql("SELECT occurrence_id FROM host_events ORDER BY occurrence_id");

class Retention : public EachStore {
 protected:
  void write(Function<Result<void>(Transaction&)> apply) {
    const auto done = runtime_->database().write(std::move(apply));
    ASSERT_TRUE(done) << done.error().to_string();
  }
  std::vector<std::string> words(const store::Statement& query) {
    std::vector<std::string> found;
    const auto done = runtime_->database().read([&](Transaction& tx) {
      found.clear();
      return tx.each(query, [&](const store::Row& row) -> Result<void> {
        CLEW_TRY(const auto word, row.text(0));
        found.emplace_back(word);
        return {};
      });
    });
    EXPECT_TRUE(done) << done.error().to_string();
    return found;
  }
  static effect::Envelope envelope(const Scope& scope, const std::string& key) {
    return effect::Envelope::make(
               Value::object({{"scope", scope.to_value()},
                              {"subject", Value::object({{"type", Value("effect")},
                                                         {"effect_id", Value(key)},
                                                         {"kind", Value("direct")}})},
                              {"replay", Value::object({{"key", Value(key)}})}}),
               Value::object({{"type", Value("direct")}}))
        .value();
  }
  // Begun at `at`, and over at once when `is_over`.
  void run_effect(const Scope& scope, const std::string& key, Timestamp at, bool is_over) {
    write([&, made = envelope(scope, key)](Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto claim,
               effect::claim_effect(tx, scope, made, {"test", "token-" + key, at, day}, false));
      if (!is_over) return {};
      return effect::finalise_effect(tx, scope, made, claim.lease.token, Value(1));
    });
  }
  Tidied tidy(Timestamp now) {
    const auto done = runtime_->stores().janitor().tidy(now);
    EXPECT_TRUE(done) << done.error().to_string();
    return done ? *done : Tidied{};
  }
  void expect_sound() {
    const auto found = runtime_->verify();
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->empty()) << found->front().invariant << ": " << found->front().detail;
  }
};

TEST_P(Retention, effects_of_quiet_scopes_go_and_no_others) {
  const auto quiet = Scope::turn("s", "quiet").value();
  const auto busy = Scope::turn("s", "busy").value();
  const auto recent = Scope::turn("s", "recent").value();
  const auto process = Scope::process("p\"type\"").value();
  run_effect(quiet, "a-quiet", begin, true);
  run_effect(busy, "b-done", begin, true);
  run_effect(busy, "b-running", begin, false);
  run_effect(recent, "c-old", begin, true);
  run_effect(recent, "c-new", begin + 20 * day, true);
  run_effect(process, "d-process", begin, true);
  EXPECT_EQ(tidy(begin + 30 * day).effects, 0);  // due in the next instant
  EXPECT_EQ(tidy(begin + 30 * day + Duration(1)).effects, 1);
  EXPECT_THAT(words(effect_keys_sql),
              testing::ElementsAre("b-done", "b-running", "c-new", "c-old", "d-process"));
  // Only what is in progress is leased.
  EXPECT_EQ(words(leases_sql).size(), 1U);
  EXPECT_EQ(tidy(begin + 60 * day).effects, 2);
  EXPECT_THAT(words(effect_keys_sql), testing::ElementsAre("b-done", "b-running", "d-process"));
  expect_sound();
}

TEST_P(Retention, retired_effects_leave_no_leases) {
  const auto scope = Scope::turn("gone", "t").value();
  run_effect(scope, "done", begin, true);
  run_effect(scope, "running", begin, false);
  const auto other = Scope::turn("other", "t").value();
  run_effect(other, "running", begin, false);
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto gone, effect::retire_session(tx, "gone"));
    EXPECT_EQ(gone, 2);
    return {};
  });
  EXPECT_THAT(words(leases_sql), testing::ElementsAre(testing::HasSubstr("other")));
  // Whoever still runs it finds that it is no longer his.
  const auto late = runtime_->database().write([&](Transaction& tx) {
    return effect::finalise_effect(tx, scope, envelope(scope, "running"), "token-running",
                                   Value(1));
  });
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::stale_lease);
  expect_sound();
}

TEST_P(Retention, source_keys_and_events_go_once_they_are_done_for_long) {
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(add_source_sql, "old", 1, begin));
    CLEW_TRY(tx.run(add_source_sql, "new", 2, begin + 10 * day));
    CLEW_TRY(tx.run(add_source_sql, "waits", 3, nullptr));
    CLEW_TRY(tx.run(add_event_sql, "old", begin));
    CLEW_TRY(tx.run(add_delivery_sql, "old", "p1", begin));
    CLEW_TRY(tx.run(add_event_sql, "open", begin));
    CLEW_TRY(tx.run(add_delivery_sql, "open", "p2", nullptr));
    CLEW_TRY(tx.run(add_event_sql, "new", begin + 10 * day));
    return {};
  });
  const auto gone = tidy(begin + 31 * day);
  EXPECT_EQ(gone, (Tidied{.source_keys = 1, .host_events = 1}));
  EXPECT_THAT(words(sources_sql), testing::ElementsAre("new", "waits"));
  EXPECT_THAT(words(events_sql), testing::ElementsAre("new", "open"));
}

TEST_P(Retention, much_goes_in_batches) {
  constexpr int many = 2 * Janitor::batch_max + 1;
  write([](Transaction& tx) -> Result<void> {
    for (int i = 0; i < many; ++i) {
      CLEW_TRY(tx.run(add_source_sql, fmt::format("k{:05}", i), i + 1, begin));
    }
    return {};
  });
  std::int64_t first = 0;
  write([&first](Transaction& tx) -> Result<void> {
    CLEW_TRY(first, session::forget_batch_sources(tx, begin + Duration(1), 10));
    return {};
  });
  EXPECT_EQ(first, 10);
  EXPECT_THAT(words(sources_sql).front(), "k00010");
  const auto commits = runtime_->database().stats().commits;
  EXPECT_EQ(tidy(begin + 31 * day).source_keys, many - 10);
  EXPECT_GE(runtime_->database().stats().commits - commits, 3);
  EXPECT_TRUE(words(sources_sql).empty());
}

TEST_P(Retention, processes_stay_unless_an_age_was_chosen) {
  const auto end = [](Runtime& runtime, const std::string& id, bool ends) {
    auto& processes = runtime.stores().processes();
    process::Registration made;
    made.id = id;
    made.input = Value::object({{"type", Value("external")}});
    ASSERT_TRUE(processes.register_process(made));
    if (!ends) return;
    const auto done = processes.complete_process(
        id, Value::object({{"type", Value("success")}, {"value", Value(1)}}), {});
    ASSERT_TRUE(done) << done.error().to_string();
  };
  end(*runtime_, "ended", true);
  end(*runtime_, "lives", false);
  run_effect(Scope::process("ended").value(), "e", begin, true);
  run_effect(Scope::process("lives").value(), "l", begin, true);
  const auto far = runtime_->env().clock().now() + 10'000 * day;
  EXPECT_EQ(tidy(far).processes, 0);
  const StoreRetention chosen{.processes_age = day};
  const auto janitor =
      make_janitor(runtime_->database(), runtime_->env(), runtime_->stores().outbox(), chosen);
  EXPECT_EQ(janitor->tidy(far).value().processes, 1);
  EXPECT_THAT(words(effect_keys_sql), testing::ElementsAre("l"));
  EXPECT_TRUE(runtime_->stores().processes().get_process("lives").value().has_value());
  expect_sound();
}

TEST_P(Retention, whoever_waits_for_processes_hears_of_what_is_abandoned_pruned_or_deleted) {
  auto& stores = runtime_->stores();
  auto& processes = stores.processes();
  std::atomic<int> told{0};
  const auto hears = [&](auto act) {
    const auto listening = processes.listen([&] { ++told; });
    const int before = told;
    const auto done = act();
    EXPECT_TRUE(done) << done.error().to_string();
    return told > before;
  };
  const auto far = runtime_->env().clock().now() + day;
  for (const std::string id : {"first", "second"}) {
    process::Registration made;
    made.id = id;
    made.input = Value::object({{"type", Value("external")}});
    made.disposition = process::Disposition::owner_bound;
    ASSERT_TRUE(processes.register_process(made));
    ASSERT_TRUE(processes.claim_process_lease(id, "owner", Duration(1)));
    EXPECT_TRUE(hears([&] { return processes.recover_processes(10); })) << id;
    EXPECT_EQ((*processes.get_process(id))->status, process::Status::abandoned);
    EXPECT_TRUE(hears([&] {
      return id == "first" ? processes.prune_processes(far, 10) : stores.prune_processes(far, 10);
    })) << id;
  }
  EXPECT_TRUE(hears([&] { return stores.delete_session("s"); }));
}

TEST_P(Retention, nothing_more_goes_after_stopping) {
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(add_source_sql, "old", 1, begin));
    return {};
  });
  runtime_->stores().janitor().stop();
  EXPECT_EQ(tidy(begin + 31 * day), Tidied{});
  EXPECT_EQ(words(sources_sql).size(), 1U);
}

TEST_P(Retention, a_round_on_the_clock_tidies_and_delivers_what_others_left) {
  ManualClock clock(begin);
  RuntimeOptions options;
  options.store = store();
  options.clock = &clock;
  if (runtime_) runtime_->close(false, std::chrono::seconds(10));
  runtime_ = open(options);
  ASSERT_NE(runtime_, nullptr);
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(add_source_sql, "old", 1, begin + -31 * day));
    // As by a process that died before it could deliver: nobody here was told.
    CLEW_TRY(store::put_message(tx, process::wake_topic, "k", Value::object({}), begin));
    return {};
  });
  Gate over;
  Gate found;
  auto* const round = find_fault_point("janitor.round");
  auto* const delivery = find_fault_point("outbox.deliver");
  const auto opens = [](Gate& gate) {
    return [&gate]() -> Result<void> {
      gate.open();
      return {};
    };
  };
  round->arm(opens(over));
  delivery->arm(opens(found));
  clock.advance(std::chrono::seconds(15));
  over.wait();
  found.wait();
  runtime_->stores().stop();  // what runs in the background is over: the gates may go
  round->disarm();
  delivery->disarm();
  EXPECT_TRUE(words(sources_sql).empty());
  runtime_->close(false, std::chrono::seconds(10));
  runtime_.reset();  // before its clock
}

INSTANTIATE_TEST_SUITE_P(Stores, Retention, each_store);

}  // namespace
}  // namespace clew
