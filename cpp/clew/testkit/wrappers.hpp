// testkit/wrappers.hpp: databases that misbehave, or look closely, around one that does not. For
// the suites of the stores, and for whoever builds on them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/store/invariant.hpp"
#include "clew/store/store.hpp"

namespace clew::testkit {

// Passes every call on to the database that it owns. Thread-safe, as that is.
class WrappedDatabase : public store::Database {
 public:
  explicit WrappedDatabase(std::unique_ptr<store::Database> inner) : inner_(std::move(inner)) {}
  ~WrappedDatabase() override = default;

  bool close(Timestamp deadline) override { return inner_->close(deadline); }
  void submit(store::Write write) override { inner_->submit(std::move(write)); }
  Result<store::CommitInfo> write(store::Apply apply, store::Durability durability) override {
    return inner_->write(std::move(apply), durability);
  }
  void submit_or_commit(store::Write write) override { inner_->submit_or_commit(std::move(write)); }
  Result<void> read(Function<Result<void>(store::Transaction&)> use, store::GoOn go_on) override {
    return inner_->read(std::move(use), std::move(go_on));
  }
  store::CommitNumber written_up_to() const override { return inner_->written_up_to(); }
  store::CommitNumber durable_up_to() const override { return inner_->durable_up_to(); }
  Result<void> await_durable(store::CommitNumber number, Timestamp deadline) override {
    return inner_->await_durable(number, deadline);
  }
  Result<std::vector<std::string>> check_integrity() override { return inner_->check_integrity(); }
  Result<std::int64_t> data_version() override { return inner_->data_version(); }
  std::shared_ptr<void> watch_commits(Function<void()> changed) override {
    return inner_->watch_commits(std::move(changed));
  }
  store::DatabaseStats stats() const override { return inner_->stats(); }
  bool is_memory() const override { return inner_->is_memory(); }
  const std::string& url() const override { return inner_->url(); }

 protected:
  store::Database& inner() { return *inner_; }

 private:
  std::unique_ptr<store::Database> inner_;
};

// Which write or read fails, counted from 1 over all of a database's handles; 0: none.
struct FaultPlan {
  std::atomic<int> calls{0};
  int at = 0;
  bool is_after = false;  // its effect has happened, but the caller is told that it failed
};

// The call of the plan fails with `unavailable` (retryable), before its effect or after it.
std::unique_ptr<store::Database> faulty(std::unique_ptr<store::Database> inner,
                                        std::shared_ptr<FaultPlan> plan);

// Every call waits first, that long in real time: races have more room.
std::unique_ptr<store::Database> slow(std::unique_ptr<store::Database> inner, Duration delay);

// Looks at the whole store after each write that was acknowledged, and keeps what is wrong.
struct Findings {
  Mutex mutex;
  std::vector<std::string> violations CLEW_GUARDED_BY(mutex);
};
using Verify = std::function<Result<void>(store::Transaction&, store::ReportViolation&)>;
std::unique_ptr<store::Database> checked(std::unique_ptr<store::Database> inner, Verify verify,
                                         std::shared_ptr<Findings> findings);

// What was called, in the order of the calls' ends: "write", "submit", "read", each with the word
// of its error, if it had one.
struct Record {
  Mutex mutex;
  std::vector<std::string> calls CLEW_GUARDED_BY(mutex);
};
std::unique_ptr<store::Database> recording(std::unique_ptr<store::Database> inner,
                                           std::shared_ptr<Record> record);

}  // namespace clew::testkit
