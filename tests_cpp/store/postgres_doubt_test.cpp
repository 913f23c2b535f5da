// What becomes of a commit whose answer is lost, what is run again, and what is not. Connections
// are cut at their end here, while the process of the server lives on, stands still, or dies.
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <csignal>
#include <set>

#include "clew/store/detail/postgres_session.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The descriptors of this process that are sockets.
std::set<int> sockets() {
  std::set<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed_meanwhile;
    const auto target = std::filesystem::read_symlink(entry.path(), closed_meanwhile).string();
    if (target.starts_with("socket:")) found.insert(std::stoi(entry.path().filename().string()));
  }
  return found;
}

// A process of the server that stands still until the end of the scope.
class Stopped {
 public:
  explicit Stopped(pid_t pid) : pid_(pid) { ::kill(pid_, SIGSTOP); }
  ~Stopped() { ::kill(pid_, SIGCONT); }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;

 private:
  pid_t pid_;
};

Result<pid_t> server_process(Transaction& tx) {
  static const Statement sql("SELECT pg_backend_pid()");
  std::int64_t pid = 0;
  CLEW_TRY(tx.first(sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(pid, row.integer(0));
    return {};
  }));
  return static_cast<pid_t>(pid);
}

class PostgresDoubt : public testing::Test {
 protected:
  explicit PostgresDoubt(std::string server = "main") : schema_(std::move(server)) {
    url_ = schema_.url() + "&application_name=clew-" + schema_.name();
    client_ = std::make_unique<PostgresClient>(schema_.url());
    others_ = sockets();
  }

  void open(const DatabaseOptions& options) {
    db_ = open_or_fail(options, *env_, test_migrations());
    ASSERT_TRUE(db_->write(adding(1)));
  }
  void open() { open({.url = url_}); }

  std::string ask(const std::string& sql) { return client_->ask(sql); }
  // The process of the server that works for the database under test and is in that state.
  std::string await_process(const std::string& state) {
    return client_->await("SELECT pid FROM pg_stat_activity WHERE application_name = 'clew-" +
                          schema_.name() + "' AND " + state);
  }
  void end_process(const std::string& pid) {
    ask("SELECT pg_terminate_backend(" + pid + ", 5000)");
  }
  // Ends the writer, which has nothing to do: also what is left of connections that were cut.
  void end_writer() {
    ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = "
        "'clew-" +
        schema_.name() + "' AND query NOT LIKE 'LISTEN%'");
  }
  // The server may do with what it was sent whatever it wants; nobody here hears of it.
  void cut_writer() {
    for (const int fd : sockets()) {
      if (!others_.contains(fd)) ::shutdown(fd, SHUT_RDWR);
    }
  }
  // Until something has been sent that the server has not read.
  void await_sent() {
    int unread = 0;
    while (unread == 0) {
      for (const int fd : sockets()) {
        if (!others_.contains(fd)) ::ioctl(fd, SIOCOUTQ, &unread);
      }
    }
  }

  // From now on a COMMIT that has added notes waits until let_go().
  void hold_commits() {
    if (!std::exchange(dawdles_, true)) {
      ask("CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
          "PERFORM pg_advisory_xact_lock(hashtext(current_schema())); RETURN NULL; END $$");
      ask("CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
          "FOR EACH ROW EXECUTE FUNCTION dawdle()");
    }
    ask("SELECT pg_advisory_lock(hashtext(current_schema()))");
  }
  std::string await_held_commit() { return await_process("wait_event = 'advisory'"); }
  void let_go() { ask("SELECT pg_advisory_unlock(hashtext(current_schema()))"); }

  // Has a commit whose answer is lost: one that is made, or one that is not.
  Result<CommitInfo> commit_in_doubt(std::int64_t id, bool is_made) {
    hold_commits();
    Outcomes outcomes;
    db_->submit({adding(id), outcomes.recorder(id)});
    const auto process = await_held_commit();
    if (is_made) {
      cut_writer();
    } else {
      end_process(process);
    }
    let_go();
    outcomes.wait(1);
    return outcomes.of(id);
  }

  PostgresSchema schema_;
  std::string url_;
  std::unique_ptr<PostgresClient> client_;
  std::set<int> others_;
  bool dawdles_ = false;
  std::unique_ptr<Env> env_ = make_real_env();
  std::unique_ptr<Database> db_;
};

