#include "clew/store/dialect.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Read : public EachPlace {};
INSTANTIATE_TEST_SUITE_P(Backends, Read, each_place, place_name);

TEST_P(Read, snapshot_does_not_see_later_commits) {
  if (!is_file()) GTEST_SKIP() << "in memory a reader has the database for itself";
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  Threads threads;
  const auto read = db->read([&](Transaction& tx) -> Result<void> {
    threads.start("writer", [&] { EXPECT_TRUE(db->write(adding(2))); });
    threads.join();  // committed, though this reader has not read anything yet
    CLEW_TRY(const auto ids, note_ids(tx));
    EXPECT_THAT(ids, ElementsAre(1));
    return {};
  });
  EXPECT_TRUE(read);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
}

TEST_P(Read, reader_cannot_write) {
  const auto db = open();
  const auto tried = db->read([](Transaction& tx) -> Result<void> {
    EXPECT_EQ(code_of(add_note(tx, 1)), Code::unsupported);
    EXPECT_EQ(code_of(tx.run_text("DELETE FROM notes", {})), Code::unsupported);
    return {};
  });
  EXPECT_TRUE(tried);
  EXPECT_THAT(notes_of(*db), IsEmpty());
  EXPECT_TRUE(db->write(adding(1))) << "the session that read writes again";
}

