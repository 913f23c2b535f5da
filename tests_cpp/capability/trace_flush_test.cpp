// How traces get into the database, what a failure leaves, and what retention deletes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clew/capability/detail/trace_queue.hpp"
#include "trace_fixture.hpp"

namespace clew::trace_testing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TraceFlushSuite : public TraceStoreSuite {};
INSTANTIATE_TEST_SUITE_P(Stores, TraceFlushSuite, testing::Values(0, 1, 2),
                         [](const auto& each) { return store_name(each.param); });

TraceRecord numbered(int number) {
  TraceRecord record;
  record.queue_ns = number;
  return record;
}

std::vector<int> numbers_of(const detail::TraceChunks& chunks) {
  std::vector<int> numbers;
  for (const auto& chunk : chunks) {
    EXPECT_FALSE(chunk.empty());
    EXPECT_LE(chunk.size(), detail::TraceQueue::chunk_max);
    for (const auto& record : chunk) numbers.push_back(static_cast<int>(record.queue_ns));
  }
  return numbers;
}

TEST(TraceQueueSuite, keeps_order_through_pop_take_and_put_back) {
  constexpr int count = 1000;
  detail::TraceQueue queue;
  for (int i = 0; i < count; ++i) queue.push(numbered(i));
  for (int i = 0; i < 300; ++i) EXPECT_EQ(queue.pop_oldest().queue_ns, i);
  EXPECT_EQ(queue.size(), 700U);

  auto taken = queue.take_all();
  EXPECT_TRUE(queue.empty());
  taken.pop_front();  // 300 to 511 were written
  queue.push(numbered(1000));
  queue.push(numbered(1001));
  EXPECT_EQ(queue.pop_oldest().queue_ns, 1000);
  queue.put_back(std::move(taken));

  EXPECT_EQ(queue.size(), 489U);
  const auto numbers = numbers_of(queue.take_all());
  ASSERT_EQ(numbers.size(), 489U);
  EXPECT_EQ(numbers.front(), 512);
  EXPECT_TRUE(std::ranges::is_sorted(numbers));
  EXPECT_EQ(numbers.back(), 1001);
}

TEST(TraceQueueSuite, records_put_back_one_by_one_share_chunks) {
  detail::TraceQueue queue;
  constexpr int count = 2000;
  for (int i = 0; i < count; ++i) {
    auto taken = queue.take_all();
    queue.push(numbered(i));
    queue.put_back(std::move(taken));
  }
  const auto chunks = queue.take_all();
  EXPECT_LE(chunks.size(), 2 * count / detail::TraceQueue::chunk_max + 2);
  EXPECT_EQ(numbers_of(chunks).size(), static_cast<std::size_t>(count));
}

TEST(TraceQueueSuite, popping_an_empty_queue_is_a_bug) {
  detail::TraceQueue queue;
  EXPECT_THROW(queue.pop_oldest(), CheckFailure);
}

