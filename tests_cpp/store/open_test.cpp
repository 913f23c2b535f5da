#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Open : public testing::Test {
 protected:
  // A file of ours with `rows` notes, closed.
  std::string make_file(int rows = 0) {
    const auto db = open_or_fail(folder_.file(), *env_);
    for (int i = 1; i <= rows; ++i) {
      EXPECT_TRUE(
          db->write([i](Transaction& tx) { return add_note(tx, i, std::string(200, 'x')); }));
    }
    return folder_.file();
  }
  // A file that SQLite alone made by `sql`.
  std::string make_foreign(const std::string& sql) {
    const auto path = folder_.file("foreign.db");
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
    return path;
  }
  // Opening is refused, and nothing in the folder has changed.
  Error expect_untouched_refusal(const std::string& path,
                                 const std::vector<Migration>& migrations = test_migrations()) {
    const auto bytes = read_bytes(path);
    const auto names = folder_.names();
    auto refusal = refusal_of({.url = path}, migrations);
    EXPECT_EQ(read_bytes(path), bytes) << refusal.to_string();
    EXPECT_EQ(folder_.names(), names) << refusal.to_string();
    return refusal;
  }

  Folder folder_;
  std::unique_ptr<Env> env_ = make_real_env();
};

TEST_F(Open, makes_a_file_that_says_whose_it_is) {
  const auto bytes = read_bytes(make_file());
  ASSERT_GT(bytes.size(), 100U);
  EXPECT_EQ(bytes.substr(68, 4), "CLEW");
  EXPECT_THAT(folder_.names(), ElementsAre("work.db"));
}

TEST_F(Open, keeps_what_was_written) {
  make_file(3);
  EXPECT_THAT(notes_of(*open_or_fail(folder_.file(), *env_)), ElementsAre(1, 2, 3));
}

TEST_F(Open, takes_an_empty_file_and_an_empty_database_for_new_ones) {
  write_bytes(folder_.file(), "");
  EXPECT_TRUE(open_or_fail(folder_.file(), *env_)->write(adding(1)));
  const auto blank = make_foreign("VACUUM");
  EXPECT_TRUE(open_or_fail(blank, *env_)->write(adding(1)));
}

TEST_F(Open, refuses_another_programs_database_and_names_it) {
  const auto with_id = make_foreign("PRAGMA application_id=7; CREATE TABLE t (x)");
  const auto refusal = expect_untouched_refusal(with_id);
  EXPECT_EQ(refusal.code(), Code::unsupported);
  EXPECT_THAT(refusal.message(), HasSubstr("another program"));
  EXPECT_THAT(refusal.message(), HasSubstr("0x00000007"));
}

TEST_F(Open, refuses_a_database_with_tables_but_no_owner) {
  EXPECT_EQ(expect_untouched_refusal(make_foreign("CREATE TABLE t (x)")).code(), Code::unsupported);
}

TEST_F(Open, refuses_another_programs_log_before_it_is_in_the_file) {
  const auto path = folder_.file("foreign.db");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t (x)", nullptr, nullptr, nullptr),
      SQLITE_OK);
  const auto copy = folder_.file("copy.db");  // as a killed process would have left it
  std::filesystem::copy_file(path + "-wal", copy + "-wal");
  std::filesystem::copy_file(path, copy);
  sqlite3_close(db);
  const auto log = read_bytes(copy + "-wal");
  const auto bytes = read_bytes(copy);
  EXPECT_EQ(refusal_of({.url = copy}, test_migrations()).code(), Code::unsupported);
  EXPECT_EQ(read_bytes(copy), bytes);
  EXPECT_EQ(read_bytes(copy + "-wal"), log);
}

TEST_F(Open, refuses_a_newer_schema_naming_both_versions) {
  const auto path = make_file(1);
  const auto refusal = expect_untouched_refusal(path, core_migrations());
  EXPECT_EQ(refusal.code(), Code::unsupported);
  EXPECT_THAT(refusal.message(), HasSubstr("version 2"));
  EXPECT_THAT(refusal.message(), HasSubstr("knows 1"));
  EXPECT_THAT(notes_of(*open_or_fail(path, *env_)), ElementsAre(1));
}