TEST_P(Read, readers_error_and_exception_come_back_and_the_session_lives) {
  auto how = options();
  how.readers_max = 1;
  const auto db = open(how);
  EXPECT_EQ(code_of(db->read([](Transaction&) -> Result<void> {
              return error(Code::not_found, "nothing here");
            })),
            Code::not_found);
  EXPECT_THROW((void)db->read([](Transaction&) -> Result<void> {
    CLEW_CHECK(false);
    return {};
  }),
               CheckFailure);
  EXPECT_TRUE(db->write(adding(1)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
}

TEST_P(Read, read_within_a_read_stands_on_the_same_snapshot) {
  auto how = options();
  how.readers_max = 1;  // a second connection would never come
  const auto db = open(how);
  ASSERT_TRUE(db->write(adding(1)));
  const auto outer = db->read([&](Transaction&) -> Result<void> {
    EXPECT_THAT(notes_of(*db), ElementsAre(1));
    return {};
  });
  EXPECT_TRUE(outer);
}

TEST_P(Read, more_readers_than_connections_take_turns) {
  auto how = options();
  how.readers_max = 2;
  const auto db = open(how);
  ASSERT_TRUE(db->write(adding(1)));
  Threads threads;
  for (int i = 0; i < 8; ++i) {
    threads.start("reader", [&] {
      for (int k = 0; k < 50; ++k) EXPECT_THAT(notes_of(*db), ElementsAre(1));
    });
  }
  threads.join();
}

TEST_P(Read, close_waits_for_a_reader) {
  const auto db = open();
  Gate entered;
  Gate go;
  std::atomic<bool> is_over{false};
  Threads threads;
  threads.start("reader", [&] {
    EXPECT_TRUE(db->read([&](Transaction&) -> Result<void> {
      entered.open();
      go.wait();
      is_over = true;
      return {};
    }));
  });
  entered.wait();
  threads.start("closer", [&] {
    EXPECT_TRUE(db->close(Timestamp::never()));
    EXPECT_TRUE(is_over);
  });
  go.open();
  threads.join();
}

// Counts without an end.
constexpr std::string_view endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

Result<void> run_endless(Database& db, GoOn go_on) {
  VisitRow visit = [](const Row&) -> Result<void> { return {}; };
  return db.read([&](Transaction& tx) { return tx.each_text(endless, {}, visit); },
                 std::move(go_on));
}

TEST_P(Read, statement_that_may_not_go_on_ends_with_the_reason) {
  auto how = options();
  how.readers_max = 1;
  const auto db = open(how);
  int looks = 0;
  const auto done = run_endless(*db, [&]() -> Result<void> {
    if (++looks < 100) return {};
    return Error(Code::timeout, "long enough");
  });
  EXPECT_EQ(code_of(done), Code::timeout);
  EXPECT_EQ(looks, 100) << "asked no more after its answer";
  EXPECT_TRUE(db->write(adding(1)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1)) << "the session reads on, and nobody asks any more";
}

TEST_P(Read, reader_that_waits_for_another_is_asked_too) {
  auto how = options();
  how.readers_max = 1;
  const auto db = open(how);
  std::atomic<bool> is_over{false};
  Gate entered;
  Threads threads;
  threads.start("endless", [&] {
    std::atomic<bool> told{false};
    EXPECT_EQ(code_of(run_endless(*db,
                                  [&]() -> Result<void> {
                                    if (!told.exchange(true)) entered.open();
                                    if (!is_over) return {};
                                    return Error(Code::cancelled, "over");
                                  })),
              Code::cancelled);
  });
  entered.wait();
  for (int i = 0; i < 3; ++i) {  // more than one gives up its place in the line
    EXPECT_EQ(code_of(run_endless(*db, []() -> Result<void> { return Error(Code::closed, "no"); })),
              Code::closed);
  }
  is_over = true;
  threads.join();
  EXPECT_TRUE(db->write(adding(1))) << "the line goes on";
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
}

TEST_P(Read, data_version_changes_with_each_commit_and_only_then) {
  const auto db = open();
  const auto before = *db->data_version();
  EXPECT_EQ(*db->data_version(), before);
  ASSERT_TRUE(db->write(adding(1)));
  const auto after = *db->data_version();
  EXPECT_NE(after, before);
  EXPECT_EQ(*db->data_version(), after);
}

TEST_P(Read, commits_of_others_are_told_while_somebody_listens) {
  const auto how = options();
  const auto here = open(how);
  if (is_memory()) {
    EXPECT_EQ(here->watch_commits([] {}), nullptr) << "there are no others";
    return;
  }
  const auto other = open(how);
  Mutex mutex;
  Condition told;
  int times = 0;
  auto listening = here->watch_commits([&] {
    const Lock lock(mutex);
    ++times;
    told.notify_all();
  });
  const auto await_more = [&](int than) {
    Lock lock(mutex);
    while (times <= than) told.wait(lock);
    return times;
  };
  auto before = await_more(0);  // what was committed before is not known
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(other->write(adding(i)));
    before = await_more(before);
  }
  listening.reset();
  {
    const Lock lock(mutex);
    before = times;
  }
  ASSERT_TRUE(other->write(adding(9)));
  EXPECT_THAT(notes_of(*here), ElementsAre(0, 1, 2, 9));
  const Lock lock(mutex);
  EXPECT_EQ(times, before) << "nobody listens any more";
}

TEST_P(Read, handle_of_a_listener_may_outlive_the_database) {
  auto db = open();
  const auto listening = db->watch_commits([] {});
  db->close(Timestamp::never());
  EXPECT_EQ(db->watch_commits([] {}), nullptr);
  db.reset();
}

TEST_P(Read, sound_database_has_no_findings) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  EXPECT_THAT(*db->check_integrity(), IsEmpty());
}

TEST(Handles, two_on_one_file_see_each_others_commits) {
  const Folder folder;
  const auto env = make_real_env();
  const auto a = open_or_fail(folder.file(), *env);
  const auto b = open_or_fail(folder.file(), *env);
  const auto seen = *b->data_version();
  ASSERT_TRUE(a->write(adding(1)));
  EXPECT_NE(*b->data_version(), seen);
  ASSERT_TRUE(b->write(adding(2)));
  EXPECT_THAT(notes_of(*a), ElementsAre(1, 2));
  EXPECT_TRUE(a->close(Timestamp::never()));
  EXPECT_TRUE(b->write(adding(3))) << "the other's close took nothing away";
  EXPECT_THAT(notes_of(*b), ElementsAre(1, 2, 3));
}

