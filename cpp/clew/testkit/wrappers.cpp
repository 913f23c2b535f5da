#include "clew/testkit/wrappers.hpp"

#include <fmt/format.h>

namespace clew::testkit {
namespace {

using store::CommitInfo;

// A database of which each call can be changed in one place.
class Changed : public WrappedDatabase {
 public:
  using WrappedDatabase::WrappedDatabase;

  void submit(store::Write write) final {
    if (auto refused = before("submit"); !refused) {
      return write.done(std::move(refused).error());
    }
    inner().submit(changed(std::move(write)));
  }
  void submit_or_commit(store::Write write) final {
    if (auto refused = before("submit"); !refused) {
      return write.done(std::move(refused).error());
    }
    inner().submit_or_commit(changed(std::move(write)));
  }
  Result<CommitInfo> write(store::Apply apply, store::Durability durability) final {
    CLEW_TRY(before("write"));
    auto done = inner().write(std::move(apply), durability);
    check_up();
    return after("write", std::move(done));
  }
  Result<void> read(Function<Result<void>(store::Transaction&)> use, store::GoOn go_on) final {
    CLEW_TRY(before("read"));
    auto done = inner().read(std::move(use), std::move(go_on));
    const auto told =
        after("read", done ? Result<CommitInfo>(CommitInfo()) : Result<CommitInfo>(done.error()));
    return told ? Result<void>() : Result<void>(told.error());
  }

 protected:
  virtual Result<void> before(std::string_view) { return {}; }
  virtual Result<CommitInfo> after(std::string_view, Result<CommitInfo> done) { return done; }
  // On a thread that may use the database.
  virtual void check_up() {}

 private:
  store::Write changed(store::Write write) {
    write.done = [this, done = std::move(write.done)](Result<CommitInfo> outcome) mutable {
      done(after("submit", std::move(outcome)));
    };
    return write;
  }
};

class Faulty final : public Changed {
 public:
  Faulty(std::unique_ptr<store::Database> inner, std::shared_ptr<FaultPlan> plan)
      : Changed(std::move(inner)), plan_(std::move(plan)) {}

 private:
  Result<void> before(std::string_view call) override {
    if (plan_->is_after) return {};
    return met() ? Result<void>(failure(call)) : Result<void>();
  }
  Result<CommitInfo> after(std::string_view call, Result<CommitInfo> done) override {
    if (plan_->is_after && done && met()) return failure(call);
    return done;
  }
  bool met() { return plan_->calls.fetch_add(1) + 1 == plan_->at; }
  static Error failure(std::string_view call) {
    return error(Code::unavailable, "the {} was told to fail", call).with_retryable(true);
  }
  const std::shared_ptr<FaultPlan> plan_;
};

class Slow final : public Changed {
 public:
  Slow(std::unique_ptr<store::Database> inner, Duration delay)
      : Changed(std::move(inner)), delay_(delay) {}

 private:
  Result<void> before(std::string_view) override {
    Lock lock(mutex_);
    const auto until = clock_->now() + delay_;
    while (!clock_->wait_until(never_, lock, until)) {
    }
    return {};
  }
  const Duration delay_;
  const std::unique_ptr<Clock> clock_ = make_real_clock();
  Mutex mutex_;
  Condition never_;
};

class Checked final : public Changed {
 public:
  Checked(std::unique_ptr<store::Database> inner, Verify verify, std::shared_ptr<Findings> findings)
      : Changed(std::move(inner)), verify_(std::move(verify)), findings_(std::move(findings)) {}

 private:
  void check_up() override {
    store::ReportViolation report = [this](std::string_view name, const std::string& detail) {
      note(fmt::format("{}: {}", name, detail));
    };
    const auto done =
        inner().read([&](store::Transaction& tx) { return verify_(tx, report); }, nullptr);
    if (!done && done.error().code() != Code::closed) note(done.error().to_string());
  }
  void note(std::string violation) {
    const Lock lock(findings_->mutex);
    findings_->violations.push_back(std::move(violation));
  }
  const Verify verify_;
  const std::shared_ptr<Findings> findings_;
};

class Recording final : public Changed {
 public:
  Recording(std::unique_ptr<store::Database> inner, std::shared_ptr<Record> record)
      : Changed(std::move(inner)), record_(std::move(record)) {}

 private:
  Result<CommitInfo> after(std::string_view call, Result<CommitInfo> done) override {
    const Lock lock(record_->mutex);
    record_->calls.push_back(done ? std::string(call)
                                  : fmt::format("{} {}", call, name(done.error().code())));
    return done;
  }
  const std::shared_ptr<Record> record_;
};

}  // namespace

std::unique_ptr<store::Database> faulty(std::unique_ptr<store::Database> inner,
                                        std::shared_ptr<FaultPlan> plan) {
  return std::make_unique<Faulty>(std::move(inner), std::move(plan));
}

std::unique_ptr<store::Database> slow(std::unique_ptr<store::Database> inner, Duration delay) {
  return std::make_unique<Slow>(std::move(inner), delay);
}

std::unique_ptr<store::Database> checked(std::unique_ptr<store::Database> inner, Verify verify,
                                         std::shared_ptr<Findings> findings) {
  return std::make_unique<Checked>(std::move(inner), std::move(verify), std::move(findings));
}

std::unique_ptr<store::Database> recording(std::unique_ptr<store::Database> inner,
                                           std::shared_ptr<Record> record) {
  return std::make_unique<Recording>(std::move(inner), std::move(record));
}

}  // namespace clew::testkit
