// What a failing disk does to one database: the single faults of FaultDisk, and the rules that a
// store on it keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "clew/base/env.hpp"
#include "clew/store/store.hpp"
#include "clew/testkit/fault_vfs.hpp"
#include "testkit/disk_support.hpp"

namespace clew::testkit {
namespace {

using store::Database;
using store::Durability;
using store::Migration;
using store::Row;
using store::Statement;
using store::Transaction;
using testing::AnyOf;
using testing::ElementsAre;

std::vector<Migration> notes_only() {
  return {
      {1, "notes", "CREATE TABLE notes (id {integer} PRIMARY KEY, body TEXT NOT NULL) {table};"}};
}

Result<void> add(Transaction& tx, std::int64_t id, std::string_view body = "") {
  static const Statement sql("INSERT INTO notes (id, body) VALUES (:id, :body)");
  CLEW_TRY(tx.run(sql, id, body));
  return {};
}

store::Apply adding(std::int64_t id) {
  return [id](Transaction& tx) { return add(tx, id); };
}

Result<std::vector<std::int64_t>> notes_of(Database& database) {
  static const Statement sql("SELECT id FROM notes ORDER BY id");
  std::vector<std::int64_t> ids;
  const auto done = database.read([&](Transaction& tx) {
    ids.clear();
    return tx.each(sql, [&](const Row& row) -> Result<void> {
      CLEW_TRY(const auto id, row.integer(0));
      ids.push_back(id);
      return {};
    });
  });
  if (!done) return done.error();
  return ids;
}

template <typename T>
Code code_of(const Result<T>& result) {
  EXPECT_FALSE(result) << "no error";
  return result ? Code::internal : result.error().code();
}

class Disk : public testing::Test {
 protected:
  Result<std::unique_ptr<Database>> try_open() {
    return Database::open({.url = folder_.file()}, notes_only(), *env_);
  }
  std::unique_ptr<Database> open() {
    auto opened = try_open();
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? *std::move(opened) : nullptr;
  }
  std::vector<std::int64_t> notes_after_power_cut(Tail tail = Tail::lost) {
    disk_->cut(tail, 5);
    const auto db = open();
    EXPECT_THAT(*db->check_integrity(), testing::IsEmpty());
    return *notes_of(*db);
  }
  StoreFolder folder_;
  std::optional<FaultDisk> disk_{folder_.path()};
  std::unique_ptr<Env> env_ = make_real_env();
};

TEST_F(Disk, a_power_cut_takes_what_was_not_synced_and_ends_all_handles) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  ManualClock still;
  const auto paused = make_seeded_env(still, 1);  // nothing is synced behind the test's back
  const auto relaxed = Database::open({.url = folder_.file()}, notes_only(), *paused).value();
  ASSERT_TRUE(relaxed->write(adding(2), Durability::relaxed));
  EXPECT_THAT(*notes_of(*db), ElementsAre(1, 2)) << "it is written";
  disk_->cut();
  EXPECT_FALSE(db->write(adding(3)));
  EXPECT_FALSE(notes_of(*db));
  EXPECT_TRUE(db->close(Timestamp::never()));
  EXPECT_TRUE(relaxed->close(Timestamp::never()));
  EXPECT_THAT(*notes_of(*open()), ElementsAre(1));
}

TEST_F(Disk, a_commit_whose_sync_failed_is_in_doubt_and_ends_the_handle) {
  {
    const auto db = open();
    ASSERT_TRUE(db->write(adding(1)));
    disk_->arm({.fault = DiskFault::sync_error});
    const auto doubt = db->write(adding(2));
    EXPECT_EQ(code_of(doubt), Code::unknown_outcome);
    EXPECT_FALSE(doubt.error().retryable());
    EXPECT_EQ(*doubt.error().find("sqlite"), Value("SQLITE_IOERR_FSYNC"));
    EXPECT_EQ(db->durable_up_to(), 1U);
    const auto refused = db->write(adding(3));
    EXPECT_EQ(code_of(refused), Code::unavailable);
    EXPECT_THAT(*notes_of(*db), ElementsAre(1)) << "reading goes on";
  }
  EXPECT_THAT(*notes_of(*open()), AnyOf(ElementsAre(1), ElementsAre(1, 2)));
}

// The system forgets that what it failed to write is not on the disk, and still shows it.
TEST_F(Disk, what_is_acknowledged_after_a_failed_sync_survives_a_power_cut) {
  std::vector<std::int64_t> shown;
  {
    const auto db = open();
    ASSERT_TRUE(db->write(adding(1)));
    disk_->arm({.fault = DiskFault::sync_error});
    ASSERT_EQ(code_of(db->write(adding(2))), Code::unknown_outcome);
  }
  {
    const auto db = open();
    shown = *notes_of(*db);
    for (int id = 3; id < 40; ++id) {
      ASSERT_TRUE(db->write(adding(id)));
      shown.push_back(id);
    }
    disk_->cut();
  }
  EXPECT_EQ(*notes_of(*open()), shown);
}

TEST_F(Disk, a_disk_that_is_full_for_a_moment_costs_nobody_in_the_group_anything) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  std::map<int, Result<store::CommitInfo>> outcomes;
  const auto submit = [&](int id, store::Apply apply) {
    db->submit({std::move(apply), [&, id](auto outcome) { outcomes.insert({id, outcome}); }});
  };
  // The first holds the writer; the rest are one group. What is too big is spilled into the log
  // before the commit, where it meets the full disk.
  Mutex mutex;
  Condition changed;
  bool is_inside = false;
  bool may_go = false;
  submit(0, [&](Transaction&) -> Result<void> {
    Lock lock(mutex);
    is_inside = true;
    changed.notify_all();
    while (!may_go) changed.wait(lock);
    return {};
  });
  {
    Lock lock(mutex);
    while (!is_inside) changed.wait(lock);
  }
  submit(2, adding(2));
  submit(3, [](Transaction& tx) { return add(tx, 3, std::string(90'000'000, 'x')); });
  submit(4, adding(4));
  disk_->arm({.fault = DiskFault::full});
  {
    const Lock lock(mutex);
    may_go = true;
    changed.notify_all();
  }
  EXPECT_TRUE(db->close(Timestamp::never()));
  EXPECT_TRUE(outcomes.at(2)) << outcomes.at(2).error().to_string();
  EXPECT_TRUE(outcomes.at(4)) << outcomes.at(4).error().to_string();
  EXPECT_TRUE(outcomes.at(3)) << "there was room when it ran alone";
  EXPECT_TRUE(disk_->has_struck());
  EXPECT_EQ(db->stats().reruns, 2) << "the last had not run yet";
  EXPECT_THAT(*notes_of(*open()), ElementsAre(1, 2, 3, 4));
}