TEST(Handles, two_writing_at_once_lose_nothing) {
  const Folder folder;
  const auto env = make_real_env();
  const auto a = open_or_fail(folder.file(), *env);
  const auto b = open_or_fail(folder.file(), *env);
  Threads threads;
  for (int t = 0; t < 4; ++t) {
    threads.start("writer", [&, t] {
      auto& db = t % 2 == 0 ? *a : *b;
      for (int i = 0; i < 25; ++i) EXPECT_TRUE(db.write(adding(t * 100 + i)));
    });
  }
  threads.join();
  EXPECT_EQ(notes_of(*a).size(), 100U);
  EXPECT_EQ(notes_of(*b).size(), 100U);
}

class Sql : public EachPlace {
 protected:
  void SetUp() override {
    auto with_values = test_migrations();
    with_values.push_back({3, "kinds",
                           "CREATE TABLE kinds (id {integer} PRIMARY KEY, i {integer}, r {real}, "
                           "t TEXT, b {blob}) {table};"});
    db_ = open_or_fail(options(), *env_, with_values);
  }
  Result<void> in_write(Function<Result<void>(Transaction&)> use) {
    const auto done = db_->write(std::move(use));
    return done ? Result<void>() : Result<void>(done.error());
  }
  std::unique_ptr<Database> db_;
};
INSTANTIATE_TEST_SUITE_P(Backends, Sql, each_place, place_name);

const Statement insert_kind("INSERT INTO kinds (id, i, r, t, b) VALUES (:id, :i, :r, :t, :b)");
const Statement select_kind("SELECT i, r, t, b FROM kinds WHERE id = :id");

TEST_P(Sql, values_come_back_as_they_went) {
  const auto text = is_postgresql() ? std::string("aü") : std::string("a\0ü", 4);
  const std::string bytes("\0\xff", 2);
  ASSERT_TRUE(in_write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto added, tx.run(insert_kind, 1, INT64_MIN, 0.1, text, Blob{bytes}));
    EXPECT_EQ(added, 1);
    CLEW_TRY(tx.run(insert_kind, 2, nullptr, nullptr, std::string_view(), Blob{}));
    return {};
  }));
  ASSERT_TRUE(db_->read([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.first(
        select_kind,
        [&](const Row& row) -> Result<void> {
          EXPECT_EQ(row.columns(), 4);
          EXPECT_EQ(row.name(2), "t");
          EXPECT_EQ(*row.integer(0), INT64_MIN);
          EXPECT_EQ(*row.real(1), 0.1);
          EXPECT_EQ(*row.text(2), text);
          EXPECT_EQ(*row.blob(3), bytes);
          EXPECT_EQ(row.cell(2), Cell(text));
          EXPECT_EQ(row.cell(3), Cell(std::vector<std::uint8_t>{0, 0xff}));
          return {};
        },
        1));
    CLEW_TRY(tx.first(
        select_kind,
        [&](const Row& row) -> Result<void> {
          EXPECT_TRUE(row.is_null(0) && row.is_null(1));
          EXPECT_FALSE(row.is_null(2)) << "empty text is text";
          EXPECT_EQ(*row.text(2), "");
          EXPECT_EQ(*row.blob(3), "");
          EXPECT_EQ(row.cell(0), Cell(nullptr));
          const auto wrong = row.integer(2);
          EXPECT_EQ(code_of(wrong), Code::corrupt);
          EXPECT_EQ(wrong.error().find("column")->as_string(), "t");
          EXPECT_EQ(code_of(row.text(0)), Code::corrupt);
          EXPECT_EQ(code_of(row.real(2)), Code::corrupt);
          EXPECT_EQ(code_of(row.blob(2)), Code::corrupt);
          return {};
        },
        2));
    return {};
  }));
}

