// The broker on a database of its own: memory and file alike, in virtual time.
#include "clew/capability/broker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "clew/base/fault.hpp"
#include "clew/store/migrate.hpp"
#include "store/postgres.hpp"

namespace clew {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Duration second = std::chrono::seconds(1);

// 0: memory, 1: a file, 2: PostgreSQL.
class BrokerSuite : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      std::string pattern = std::filesystem::temp_directory_path() / "clew-events-XXXXXX";
      ASSERT_NE(mkdtemp(pattern.data()), nullptr);
      folder_ = pattern;
    }
    open();
    define("text.counted@1.0.0");
    define("text.counted@2.0.0");
    define("mail.sent@1.0.0");
  }
  void TearDown() override {
    for (const auto* point : {"store.commit.before", "store.commit.inside"}) {
      find_fault_point(point)->disarm();
    }
    close();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void open(EventRetention retention = {}) {
    store::DatabaseOptions options;
    if (GetParam() == 1) options.url = (folder_ / "work.db").string();
    if (GetParam() == 2) options.url = schema_.url();
    auto migrations = store::core_migrations();
    migrations.push_back(event_migration(static_cast<int>(migrations.size()) + 1));
    auto opened = store::Database::open(options, migrations, *real_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    database_ = std::move(opened).value();
    auto broker = open_broker(*database_, *env_, {.retention = retention, .source = "test"});
    ASSERT_TRUE(broker) << broker.error().to_string();
    broker_ = std::move(broker).value();
  }
  void close() {
    if (broker_) broker_->close();
    if (database_) database_->close(Timestamp::never());
    broker_.reset();
    database_.reset();
  }
  void reopen(EventRetention retention = {}) {
    close();
    open(retention);
    if (!GetParam()) {
      define("text.counted@1.0.0");
      define("text.counted@2.0.0");
      define("mail.sent@1.0.0");
    }
  }

  void define(std::string type, EventLifecycle lifecycle = EventLifecycle::active) {
    const auto done = broker_->catalog().define({.type = std::move(type), .lifecycle = lifecycle});
    ASSERT_TRUE(done) << done.error().to_string();
  }
  Result<Cursor> publish(int n, const std::string& id = "", const std::string& subject = "",
                         const std::string& type = "text.counted@1.0.0") {
    return broker_->publish(
        {.type = type, .data = Value::object({{"n", n}}), .subject = subject, .id = id});
  }
  void publish_many(int count) {
    for (int i = 1; i <= count; ++i) ASSERT_TRUE(publish(i));
  }
  SubscriptionPtr subscribe(SubscribeOptions options) {
    auto made = broker_->subscribe(std::move(options));
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? *made : nullptr;
  }
  SubscriptionPtr from_start(const std::string& pattern = ">") {
    return subscribe({.pattern = pattern, .start = StartAt::start});
  }
  std::vector<Delivery> take(const SubscriptionPtr& subscription, int max = 10'000) {
    auto taken = subscription->take(max);
    EXPECT_TRUE(taken) << taken.error().to_string();
    return taken ? *taken : std::vector<Delivery>();
  }
  std::vector<Cursor> cursors(const SubscriptionPtr& subscription, int max = 10'000) {
    std::vector<Cursor> found;
    for (const auto& delivery : take(subscription, max)) found.push_back(delivery.event->cursor);
    return found;
  }

  std::filesystem::path folder_;
  PostgresSchema schema_;
  ManualClock clock_;
  std::unique_ptr<Env> env_ = make_seeded_env(clock_, 1);
  std::unique_ptr<Env> real_ = make_real_env();
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Broker> broker_;
};
INSTANTIATE_TEST_SUITE_P(Stores, BrokerSuite, testing::Values(0, 1, 2),
                         [](const auto& store) { return store_name(store.param); });

Code code_of(const auto& result) { return result ? Code::internal : result.error().code(); }

// ---- the catalog

// Parity: catalog gate
TEST_P(BrokerSuite, only_active_defined_types_are_published_and_the_rest_is_delivered_to_nobody) {
  define("old.thing@1.0.0", EventLifecycle::deprecated);
  define("new.thing@1.0.0", EventLifecycle::draft);
  const auto all = from_start();
  const auto unknown = publish(1, "", "", "text.count");
  EXPECT_EQ(code_of(unknown), Code::not_found);
  EXPECT_EQ(*unknown.error().find("suggestion"), Value("text.counted"));
  const auto deprecated = publish(1, "", "", "old.thing");
  EXPECT_EQ(code_of(deprecated), Code::rejected);
  EXPECT_EQ(*deprecated.error().find("lifecycle"), Value("deprecated"));
  EXPECT_EQ(code_of(publish(1, "", "", "new.thing@1.0.0")), Code::rejected);
  EXPECT_EQ(code_of(publish(1, "", "", "text.counted")), Code::ambiguous);
  EXPECT_THAT(take(all), IsEmpty());
  EXPECT_EQ(broker_->stats().published, 0);

  ASSERT_TRUE(broker_->catalog().set_lifecycle("new.thing@1.0.0", EventLifecycle::active));
  EXPECT_EQ(*publish(1, "", "", "new.thing"), 1);
  EXPECT_EQ(code_of(broker_->catalog().set_lifecycle("new.thing@1.0.0", EventLifecycle::draft)),
            Code::conflict);
}

TEST_P(BrokerSuite, a_definition_is_kept_once_and_other_content_is_a_conflict) {
  define("text.counted@1.0.0");
  const auto other = broker_->catalog().define(
      {.type = "text.counted@1.0.0", .schema = Value::object({{"type", "object"}})});
  EXPECT_EQ(code_of(other), Code::conflict);
  EXPECT_EQ(*other.error().find("path"), Value("schema"));
  EXPECT_EQ(code_of(broker_->catalog().define({.type = "text.counted@^1"})), Code::invalid_input);
  EXPECT_EQ(code_of(broker_->catalog().define({.type = "clew.mine@1.0.0"})), Code::invalid_input);
  if (!GetParam()) return;
  reopen();
  EXPECT_TRUE(broker_->catalog().find("text.counted@1.0.0"));
  EXPECT_EQ(broker_->catalog().snapshot()->by_text.size(), 3U);
}

TEST_P(BrokerSuite, data_that_do_not_fit_are_refused_with_their_path_and_take_no_cursor) {
  ASSERT_TRUE(broker_->catalog().define(
      {.type = "strict.thing@1.0.0",
       .schema = Value::object(
           {{"type", "object"},
            {"properties", Value::object({{"n", Value::object({{"type", "integer"}})}})}})}));
  const auto bad =
      broker_->publish({.type = "strict.thing", .data = Value::object({{"n", "three"}})});
  EXPECT_EQ(code_of(bad), Code::invalid_input);
  EXPECT_EQ(*bad.error().find("path"), Value("data.n"));
  EXPECT_EQ(*publish(1), 1);
}

// ---- reading

// Parity: subscribe
TEST_P(BrokerSuite, subscriptions_replay_from_anywhere_and_do_not_disturb_each_other) {
  const auto live = subscribe({.pattern = "text.*"});
  for (int i = 1; i <= 6; ++i) ASSERT_TRUE(publish(i, "", i % 2 == 0 ? "even" : "odd"));
  ASSERT_TRUE(publish(7, "", "even", "mail.sent@1.0.0"));
  EXPECT_THAT(cursors(live), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(cursors(from_start()), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(cursors(subscribe({.pattern = ">", .start = StartAt::cursor, .after = 4})),
              ElementsAre(5, 6, 7));
  EXPECT_THAT(cursors(subscribe({.pattern = ">", .start = StartAt::start, .subject = "even"})),
              ElementsAre(2, 4, 6, 7));
  const auto slow = from_start();
  EXPECT_THAT(cursors(slow, 2), ElementsAre(1, 2));
  EXPECT_EQ(slow->cursor(), 2);
  EXPECT_THAT(cursors(slow, 2), ElementsAre(3, 4));
  slow->cancel();
  EXPECT_EQ(code_of(slow->take(1)), Code::closed);
  EXPECT_THAT(take(live), IsEmpty());
  EXPECT_EQ(code_of(broker_->subscribe({.pattern = ">", .start = StartAt::cursor, .after = 8})),
            Code::invalid_input);
}

TEST(EventPattern, a_star_is_one_segment_and_the_rest_is_one_or_more) {
  const auto matches = [](const char* pattern, const char* type, const char* version = "1.2.0") {
    return EventPattern::parse(pattern).value().matches(type, version);
  };
  EXPECT_TRUE(matches("text.counted", "text.counted"));
  EXPECT_TRUE(matches("text.*", "text.counted"));
  EXPECT_FALSE(matches("text.*", "text.counted.twice"));
  EXPECT_FALSE(matches("text.*", "text"));
  EXPECT_TRUE(matches("text.>", "text.counted.twice"));
  EXPECT_TRUE(matches("text.**", "text.counted"));
  EXPECT_FALSE(matches("text.>", "text"));
  EXPECT_TRUE(matches("**", "text"));
  EXPECT_TRUE(matches("*.counted@^1", "text.counted"));
  EXPECT_FALSE(matches("*.counted@^1", "text.counted", "2.0.0"));
  EXPECT_TRUE(matches("text.counted@1.2.0", "text.counted"));
  EXPECT_FALSE(matches("text.counted@1.2.1", "text.counted"));
  for (const char* bad : {"", "text.", "te*t", ">.x", "text@", "text@1", "Text", "a b"}) {
    EXPECT_FALSE(EventPattern::parse(bad)) << bad;
  }
}

// Parity: expiry; retention
TEST_P(BrokerSuite, an_expired_cursor_names_the_oldest_and_the_subscription_survives) {
  reopen({.age_max = 10 * second});
  publish_many(3);
  clock_.advance(5 * second);
  publish_many(2);
  const auto late = subscribe({.pattern = ">", .start = StartAt::cursor, .after = 1});
  clock_.advance(5 * second - Duration(1));
  EXPECT_THAT(cursors(from_start()), ElementsAre(1, 2, 3, 4, 5));  // the instant before
  clock_.advance(Duration(1));
  const auto expired = late->take(10);
  EXPECT_EQ(code_of(expired), Code::not_found);
  EXPECT_EQ(*expired.error().find("oldest"), Value(3));
  EXPECT_THAT(cursors(late), ElementsAre(4, 5));
  EXPECT_THAT(cursors(from_start()), ElementsAre(4, 5));
  EXPECT_THAT(cursors(subscribe({.pattern = ">", .start = StartAt::cursor, .after = 3})),
              ElementsAre(4, 5));
  clock_.advance(second * 10);
  EXPECT_THAT(take(from_start()), IsEmpty());
  EXPECT_EQ(*publish(1), 6);  // an empty log goes on where it was
}

// Parity: overflow
TEST_P(BrokerSuite, what_is_gone_before_it_was_read_is_told_and_counted) {
  reopen({.count_max = 4});
  const auto slow = subscribe({.pattern = ">"});
  publish_many(10);
  const auto got = take(slow);
  ASSERT_EQ(got.size(), 5U);
  EXPECT_EQ(got[0].event->type, backlog_dropped);
  EXPECT_EQ(*got[0].event->data.find("count"), Value(6));
  EXPECT_EQ(*got[0].event->data.find("from"), Value(1));
  EXPECT_EQ(*got[0].event->data.find("to"), Value(6));
  EXPECT_EQ(got[1].event->cursor, 7);
  EXPECT_EQ(broker_->stats().dropped, 6);
  publish_many(1);
  EXPECT_THAT(cursors(slow), ElementsAre(11));
}

TEST_P(BrokerSuite, a_bounded_subscription_drops_the_oldest_of_its_own_and_is_warned_before) {
  const auto bounded = subscribe({.pattern = "text.*", .queue_max = 5});
  publish_many(3);
  EXPECT_THAT(cursors(bounded), ElementsAre(1, 2, 3));
  publish_many(4);
  auto got = take(bounded);
  ASSERT_EQ(got.size(), 5U);
  EXPECT_EQ(got[0].event->type, backlog_warning);  // four of five
  EXPECT_EQ(*got[0].event->data.find("behind"), Value(4));
  ASSERT_TRUE(publish(1, "", "", "mail.sent@1.0.0"));  // not for this subscription
  publish_many(8);
  got = take(bounded);
  ASSERT_EQ(got.size(), 6U);
  EXPECT_EQ(got[0].event->type, backlog_dropped);
  EXPECT_EQ(*got[0].event->data.find("count"), Value(3));
  EXPECT_EQ(*got[0].event->data.find("exact"), Value(true));
  EXPECT_EQ(got[1].event->cursor, 12);
  EXPECT_EQ(broker_->stats().dropped, 3);
  EXPECT_EQ(broker_->stats().warnings, 1);
}

// ---- identity

// Parity: dedupe
TEST_P(BrokerSuite, an_id_is_published_once_while_it_is_retained) {
  reopen({.age_max = 10 * second});
  EXPECT_EQ(*publish(1, "a"), 1);
  EXPECT_EQ(*publish(2, "b"), 2);
  EXPECT_EQ(*publish(1, "a"), 1);
  EXPECT_EQ(*publish(1, "a", "", "mail.sent@1.0.0"), 3);  // another type, another event
  const auto other = publish(9, "a");
  EXPECT_EQ(code_of(other), Code::conflict);
  EXPECT_EQ(*other.error().find("path"), Value("data.n"));
  if (GetParam()) reopen({.age_max = 10 * second});
  EXPECT_EQ(*publish(1, "a"), 1);
  EXPECT_EQ(code_of(publish(9, "a")), Code::conflict);
  EXPECT_THAT(cursors(from_start()), ElementsAre(1, 2, 3));
  clock_.advance(10 * second);
  EXPECT_EQ(*publish(9, "a"), 4);  // the window is over
  EXPECT_THAT(cursors(from_start()), ElementsAre(4));
}

// ---- order

// Parity: order
TEST_P(BrokerSuite, eight_publishers_lose_double_and_reorder_nothing) {
  constexpr int publishers = 8;
  constexpr int each = 250;
  const auto live = subscribe({.pattern = ">"});
  std::vector<std::vector<Cursor>> given(publishers);
  std::vector<std::thread> threads;
  for (int p = 0; p < publishers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < each; ++i) {
        given[static_cast<std::size_t>(p)].push_back(
            publish(i, "", std::to_string(p)).value_or(-1));
      }
    });
  }
  std::vector<EventPtr> seen;
  while (seen.size() < std::size_t{publishers * each}) {
    const auto got = live->poll(100, Timestamp::never());
    ASSERT_TRUE(got);
    for (const auto& one : *got) seen.push_back(one.event);
  }
  for (auto& thread : threads) thread.join();

  std::vector<int> next(publishers, 0);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ASSERT_EQ(seen[i]->cursor, static_cast<Cursor>(i + 1));
    const auto p = static_cast<std::size_t>(std::stoi(seen[i]->subject));
    EXPECT_EQ(seen[i]->cursor, given[p][static_cast<std::size_t>(next[p])]);
    EXPECT_EQ(seen[i]->data.find("n")->as_int(), next[p]++);  // a publisher's own order
  }
  EXPECT_THAT(take(live), IsEmpty());
  EXPECT_EQ(broker_->stats().published, publishers * each);
}