TEST_P(TraceFlushSuite, eight_threads_leave_exactly_one_trace_per_call) {
  open({.count_max = 200'000});
  constexpr int threads = 8;
  constexpr int each = 10'000;
  Threads recorders;
  for (int i = 0; i < threads; ++i) {
    recorders.start("recorder", [&] { record_many(each); });
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(traces_->flush());
  recorders.join();

  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), threads * each);
  const auto stats = traces_->stats();
  EXPECT_EQ(stats.recorded, threads * each);
  EXPECT_EQ(stats.pending, 0);
  EXPECT_EQ(stats.dropped_by_retention, 0);
  EXPECT_EQ(stats.lost, 0);
}

TEST_P(TraceFlushSuite, flush_keeps_the_newest_of_too_many) {
  for (const int count_max : {1, 10, 1000, 3000}) {
    open({.count_max = count_max});
    ASSERT_TRUE(flusher_has_begun());
    std::vector<Id> ids;
    for (int i = 0; i < 5000; ++i) {
      ids.push_back(record_one());
      if (i % 700 == 0) {
        ASSERT_TRUE(traces_->flush());
        EXPECT_LE(rows(), count_max);
      }
    }
    ASSERT_TRUE(traces_->flush());
    EXPECT_EQ(rows(), count_max);
    EXPECT_EQ(traces_->stats().dropped_by_retention, 5000 - count_max);
    const std::vector<Id> newest(ids.rbegin(), ids.rbegin() + std::min(count_max, 10'000));
    EXPECT_EQ(ids_of({.limit = 10'000}), newest);
    close();
    if (!folder_.empty()) std::filesystem::remove(url_);
    if (GetParam() == 2) schema_.clear();
  }
}

TEST_P(TraceFlushSuite, inserts_alone_are_bounded_too) {
  open({.count_max = 2000});
  constexpr int group = 50;
  for (int i = 0; i < 5000; i += group) {
    auto done = database_->write([&](store::Transaction& tx) -> Result<void> {
      for (int n = 0; n < group; ++n) CLEW_TRY(traces_->insert(tx, make_record()));
      return {};
    });
    ASSERT_TRUE(done) << done.error().to_string();
    ASSERT_LE(rows(), 2000 + 64);
  }
  EXPECT_GE(rows(), 2000);
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 2000);
}

TEST_P(TraceFlushSuite, traces_past_their_age_are_deleted_at_a_flush) {
  const Duration age_max = std::chrono::hours(1);
  open({.count_max = 100, .age_max = age_max});
  record_one();
  clock_.advance(Duration(1));
  const auto kept = record_one();

  clock_.advance(age_max - Duration(2));  // the last instant of the first
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 2);
  EXPECT_EQ(traces_->stats().dropped_by_retention, 0);

  clock_.advance(Duration(1));
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 1);
  EXPECT_THAT(ids_of({}), ElementsAre(kept));
  EXPECT_EQ(traces_->stats().dropped_by_retention, 1);

  clock_.advance(age_max * 2);
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 0);
}

TEST_P(TraceFlushSuite, readers_see_a_trace_until_the_instant_at_which_its_age_is_over) {
  const Duration age_max = std::chrono::hours(1);
  open({.count_max = 100, .age_max = age_max});
  const auto first = record_one();
  clock_.advance(Duration(1));
  const auto second = record_one();

  clock_.advance(age_max - Duration(2));
  EXPECT_THAT(ids_of({}), ElementsAre(second, first));
  EXPECT_TRUE(traces_->find(first));

  clock_.advance(Duration(1));
  EXPECT_THAT(ids_of({}), ElementsAre(second));
  const auto over = traces_->find(first);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Code::not_found);
  EXPECT_TRUE(traces_->find(second));

  clock_.advance(Duration(1));
  EXPECT_THAT(ids_of({.limit = 1}), ElementsAre());
}

TEST_P(TraceFlushSuite, a_reader_is_served_though_nothing_can_be_deleted) {
  open({.age_max = std::chrono::hours(1)});
  record_many(3);
  ASSERT_TRUE(traces_->flush());
  break_commits();
  clock_.advance(std::chrono::hours(2));
  EXPECT_THAT(ids_of({}), ElementsAre());
  EXPECT_EQ(rows(), 3);
  during_commits({});
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 0);
}

TEST_P(TraceFlushSuite, a_time_before_all_times_is_damage_and_no_old_age) {
  open({.age_max = std::chrono::hours(1)});
  const auto damaged = record_one();
  ASSERT_TRUE(traces_->flush());
  change_rows("UPDATE traces SET started_us = -1");
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 1);
  EXPECT_EQ(traces_->query({}).error().code(), Code::corrupt);
  EXPECT_EQ(traces_->find(damaged).error().code(), Code::corrupt);
}

TEST_P(TraceFlushSuite, failed_flush_keeps_what_it_could_not_write) {
  open();
  record_one();
  ASSERT_TRUE(traces_->flush());
  break_commits();
  record_many(600);

  const auto flushed = traces_->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code(), Code::unavailable);
  EXPECT_FALSE(traces_->query({}));
  EXPECT_EQ(traces_->stats().pending, 600);
  EXPECT_THAT(traces_->stats().last_error, HasSubstr("the disk is away"));
  EXPECT_EQ(rows(), 1);

  during_commits({});
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 601);
  const auto stats = traces_->stats();
  EXPECT_EQ(stats.pending, 0);
  EXPECT_EQ(stats.last_error, "");
  EXPECT_EQ(stats.lost, 0);
  EXPECT_EQ(stats.dropped_by_retention, 0);
}