TEST_P(Sql, wrong_statements_are_internal_errors) {
  static const Statement no_table("SELECT 1 FROM nowhere");
  static const Statement no_hook("SELECT 1 {nonsense}");
  static const Statement rows("SELECT 1");
  const auto code_in_write = [&](Function<Result<void>(Transaction&)> use) {
    return code_of(in_write(std::move(use)));
  };
  const auto ignore = [](const Row&) { return Result<void>(); };
  const auto first = [&](const Statement& statement, const auto&... args) {
    return code_in_write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.first(statement, ignore, args...));
      return {};
    });
  };
  EXPECT_EQ(first(no_table), Code::internal);
  EXPECT_EQ(first(no_hook), Code::internal);
  EXPECT_EQ(first(select_kind), Code::internal) << "too few arguments";
  EXPECT_EQ(first(select_kind, 1, 2), Code::internal) << "too many";
  const auto run = [&](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(rows));
    return {};
  };
  EXPECT_EQ(code_in_write(run), Code::internal) << "returns rows";
}

// On PostgreSQL a transaction with a failed statement can only be given up.
TEST_P(Sql, broken_constraint_is_a_conflict_and_never_half_committed) {
  const auto done = in_write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(add_note(tx, 1));
    EXPECT_EQ(code_of(add_note(tx, 1)), Code::conflict);
    (void)add_note(tx, 2);
    return {};
  });
  if (is_postgresql()) {
    EXPECT_EQ(code_of(done), Code::conflict);
    EXPECT_THAT(notes_of(*db_), IsEmpty());
  } else {
    EXPECT_TRUE(done);
    EXPECT_THAT(notes_of(*db_), ElementsAre(1, 2));
  }
}

TEST_P(Sql, text_with_a_zero_character_is_refused_where_it_cannot_be_kept) {
  const auto done = in_write([](Transaction& tx) { return add_note(tx, 1, {"a\0b", 3}); });
  if (is_postgresql()) {
    EXPECT_EQ(code_of(done), Code::invalid_input);
    EXPECT_THAT(notes_of(*db_), IsEmpty());
  } else {
    EXPECT_TRUE(done);
  }
  EXPECT_TRUE(in_write(adding(2)));
}

TEST_P(Sql, text_is_ordered_by_its_bytes) {
  ASSERT_TRUE(in_write([](Transaction& tx) -> Result<void> {
    const char* words[] = {"b", "ä", "B", "a_c", "ab", "a b"};
    for (int i = 0; i < 6; ++i) CLEW_TRY(tx.run(insert_kind, i, 0, 0.0, words[i], Blob{}));
    return {};
  }));
  static const Statement sorted("SELECT t FROM kinds WHERE t > '' ORDER BY t");
  std::vector<std::string> found;
  ASSERT_TRUE(db_->read([&](Transaction& tx) {
    return tx.each(sorted, [&](const Row& row) -> Result<void> {
      CLEW_TRY(const auto text, row.text(0));
      found.emplace_back(text);
      return {};
    });
  }));
  EXPECT_THAT(found, ElementsAre("B", "a b", "a_c", "ab", "b", "ä"));
}

TEST_P(Sql, change_that_returns_rows_is_made_whole_by_first) {
  static const Statement change("UPDATE notes SET body = :body RETURNING id");
  int visits = 0;
  ASSERT_TRUE(in_write([&](Transaction& tx) -> Result<void> {
    for (int i = 1; i <= 3; ++i) CLEW_TRY(add_note(tx, i));
    CLEW_TRY(tx.first(
        change,
        [&](const Row&) -> Result<void> {
          ++visits;
          return {};
        },
        "new"));
    static const Statement count("SELECT COUNT(*) FROM notes WHERE body = 'new'");
    CLEW_TRY(tx.first(count, [](const Row& row) -> Result<void> {
      EXPECT_EQ(*row.integer(0), 3);
      return {};
    }));
    return {};
  }));
  EXPECT_EQ(visits, 1);
}

