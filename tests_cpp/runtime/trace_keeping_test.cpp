// How long the traces of real calls take to be written, and how long they are kept.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "runtime/fixture.hpp"

namespace clew {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view one_step = R"yaml(
workflow: traced
version: 1.0.0
steps:
  only: {call: t.echo}
)yaml";

Result<Value> echo(Invocation&, const Value& input) { return input; }

class TraceKeeping : public EachStore {
 protected:
  bool is_memory() const { return std::string(GetParam()) == "memory"; }
  // Opens again with a clock of the test's and traces that are kept for an hour.
  void reopen() {
    if (runtime_) runtime_->close(false, std::chrono::seconds(10));
    runtime_.reset();
    RuntimeOptions options;
    options.store = store();
    options.workers = 2;
    options.clock = &clock_;
    options.traces.age_max = std::chrono::hours(1);
    runtime_ = open(options);
    ASSERT_NE(runtime_, nullptr);
    add(*runtime_, "t.echo", echo);
  }
  void TearDown() override {
    EachStore::TearDown();  // while its clock is there
  }
  std::size_t rows_by_sql() {
    const auto rows = runtime_->sql("SELECT id FROM v_traces", {});
    EXPECT_TRUE(rows) << rows.error().to_string();
    return rows ? rows->size() : 0;
  }

  ManualClock clock_;
};
INSTANTIATE_TEST_SUITE_P(Stores, TraceKeeping, each_store,
                         [](const auto& each) { return std::string(each.param); });

TEST_P(TraceKeeping, commit_us_counts_from_the_end_of_the_call_until_its_row_is_written) {
  add(*runtime_, "t.echo", echo);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(runtime_->execute(request("t.echo")).result);
  const auto refused = runtime_->execute(request("t.none"));
  ASSERT_FALSE(refused.result);
  const auto run = start(*runtime_, define(one_step));
  ASSERT_TRUE(run) << run.error().to_string();
  ASSERT_TRUE(result_of(*run));
  const auto traces = all_traces(*runtime_);
  const auto wall_us = std::chrono::duration_cast<std::chrono::microseconds>(
                           std::chrono::steady_clock::now() - begun)
                           .count();
  ASSERT_THAT(traces, SizeIs(3));
  for (const auto& trace : traces) {
    SCOPED_TRACE(trace.step.empty() ? trace.capability : "step " + trace.step);
    if (!is_memory()) {
      EXPECT_GT(trace.commit_us, 0);
      EXPECT_LE(trace.queue_us + trace.run_us + trace.commit_us, wall_us);
    } else {
      EXPECT_EQ(trace.commit_us, 0);
    }
  }
}

TEST_P(TraceKeeping, no_reader_sees_a_trace_from_the_instant_at_which_it_expires) {
  reopen();
  ASSERT_TRUE(runtime_->execute(request("t.echo")).result);
  const auto run = start(*runtime_, define(one_step));
  ASSERT_TRUE(run) << run.error().to_string();
  ASSERT_TRUE(result_of(*run));
  const auto traces = all_traces(*runtime_);
  ASSERT_THAT(traces, SizeIs(2));
  EXPECT_EQ(rows_by_sql(), 2U);

  clock_.advance(std::chrono::hours(1) - Duration(1));
  EXPECT_THAT(all_traces(*runtime_), SizeIs(2));
  EXPECT_EQ(rows_by_sql(), 2U);
  clock_.advance(Duration(1));
  EXPECT_THAT(all_traces(*runtime_), IsEmpty());
  EXPECT_EQ(runtime_->trace(traces[0].id).error().code(), Code::not_found);
  EXPECT_EQ(rows_by_sql(), 0U);
}

TEST_P(TraceKeeping, traces_that_a_killed_process_left_expire_too) {
  if (is_memory()) GTEST_SKIP() << "memory does not outlive its process";
  runtime_->close(false, std::chrono::seconds(10));
  runtime_.reset();
  const auto child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    reopen();
    bool kept = false;
    if (runtime_ && runtime_->execute(request("t.echo")).result) {
      // A run that has not ended would go on in the parent, and leave new traces there.
      const auto run = start(*runtime_, define(one_step));
      kept = run && result_of(*run) && !all_traces(*runtime_).empty();
    }
    if (kept) ::kill(::getpid(), SIGKILL);
    _exit(3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));

  clock_.advance(std::chrono::hours(1) - Duration(1));
  reopen();
  const auto left = all_traces(*runtime_);
  EXPECT_FALSE(left.empty());
  for (const auto& trace : left) EXPECT_GT(trace.commit_us, 0);
  clock_.advance(Duration(1));
  EXPECT_THAT(all_traces(*runtime_), IsEmpty());
}

}  // namespace
}  // namespace clew