TEST_P(BrokerSuite, a_wait_ends_with_an_event_a_cancel_the_clock_or_the_close) {
  const auto live = subscribe({.pattern = ">"});
  std::thread later([&] {
    clock_.await_waiters(1);
    clock_.advance(second);
  });
  EXPECT_THAT(*live->poll(1, clock_.now() + second), IsEmpty());
  later.join();

  std::thread publisher([&] { ASSERT_TRUE(publish(1)); });
  EXPECT_EQ(live->poll(1, Timestamp::never())->size(), 1U);
  publisher.join();

  std::thread canceller([&] { live->cancel(); });
  EXPECT_EQ(code_of(live->poll(1, Timestamp::never())), Code::closed);
  canceller.join();

  const auto other = subscribe({.pattern = ">"});
  std::thread closer([&] { broker_->stop_reading(); });
  EXPECT_EQ(code_of(other->poll(1, Timestamp::never())), Code::closed);
  closer.join();
  EXPECT_TRUE(publish(2));  // calls in flight may still publish
}

// ---- groups

TEST_P(BrokerSuite, members_of_a_group_share_events_and_what_is_not_acknowledged_comes_again) {
  const SubscribeOptions options{
      .pattern = "text.*", .start = StartAt::start, .group = "billing", .ack_timeout = 30 * second};
  publish_many(6);
  const auto one = subscribe(options);
  const auto two = subscribe(options);
  const auto first = take(one, 3);
  EXPECT_THAT(cursors(two, 2), ElementsAre(4, 5));
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(first[0].attempt, 1);
  ASSERT_TRUE(one->ack(1, 1));
  ASSERT_TRUE(one->ack(1, 1));  // the same again
  clock_.advance(30 * second - Duration(1));
  EXPECT_THAT(cursors(two), ElementsAre(6));  // nothing is due yet
  clock_.advance(Duration(1));
  const auto again = take(two, 2);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0].event->cursor, 2);
  EXPECT_EQ(again[0].attempt, 2);
  EXPECT_EQ(code_of(one->ack(2, 1)), Code::stale_lease);  // two has it now
  ASSERT_TRUE(two->ack(2, 2));
  EXPECT_THAT(cursors(one), ElementsAre(4, 5));  // 3 is held by two, 6 is not due
  two->cancel();
  EXPECT_THAT(cursors(one), ElementsAre(3, 6));
  EXPECT_EQ(code_of(broker_->subscribe({.pattern = "mail.*", .group = "billing"})), Code::conflict);
}