TEST_F(Open, refuses_a_newer_schema_that_stands_only_in_the_log) {
  const auto path = folder_.file();
  {
    const auto db = open_or_fail({.url = path}, *env_, core_migrations());
  }
  const auto newer = open_or_fail(path, *env_);  // migrates, in the log
  const auto copy = folder_.file("copy.db");
  std::filesystem::copy_file(path + "-wal", copy + "-wal");
  // A copy of a file that is open would drop our locks if it were read by this process.
  ASSERT_EQ(std::system(("cp " + path + " " + copy).c_str()), 0);
  const auto log = read_bytes(copy + "-wal");
  const auto bytes = read_bytes(copy);
  EXPECT_EQ(refusal_of({.url = copy}, core_migrations()).code(), Code::unsupported);
  EXPECT_EQ(read_bytes(copy), bytes);
  EXPECT_EQ(read_bytes(copy + "-wal"), log);
}

TEST_F(Open, refuses_what_is_no_database) {
  for (const auto& bytes :
       {std::string(5000, 'x'), std::string("short"), std::string(4096, '\0')}) {
    write_bytes(folder_.file(), bytes);
    const auto refusal = expect_untouched_refusal(folder_.file());
    EXPECT_EQ(refusal.code(), Code::corrupt) << refusal.to_string();
  }
}

TEST_F(Open, refuses_a_file_that_was_cut_short) {
  const auto path = make_file(100);
  const auto whole = read_bytes(path);
  for (const std::size_t size : {whole.size() - 1, whole.size() - 4096, std::size_t{4096}}) {
    write_bytes(path, whole.substr(0, size));
    EXPECT_EQ(expect_untouched_refusal(path).code(), Code::corrupt) << size;
  }
}

TEST_F(Open, damaged_files_are_refused_or_read_right_but_never_changed_or_believed) {
  const auto path = make_file(300);
  const auto whole = read_bytes(path);
  const char* seed_text = std::getenv("CLEW_SEED");
  const auto seed = seed_text != nullptr ? std::stoul(seed_text) : 20261121UL;
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    auto bytes = whole;
    const auto page = random() % (whole.size() / 4096);
    const auto offset = page * 4096 + (page == 0 ? 100 : 0) + random() % 16;  // a page's header
    bytes[offset] = static_cast<char>(bytes[offset] ^ static_cast<char>(1 + random() % 255));
    write_bytes(path, bytes);
    const auto refusal = refusal_of({.url = path, .read_only = true}, test_migrations());
    if (refusal.code() == Code::internal) continue;  // it opened: bytes that say nothing
    EXPECT_EQ(refusal.code(), Code::corrupt) << offset << ": " << refusal.to_string();
    EXPECT_EQ(expect_untouched_refusal(path).code(), Code::corrupt) << offset;
    ++refused;
  }
  EXPECT_GT(refused, 20);
}

// Changes a file of ours as any tool could.
void change_file(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
  sqlite3_close(db);
}

TEST_F(Open, refuses_a_file_that_lacks_what_its_version_promises) {
  const auto whole = read_bytes(make_file(3));
  const struct {
    const char* damage;
    const char* names;
  } cases[] = {
      {"DROP TABLE events", "table events"},
      {"DROP TABLE leases", "index leases_open"},  // the first of what went with it
      {"DROP TABLE owners", "table owners"},
      {"DROP TABLE notes", "table notes"},
      {"ALTER TABLE notes RENAME TO noted", "table notes"},
      {"DROP INDEX leases_open", "index leases_open"},
      {"ALTER TABLE events DROP COLUMN data", "column events.data TEXT"},
      {"ALTER TABLE owners RENAME COLUMN pid TO process", "column owners.pid INTEGER"},
  };
  for (const auto& [damage, names] : cases) {
    write_bytes(folder_.file(), whole);
    change_file(folder_.file(), damage);
    const auto refusal = expect_untouched_refusal(folder_.file());
    EXPECT_EQ(refusal.code(), Code::corrupt) << damage;
    EXPECT_THAT(refusal.message(), HasSubstr(names)) << damage;
    const auto reader = refusal_of({.url = folder_.file(), .read_only = true}, test_migrations());
    EXPECT_EQ(reader.code(), Code::corrupt) << damage;
  }
}

