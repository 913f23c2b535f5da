// What the disk and other processes can do to a database: full, busy, a sync that fails.
#include <sqlite3.h>

#include <cstring>
#include <fstream>

#include "clew/store/detail/sqlite_errors.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SqliteErrors, each_result_code_has_its_class) {
  struct Case {
    int code;
    Code ours;
    bool retryable;
  };
  const Case cases[] = {
      {SQLITE_BUSY, Code::unavailable, true},
      {SQLITE_BUSY_SNAPSHOT, Code::unavailable, true},
      {SQLITE_LOCKED_SHAREDCACHE, Code::unavailable, true},
      {SQLITE_IOERR, Code::unavailable, false},
      {SQLITE_IOERR_FSYNC, Code::unavailable, false},
      {SQLITE_IOERR_WRITE, Code::unavailable, false},
      {SQLITE_IOERR_LOCK, Code::unavailable, false},
      {SQLITE_IOERR_SHORT_READ, Code::corrupt, false},
      {SQLITE_IOERR_NOMEM, Code::resource_exhausted, true},
      {SQLITE_CANTOPEN_ISDIR, Code::unavailable, false},
      {SQLITE_CORRUPT, Code::corrupt, false},
      {SQLITE_CORRUPT_INDEX, Code::corrupt, false},
      {SQLITE_NOTADB, Code::corrupt, false},
      {SQLITE_FULL, Code::resource_exhausted, true},
      {SQLITE_NOMEM, Code::resource_exhausted, true},
      {SQLITE_TOOBIG, Code::resource_exhausted, false},
      {SQLITE_READONLY, Code::unsupported, false},
      {SQLITE_READONLY_DIRECTORY, Code::unsupported, false},
      {SQLITE_READONLY_DBMOVED, Code::unavailable, false},
      {SQLITE_AUTH, Code::unsupported, false},
      {SQLITE_CONSTRAINT_UNIQUE, Code::conflict, false},
      {SQLITE_CONSTRAINT_PRIMARYKEY, Code::conflict, false},
      {SQLITE_CONSTRAINT_NOTNULL, Code::conflict, false},
      {SQLITE_CONSTRAINT_DATATYPE, Code::internal, false},
      {SQLITE_ERROR, Code::internal, false},
      {SQLITE_MISUSE, Code::internal, false},
      {SQLITE_RANGE, Code::internal, false},
      {12345 & ~0xff, Code::internal, false},
  };
  for (const auto& expected : cases) {
    const auto mapped = detail::sqlite_error(expected.code, "test", "detail");
    EXPECT_EQ(mapped.code(), expected.ours) << expected.code;
    EXPECT_EQ(mapped.retryable(), expected.retryable) << expected.code;
  }
}

// Passes everything on to the system's files, but fails syncs and writes on demand.
struct Shim {
  static inline std::atomic<bool> fails_sync{false};
  static inline std::atomic<bool> is_full{false};
  static inline sqlite3_vfs* real = nullptr;
  static inline const sqlite3_io_methods* real_methods = nullptr;
  static inline sqlite3_io_methods database_methods{};
  static inline sqlite3_io_methods log_methods{};
  static inline sqlite3_vfs vfs{};

  static int sync(sqlite3_file* file, int flags) {
    if (fails_sync) return SQLITE_IOERR_FSYNC;
    return real_methods->xSync(file, flags);
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    if (is_full) return SQLITE_FULL;
    return real_methods->xWrite(file, bytes, size, at);
  }
  // The real file with our methods in place of its own. Databases and logs have different tables of
  // methods, which read and write alike.
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    const int code = real->xOpen(real, name, file, flags, out_flags);
    if (code != SQLITE_OK || (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0) return code;
    real_methods = file->pMethods;
    auto& ours = (flags & SQLITE_OPEN_WAL) != 0 ? log_methods : database_methods;
    ours = *real_methods;
    ours.xSync = &Shim::sync;
    ours.xWrite = &Shim::write;
    file->pMethods = &ours;
    return code;
  }
};

class Disk : public testing::Test {
 protected:
  void SetUp() override {
    Shim::real = sqlite3_vfs_find(nullptr);
    Shim::vfs = *Shim::real;
    Shim::vfs.zName = "clew-test-shim";
    Shim::vfs.pNext = nullptr;
    Shim::vfs.xOpen = &Shim::open;
    ASSERT_EQ(sqlite3_vfs_register(&Shim::vfs, 1), SQLITE_OK);
  }
  void TearDown() override {
    Shim::fails_sync = false;
    Shim::is_full = false;
    sqlite3_vfs_unregister(&Shim::vfs);
    sqlite3_vfs_register(Shim::real, 1);
  }
  std::unique_ptr<Database> open() { return open_or_fail(folder_.file(), *env_); }
  Folder folder_;
  std::unique_ptr<Env> env_ = make_real_env();
};