TEST_P(BrokerSuite, a_waiting_member_gets_what_falls_due) {
  const SubscribeOptions options{
      .pattern = ">", .start = StartAt::start, .group = "g", .ack_timeout = second};
  publish_many(1);
  const auto one = subscribe(options);
  const auto two = subscribe(options);
  ASSERT_EQ(take(one).size(), 1U);
  std::thread later([&] {
    clock_.await_waiters(1);
    clock_.advance(second);
  });
  const auto got = two->poll(1, Timestamp::never());
  later.join();
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ((*got)[0].attempt, 2);
}

TEST_P(BrokerSuite, racing_members_never_hold_one_event_at_one_time) {
  constexpr int events = 200;
  publish_many(events);
  std::vector<std::vector<Cursor>> held(4);
  std::vector<std::thread> members;
  for (auto& mine : held) {
    members.emplace_back([&] {
      const auto member = subscribe({.pattern = ">", .start = StartAt::start, .group = "g"});
      for (;;) {
        const auto got = take(member, 7);
        if (got.empty()) return;
        for (const auto& one : got) {
          mine.push_back(one.event->cursor);
          ASSERT_TRUE(member->ack(one.event->cursor, one.attempt));
        }
      }
    });
  }
  for (auto& member : members) member.join();
  std::set<Cursor> all;
  for (const auto& mine : held) {
    EXPECT_TRUE(std::ranges::is_sorted(mine));
    for (const auto cursor : mine) EXPECT_TRUE(all.insert(cursor).second) << cursor;
  }
  EXPECT_EQ(all.size(), std::size_t{events});
}