TEST_F(Open, refuses_a_file_whose_version_was_set_back) {
  const auto whole = read_bytes(make_file(3));
  const std::pair<const char*, const char*> cases[] = {{"0", "index leases_open"},
                                                       {"1", "table notes"}};
  for (const auto& [version, names] : cases) {
    write_bytes(folder_.file(), whole);
    change_file(folder_.file(), std::string("PRAGMA user_version=") + version);
    const auto refusal = expect_untouched_refusal(folder_.file());
    EXPECT_EQ(refusal.code(), Code::corrupt) << version;
    EXPECT_THAT(refusal.message(), HasSubstr(names)) << version;
  }
}

TEST_F(Open, sees_that_a_table_is_gone_though_only_the_log_says_so) {
  const auto path = make_file(3);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "DROP TABLE events", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto copy = folder_.file("copy.db");  // as a killed process would have left it
  ASSERT_EQ(std::system(("cp " + path + " " + copy).c_str()), 0);
  ASSERT_EQ(std::system(("cp " + path + "-wal " + copy + "-wal").c_str()), 0);
  sqlite3_close(db);
  const auto log = read_bytes(copy + "-wal");
  const auto bytes = read_bytes(copy);
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(refusal_of({.url = copy}, test_migrations()).code(), Code::corrupt);
  EXPECT_EQ(read_bytes(copy), bytes);
  EXPECT_EQ(read_bytes(copy + "-wal"), log);
}

TEST_F(Open, takes_what_others_added_beside_its_schema) {
  const auto path = make_file(3);
  change_file(path, "CREATE TABLE mine (x); CREATE INDEX by_body ON notes (body); ANALYZE");
  EXPECT_THAT(notes_of(*open_or_fail(path, *env_)), ElementsAre(1, 2, 3));
}

TEST_F(Open, refuses_paths_that_cannot_be_opened_and_says_why) {
  const auto folder = refusal_of({.url = folder_.path()}, test_migrations());
  EXPECT_EQ(folder.code(), Code::unavailable);
  EXPECT_THAT(folder.message(), HasSubstr("folder"));
  const auto missing = refusal_of({.url = folder_.file("no/such/work.db")}, test_migrations());
  EXPECT_EQ(missing.code(), Code::unavailable);
  EXPECT_THAT(missing.message(), HasSubstr("does not exist"));
  const auto through_file = [&] {
    write_bytes(folder_.file("plain"), "x");
    return refusal_of({.url = folder_.file("plain/work.db")}, test_migrations());
  }();
  EXPECT_EQ(through_file.code(), Code::unavailable);
}

TEST_F(Open, refuses_urls_and_options_that_mean_nothing) {
  const DatabaseOptions wrong[] = {
      {.url = ""},
      {.url = "mysql://user:secret@host/db"},
      {.url = std::string("a\0b", 3)},
      {.url = ":memory:", .read_only = true},
      {.url = ":memory:", .group_max = 0},
      {.url = ":memory:", .queue_max = 0},
      {.url = ":memory:", .readers_max = -1},
  };
  for (const auto& options : wrong) {
    const auto refusal = refusal_of(options, test_migrations());
    EXPECT_EQ(refusal.code(), Code::invalid_input) << options.url;
    EXPECT_THAT(refusal.to_string(), testing::Not(HasSubstr("secret")));
  }
}

TEST_F(Open, path_that_looks_like_a_uri_is_a_path) {
  const auto old = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  {
    EXPECT_NE(open_or_fail("file:work.db?mode=memory", *env_), nullptr);
  }
  std::filesystem::current_path(old);
  EXPECT_THAT(folder_.names(), ElementsAre("file:work.db?mode=memory"));
}

TEST_F(Open, read_only_reads_and_refuses_to_write) {
  const auto path = make_file(2);
  const auto bytes = read_bytes(path);
  {
    const auto db = open_or_fail({.url = path, .read_only = true}, *env_, test_migrations());
    EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
    EXPECT_EQ(code_of(db->write(adding(3))), Code::unsupported);
    EXPECT_THAT(*db->check_integrity(), IsEmpty());
  }
  EXPECT_EQ(read_bytes(path), bytes);
  EXPECT_EQ(refusal_of({.url = folder_.file("none.db"), .read_only = true}, {}).code(),
            Code::unavailable);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("none.db")));
}