// These do a server harm.
class PostgresHarmed : public PostgresDoubt {
 protected:
  PostgresHarmed() : PostgresDoubt("harmed") {}
};

TEST_F(PostgresDoubt, whoever_asks_for_a_commit_waits_for_its_end) {
  open();
  hold_commits();
  Outcomes outcomes;
  db_->submit({adding(2), outcomes.recorder(2)});
  await_held_commit();
  cut_writer();
  await_process("wait_event = 'transactionid'");
  let_go();
  outcomes.wait(1);
  const auto done = outcomes.of(2);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->runs, 1) << "it was made";
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
}

TEST_F(PostgresDoubt, each_commit_is_judged_by_its_own_number) {
  open();
  const std::vector<bool> made = {true, false, true, true, false, false, true};
  std::vector<std::int64_t> expected{1};
  for (const bool is_made : made) {
    expected.push_back(expected.back() + 1);
    const auto done = commit_in_doubt(expected.back(), is_made);
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(done->runs, is_made ? 1 : 2) << expected.back();
  }
  EXPECT_EQ(notes_of(*db_), expected);
}

// The server's process has not read what was sent when the next connection asks for it.
TEST_F(PostgresHarmed, commit_that_comes_late_is_refused) {
  open();
  Gate stopped;
  Gate again;
  std::optional<Stopped> process;
  int runs = 0;
  Outcomes outcomes;
  db_->submit({[&](Transaction& tx) -> Result<void> {
                 if (++runs == 2) again.open();
                 CLEW_TRY(add_note(tx, 2));
                 if (runs > 1) return {};
                 CLEW_TRY(const auto pid, server_process(tx));
                 process.emplace(pid);
                 stopped.open();
                 return {};
               },
               outcomes.recorder(2)});
  stopped.wait();
  await_sent();
  cut_writer();
  again.wait();
  process.reset();
  outcomes.wait(1);
  const auto done = outcomes.of(2);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->runs, 2);
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
}

TEST_F(PostgresHarmed, what_nobody_can_tell_is_unknown_and_is_not_run_again) {
  open();
  hold_commits();
  Outcomes outcomes;
  std::atomic<int> runs{0};
  db_->submit({[&](Transaction& tx) {
                 ++runs;
                 return add_note(tx, 2);
               },
               outcomes.recorder(2)});
  const auto process = await_held_commit();
  ask("ALTER ROLE postgres NOLOGIN");
  cut_writer();
  outcomes.wait(1);
  EXPECT_EQ(code_of(outcomes.of(2)), Code::unknown_outcome);
  EXPECT_EQ(runs, 1);
  // It is made after all, and the next one, which is not, must not be taken for it.
  let_go();
  client_->await("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = " + process +
                 ")");
  ask("ALTER ROLE postgres LOGIN");
  const auto next = commit_in_doubt(3, false);
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(next->runs, 2);
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2, 3));
}

TEST_F(PostgresDoubt, mark_that_does_not_fit_ends_all_writing) {
  for (const std::string change :
       {"UPDATE commit_marks SET number = number - 1",
        "UPDATE commit_marks SET number = number + 1", "DELETE FROM commit_marks"}) {
    db_.reset();
    ask("DROP SCHEMA " + schema_.name() + " CASCADE; CREATE SCHEMA " + schema_.name());
    dawdles_ = false;
    open();
    ASSERT_TRUE(commit_in_doubt(2, true)) << "found to be made, it counts as the others";
    end_writer();
    ask(change);
    for (int tries = 0; tries < 2; ++tries) {
      const auto refused = db_->write(adding(99));
      EXPECT_EQ(code_of(refused), Code::unavailable) << change;
      EXPECT_THAT(refused.error().message(), HasSubstr("without commits of this process"));
      EXPECT_THAT(refused.error().message(), HasSubstr(tries == 0 ? "mark" : "opened again"));
      EXPECT_FALSE(refused.error().retryable());
    }
    EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2)) << change;
  }
}