TEST_P(BrokerSuite, a_group_goes_on_where_it_was_after_a_restart) {
  if (!GetParam()) GTEST_SKIP() << "memory does not outlive its broker";
  const SubscribeOptions options{
      .pattern = ">", .start = StartAt::start, .group = "g", .ack_timeout = second};
  publish_many(4);
  auto member = subscribe(options);
  const auto got = take(member, 3);
  ASSERT_TRUE(member->ack(1, 1));
  member.reset();
  reopen();
  EXPECT_THAT(cursors(subscribe(options)), ElementsAre(2, 3, 4));
}

// ---- files

class BrokerFile : public BrokerSuite {};
INSTANTIATE_TEST_SUITE_P(File, BrokerFile, testing::Values(1));

// Parity: write timeout
TEST_P(BrokerFile, a_publish_that_times_out_in_the_queue_is_never_stored) {
  Mutex mutex;
  Condition entered;
  bool is_entered = false;
  bool may_go = false;
  auto* fault = find_fault_point("store.commit.before");
  fault->arm([&]() -> Result<void> {
    Lock lock(mutex);
    is_entered = true;
    entered.notify_all();
    while (!may_go) entered.wait(lock);
    return {};
  });
  std::thread first([&] { EXPECT_EQ(*publish(1), 1); });
  {
    Lock lock(mutex);
    while (!is_entered) entered.wait(lock);
  }
  std::thread timer([&] {
    clock_.await_waiters(1);
    clock_.advance(second);
  });
  const auto queued =
      broker_->publish({.type = "text.counted@1.0.0", .data = Value(2), .id = "late"}, second);
  timer.join();
  EXPECT_EQ(code_of(queued), Code::timeout);
  EXPECT_EQ(broker_->stats().withdrawn, 1);
  {
    const Lock lock(mutex);
    may_go = true;
  }
  entered.notify_all();
  first.join();
  fault->disarm();
  EXPECT_EQ(*publish(3), 2);
  reopen();
  EXPECT_THAT(cursors(from_start()), ElementsAre(1, 2));  // "late" never was
}