TEST_F(Disk, a_reader_that_cannot_read_says_so_and_the_next_one_reads) {
  {
    const auto db = open();
    ASSERT_TRUE(db->write([](Transaction& tx) -> Result<void> {
      for (int id = 1; id <= 200; ++id) CLEW_TRY(add(tx, id, std::string(1000, 'x')));
      return {};
    }));
  }
  const auto db = open();
  disk_->arm({.fault = DiskFault::read_error, .at = 1});
  const auto failed = notes_of(*db);
  EXPECT_EQ(code_of(failed), Code::unavailable);
  EXPECT_TRUE(disk_->has_struck());
  EXPECT_EQ(notes_of(*db)->size(), 200U);
  EXPECT_TRUE(db->write(adding(201)));
}

TEST_F(Disk, a_read_only_disk_is_told_at_open) {
  {
    ASSERT_TRUE(open()->write(adding(1)));
  }
  disk_->arm({.fault = DiskFault::read_only, .is_for_ever = true});
  const auto refused = try_open();
  EXPECT_EQ(code_of(refused), Code::unsupported) << refused.error().to_string();
  disk_->disarm();
  EXPECT_THAT(*notes_of(*open()), ElementsAre(1));
}

// What became of the writes of a long run, by id.
struct Told {
  std::vector<std::int64_t> kept;     // acknowledged, in order
  std::vector<std::int64_t> refused;  // for certain
  std::int64_t last_synced = 0;
};