TEST_P(TraceFlushSuite, what_cannot_be_written_is_bounded) {
  open({.count_max = 300});
  break_commits();
  std::vector<Id> ids;
  for (int i = 0; i < 1000; ++i) {
    ids.push_back(record_one());
    if (i % 100 == 0) {
      EXPECT_FALSE(traces_->flush());
    }
  }
  EXPECT_FALSE(traces_->flush());
  EXPECT_EQ(traces_->stats().pending, 300);
  EXPECT_EQ(traces_->stats().dropped_by_retention, 700);

  during_commits({});
  EXPECT_EQ(ids_of({.limit = 1000}), std::vector<Id>(ids.rbegin(), ids.rbegin() + 300));
}

TEST_P(TraceFlushSuite, records_that_come_during_a_failing_write_count_too) {
  open({.count_max = 300});
  record_many(300);
  std::vector<Id> newer;
  during_commits([&]() -> Result<void> {
    for (int i = 0; i < 200; ++i) newer.push_back(record_one());
    return Error(Code::unavailable, "the disk is away");
  });
  EXPECT_FALSE(traces_->flush());
  EXPECT_EQ(traces_->stats().pending, 300);
  EXPECT_EQ(traces_->stats().dropped_by_retention, 200);

  during_commits({});
  const std::vector<Id> newest(newer.rbegin(), newer.rend());
  EXPECT_EQ(ids_of({.limit = 200}), newest);
  EXPECT_EQ(rows(), 300);
}

TEST_P(TraceFlushSuite, what_is_being_written_is_still_pending) {
  open();
  record_many(600);
  std::vector<std::int64_t> pending;
  during_commits([&]() -> Result<void> {
    pending.push_back(traces_->stats().pending);
    return {};
  });
  ASSERT_TRUE(traces_->flush());
  EXPECT_THAT(pending, ElementsAre(600, 344, 88));
  EXPECT_EQ(traces_->stats().pending, 0);
}

TEST_P(TraceFlushSuite, reader_waits_for_a_write_that_fails_and_tries_itself) {
  open();
  for (int round = 0; round < 50; ++round) {
    const auto id = record_one();
    std::promise<void> writing;
    std::promise<void> reading;
    during_commits([&, hits = 0]() mutable -> Result<void> {
      if (++hits > 1) return {};
      writing.set_value();
      reading.get_future().wait();
      return Error(Code::unavailable, "the disk is away");
    });
    Threads writer;
    writer.start("writer", [this] { EXPECT_FALSE(traces_->flush()); });
    writing.get_future().wait();
    reading.set_value();
    const auto found = traces_->find(id);
    EXPECT_TRUE(found) << found.error().to_string();
    writer.join();
  }
}

TEST_P(TraceFlushSuite, flush_counts_what_another_store_has_added) {
  open({.count_max = 30});
  ASSERT_TRUE(flusher_has_begun()) << "its first sweep would delete what is counted here";
  record_many(10);
  ASSERT_TRUE(traces_->flush());
  const auto other = make_trace_store(*database_, *env_, {.count_max = 1000}, flush_within);
  for (int i = 0; i < 100; ++i) other->record(make_record());
  ASSERT_TRUE(other->flush());
  ASSERT_EQ(rows(), 110);

  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 30);
}

