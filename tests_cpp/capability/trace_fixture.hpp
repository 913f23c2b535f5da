// What the tests of the trace store share: a store on a database of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clew/base/base.hpp"
#include "clew/capability/trace.hpp"
#include "clew/store/migrate.hpp"
#include "store/postgres.hpp"

namespace clew::trace_testing {

inline constexpr Duration flush_within = std::chrono::milliseconds(5);

inline CapabilityPtr make_capability(const std::string& id, const std::string& version) {
  auto capability = std::make_shared<Capability>();
  capability->contract.id = id;
  capability->version_text = version;
  return capability;
}

// One trace store on a database of its own, with a clock that stands still.
class TraceTest : public testing::Test {
 protected:
  void open(TraceRetention retention = {}) {
    store::DatabaseOptions options;
    options.url = url_;
    auto migrations = store::core_migrations();
    migrations.push_back(trace_migration(static_cast<int>(migrations.size()) + 1));
    migrations.push_back(trace_path_migration(static_cast<int>(migrations.size()) + 1));
    auto opened = store::Database::open(options, migrations, *database_env_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    database_ = std::move(opened).value();
    traces_ = make_trace_store(*database_, *env_, retention, flush_within);
  }
  void close() {
    if (traces_) traces_->close();
    traces_.reset();
    if (database_) database_->close(Timestamp::never());
    database_.reset();
  }
  void TearDown() override {
    for (const auto* point : {"store.commit.before", "store.commit.after"}) {
      if (auto* fault = find_fault_point(point)) fault->disarm();
    }
    close();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void use_file() {
    std::string pattern = std::filesystem::temp_directory_path() / "clew-trace-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    url_ = (folder_ / "work.db").string();
  }

  // A successful bare call that started now.
  TraceRecord make_record() {
    TraceRecord record;
    record.id = env_->ids().next();
    record.capability = words_;
    record.target = "local";
    record.executor = "pool";
    record.started = clock_.now();
    record.input = Value::object({{"doc", Value("a b c")}});
    record.output = Value(3);
    record.has_output = true;
    return record;
  }
  Id record_one() {
    auto record = make_record();
    const auto id = record.id;
    traces_->record(std::move(record));
    return id;
  }
  void record_many(int count) {
    for (int i = 0; i < count; ++i) record_one();
  }
  Result<store::CommitInfo> insert(const TraceRecord& record) {
    return database_->write([&](store::Transaction& tx) { return traces_->insert(tx, record); });
  }

  TracePage page_of(const TraceQuery& query) {
    auto page = traces_->query(query);
    EXPECT_TRUE(page) << page.error().to_string();
    return page ? *page : TracePage();
  }
  std::vector<Id> ids_of(const TraceQuery& query) {
    std::vector<Id> ids;
    for (const auto& trace : page_of(query).traces) ids.push_back(trace.id);
    return ids;
  }
  // What is in the table now, without writing what is pending.
  std::int64_t rows() {
    std::int64_t count = -1;
    auto read = database_->read([&](store::Transaction& tx) -> Result<void> {
      store::VisitRow visit = [&](const store::Row& row) -> Result<void> {
        CLEW_TRY(count, row.integer(0));
        return {};
      };
      return tx.each_text("SELECT count(*) FROM traces", {}, visit);
    });
    EXPECT_TRUE(read) << read.error().to_string();
    return count;
  }
  // Every text and every blob of every row, one after the other.
  std::string dump() {
    std::string all;
    auto read = database_->read([&](store::Transaction& tx) {
      store::VisitRow visit = [&](const store::Row& row) -> Result<void> {
        for (int i = 0; i < row.columns(); ++i) {
          const auto cell = row.cell(i);
          if (const auto* text = std::get_if<std::string>(&cell)) all += *text + "\n";
          if (const auto* bytes = std::get_if<std::vector<std::uint8_t>>(&cell)) {
            all.append(bytes->begin(), bytes->end());
          }
        }
        return {};
      };
      return tx.each_text("SELECT * FROM traces", {}, visit);
    });
    EXPECT_TRUE(read) << read.error().to_string();
    return all;
  }
  void change_rows(const char* sql) {
    auto changed = database_->write([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run_text(sql, {}));
      return {};
    });
    ASSERT_TRUE(changed) << changed.error().to_string();
  }
  // Waits, in real time, until the flusher sleeps until then.
  bool flusher_sleeps_until(Timestamp then) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (clock_.next_deadline() != then) {
      if (std::chrono::steady_clock::now() > patience) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // Of an empty store, just opened: waits until its flusher, if it has one, has swept once.
  bool flusher_has_begun() {
    return database_->is_memory() || flusher_sleeps_until(clock_.now() + TraceRetention().age_max);
  }
  // Runs `action` before each commit, whose error fails it; an empty one ends that.
  static void during_commits(Function<Result<void>()> action) {
    auto* fault = find_fault_point("store.commit.before");
    CLEW_CHECK(fault != nullptr);
    fault->disarm();
    if (action) fault->arm(std::move(action));
  }
  static void break_commits() {
    during_commits([]() -> Result<void> { return Error(Code::unavailable, "the disk is away"); });
  }

  std::string url_ = ":memory:";
  std::filesystem::path folder_;
  PostgresSchema schema_;
  ManualClock clock_;
  std::unique_ptr<Env> env_ = make_seeded_env(clock_, 1);
  // The database has real time, so that only the flusher waits on `clock_`.
  std::unique_ptr<Env> database_env_ = make_real_env();
  CapabilityPtr words_ = make_capability("text.words", "1.2.0");
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<TraceStore> traces_;
};

// Cases that hold for memory (0), files (1) and PostgreSQL (2) alike.
class TraceStoreSuite : public TraceTest, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    if (GetParam() == 1) use_file();
    if (GetParam() == 2) url_ = schema_.url();
  }
};

}  // namespace clew::trace_testing
