// What is PostgreSQL's own: opening, errors, lost connections. postgres_doubt_test.cpp: commits
// whose answer is lost.
#include <csignal>
#include <fstream>

#include "clew/store/detail/postgres_errors.hpp"
#include "clew/store/detail/postgres_text.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(PostgresErrors, each_class_has_its_error) {
  struct Case {
    const char* sqlstate;
    Code ours;
    bool retryable;
    detail::Reach reach;
  };
  using enum detail::Reach;
  const Case cases[] = {
      {"23505", Code::conflict, false, statement},
      {"23502", Code::conflict, false, statement},
      {"40001", Code::unavailable, true, chance},
      {"40P01", Code::unavailable, true, chance},
      {"08006", Code::unavailable, true, chance},
      {"57P01", Code::unavailable, true, chance},
      {"57P03", Code::unavailable, true, chance},
      {"57014", Code::unavailable, true, transaction},
      {"55P03", Code::unavailable, true, transaction},
      {"53100", Code::resource_exhausted, true, transaction},
      {"53200", Code::resource_exhausted, true, transaction},
      {"53300", Code::unavailable, true, chance},
      {"25006", Code::unsupported, false, statement},
      {"25P03", Code::unavailable, true, chance},
      {"42601", Code::internal, false, statement},
      {"42P01", Code::internal, false, statement},
      {"42501", Code::unsupported, false, statement},
      {"22003", Code::internal, false, statement},
      {"22021", Code::invalid_input, false, statement},
      {"08P01", Code::internal, false, statement},
      {"XX001", Code::corrupt, false, transaction},
      {"XX000", Code::internal, false, transaction},
      {"zzzzz", Code::internal, false, transaction},
  };
  for (const auto& expected : cases) {
    const auto mapped = detail::postgres_error(expected.sqlstate, "test", "detail\n");
    EXPECT_EQ(mapped.code(), expected.ours) << expected.sqlstate;
    EXPECT_EQ(mapped.retryable(), expected.retryable) << expected.sqlstate;
    EXPECT_EQ(mapped.message(), "test: detail");
    EXPECT_EQ(mapped.find("sqlstate")->as_string(), expected.sqlstate);
    EXPECT_EQ(detail::reach_of(expected.sqlstate), expected.reach) << expected.sqlstate;
  }
}

TEST(PostgresText, splits_at_semicolons_that_separate_statements) {
  using detail::split_statements;
  EXPECT_THAT(split_statements("a; b ;;-- c;\n ; /* ; /* ; */ ; */"), ElementsAre("a", " b "));
  EXPECT_THAT(split_statements("SELECT ';', \";\", $$;$$, $x$ ; $$ ; $x$, $1;x"),
              ElementsAre("SELECT ';', \";\", $$;$$, $x$ ; $$ ; $x$, $1", "x"));
  EXPECT_THAT(split_statements(" \n"), IsEmpty());
}

TEST(PostgresText, question_marks_are_numbered_and_numbers_counted) {
  const auto numbered = [](std::string sql, bool has_arguments) {
    const auto wanted = detail::number_placeholders(sql, has_arguments);
    return std::pair(sql, wanted);
  };
  EXPECT_EQ(numbered("SELECT ?, '?', ?", true), std::pair(std::string("SELECT $1, '?', $2"), 2UL));
  EXPECT_EQ(numbered("SELECT a ? 'b'", false), std::pair(std::string("SELECT a ? 'b'"), 0UL));
  EXPECT_EQ(numbered("SELECT $2, $1, $$ $7 $$", true),
            std::pair(std::string("SELECT $2, $1, $$ $7 $$"), 2UL));
}

TEST(PostgresText, columns_of_text_get_their_order) {
  using detail::with_byte_order;
  EXPECT_EQ(with_byte_order("CREATE TABLE t (a TEXT NOT NULL, b BIGINT DEFAULT 'TEXT')"),
            "CREATE TABLE t (a TEXT COLLATE \"C\" NOT NULL, b BIGINT DEFAULT 'TEXT')");
  EXPECT_EQ(with_byte_order("ALTER TABLE t ADD COLUMN a TEXT"),
            "ALTER TABLE t ADD COLUMN a TEXT COLLATE \"C\"");
  EXPECT_EQ(with_byte_order("SELECT CAST(1 AS TEXT)"), "SELECT CAST(1 AS TEXT)");
}