TEST_P(TraceFlushSuite, sweeps_that_meet_leave_exactly_what_may_stay) {
  open({.count_max = 30});
  ASSERT_TRUE(flusher_has_begun());
  const auto other = make_trace_store(*database_, *env_, {.count_max = 100'000}, flush_within);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 3000; ++i) other->record(make_record());
    ASSERT_TRUE(other->flush());
    Threads sweepers;
    for (int i = 0; i < 4; ++i) {
      sweepers.start("sweeper", [this] { EXPECT_TRUE(traces_->flush()); });
    }
    sweepers.join();
    ASSERT_EQ(rows(), 30);
  }
  EXPECT_EQ(traces_->stats().dropped_by_retention, 10 * 3000 - 30);
}

// Holds the writer while others queue up behind it, as one group whose last write fails: all that
// stands before that one is run twice.
class TraceGroups : public TraceFlushSuite {
 protected:
  void hold_writer() {
    database_->submit({.apply = [this, held = false](store::Transaction&) mutable -> Result<void> {
                         if (std::exchange(held, true)) return {};  // run again
                         entered_.set_value();
                         go_.get_future().wait();
                         return {};
                       },
                       .done = [](const Result<store::CommitInfo>&) {}});
    entered_.get_future().wait();
  }
  void fail_the_group() {
    const auto refuse = [](store::Transaction&) -> Result<void> {
      return Error(Code::rejected, "no");
    };
    database_->submit(
        {.apply = refuse, .done = [&](const Result<store::CommitInfo>&) { refused_.set_value(); }});
    go_.set_value();
    refused_.get_future().wait();
    EXPECT_GT(database_->stats().reruns, 0);
  }

  std::promise<void> entered_;
  std::promise<void> go_;
  std::promise<void> refused_;
};
INSTANTIATE_TEST_SUITE_P(Stores, TraceGroups, testing::Values(1, 2),
                         [](const auto& each) { return store_name(each.param); });

TEST_P(TraceGroups, sweep_that_runs_again_deletes_all_that_is_too_many) {
  open({.count_max = 30});
  ASSERT_TRUE(flusher_has_begun());
  const auto other = make_trace_store(*database_, *env_, {.count_max = 1000}, flush_within);
  for (int i = 0; i < 100; ++i) other->record(make_record());
  ASSERT_TRUE(other->flush());

  hold_writer();
  Threads sweeper;
  sweeper.start("sweeper", [this] { EXPECT_TRUE(traces_->flush()); });
  while (database_->stats().queued == 0) std::this_thread::yield();
  fail_the_group();
  sweeper.join();
  EXPECT_EQ(rows(), 30);
}

TEST_P(TraceGroups, inserts_that_run_again_delete_nothing_that_is_not_too_many) {
  constexpr int count_max = 1000;
  open({.count_max = count_max});
  record_many(count_max - 100);
  ASSERT_TRUE(traces_->flush());

  hold_writer();
  for (int i = 0; i < 90; ++i) {
    database_->submit({.apply = [this, record = make_record()](
                                    store::Transaction& tx) { return traces_->insert(tx, record); },
                       .done = [](const Result<store::CommitInfo>& done) { EXPECT_TRUE(done); }});
  }
  fail_the_group();
  record_one();
  ASSERT_TRUE(traces_->flush()) << "whose own write comes after all of theirs";
  EXPECT_EQ(rows(), count_max - 100 + 90 + 1);
  EXPECT_EQ(traces_->stats().dropped_by_retention, 0);
}

TEST_P(TraceFlushSuite, record_after_close_is_counted_as_lost) {
  open();
  record_one();
  traces_->close();
  traces_->close();
  record_one();
  EXPECT_EQ(traces_->stats().recorded, 2);
  EXPECT_EQ(traces_->stats().lost, 1);
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 1);
}

bool has_thread(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string comm;
    if (std::getline(file, comm) && comm == name) return true;
  }
  return false;
}

// Waits for a signal, in real time. False when it does not come.
bool comes(const std::future<void>& signal) {
  return signal.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
}

class TraceFile : public TraceTest {
 protected:
  void SetUp() override { use_file(); }
  bool flusher_has_seen_it() { return flusher_sleeps_until(clock_.now() + flush_within); }
  // A signal that the next `count` groups have been committed.
  std::future<void> next_commits(int count) {
    auto promise = std::make_shared<std::promise<void>>();
    auto signal = promise->get_future();
    find_fault_point("store.commit.after")->arm([promise, left = count]() mutable -> Result<void> {
      if (--left == 0) promise->set_value();
      return {};
    });
    return signal;
  }
};