// As a user without rights; root may do everything.
TEST_F(Open, file_without_permission_is_refused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const auto path = make_file(1);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  const auto as_nobody = [&](mode_t mode, bool read_only) {
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_EQ(seteuid(65534), 0);
    const auto refusal = refusal_of({.url = path, .read_only = read_only}, test_migrations());
    EXPECT_EQ(seteuid(0), 0);
    return refusal;
  };
  EXPECT_EQ(as_nobody(0600, false).code(), Code::unavailable);
  EXPECT_EQ(as_nobody(0644, false).code(), Code::unsupported);
  EXPECT_EQ(as_nobody(0644, true).message(), "it opened");
  EXPECT_THAT(folder_.names(), ElementsAre("work.db"));
}

TEST_F(Open, fault_at_open_is_its_error) {
  const Armed fault("store.open");
  EXPECT_EQ(refusal_of({.url = folder_.file()}, test_migrations()).code(), Code::unavailable);
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_F(Open, many_at_once_make_one_database) {
  Threads threads;
  for (int i = 0; i < 8; ++i) {
    threads.start("opener", [&, i] {
      const auto db = open_or_fail(folder_.file(), *env_);
      ASSERT_NE(db, nullptr);
      EXPECT_TRUE(db->write(adding(i)));
    });
  }
  threads.join();
  EXPECT_EQ(notes_of(*open_or_fail(folder_.file(), *env_)).size(), 8U);
}

TEST_F(Open, log_of_a_long_session_does_not_grow_without_bound) {
  const auto db = open_or_fail(folder_.file(), *env_);
  const std::string body(100'000, 'x');
  for (int i = 1; i <= 400; ++i) {  // 40 MB through a log that is moved at 16 MiB
    ASSERT_TRUE(
        db->write([&](Transaction& tx) { return add_note(tx, i, body); }, Durability::relaxed));
  }
  // Who writes faster than the log is moved, on a busy machine, finds it moved a little later.
  EXPECT_LT(std::filesystem::file_size(folder_.file() + "-wal"), 35'000'000U);
}

class Migrate : public Open {};

TEST_F(Migrate, applies_what_is_missing_in_order) {
  {
    const auto db = open_or_fail({.url = folder_.file()}, *env_, core_migrations());
  }
  const auto db = open_or_fail(folder_.file(), *env_);
  EXPECT_TRUE(db->write(adding(1)));
}

TEST_F(Migrate, a_reader_refuses_what_it_would_have_to_migrate) {
  {
    const auto db = open_or_fail({.url = folder_.file()}, *env_, core_migrations());
  }
  const auto refusal = refusal_of({.url = folder_.file(), .read_only = true}, test_migrations());
  EXPECT_EQ(refusal.code(), Code::unsupported);
  EXPECT_THAT(refusal.message(), HasSubstr("version 1"));
}

TEST_F(Migrate, step_that_fails_leaves_the_version_before_it) {
  auto broken = test_migrations();
  broken.push_back({3, "broken", "CREATE TABLE more (x INTEGER); SELECT no_such_function();"});
  const auto refusal = refusal_of({.url = folder_.file()}, broken);
  EXPECT_EQ(refusal.code(), Code::internal);
  ASSERT_NE(refusal.find("migration"), nullptr);
  EXPECT_EQ(refusal.find("migration")->as_string(), "broken");
  const auto db = open_or_fail(folder_.file(), *env_);  // version 2, and no table of version 3
  ASSERT_NE(db, nullptr);
  const auto tables = db->read([](Transaction& tx) -> Result<void> {
    static const Statement sql("SELECT 1 FROM more");
    CLEW_TRY(tx.first(sql, [](const Row&) { return Result<void>(); }));
    return {};
  });
  EXPECT_EQ(code_of(tables), Code::internal) << "no such table";
}

TEST_F(Migrate, step_may_not_end_its_transaction) {
  auto broken = core_migrations();
  broken.push_back({2, "ends", "CREATE TABLE more (x INTEGER); COMMIT;"});
  EXPECT_EQ(refusal_of({.url = folder_.file()}, broken).code(), Code::unsupported);
  EXPECT_NE(open_or_fail({.url = folder_.file()}, *env_, core_migrations()), nullptr);
}

TEST_F(Migrate, versions_must_count_from_one_without_gaps) {
  EXPECT_THROW((void)newest_version({{2, "x", ""}}), CheckFailure);
  EXPECT_THROW((void)newest_version({{1, "x", ""}, {3, "y", ""}}), CheckFailure);
  EXPECT_EQ(newest_version({}), 0);
}

}  // namespace
}  // namespace clew::store