// A commit that has met no mark any more may have been made.
TEST_F(PostgresHarmed, commit_in_doubt_whose_mark_does_not_fit_is_unknown) {
  open();
  Gate stopped;
  std::optional<Stopped> process;
  std::string pid;
  Outcomes outcomes;
  db_->submit({[&](Transaction& tx) -> Result<void> {
                 CLEW_TRY(add_note(tx, 2));
                 CLEW_TRY(const auto found, server_process(tx));
                 pid = std::to_string(found);
                 process.emplace(found);
                 stopped.open();
                 return {};
               },
               outcomes.recorder(2)});
  stopped.wait();
  await_sent();
  ask("DELETE FROM commit_marks");
  cut_writer();
  outcomes.wait(1);
  EXPECT_EQ(code_of(outcomes.of(2)), Code::unknown_outcome);
  EXPECT_THAT(outcomes.of(2).error().message(), HasSubstr("without commits of this process"));
  const auto later = db_->write(adding(3));
  EXPECT_EQ(code_of(later), Code::unavailable);
  EXPECT_THAT(later.error().message(), HasSubstr("must be opened again"));
  process.reset();
  client_->await("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = " + pid +
                 ")");
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
}

TEST_F(PostgresDoubt, whoever_opens_takes_away_the_marks_of_the_dead_alone) {
  open();
  ask("INSERT INTO commit_marks (epoch, number, seen) VALUES (1, 107, now() - interval '3 days'), "
      "(1, 108, now() - interval '1 day')");
  open_or_fail(url_, *env_);
  EXPECT_THAT(client_->ask_all("SELECT number FROM commit_marks WHERE number > 100"),
              ElementsAre("108"));
  end_writer();
  const auto done = db_->write(adding(2));
  EXPECT_TRUE(done) << done.error().to_string();
}

// What was posted in one write fails there, and not in the next of the group.
TEST_F(PostgresDoubt, posted_statement_fails_its_own_write) {
  open();
  static const Statement again("INSERT INTO notes (id, body) VALUES (1, 'again')");
  Outcomes outcomes;
  {
    HeldWriter held(*db_);
    db_->submit({[](Transaction& tx) { return tx.post(again); }, outcomes.recorder(1)});
    db_->submit({adding(2), outcomes.recorder(2)});
  }
  outcomes.wait(2);
  EXPECT_EQ(code_of(outcomes.of(1)), Code::conflict);
  EXPECT_TRUE(outcomes.of(2));
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
}

TEST_F(PostgresDoubt, group_is_run_again_three_times_and_the_next_one_too) {
  open();
  int runs = 0;
  const auto losing = [&](int times, std::int64_t id) -> Apply {
    runs = 0;
    return [this, &runs, times, id](Transaction& tx) -> Result<void> {
      CLEW_TRY(add_note(tx, id));
      CLEW_TRY(const auto process, server_process(tx));
      if (++runs <= times) end_process(std::to_string(process));
      return {};
    };
  };
  for (const std::int64_t id : {2, 3}) {
    const auto done = db_->write(losing(3, id));
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(done->runs, 4);
  }
  const auto given_up = db_->write(losing(100, 4));
  EXPECT_EQ(code_of(given_up), Code::unavailable);
  EXPECT_TRUE(given_up.error().retryable());
  EXPECT_EQ(runs, 4);
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2, 3));
}

TEST_F(PostgresDoubt, what_the_server_has_answered_is_not_run_again) {
  open({.url = url_, .busy_timeout = std::chrono::seconds(1)});
  ask("CREATE TABLE once (id BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)");
  static const Statement twice("INSERT INTO once (id) VALUES (7), (7)");
  int runs = 0;
  const auto broken = db_->write([&](Transaction& tx) -> Result<void> {
    ++runs;
    CLEW_TRY(add_note(tx, 2));
    CLEW_TRY(tx.run(twice));
    return {};
  });
  EXPECT_EQ(code_of(broken), Code::conflict) << "at the commit";
  EXPECT_EQ(runs, 1);
  runs = 0;
  ask("BEGIN");
  ask("LOCK TABLE notes");
  const auto busy = db_->write([&](Transaction& tx) {
    ++runs;
    return add_note(tx, 3);
  });
  ask("ROLLBACK");
  EXPECT_EQ(code_of(busy), Code::unavailable);
  EXPECT_EQ(runs, 1) << "it has waited long enough";
  EXPECT_THAT(notes_of(*db_), ElementsAre(1));
}

TEST_F(PostgresDoubt, statement_that_could_not_be_prepared_is_prepared_again) {
  open();
  static const Statement missing("INSERT INTO comes_later (id) VALUES (:id)");
  static const Statement behind("INSERT INTO notes (id, body) VALUES (:id, 'behind')");
  const auto failed = db_->write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.post(missing, 1));
    CLEW_TRY(tx.post(behind, 2));  // passed over
    return add_note(tx, 3);
  });
  EXPECT_EQ(code_of(failed), Code::internal);
  ask("CREATE TABLE comes_later (id BIGINT)");
  const auto done = db_->write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(missing, 1));
    CLEW_TRY(tx.run(behind, 2));
    return {};
  });
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
}