// Enough to move the log into the file twice, every third write without waiting for its sync.
Told write_much(Database& database) {
  Told told;
  for (std::int64_t id = 1; id <= 400; ++id) {
    const bool is_relaxed = id % 3 == 0;
    const auto done =
        database.write([id](Transaction& tx) { return add(tx, id, std::string(100'000, 'x')); },
                       is_relaxed ? Durability::relaxed : Durability::sync);
    if (done) {
      told.kept.push_back(id);
      if (!is_relaxed) told.last_synced = id;
    } else if (done.error().code() != Code::unknown_outcome) {
      told.refused.push_back(id);
    }
  }
  return told;
}

void expect_kept(const Told& told, const std::vector<std::int64_t>& found) {
  const auto has = [&](std::int64_t id) { return std::ranges::binary_search(found, id); };
  bool is_over = false;
  for (const auto id : told.kept) {
    EXPECT_TRUE(has(id) || id > told.last_synced) << id << " was acknowledged as synced";
    is_over = is_over || !has(id);
    EXPECT_FALSE(is_over && has(id)) << id << " is there, and one before it is lost";
  }
  for (const auto id : told.refused) EXPECT_FALSE(has(id)) << id << " was refused";
}

class LongRun : public testing::TestWithParam<int> {};

TEST_P(LongRun, keeps_what_was_synced_also_while_the_log_is_moved_into_the_file) {
  const auto fault = static_cast<DiskFault>(GetParam());
  const char* given = std::getenv("CLEW_SEED");
  const std::uint64_t seed = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  std::mt19937_64 random(seed * 16 + static_cast<std::uint64_t>(fault));
  const auto env = make_real_env();
  const int runs = std::getenv("CLEW_STRESS") != nullptr ? 60 : 3;
  int calls = 0;
  for (int i = 0; i <= runs; ++i) {
    const int at = calls == 0 ? 0 : 1 + static_cast<int>(random() % static_cast<unsigned>(calls));
    SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed << ", call " << at << " of " << calls);
    const StoreFolder folder;
    const auto tail = random() % 2 == 0 ? Tail::lost : Tail::mixed;
    Told told;
    {
      FaultDisk disk(folder.path());
      {
        const auto opened = Database::open({.url = folder.file()}, notes_only(), *env);
        ASSERT_TRUE(opened) << opened.error().to_string();
        disk.arm({.fault = fault, .at = at, .tail = tail, .seed = random()});
        told = write_much(**opened);
        if (calls == 0) calls = disk.calls(fault);
      }
      disk.cut(tail, random());
    }
    const auto opened = Database::open({.url = folder.file()}, notes_only(), *env);
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_THAT(*(*opened)->check_integrity(), testing::IsEmpty());
    expect_kept(told, *notes_of(**opened));
    if (HasFailure() || calls == 0) return;
  }
}

std::string fault_name(const testing::TestParamInfo<int>& info) {
  return std::string(name(static_cast<DiskFault>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Faults, LongRun, testing::Range(3, disk_faults), fault_name);

// Opening makes, marks and migrates a file; each of its calls to the disk can be the one that
// fails.
class Opening : public testing::TestWithParam<int> {};

TEST_P(Opening, leaves_a_file_that_opens_wherever_it_is_interrupted) {
  const auto fault = static_cast<DiskFault>(GetParam());
  const auto env = make_real_env();
  const auto open_in = [&](const StoreFolder& folder) {
    return Database::open({.url = folder.file()}, notes_only(), *env);
  };
  bool is_met = true;
  for (int at = 1; is_met; ++at) {
    for (const auto tail : {Tail::lost, Tail::mixed}) {
      SCOPED_TRACE(testing::Message() << "call " << at << (tail == Tail::lost ? "" : ", mixed"));
      const StoreFolder folder;
      {
        FaultDisk disk(folder.path());
        disk.arm({.fault = fault, .at = at, .tail = tail, .seed = static_cast<std::uint64_t>(at)});
        {
          const auto opened = open_in(folder);
          is_met = disk.has_struck();
          if (!opened) {
            EXPECT_NE(opened.error().code(), Code::internal) << opened.error().to_string();
          }
        }
        if (at % 2 == 0) disk.cut(tail, static_cast<std::uint64_t>(at));
      }
      const auto again = open_in(folder);
      const bool deceives = fault == DiskFault::bit_flip || fault == DiskFault::short_read;
      if (!again) {
        EXPECT_TRUE(deceives) << again.error().to_string();
      } else {
        EXPECT_TRUE((*again)->write(adding(1)));
        EXPECT_THAT(*(*again)->check_integrity(), testing::IsEmpty());
      }
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, Opening, testing::Range(0, disk_faults), fault_name);

}  // namespace
}  // namespace clew::testkit
