#include <fmt/core.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;

constexpr auto window = std::chrono::milliseconds(20);

// On virtual time, so that nothing is synced behind the test's back.
class Durable : public testing::Test {
 protected:
  std::unique_ptr<Database> open() {
    return open_or_fail({.url = folder_.file(), .relaxed_window = window}, *env_,
                        test_migrations());
  }
  Folder folder_;
  ManualClock clock_;
  std::unique_ptr<Env> env_ = make_seeded_env(clock_, 1);
};

TEST_F(Durable, sync_write_is_durable_when_acknowledged) {
  const auto db = open();
  const auto info = db->write(adding(1));
  ASSERT_TRUE(info);
  EXPECT_EQ(db->durable_up_to(), info->number);
  EXPECT_EQ(db->stats().syncs, 1);
}

TEST_F(Durable, relaxed_write_is_synced_when_the_window_ends_and_not_before) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  EXPECT_EQ(db->written_up_to(), 1U);
  EXPECT_EQ(db->durable_up_to(), 0U);
  EXPECT_EQ(db->stats().syncs, 0);
  ASSERT_TRUE(clock_.await_waiters(1)) << "the writer waits for the window's end";
  EXPECT_EQ(clock_.next_deadline(), clock_.now() + window);

  clock_.advance(window - Duration(1));
  EXPECT_EQ(db->durable_up_to(), 0U);

  clock_.advance(Duration(1));
  ASSERT_TRUE(db->await_durable(1, Timestamp::never()));
  EXPECT_EQ(db->durable_up_to(), 1U);
  EXPECT_EQ(db->stats().syncs, 1);
}

TEST_F(Durable, many_relaxed_writes_share_one_late_sync) {
  const auto db = open();
  for (int i = 1; i <= 10; ++i) ASSERT_TRUE(db->write(adding(i), Durability::relaxed));
  ASSERT_TRUE(db->await_durable(10, Timestamp::never()));
  EXPECT_EQ(db->stats().syncs, 1);
  EXPECT_EQ(db->stats().commits, 10);
}

TEST_F(Durable, sync_write_makes_earlier_relaxed_ones_durable) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  ASSERT_TRUE(db->write(adding(2), Durability::sync));
  EXPECT_EQ(db->durable_up_to(), 2U);
}

TEST_F(Durable, one_sync_writer_makes_its_whole_group_sync) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    db->submit({adding(1), outcomes.recorder(1), Durability::relaxed});
    db->submit({adding(2), outcomes.recorder(2), Durability::sync});
    db->submit({adding(3), outcomes.recorder(3), Durability::relaxed});
  }
  outcomes.wait(3);
  EXPECT_EQ(db->durable_up_to(), db->written_up_to());
}

TEST_F(Durable, waiting_for_what_is_not_written_times_out) {
  const auto db = open();
  EXPECT_EQ(code_of(db->await_durable(1, clock_.now())), Code::timeout);
  ASSERT_TRUE(db->write(adding(1)));
  EXPECT_TRUE(db->await_durable(1, clock_.now()));
}

TEST_F(Durable, close_syncs_what_is_still_relaxed) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  EXPECT_TRUE(db->close(Timestamp::never()));
  EXPECT_EQ(db->durable_up_to(), 1U);
  EXPECT_EQ(db->stats().syncs, 1);
  EXPECT_THAT(notes_of(*open()), ElementsAre(1));
}

TEST_F(Durable, failed_late_sync_fails_the_database) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  const Armed fault("store.sync");
  EXPECT_EQ(code_of(db->await_durable(1, Timestamp::never())), Code::unavailable);
  EXPECT_EQ(db->durable_up_to(), 0U);
  const auto refused = db->write(adding(2));
  EXPECT_EQ(code_of(refused), Code::unavailable);
  EXPECT_NE(refused.error().find("failure"), nullptr);
}

TEST_F(Durable, memory_is_as_durable_as_it_gets) {
  const auto db = open_or_fail(":memory:", *env_);
  ASSERT_TRUE(db->write(adding(1), Durability::relaxed));
  EXPECT_EQ(db->durable_up_to(), 1U);
  EXPECT_EQ(db->stats().syncs, 0);
}

TEST_F(Durable, failed_sync_of_a_commit_refuses_everything_until_opened_again) {
  {
    const auto db = open();
    ASSERT_TRUE(db->write(adding(1)));
    Outcomes outcomes;
    {
      HeldWriter held(*db);
      const Armed fault("store.sync", {2});  // the first is that of the held write
      db->submit({adding(2), outcomes.recorder(2)});
      db->submit({adding(3), outcomes.recorder(3)});
      held.release();
      outcomes.wait(2);
    }
    EXPECT_EQ(code_of(outcomes.of(2)), Code::unavailable);
    EXPECT_EQ(code_of(outcomes.of(3)), Code::unavailable);
    EXPECT_EQ(code_of(db->write(adding(4))), Code::unavailable);
    EXPECT_EQ(db->stats().reruns, 0) << "nothing is tried again on a disk that lies";
    EXPECT_THAT(notes_of(*db), ElementsAre(1)) << "reading goes on";
  }
  const auto db = open();
  EXPECT_TRUE(db->write(adding(4)));
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 4));
}

// What a killed process leaves is what a copy shows.
TEST_F(Durable, log_with_zeros_behind_its_end_holds_every_commit_and_no_other) {
  const auto db = open();
  const auto log = folder_.file() + "-wal";
  const auto size_of_log = [&] { return std::filesystem::file_size(log); };
  std::vector<std::int64_t> notes;
  for (int i = 1; i <= 300; ++i) {
    ASSERT_TRUE(db->write(adding(i)));
    notes.push_back(i);
    EXPECT_GE(size_of_log(), 64U * 4096U);
    if (i % 60 != 0) continue;
    const auto copy = fmt::format("{}-{}", folder_.file(), i);
    std::filesystem::copy_file(log, copy + "-wal");
    std::filesystem::copy_file(folder_.file(), copy);
    const auto other = open_or_fail({.url = copy}, *env_, test_migrations());
    EXPECT_EQ(notes_of(*other), notes);
    EXPECT_THAT(*other->check_integrity(), testing::IsEmpty());
    ASSERT_TRUE(other->write(adding(1000)));
  }
  const auto before = size_of_log();
  ASSERT_TRUE(db->write(adding(1001)));
  EXPECT_EQ(size_of_log(), before) << "a commit overwrites";
}

// Lets no file of this process grow beyond `bytes` for a scope: to a writer the disk is full then.
class FilesUpTo {
 public:
  explicit FilesUpTo(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit{bytes, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FilesUpTo() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  FilesUpTo(const FilesUpTo&) = delete;
  FilesUpTo& operator=(const FilesUpTo&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int);
};

TEST_F(Durable, disk_without_room_for_zeros_gets_it_back_and_takes_the_commits) {
  const FilesUpTo full(60U * 4096U);
  const auto db = open();
  std::vector<std::int64_t> notes;
  for (int i = 1; i <= 10; ++i) {
    ASSERT_TRUE(db->write(adding(i)));
    notes.push_back(i);
  }
  EXPECT_LT(std::filesystem::file_size(folder_.file() + "-wal"), 40U * 4096U);
  EXPECT_EQ(notes_of(*db), notes);
}

}  // namespace
}  // namespace clew::store