TEST_F(PostgresDoubt, commits_wait_for_their_sync_whatever_the_role_has_set_unless_relaxed) {
  open({.url = schema_.url() + "%20-csynchronous_commit%3Doff"});
  static const Statement settings(
      "SELECT current_setting('synchronous_commit') || ' ' || "
      "current_setting('idle_in_transaction_session_timeout')");
  for (const auto durability : {Durability::sync, Durability::relaxed, Durability::sync}) {
    std::string found;
    ASSERT_TRUE(db_->write(
        [&](Transaction& tx) -> Result<void> {
          CLEW_TRY(tx.first(settings, [&](const Row& row) -> Result<void> {
            CLEW_TRY(found, row.text(0));
            return {};
          }));
          return {};
        },
        durability));
    EXPECT_EQ(found, durability == Durability::sync ? "on 15s" : "off 15s");
  }
}

TEST_F(PostgresDoubt, closing_makes_durable_what_was_written_on_a_connection_that_is_lost) {
  open({.url = url_, .relaxed_window = std::chrono::hours(1)});
  const auto before = db_->durable_up_to();
  ASSERT_TRUE(db_->write(adding(2), Durability::relaxed));
  EXPECT_EQ(db_->durable_up_to(), before);
  end_writer();
  EXPECT_TRUE(db_->close(Timestamp::never()));
  EXPECT_EQ(db_->durable_up_to(), before + 1);
}

TEST_F(PostgresDoubt, connection_whose_statement_was_cancelled_is_not_used_again) {
  open({.url = url_, .readers_max = 1});
  static const Statement slow("SELECT pg_sleep(600)::text");
  pid_t cancelled = 0;
  std::atomic<int> asked{0};
  const auto done = db_->read(
      [&](Transaction& tx) -> Result<void> {
        CLEW_TRY(cancelled, server_process(tx));
        CLEW_TRY(tx.first(slow, [](const Row&) { return Result<void>(); }));
        return {};
      },
      [&]() -> Result<void> {
        if (++asked < 3) return {};
        return error(Code::cancelled, "enough");
      });
  EXPECT_EQ(code_of(done), Code::cancelled);
  pid_t next = 0;
  ASSERT_TRUE(db_->read([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(next, server_process(tx));
    return {};
  }));
  EXPECT_NE(next, cancelled) << "a cancel that is late would meet the next statement";
}

TEST_F(PostgresDoubt, who_listens_on_a_connection_that_is_lost_listens_on_the_next) {
  constexpr Duration for_ever = std::chrono::minutes(1);
  constexpr Duration a_moment = std::chrono::milliseconds(20);
  open();
  const auto backend = make_backend({.url = url_, .read_only = true}, test_migrations());
  ASSERT_TRUE(backend);
  ASSERT_TRUE((*backend)->connect_writer());
  const auto listener = (*backend)->connect_reader();
  ASSERT_TRUE(listener);
  auto& session = **listener;
  EXPECT_TRUE(session.await_change(a_moment)) << "nobody has listened before";
  EXPECT_FALSE(session.await_change(a_moment));
  ASSERT_TRUE(db_->write(adding(2)));
  EXPECT_TRUE(session.await_change(for_ever));

  end_process(await_process("query LIKE 'LISTEN%'"));
  while (!session.await_change(for_ever)) continue;  // what it has missed is not known
  EXPECT_FALSE(session.await_change(a_moment)) << "it listens again";
  ASSERT_TRUE(db_->write(adding(3)));
  EXPECT_TRUE(session.await_change(for_ever));

  end_process(await_process("query LIKE 'LISTEN%'"));
  EXPECT_TRUE(session.data_version()) << "connects again without listening";
  EXPECT_TRUE(session.await_change(for_ever));
  EXPECT_FALSE(session.await_change(a_moment));
  ASSERT_TRUE(db_->write(adding(4)));
  EXPECT_TRUE(session.await_change(for_ever));
}

// ---- a session by itself, with a library that is not what it should be