class Postgres : public testing::Test {
 protected:
  std::unique_ptr<Database> open() { return open_or_fail(schema_.url(), *env_); }
  Error refusal() { return refusal_of({.url = schema_.url()}, test_migrations()); }
  PostgresSchema schema_;
  std::unique_ptr<Env> env_ = make_real_env();
};

TEST_F(Postgres, keeps_what_was_written_and_both_schemes_name_it) {
  {
    const auto db = open();
    ASSERT_TRUE(db->write(adding(1)));
    EXPECT_FALSE(db->is_memory());
  }
  const auto url = "postgres" + schema_.url().substr(std::string("postgresql").size());
  const auto db = open_or_fail(url, *env_);
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
  EXPECT_EQ(schema_.client().ask("SELECT count(*) FROM commit_marks"), "1")
      << "whoever closes takes its mark away";
}

TEST_F(Postgres, many_at_once_make_one_database) {
  const auto url = schema_.url();
  Threads threads;
  std::atomic<int> opened{0};
  for (int i = 0; i < 8; ++i) {
    threads.start("opener", [&] {
      const auto env = make_real_env();
      const auto db = Database::open({.url = url}, test_migrations(), *env);
      EXPECT_TRUE(db) << db.error().to_string();
      opened += db ? 1 : 0;
    });
  }
  threads.join();
  EXPECT_EQ(opened, 8);
  EXPECT_EQ(schema_.client().ask("SELECT version FROM clew_schema"), "2");
}

TEST_F(Postgres, refuses_a_schema_with_tables_of_others_and_leaves_it_as_it_was) {
  const auto url = schema_.url();
  auto client = schema_.client();
  client.ask("CREATE TABLE events (mine int); INSERT INTO events VALUES (7)");
  const auto refused = refusal();
  EXPECT_EQ(refused.code(), Code::unsupported);
  EXPECT_THAT(refused.message(), HasSubstr("table events"));
  EXPECT_THAT(client.ask_all("SELECT relname FROM pg_class WHERE relkind = 'r' AND "
                             "relnamespace = current_schema()::regnamespace"),
              ElementsAre("events"));
  client.ask("DROP TABLE events; CREATE TABLE others (x int)");
  EXPECT_NE(open(), nullptr) << "what does not collide is no concern";
}

TEST_F(Postgres, refuses_a_newer_schema_and_one_that_lacks_a_table) {
  open();
  auto client = schema_.client();
  client.ask("UPDATE clew_schema SET version = 9");
  auto refused = refusal();
  EXPECT_EQ(refused.code(), Code::unsupported);
  EXPECT_EQ(refused.find("found")->as_int(), 9);
  EXPECT_EQ(client.ask("SELECT version FROM clew_schema"), "9");
  client.ask("UPDATE clew_schema SET version = 2; DROP TABLE notes");
  refused = refusal();
  EXPECT_EQ(refused.code(), Code::corrupt);
  EXPECT_THAT(refused.message(), HasSubstr("table notes"));
}

TEST_F(Postgres, no_error_shows_a_password) {
  for (const std::string url :
       {"postgresql://me:s3cret@127.0.0.1:1/db", "postgresql://me:s3cret%zz@127.0.0.1/db",
        "postgresql://me:s3cret@127.0.0.1/db?nonsense=1"}) {
    const auto refused = refusal_of({.url = url}, test_migrations());
    EXPECT_THAT(refused.code(), testing::AnyOf(Code::unavailable, Code::invalid_input));
    EXPECT_THAT(refused.to_string(), Not(HasSubstr("s3cret"))) << url;
  }
}

TEST_F(Postgres, read_only_reads_and_refuses_to_write) {
  const DatabaseOptions reading{.url = schema_.url(), .read_only = true};
  EXPECT_EQ(refusal_of(reading, test_migrations()).code(), Code::unavailable);
  {
    ASSERT_TRUE(open()->write(adding(1)));
  }
  const auto db = open_or_fail(reading, *env_, test_migrations());
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
  EXPECT_EQ(code_of(db->write(adding(2))), Code::unsupported);
}