TEST_P(BrokerFile, a_publish_that_times_out_while_it_is_written_has_an_unknown_outcome) {
  Mutex mutex;
  Condition go;
  bool is_entered = false;
  bool may_go = false;
  auto* fault = find_fault_point("store.commit.inside");
  fault->arm([&]() -> Result<void> {
    Lock lock(mutex);
    is_entered = true;
    go.notify_all();
    while (!may_go) go.wait(lock);
    return {};
  });
  std::thread timer([&] {
    {
      Lock lock(mutex);
      while (!is_entered) go.wait(lock);  // it is being written
    }
    clock_.await_waiters(1);
    clock_.advance(second);
  });
  const auto written =
      broker_->publish({.type = "text.counted@1.0.0", .data = Value(2), .id = "x"}, second);
  timer.join();
  EXPECT_EQ(code_of(written), Code::unknown_outcome);
  {
    const Lock lock(mutex);
    may_go = true;
  }
  go.notify_all();
  fault->disarm();
  EXPECT_EQ(*publish(1, "after"), 2);  // it was stored after all, once
}

TEST_P(BrokerFile, a_failed_commit_loses_its_events_and_no_cursor) {
  publish_many(2);
  auto* fault = find_fault_point("store.commit.before");
  fault->arm([]() -> Result<void> { return Error(Code::unavailable, "the disk is away"); });
  EXPECT_EQ(code_of(publish(9, "lost")), Code::unavailable);
  fault->disarm();
  EXPECT_EQ(*publish(3), 3);
  EXPECT_THAT(cursors(from_start()), ElementsAre(1, 2, 3));
}

