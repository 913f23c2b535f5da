// Two writers of one PostgreSQL database that meet at a row: the test says when which of them goes
// on. SQLite has one writer at a time, so that none of this can happen there.
#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "clew/store/store.hpp"
#include "store/postgres.hpp"

namespace clew {

class Meeting : public testing::Test {
 protected:
  using Written = Result<store::CommitInfo>;

  explicit Meeting(const std::vector<store::Migration>& migrations) {
    url_ = schema_.url() + "&application_name=clew-" + schema_.name();
    client_ = std::make_unique<PostgresClient>(schema_.url());
    one_ = connect(migrations);
    other_ = connect(migrations);
  }

  // Goes on beside the test; returns once a writer waits for a lock that another has, or it ended.
  template <typename Work>
  std::future<std::invoke_result_t<Work>> begin(Work work) {
    auto ended = std::async(std::launch::async, std::move(work));
    while (ended.wait_for(std::chrono::seconds(0)) != std::future_status::ready &&
           ask("SELECT 1 FROM pg_stat_activity WHERE application_name = 'clew-" + schema_.name() +
               "' AND wait_event IN ('transactionid', 'tuple', 'advisory')")
               .empty()) {
    }
    return ended;
  }
  std::future<Written> begin_write(store::Apply apply) {
    return begin(
        [this, apply = std::move(apply)]() mutable { return other_->write(std::move(apply)); });
  }
  // `second` begins when `first` has done its work, and `first` commits once that waits, or has
  // ended.
  void meet(store::Apply first, store::Apply second) {
    std::atomic<bool> has_run = false;
    std::atomic<bool> may_commit = false;
    const auto run_and_wait = [&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(first(tx));
      static const store::Statement flush("SELECT 1");  // what was posted is done before it
      CLEW_TRY(tx.first(flush, [](const store::Row&) -> Result<void> { return {}; }));
      has_run = true;
      has_run.notify_all();
      may_commit.wait(false);
      return {};
    };
    auto first_ended = std::async(std::launch::async, [&] {
      auto done = one_->write(run_and_wait);
      has_run = true;  // even when it was refused
      has_run.notify_all();
      return done;
    });
    has_run.wait(false);
    auto second_ended = begin_write(std::move(second));
    may_commit = true;
    may_commit.notify_all();
    expect_done(first_ended.get());
    expect_done(second_ended.get());
  }
  void write(store::Apply apply) { expect_done(one_->write(std::move(apply))); }
  static void expect_done(const Written& done) { EXPECT_TRUE(done) << done.error().to_string(); }
  // Of the test's own connection.
  std::string ask(const std::string& sql) { return client_->ask(sql); }

  PostgresSchema schema_;
  std::string url_;
  std::unique_ptr<Env> env_ = make_real_env();
  std::unique_ptr<PostgresClient> client_;
  std::unique_ptr<store::Database> one_;
  std::unique_ptr<store::Database> other_;

 private:
  std::unique_ptr<store::Database> connect(const std::vector<store::Migration>& migrations) {
    auto opened = store::Database::open({.url = url_}, migrations, *env_);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? *std::move(opened) : nullptr;
  }
};

}  // namespace clew