TEST_F(Postgres, connection_that_is_lost_between_groups_is_made_again) {
  // The server is shared: only the connections of this test are cut.
  const auto url = schema_.url();
  const auto mine = "clew-" + schema_.name();
  const auto db =
      open_or_fail({.url = url + "&application_name=" + mine}, *env_, test_migrations());
  ASSERT_TRUE(db->write(adding(1)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
  const auto cut = schema_.client().ask_all(fmt::format(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{}'",
      mine));
  EXPECT_THAT(cut, ElementsAre("t", "t")) << "a writer and a reader";
  EXPECT_THAT(notes_of(*db), ElementsAre(1)) << "a reader too";
  const auto done = db->write(adding(2));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
}

TEST_F(Postgres, group_whose_connection_is_lost_is_run_again_whole) {
  const auto db = open();
  auto client = schema_.client();
  int runs = 0;
  const auto done = db->write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(add_note(tx, 1));
    static const Statement self("SELECT pg_backend_pid()");
    std::int64_t pid = 0;
    CLEW_TRY(tx.first(self, [&](const Row& row) -> Result<void> {
      CLEW_TRY(pid, row.integer(0));
      return {};
    }));
    if (++runs == 1) client.ask(fmt::format("SELECT pg_terminate_backend({}, 5000)", pid));
    return add_note(tx, 2);
  });
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->runs, 2);
  EXPECT_EQ(db->stats().reruns, 1);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
}

TEST_F(Postgres, deadlock_of_two_sessions_is_run_again) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  ASSERT_TRUE(db->write(adding(2)));
  auto client = schema_.client();
  client.ask("SET deadlock_timeout = '1min'");  // so that ours is the one that is ended
  const auto theirs = client.ask("SELECT pg_backend_pid()");
  auto watcher = schema_.client();
  client.ask("BEGIN");
  client.ask("UPDATE notes SET body = 'theirs' WHERE id = 1");
  static const Statement change("UPDATE notes SET body = body || 'ours' WHERE id = :id");
  Gate has_two;
  bool is_first_run = true;
  Outcomes outcomes;
  Threads threads;
  threads.start("ours", [&] {
    const auto done = db->write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run(change, 2));
      has_two.open();
      // Whoever waits looks for a deadlock once: ours must be the last to wait.
      if (std::exchange(is_first_run, false)) {
        watcher.await("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = " +
                      theirs);
      }
      CLEW_TRY(tx.run(change, 1));
      return {};
    });
    outcomes.recorder(1)(done);
  });
  has_two.wait();
  client.ask("UPDATE notes SET body = 'theirs' WHERE id = 2");
  client.ask("COMMIT");
  threads.join();
  const auto done = outcomes.of(1);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_GE(done->runs, 2);
  EXPECT_THAT(client.ask_all("SELECT body FROM notes ORDER BY id"),
              ElementsAre("theirsours", "theirsours"));
}

TEST_F(Postgres, write_waits_for_a_lock_no_longer_than_asked) {
  const auto db = open_or_fail({.url = schema_.url(), .busy_timeout = std::chrono::seconds(1)},
                               *env_, test_migrations());
  ASSERT_TRUE(db->write(adding(1)));
  auto client = schema_.client();
  client.ask("BEGIN");
  client.ask("LOCK TABLE notes");
  const auto refused = db->write(adding(2));
  EXPECT_EQ(code_of(refused), Code::unavailable);
  EXPECT_TRUE(refused.error().retryable());
  client.ask("ROLLBACK");
  EXPECT_TRUE(db->write(adding(3)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 3));
}

TEST_F(Postgres, running_query_is_cancelled_when_it_may_not_go_on) {
  const auto db = open();
  static const Statement slow("SELECT pg_sleep(600)::text");
  for (const int looks : {3, 300}) {  // the last longer than a cancelled server is waited for
    int asked = 0;
    const auto done = db->read(
        [](Transaction& tx) -> Result<void> {
          CLEW_TRY(tx.first(slow, [](const Row&) { return Result<void>(); }));
          return {};
        },
        [&]() -> Result<void> {
          if (++asked < looks) return {};
          return error(Code::cancelled, "enough");
        });
    EXPECT_EQ(code_of(done), Code::cancelled) << looks;
    EXPECT_THAT(notes_of(*db), IsEmpty()) << "readers are served still";
  }
}

TEST_F(Postgres, relaxed_commits_become_durable) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  ASSERT_TRUE(db->await_durable(1, Timestamp::never()));
  EXPECT_EQ(db->durable_up_to(), 1U);
}