TEST_P(Sql, visitor_may_run_the_statement_that_it_visits) {
  static const Statement all("SELECT id FROM notes ORDER BY id");
  int pairs = 0;
  ASSERT_TRUE(in_write([&](Transaction& tx) -> Result<void> {
    for (int i = 1; i <= 3; ++i) CLEW_TRY(add_note(tx, i));
    return tx.each(all, [&](const Row&) {
      return tx.each(all, [&](const Row&) -> Result<void> {
        ++pairs;
        return {};
      });
    });
  }));
  EXPECT_EQ(pairs, 9);
}

TEST_P(Sql, visitors_error_stops_the_visit) {
  static const Statement all("SELECT id FROM notes ORDER BY id");
  int visits = 0;
  const auto done = in_write([&](Transaction& tx) -> Result<void> {
    for (int i = 1; i <= 3; ++i) CLEW_TRY(add_note(tx, i));
    return tx.each(all, [&](const Row&) -> Result<void> {
      if (++visits == 2) return error(Code::cancelled, "enough");
      return {};
    });
  });
  EXPECT_EQ(code_of(done), Code::cancelled);
  EXPECT_EQ(visits, 2);
}

TEST_P(Sql, count_of_changes_is_of_that_statement_alone) {
  static const Statement none("UPDATE notes SET body = 'x' WHERE id = 99");
  static const Statement all("UPDATE notes SET body = 'y'");
  ASSERT_TRUE(in_write([](Transaction& tx) -> Result<void> {
    for (int i = 1; i <= 3; ++i) CLEW_TRY(add_note(tx, i));
    EXPECT_EQ(*tx.run(all), 3);
    EXPECT_EQ(*tx.run(none), 0);
    EXPECT_EQ(*tx.run_text("CREATE INDEX notes_body ON notes (body)", {}), 0);
    return {};
  }));
}

TEST_P(Sql, foreign_text_cannot_leave_its_transaction) {
  std::vector<const char*> forbidden = {"COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT x"};
  if (is_postgresql()) {
    for (const auto* sql : {"/* a comment */ COMMIT", "SET synchronous_commit = off", "RESET ALL",
                            "DEALLOCATE ALL", "COPY notes TO '/tmp/x'", "LISTEN x", "DISCARD ALL",
                            "DO $$ BEGIN NULL; END $$", "LOCK notes"}) {
      forbidden.push_back(sql);
    }
  } else {
    for (const auto* sql :
         {"ATTACH 'x.db' AS x", "PRAGMA synchronous=OFF", "PRAGMA journal_mode=DELETE"}) {
      forbidden.push_back(sql);
    }
  }
  ASSERT_TRUE(in_write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(add_note(tx, 1));
    for (const auto* sql : forbidden) EXPECT_EQ(code_of(tx.run_text(sql, {})), Code::unsupported);
    return {};
  }));
  VisitRow ignore = [](const Row&) { return Result<void>(); };
  ASSERT_TRUE(db_->read([&](Transaction& tx) -> Result<void> {
    for (const auto* sql : forbidden) {
      EXPECT_EQ(code_of(tx.each_text(sql, {}, ignore)), Code::unsupported) << sql;
    }
    if (is_postgresql()) return {};
    EXPECT_EQ(code_of(tx.each_text("PRAGMA query_only=0", {}, ignore)), Code::unsupported);
    EXPECT_TRUE(tx.each_text("PRAGMA table_info(notes)", {}, ignore));
    return {};
  }));
  EXPECT_THAT(notes_of(*db_), ElementsAre(1));
}

TEST_P(Sql, error_of_the_visitor_ends_the_query) {
  int seen = 0;
  VisitRow refuse = [&](const Row&) -> Result<void> {
    ++seen;
    return error(Code::cancelled, "enough");
  };
  const auto done = db_->read([&](Transaction& tx) {
    return tx.each_text("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", {}, refuse);
  });
  EXPECT_EQ(code_of(done), Code::cancelled);
  EXPECT_EQ(seen, 1);
  EXPECT_THAT(notes_of(*db_), testing::IsEmpty()) << "there are more queries";
}