TEST_F(TraceFile, flusher_writes_when_its_time_has_come) {
  open();
  for (int round = 1; round <= 20; ++round) {
    record_one();
    ASSERT_TRUE(flusher_has_seen_it()) << "the flusher slept on, round " << round;
    record_many(9);
    clock_.advance(flush_within - Duration(1));
    EXPECT_EQ(rows(), (round - 1) * 10);
    EXPECT_EQ(traces_->stats().pending, 10);

    auto committed = next_commits(1);
    clock_.advance(Duration(1));
    ASSERT_TRUE(comes(committed));
    EXPECT_EQ(rows(), round * 10);
    while (traces_->stats().pending > 0) std::this_thread::yield();
  }
}

TEST_F(TraceFile, flusher_does_not_wait_for_more_when_very_many_are_pending) {
  open();
  auto committed = next_commits(1);
  record_many(10'000);
  EXPECT_TRUE(comes(committed));  // though the clock stands still
}

TEST_F(TraceFile, flusher_deletes_what_is_too_old) {
  open({.age_max = std::chrono::hours(1)});
  record_one();
  ASSERT_TRUE(flusher_has_seen_it());
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 1);
  auto swept = next_commits(1);
  clock_.advance(std::chrono::hours(2));
  ASSERT_TRUE(comes(swept));
  EXPECT_EQ(rows(), 0);

  const auto kept = record_one();
  ASSERT_TRUE(flusher_has_seen_it());
  auto committed = next_commits(1);
  clock_.advance(flush_within);
  ASSERT_TRUE(comes(committed));
  EXPECT_EQ(rows(), 1);
  EXPECT_THAT(ids_of({}), ElementsAre(kept));
}

TEST_F(TraceFile, an_idle_flusher_deletes_what_expires) {
  const Duration age_max = std::chrono::hours(1);
  open({.age_max = age_max});
  record_one();
  ASSERT_TRUE(flusher_has_seen_it());
  const auto started = clock_.now();
  auto written = next_commits(1);
  clock_.advance(flush_within);
  ASSERT_TRUE(comes(written));
  ASSERT_TRUE(flusher_sleeps_until(started + age_max));

  auto swept = next_commits(1);
  clock_.advance(age_max - flush_within - Duration(1));
  EXPECT_EQ(rows(), 1);
  clock_.advance(Duration(1));
  ASSERT_TRUE(comes(swept));
  EXPECT_EQ(rows(), 0);
}

TEST_F(TraceFile, opening_deletes_what_expired_meanwhile) {
  open({.age_max = std::chrono::hours(1)});
  record_many(3);
  close();
  clock_.advance(std::chrono::hours(2));
  auto swept = next_commits(1);
  open({.age_max = std::chrono::hours(1)});
  ASSERT_TRUE(comes(swept));
  EXPECT_EQ(rows(), 0);
}

TEST_F(TraceFile, a_sweep_that_failed_is_tried_again) {
  open({.age_max = std::chrono::hours(1)});
  record_many(3);
  ASSERT_TRUE(traces_->flush());
  close();
  clock_.advance(std::chrono::hours(2));
  break_commits();
  open({.age_max = std::chrono::hours(1)});
  ASSERT_TRUE(flusher_sleeps_until(clock_.now() + std::chrono::minutes(1)));
  EXPECT_THAT(traces_->stats().last_error, HasSubstr("the disk is away"));
  during_commits({});
  auto swept = next_commits(1);
  clock_.advance(std::chrono::minutes(1));
  ASSERT_TRUE(comes(swept));
  EXPECT_EQ(rows(), 0);
}

TEST_F(TraceFile, flusher_ends_with_its_store) {
  open();
  record_one();
  ASSERT_TRUE(flusher_has_seen_it());
  EXPECT_TRUE(has_thread("clew-traces"));
  traces_->close();
  // The system may list a thread for a moment after it was joined.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (has_thread("clew-traces")) ASSERT_LT(std::chrono::steady_clock::now(), patience);
}