// These do the server harm, so that each has one of its own.
class PostgresServer : public testing::Test {
 protected:
  PostgresServer()
      : schema_(std::string("harmed-") +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  PostgresSchema schema_;
  std::unique_ptr<Env> env_ = make_real_env();
};

// The server waits, its part done, for a standby that does not exist.
TEST_F(PostgresServer, commit_that_was_made_but_not_answered_is_found_to_be_made) {
  const auto db = open_or_fail(schema_.url(), *env_);
  ASSERT_TRUE(db->write(adding(1)));
  auto client = schema_.client();
  client.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  client.ask("SELECT pg_reload_conf()");
  client.await("SELECT 1 WHERE current_setting('synchronous_standby_names') <> ''");
  // The server takes its time to heed it: commits before that are answered.
  std::string pid;
  std::int64_t last = 1;
  std::vector<std::int64_t> expected{1};
  std::atomic<std::int64_t> answered{1};
  Outcomes outcomes;
  while (pid.empty()) {
    expected.push_back(++last);
    db->submit({adding(last), [&answered, last, recorder = outcomes.recorder(last)](
                                  Result<CommitInfo> outcome) mutable {
                  answered = last;
                  recorder(std::move(outcome));
                }});
    while (pid.empty() && answered != last) {
      pid = client.ask("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    }
    if (pid.empty()) continue;
    client.ask("SELECT pg_terminate_backend(" + pid + ")");
    client.ask("ALTER SYSTEM RESET synchronous_standby_names");
    client.ask("SELECT pg_reload_conf()");
    outcomes.wait(static_cast<std::size_t>(last - 1));
  }
  const auto done = outcomes.of(last);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->runs, 1) << "it was not run again";
  EXPECT_EQ(notes_of(*db), expected);
  EXPECT_TRUE(db->write(adding(last + 1)));
}

// A trigger lets COMMIT wait before it is made.
TEST_F(PostgresServer, commit_that_was_not_made_is_run_again) {
  const auto db = open_or_fail(schema_.url(), *env_);
  ASSERT_TRUE(db->write(adding(1)));
  auto client = schema_.client();
  client.ask(
      "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$");
  client.ask(
      "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION dawdle()");
  client.ask("SELECT pg_advisory_lock(77)");
  Outcomes outcomes;
  db->submit({adding(2), outcomes.recorder(2)});
  const auto pid = client.await("SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'");
  client.ask("SELECT pg_terminate_backend(" + pid + ")");
  client.ask("SELECT pg_advisory_unlock(77)");
  outcomes.wait(1);
  const auto done = outcomes.of(2);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->runs, 2);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
}

TEST_F(PostgresServer, crash_under_load_loses_nothing_and_repeats_nothing) {
  const auto db = open_or_fail(schema_.url(), *env_);
  std::atomic<int> written{0};
  std::atomic<int> crashes{0};
  constexpr int crashes_max = 3;
  Threads threads;
  constexpr int each = 150;
  for (int t = 0; t < 4; ++t) {
    threads.start("writer", [&, t] {
      for (int i = 0; i < each; ++i) {
        // The last is written by a server that is there to stay.
        while (i == each - 1 && crashes < crashes_max) std::this_thread::yield();
        // What was committed before cannot be inserted again, so a wrong guess would show.
        auto done = db->write(adding(i * 4 + t));
        // A server that starts again may take longer than a writer looks for it.
        while (!done && done.error().retryable()) done = db->write(adding(i * 4 + t));
        EXPECT_TRUE(done) << done.error().to_string();
        ++written;
      }
    });
  }
  const auto pid_file = schema_.client().ask("SHOW data_directory") + "/postmaster.pid";
  pid_t last = 0;
  for (int crash = 1; crash <= crashes_max; ++crash) {
    while (written < crash * each) std::this_thread::yield();
    pid_t pid = 0;
    while (pid == 0 || pid == last) {  // the server may still be about to start again
      pid = 0;
      std::ifstream(pid_file) >> pid;
    }
    EXPECT_EQ(::kill(pid, SIGQUIT), 0);
    while (::kill(pid, 0) == 0) std::this_thread::yield();
    last = pid;
    ++crashes;
  }
  threads.join();
  EXPECT_EQ(notes_of(*db).size(), 4U * each);
  EXPECT_THAT(*db->check_integrity(), IsEmpty());
}

}  // namespace
}  // namespace clew::store