class PostgresSessions : public PostgresHarmed {
 protected:
  PostgresSessions() {
    const auto loaded = detail::Libpq::load();
    EXPECT_TRUE(loaded);
    real_ = *loaded;
    library_ = *real_;
  }
  std::unique_ptr<detail::PostgresSession> connect(detail::PostgresRole role) {
    if (!db_) open();
    detail::PostgresPlace place;
    place.pq = &library_;
    place.url = *detail::parse_postgres_url(library_, url_);
    place.schema = schema_.name();
    place.channel = "clew_of_this_test";
    place.lock_timeout = std::chrono::seconds(5);
    auto session = std::make_unique<detail::PostgresSession>(
        std::make_shared<detail::PostgresPlace>(std::move(place)), role);
    EXPECT_TRUE(session->connect());
    return session;
  }
  static inline const detail::Libpq* real_ = nullptr;
  static inline std::atomic<int> connects_{0};
  detail::Libpq library_;
};

// Without a mark nobody can find out; only what makes the tables has none, and may be repeated.
TEST_F(PostgresSessions, lost_commit_without_a_mark_is_lost_and_one_with_a_mark_is_unknown) {
  for (const bool is_marked : {false, true}) {
    const auto session = connect(detail::PostgresRole::writer);
    if (is_marked) {
      session->mark_as(std::stoll(ask("INSERT INTO commit_marks (epoch, number, seen) "
                                      "VALUES (1, 0, now()) RETURNING writer")),
                       1);
    }
    hold_commits();
    ASSERT_TRUE(session->begin(Access::write, Durability::sync));
    ASSERT_TRUE(add_note(*session, 2));
    Result<void> done;
    Threads threads;
    threads.start("committer", [&] { done = session->commit(); });
    const auto process = await_held_commit();
    ask("ALTER ROLE postgres NOLOGIN");
    cut_writer();
    threads.join();
    end_process(process);
    let_go();
    ask("ALTER ROLE postgres LOGIN");
    EXPECT_EQ(code_of(done), is_marked ? Code::unknown_outcome : Code::unavailable);
    EXPECT_EQ(session->may_run_again(), !is_marked);
  }
}

TEST_F(PostgresSessions, connection_that_the_server_ends_is_chance_and_tells_why) {
  library_.PQresultErrorField = [](const PGresult* result, int field) -> char* {
    static char internal_error[] = "XX000";  // after which nothing is run again otherwise
    return field == PG_DIAG_SQLSTATE ? internal_error : real_->PQresultErrorField(result, field);
  };
  const auto session = connect(detail::PostgresRole::writer);
  ASSERT_TRUE(session->begin(Access::write, Durability::sync));
  const auto process = server_process(*session);
  ASSERT_TRUE(process);
  end_process(std::to_string(*process));
  const auto lost = add_note(*session, 2);
  EXPECT_THAT(lost.error().message(), HasSubstr("administrator command"));
  ASSERT_NE(session->lost(), nullptr);
  EXPECT_TRUE(session->may_run_again());
}

TEST_F(PostgresSessions, rollback_as_the_answer_to_commit_is_no_commit) {
  library_.PQcmdStatus = [](PGresult* result) -> char* {
    static char answer[] = "ROLLBACK";
    return std::string_view(real_->PQcmdStatus(result)) == "COMMIT" ? answer
                                                                    : real_->PQcmdStatus(result);
  };
  const auto session = connect(detail::PostgresRole::writer);
  ASSERT_TRUE(session->begin(Access::write, Durability::sync));
  EXPECT_EQ(code_of(session->commit()), Code::internal);
  EXPECT_FALSE(session->may_run_again());
}

TEST_F(PostgresSessions, refusal_that_will_not_pass_is_asked_for_once) {
  library_.PQconnectStartParams = [](const char* const* keys, const char* const* values,
                                     int expands) {
    ++connects_;
    return real_->PQconnectStartParams(keys, values, expands);
  };
  const auto session = connect(detail::PostgresRole::reader);
  ask("ALTER ROLE postgres NOLOGIN");
  ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = "
      "'clew-" +
      schema_.name() + "'");
  connects_ = 0;
  const auto refused = session->begin(Access::snapshot, Durability::relaxed);
  ask("ALTER ROLE postgres LOGIN");
  EXPECT_EQ(code_of(refused), Code::unavailable);
  EXPECT_FALSE(refused.error().retryable());
  EXPECT_EQ(connects_, 1);
  EXPECT_TRUE(session->begin(Access::snapshot, Durability::relaxed));
}

}  // namespace
}  // namespace clew::store