TEST_F(TraceFile, flusher_tries_again_after_a_failure) {
  open();
  break_commits();
  record_one();
  ASSERT_TRUE(flusher_has_seen_it());
  clock_.advance(flush_within);
  ASSERT_TRUE(flusher_sleeps_until(clock_.now() + 2 * flush_within));  // it has failed
  EXPECT_EQ(traces_->stats().pending, 1);
  EXPECT_THAT(traces_->stats().last_error, HasSubstr("the disk is away"));

  during_commits({});
  auto committed = next_commits(1);
  clock_.advance(2 * flush_within);
  ASSERT_TRUE(comes(committed));
  EXPECT_EQ(rows(), 1);
}

TEST_F(TraceFile, close_writes_what_is_pending) {
  open();
  std::set<Id> ids;
  for (int i = 0; i < 700; ++i) ids.insert(record_one());
  close();

  open();
  const auto found = ids_of({.limit = 1000});
  EXPECT_EQ(std::set<Id>(found.begin(), found.end()), ids);
}

TEST_F(TraceFile, close_counts_what_it_cannot_write) {
  open();
  record_many(5);
  break_commits();
  traces_->close();
  EXPECT_EQ(traces_->stats().lost, 5);
  EXPECT_EQ(traces_->stats().pending, 0);
  EXPECT_THAT(traces_->stats().last_error, HasSubstr("the disk is away"));
  during_commits({});
  EXPECT_EQ(rows(), 0);
}

TEST_F(TraceFile, retention_counts_what_was_there_before) {
  open({.count_max = 2500});
  record_many(2500);
  close();
  open({.count_max = 2500});
  const auto newest = record_one();
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 2500);
  EXPECT_EQ(ids_of({.limit = 1}).front(), newest);
  close();
  open({.count_max = 20});
  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 20);
}

TEST_F(TraceFile, closing_from_two_threads_ends_both) {
  open();
  record_many(100);
  Threads closers;
  for (int i = 0; i < 2; ++i) {
    closers.start("closer", [this] {
      traces_->close();
      EXPECT_EQ(traces_->stats().pending, 0);
    });
  }
  closers.join();
  EXPECT_EQ(rows(), 100);
}

class TraceMemory : public TraceTest {};

TEST_F(TraceMemory, waits_in_a_ring_until_someone_asks) {
  open({.count_max = 1000});
  std::vector<Id> ids;
  for (int i = 0; i < 2500; ++i) ids.push_back(record_one());
  EXPECT_EQ(rows(), 0);
  auto stats = traces_->stats();
  EXPECT_EQ(stats.recorded, 2500);
  EXPECT_EQ(stats.pending, 1000);
  EXPECT_EQ(stats.dropped_by_retention, 1500);

  EXPECT_EQ(ids_of({.limit = 10'000}), std::vector<Id>(ids.rbegin(), ids.rbegin() + 1000));
  EXPECT_EQ(traces_->stats().pending, 0);
  EXPECT_FALSE(has_thread("clew-traces"));
}

TEST_F(TraceMemory, reading_deletes_what_has_expired) {
  open({.age_max = std::chrono::hours(1)});
  record_many(10);
  EXPECT_EQ(ids_of({}).size(), 10U);
  clock_.advance(std::chrono::hours(2));
  const auto kept = record_one();
  EXPECT_THAT(ids_of({}), ElementsAre(kept));
  EXPECT_EQ(rows(), 1);
}

TEST_F(TraceMemory, large_payloads_are_released_at_once) {
  open();
  constexpr std::size_t size = 64 * 1024;
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < 200; ++i) {
    auto record = make_record();
    (i % 2 == 0 ? record.input : record.output) = Value(std::string(size, 'x'));
    traces_->record(std::move(record));
  }
  EXPECT_LT(mallinfo2().uordblks, before + 20 * size);
  EXPECT_EQ(traces_->stats().pending, 200);
}

}  // namespace
}  // namespace clew::trace_testing