// What PostgreSQL itself would let a reader do, or finds out only as it runs.
TEST_P(Sql, foreign_query_that_writes_is_unsupported) {
  if (!is_postgresql()) GTEST_SKIP() << "SQLite knows before it runs a statement";
  VisitRow ignore = [](const Row&) { return Result<void>(); };
  for (const auto* sql :
       {"WITH x AS (INSERT INTO notes VALUES (7, '') RETURNING id) SELECT * FROM x",
        "SELECT * INTO other FROM notes", "SELECT id FROM notes FOR UPDATE",
        "EXPLAIN ANALYZE DELETE FROM notes", "DELETE FROM notes", "CREATE TABLE x (y int)",
        "( SELECT nextval(pg_get_serial_sequence('owners', 'id')))"}) {
    const auto done = db_->read([&](Transaction& tx) { return tx.each_text(sql, {}, ignore); });
    EXPECT_EQ(code_of(done), Code::unsupported) << sql;
  }
  for (const auto* sql : {"SELECT set_config('transaction_read_only', 'off', false)",
                          "SELECT set_config('default_transaction_read_only', 'off', false)",
                          "SELECT pg_advisory_lock(1)"}) {
    const auto done = db_->read([&](Transaction& tx) {
      (void)tx.each_text(sql, {}, ignore);
      return add_note(tx, 1);
    });
    EXPECT_FALSE(done) << sql;
  }
  EXPECT_THAT(notes_of(*db_), IsEmpty());  // and by then the reader has given back what it had
  EXPECT_EQ(schema_.client().ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
                                 "objid = 1 AND classid = 0"),
            "0");
}

TEST_P(Sql, text_of_a_user_is_bad_input_when_it_cannot_be_read) {
  VisitRow ignore = [](const Row&) { return Result<void>(); };
  for (const auto* sql : {"SELEC 1", "SELECT 1; SELECT 2", "", "SELECT :a", "SELECT nope"}) {
    const auto done = db_->read([&](Transaction& tx) { return tx.each_text(sql, {}, ignore); });
    EXPECT_EQ(code_of(done), Code::invalid_input) << sql;
  }
  const Arg one[] = {Arg(1)};
  std::int64_t got = 0;
  VisitRow take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(got, row.integer(0));
    return {};
  };
  EXPECT_TRUE(db_->read(
      [&](Transaction& tx) { return tx.each_text("SELECT :a + :a -- twice", one, take); }));
  EXPECT_EQ(got, 2);
}

TEST(Render, fills_hooks_and_numbers_names_but_leaves_quoted_text_alone) {
  const Dialect dialect = {[](std::string_view name) {
                             return name == "word" ? std::optional<std::string_view>("WORD")
                                                   : std::nullopt;
                           },
                           [](int number) { return fmt::format("${}", number); }};
  struct Case {
    const char* sql;
    const char* text;
    std::vector<std::string> names;
  };
  const Case cases[] = {
      {"SELECT :b, :a, :b", "SELECT $1, $2, $1", {"b", "a"}},
      {"x {word} y", "x WORD y", {}},
      {"':a {x} ''' || :a", "':a {x} ''' || $1", {"a"}},
      {"\":a\" -- :b {c}\n:d", "\":a\" -- :b {c}\n$1", {"d"}},
      {"/* :a */ :b::text", "/* :a */ $1::text", {"b"}},
      {"'never closed :a", "'never closed :a", {}},
      {"a : b", "a : b", {}},
  };
  for (const auto& expected : cases) {
    const auto rendered = render(expected.sql, dialect);
    ASSERT_TRUE(rendered) << expected.sql;
    EXPECT_EQ(rendered->text, expected.text);
    EXPECT_EQ(rendered->parameters, expected.names) << expected.sql;
  }
  for (const auto* wrong : {"{nonsense}", "{word", "{", "{}"}) {
    EXPECT_EQ(code_of(render(wrong, dialect)), Code::invalid_input) << wrong;
  }
  EXPECT_THAT(*parameter_names("SELECT :x, {hook} :y"), ElementsAre("x", "y"));
}

}  // namespace
}  // namespace clew::store