// Parity: torn tail
TEST_P(BrokerFile, a_log_torn_at_any_byte_loses_only_the_torn_tail_and_can_be_appended_to) {
  publish_many(3);
  const auto file = folder_ / "work.db";
  std::vector<std::filesystem::path> copies = {file, folder_ / "work.db-wal"};
  const auto torn = folder_ / "torn.db";
  const auto size = std::filesystem::file_size(copies[1]);
  for (std::uintmax_t cut = 0; cut < size; cut += 3001) {
    std::filesystem::copy_file(file, torn, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(copies[1], folder_ / "torn.db-wal",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(folder_ / "torn.db-shm");
    std::filesystem::resize_file(folder_ / "torn.db-wal", cut);
    Cursor survived = 0;
    for (int round = 0; round < 2; ++round) {
      auto migrations = store::core_migrations();
      migrations.push_back(event_migration(static_cast<int>(migrations.size()) + 1));
      auto database = store::Database::open({.url = torn.string()}, migrations, *real_);
      ASSERT_TRUE(database) << cut << ": " << database.error().to_string();
      auto broker = open_broker(**database, *env_, {});
      ASSERT_TRUE(broker) << cut << ": " << broker.error().to_string();
      ASSERT_TRUE((*broker)->catalog().define({.type = "text.counted@1.0.0"}));
      const auto all = *(*broker)->subscribe({.pattern = ">", .start = StartAt::start});
      const auto before = all->take(100);
      ASSERT_TRUE(before) << cut;
      if (round == 0) survived = static_cast<Cursor>(before->size());
      EXPECT_EQ(before->size(), static_cast<std::size_t>(survived + round)) << cut;
      EXPECT_EQ(*(*broker)->publish({.type = "text.counted@1.0.0"}), survived + round + 1);
      std::vector<std::string> problems;
      ASSERT_TRUE((*broker)->check([&](const Error& why) { problems.push_back(why.to_string()); }));
      EXPECT_THAT(problems, IsEmpty()) << cut;
      (*broker)->close();
      (*database)->close(Timestamp::never());
    }
  }
}

TEST_P(BrokerFile, what_another_handle_publishes_is_found) {
  const auto live = subscribe({.pattern = ">"});
  auto migrations = store::core_migrations();
  migrations.push_back(event_migration(static_cast<int>(migrations.size()) + 1));
  auto database =
      store::Database::open({.url = (folder_ / "work.db").string()}, migrations, *real_);
  auto other = open_broker(**database, *real_, {});
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->catalog().define({.type = "new.type@1.0.0"}));
  EXPECT_EQ(*(*other)->publish({.type = "new.type"}), 1);
  EXPECT_EQ(*publish(2), 2);
  EXPECT_THAT(cursors(live), ElementsAre(1, 2));
  EXPECT_EQ(*publish(3, "", "", "new.type@1.0.0"), 3);  // its definition is found too
  // A wait looks every 50 ms of the clock.
  EXPECT_THAT(cursors(live), ElementsAre(3));
  std::thread later([&] {
    clock_.await_waiters(1);
    ASSERT_TRUE((*other)->publish({.type = "new.type"}));
    clock_.advance(std::chrono::milliseconds(50));
  });
  EXPECT_EQ(live->poll(1, Timestamp::never())->size(), 1U);
  later.join();
  (*other)->close();
  (*database)->close(Timestamp::never());
}

}  // namespace
}  // namespace clew