TEST_F(Disk, failed_sync_is_told_and_nothing_is_written_until_opened_again) {
  {
    const auto db = open();
    ASSERT_TRUE(db->write(adding(1)));
    Shim::fails_sync = true;
    const auto failed = db->write(adding(2));
    EXPECT_EQ(code_of(failed), Code::unknown_outcome) << "it may be found when opened again";
    EXPECT_THAT(failed.error().to_string(), HasSubstr("SQLITE_IOERR_FSYNC"));
    Shim::fails_sync = false;  // a disk that seems well again has still lost what it lost
    const auto refused = db->write(adding(3));
    EXPECT_EQ(code_of(refused), Code::unavailable);
    EXPECT_THAT(refused.error().message(), HasSubstr("opened again"));
    EXPECT_EQ(db->durable_up_to(), 1U);
    EXPECT_THAT(notes_of(*db), ElementsAre(1));
  }
  const auto db = open();
  EXPECT_TRUE(db->write(adding(3)));
  EXPECT_THAT(notes_of(*db), testing::AnyOf(ElementsAre(1, 3), ElementsAre(1, 2, 3)))
      << "what failed may or may not be there";
}

TEST_F(Disk, failed_late_sync_is_noticed) {
  const auto db = open();
  Shim::fails_sync = true;
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed)) << "commits without sync";
  EXPECT_EQ(code_of(db->await_durable(1, Timestamp::never())), Code::unavailable);
  EXPECT_EQ(code_of(db->write(adding(2))), Code::unavailable);
}

TEST_F(Disk, full_disk_refuses_writes_until_there_is_room) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  Shim::is_full = true;
  const auto refused = db->write(adding(2));
  EXPECT_EQ(code_of(refused), Code::resource_exhausted);
  Shim::is_full = false;
  EXPECT_TRUE(db->write(adding(3)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 3));
  EXPECT_THAT(*db->check_integrity(), testing::IsEmpty());
}

TEST(Full, write_that_is_too_big_for_the_database_costs_the_others_nothing) {
  const Folder folder;
  const auto env = make_real_env();
  const auto db = open_or_fail({.url = ":memory:"}, *env, test_migrations());
  ASSERT_TRUE(db->write(adding(1)));
  // SQLite's own limit, set through a statement of ours: 64 pages.
  ASSERT_TRUE(db->write([](Transaction& tx) -> Result<void> {
    static const Statement limit("PRAGMA max_page_count=64");
    CLEW_TRY(tx.first(limit, [](const Row&) { return Result<void>(); }));
    return {};
  }));
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    db->submit({adding(2), outcomes.recorder(2)});
    db->submit({[](Transaction& tx) { return add_note(tx, 3, std::string(1'000'000, 'x')); },
                outcomes.recorder(3)});
    db->submit({adding(4), outcomes.recorder(4)});
  }
  outcomes.wait(3);
  EXPECT_TRUE(outcomes.of(2) && outcomes.of(4));
  EXPECT_EQ(code_of(outcomes.of(3)), Code::resource_exhausted);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2, 4));
  EXPECT_EQ(db->stats().reruns, 2) << "the last had not run yet";
}

// Another connection that holds the write lock.
class OtherProgram {
 public:
  explicit OtherProgram(const std::string& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  void let_go() { EXPECT_EQ(sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK); }
  ~OtherProgram() { sqlite3_close(db_); }

 private:
  sqlite3* db_ = nullptr;
};

TEST(Busy, write_waits_for_the_lock_no_longer_than_asked) {
  const Folder folder;
  const auto env = make_real_env();
  const auto db =
      open_or_fail({.url = folder.file(), .busy_timeout = std::chrono::milliseconds(30)}, *env,
                   test_migrations());
  ASSERT_TRUE(db->write(adding(1)));
  OtherProgram other(folder.file());
  const auto refused = db->write(adding(2));
  EXPECT_EQ(code_of(refused), Code::unavailable);
  EXPECT_TRUE(refused.error().retryable());
  EXPECT_THAT(notes_of(*db), ElementsAre(1)) << "readers do not wait";
  other.let_go();
  EXPECT_TRUE(db->write(adding(3)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 3));
}

TEST(Busy, write_goes_through_when_the_lock_is_let_go_in_time) {
  const Folder folder;
  const auto env = make_real_env();
  const auto db = open_or_fail(folder.file(), *env);
  OtherProgram other(folder.file());
  Outcomes outcomes;
  db->submit({adding(1), outcomes.recorder(1)});
  other.let_go();
  outcomes.wait(1);
  EXPECT_TRUE(outcomes.of(1));
}

TEST(Busy, late_close_does_not_wait_for_the_lock) {
  const Folder folder;
  const auto env = make_real_env();
  const auto db = open_or_fail({.url = folder.file(), .busy_timeout = std::chrono::hours(1)}, *env,
                               test_migrations());
  const OtherProgram other(folder.file());
  Outcomes outcomes;
  db->submit({adding(1), outcomes.recorder(1)});
  EXPECT_FALSE(db->close(env->clock().now() + std::chrono::milliseconds(20)));
  outcomes.wait(1);
  EXPECT_FALSE(outcomes.of(1));
}

TEST(OneCopy, exactly_one_sqlite_library_is_in_the_process) {
  // Two copies would drop each other's file locks.
  EXPECT_STREQ(sqlite3_libversion(), SQLITE_VERSION) << "built for another one than is loaded";
  std::ifstream maps("/proc/self/maps");
  std::string line;
  std::vector<std::string> copies;
  while (std::getline(maps, line)) {
    const auto path = line.find('/');
    if (path == std::string::npos || line.find("libsqlite3") == std::string::npos) continue;
    if (copies.empty() || copies.back() != line.substr(path)) copies.push_back(line.substr(path));
  }
  EXPECT_EQ(copies.size(), 1U);
}

}  // namespace
}  // namespace clew::store
