// The laws of leases with a time of their own, requests, due times and the outbox: long random
// programs against plain models in memory, on each database.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "clew/store/due.hpp"
#include "clew/store/idempotency.hpp"
#include "clew/store/outbox.hpp"
#include "clew/store/timed_lease.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

// In memory; files get a tenth, since each batch is synced.
constexpr int operations = 100'000;
constexpr int batch = 500;

class Laws : public EachPlace {
 protected:
  void SetUp() override {
    auto migrations = core_migrations();
    migrations.push_back(coordination_migration(2));
    db_ = open_or_fail(options(), *virtual_, migrations);
  }
  // Runs `step` over and over, many steps in one transaction; the model is part of it.
  void run(Function<Result<void>(Transaction&)> step) {
    const int count = db_->is_memory() ? operations : operations / 10;
    for (int done = 0; done < count; done += batch) {
      const auto committed = db_->write([&](Transaction& tx) -> Result<void> {
        for (int i = 0; i < batch && !testing::Test::HasFailure(); ++i) CLEW_TRY(step(tx));
        return {};
      });
      ASSERT_TRUE(committed) << committed.error().to_string() << " CLEW_SEED=" << seed_;
      ASSERT_FALSE(HasFailure()) << "CLEW_SEED=" << seed_;
    }
  }
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

  static std::uint32_t chosen_seed() {
    const char* text = std::getenv("CLEW_SEED");
    return text == nullptr ? 1 : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
  }

  ManualClock clock_;
  std::unique_ptr<Env> virtual_ = make_seeded_env(clock_, 1);
  const std::uint32_t seed_ = chosen_seed();
  std::mt19937 random_{seed_};
  std::unique_ptr<Database> db_;
};

struct ModelLease {
  std::string owner;
  std::string token;
  std::int64_t fence = 0;
  std::int64_t expires = 0;
};

// Takes out what is over: the highest fence of that.
std::int64_t purge(std::map<std::string, ModelLease>& model, std::int64_t now) {
  std::int64_t highest = 0;
  for (auto at = model.begin(); at != model.end();) {
    const bool goes = at->second.token.empty() || at->second.expires <= now;
    if (goes) highest = std::max(highest, at->second.fence);
    at = goes ? model.erase(at) : std::next(at);
  }
  return highest;
}

void expect_same(const std::optional<TimedLease>& found, const ModelLease* expected) {
  ASSERT_EQ(found.has_value(), expected != nullptr);
  if (!found) return;
  EXPECT_EQ(found->owner, expected->owner);
  EXPECT_EQ(found->token, expected->token);
  EXPECT_EQ(found->fence, expected->fence);
  EXPECT_EQ(found->expires_at.us, expected->expires);
}

TEST_P(Laws, leases_have_one_live_owner_and_fences_rise_for_ever) {
  std::map<std::string, ModelLease> model;
  std::map<std::string, std::int64_t> highest;
  std::int64_t floor = 0;
  std::int64_t now = 1'000'000;
  int tokens = 0;
  run([&](Transaction& tx) -> Result<void> {
    const auto id = fmt::format("thing-{}", below(5));
    const LeaseKey key{"test", id};
    const auto found = model.find(id);
    const bool is_known = found != model.end();
    const bool is_live = is_known && !found->second.token.empty() && now < found->second.expires;
    // A token that may be the newest, an older one, or none.
    const auto token =
        is_known && below(3) > 0 ? found->second.token : fmt::format("t{}", below(tokens + 1));
    const bool is_newest = is_known && !token.empty() && found->second.token == token;
    switch (below(7)) {
      case 0:
      case 1: {
        const auto owner = fmt::format("owner-{}", below(3));
        const auto fresh = fmt::format("t{}", ++tokens);
        const std::int64_t ttl = below(40);
        const auto claimed = claim_timed_lease(tx, key, {owner, fresh, {now}, Duration(ttl)});
        if (is_live && found->second.owner != owner) {
          EXPECT_EQ(code_of(claimed), Code::conflict);
          break;
        }
        CLEW_TRY(const auto lease, claimed);
        EXPECT_EQ(lease.fence, !is_known ? floor + 1 : found->second.fence + 1);
        EXPECT_GT(lease.fence, highest[id]);
        highest[id] = lease.fence;
        model[id] = {owner, fresh, lease.fence, now + ttl};
        break;
      }
      case 2: {
        const std::int64_t ttl = below(40);
        const auto renewed = renew_timed_lease(tx, key, token, {now}, Duration(ttl));
        EXPECT_EQ(renewed.has_value(), is_newest);
        if (!renewed) {
          EXPECT_EQ(renewed.error().code(), Code::stale_lease);
          break;
        }
        model[id].expires = std::max(model[id].expires, now + ttl);
        EXPECT_EQ(renewed->expires_at.us, model[id].expires);
        EXPECT_EQ(renewed->fence, model[id].fence);
        break;
      }
      case 3: {
        CLEW_TRY(const bool released, release_timed_lease(tx, key, token));
        EXPECT_EQ(released, is_newest);
        if (is_newest) found->second.token.clear();
        break;
      }
      case 4:
        EXPECT_EQ(check_timed_lease(tx, key, token).has_value(), is_newest);
        break;
      case 5:
        if (below(20) > 0) break;
        CLEW_TRY(purge_timed_leases(tx, "test", {now}, 100));
        floor = std::max(floor, purge(model, now));
        break;
      default:
        now += below(10);
    }
    CLEW_TRY(const auto stands, find_timed_lease(tx, key));
    expect_same(stands, model.contains(id) ? &model[id] : nullptr);
    return {};
  });
}

TEST_P(Laws, a_request_happens_once_and_other_content_is_refused) {
  struct Model {
    int content = 0;
    int result = 0;
    std::int64_t at = 0;
  };
  std::map<std::pair<std::string, std::string>, Model> model;
  std::int64_t now = 1'000'000;
  int results = 0;
  run([&](Transaction& tx) -> Result<void> {
    now += below(3);
    const auto scope = fmt::format("scope-{}", below(3));
    const auto name = fmt::format("key-{}", below(20));
    const RequestKey key{"test", scope, name};
    const int given = below(2);
    const auto content = Value::object({{"n", given}});
    const auto known = model.find({scope, name});
    const int choice = below(40);
    if (choice == 0) {
      CLEW_TRY(const auto gone, forget_requests(tx, "test", scope));
      EXPECT_EQ(gone,
                std::erase_if(model, [&](const auto& each) { return each.first.first == scope; }));
      return {};
    }
    if (choice == 1) {
      CLEW_TRY(const auto gone, purge_requests(tx, "test", {now - 30}, 1000));
      EXPECT_EQ(gone,
                std::erase_if(model, [&](const auto& each) { return each.second.at < now - 30; }));
      return {};
    }
    const auto found = find_request(tx, key, content);
    if (known == model.end()) {
      CLEW_TRY(const auto nothing, found);
      EXPECT_FALSE(nothing.has_value());
      CLEW_TRY(remember_request(tx, key, content, Value(++results), {now}));
      model[{scope, name}] = {given, results, now};
    } else if (known->second.content == given) {
      CLEW_TRY(const auto result, found);
      EXPECT_TRUE(result && *result == Value(known->second.result));
    } else {
      EXPECT_EQ(code_of(found), Code::conflict);
      EXPECT_EQ(*found.error().find("path"), Value("n"));
    }
    return {};
  });
}

TEST_P(Laws, due_things_come_in_order_and_not_before_their_time) {
  std::map<std::string, std::int64_t> model;
  std::int64_t now = 1'000'000;
  run([&](Transaction& tx) -> Result<void> {
    const auto id = fmt::format("thing-{:02}", below(30));
    switch (below(5)) {
      case 0:
      case 1: {
        const std::int64_t due = now - 20 + below(60);
        CLEW_TRY(set_due(tx, "test", id, {due}));
        model[id] = due;
        break;
      }
      case 2: {
        CLEW_TRY(const bool cleared, clear_due(tx, "test", id));
        EXPECT_EQ(cleared, model.erase(id) == 1);
        break;
      }
      case 3: {
        const int limit = 1 + below(10);
        CLEW_TRY(const auto found, due_things(tx, "test", {now}, limit));
        std::vector<std::pair<std::int64_t, std::string>> all;
        for (const auto& [name, due] : model) {
          if (due <= now) all.emplace_back(due, name);
        }
        std::ranges::sort(all);
        if (std::cmp_greater(all.size(), limit)) all.resize(static_cast<std::size_t>(limit));
        EXPECT_EQ(found.size(), all.size());
        for (std::size_t i = 0; i < std::min(found.size(), all.size()); ++i) {
          EXPECT_EQ(found[i], (DueThing{all[i].second, {all[i].first}}));
        }
        break;
      }
      default: {
        now += below(5);
        CLEW_TRY(const auto next, next_due(tx, "test"));
        std::optional<Timestamp> expected;
        for (const auto& [name, due] : model) {
          if (!expected || due < expected->us) expected = Timestamp{due};
        }
        EXPECT_EQ(next, expected);
      }
    }
    return {};
  });
}

TEST_P(Laws, messages_of_one_key_are_delivered_in_order) {
  struct Model {
    std::string key;
    std::int64_t due = 0;
    int attempts = 0;
  };
  std::map<std::int64_t, Model> model;
  std::int64_t now = 1'000'000;
  std::int64_t last = 0;
  run([&](Transaction& tx) -> Result<void> {
    const auto key = fmt::format("key-{}", below(5));
    const auto first_of_keys = [&] {
      std::set<std::string> seen;
      std::vector<std::int64_t> ids;
      for (const auto& [id, message] : model) {
        if (seen.insert(message.key).second && message.due <= now) ids.push_back(id);
      }
      return ids;
    };
    switch (below(4)) {
      case 0: {
        if (model.size() > 50) break;
        CLEW_TRY(const auto id, put_message(tx, "test", key, Value(1), {now}));
        EXPECT_GT(id, last) << "a number is never used again";
        last = id;
        model[id] = {key, now, 0};
        break;
      }
      case 1: {
        CLEW_TRY(const auto found, due_messages(tx, "test", {now}, 100));
        std::vector<std::int64_t> ids;
        for (const auto& message : found) ids.push_back(message.id);
        EXPECT_EQ(ids, first_of_keys());
        if (found.empty()) break;
        const auto& message = found[static_cast<std::size_t>(below(static_cast<int>(ids.size())))];
        EXPECT_EQ(message.attempts, model[message.id].attempts);
        if (below(2) == 0) {
          CLEW_TRY(const bool removed, remove_message(tx, message.id));
          EXPECT_TRUE(removed);
          model.erase(message.id);
        } else {
          const std::int64_t due = now + below(20);
          CLEW_TRY(defer_message(tx, message, "no", {due}));
          model[message.id].due = due;
          ++model[message.id].attempts;
        }
        break;
      }
      case 2: {
        if (below(50) > 0) break;
        CLEW_TRY(const auto dropped, drop_messages(tx, "test", key));
        EXPECT_EQ(dropped,
                  std::erase_if(model, [&](const auto& each) { return each.second.key == key; }));
        break;
      }
      default:
        now += below(5);
    }
    return {};
  });
}

class Driver : public Laws {};

TEST_P(Driver, a_message_is_delivered_in_the_transaction_that_removes_it) {
  std::vector<std::string> delivered;
  bool fails = true;
  std::map<std::string, Deliver> routes;
  routes.emplace("test", [&](Transaction& tx, const Message& message) -> Result<void> {
    CLEW_TRY(set_due(tx, "delivered", message.key, {1}));
    if (fails) return Error(Code::unavailable, "not now");
    delivered.push_back(message.key);
    return {};
  });
  const auto driver = start_outbox(*db_, *virtual_, std::move(routes));
  const auto put = [&](const char* key) {
    ASSERT_TRUE(db_->write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(put_message(tx, "test", key, Value(key), clock_.now()));
      return {};
    }));
  };
  const auto count = [&](const char* table) {
    std::int64_t rows = -1;
    VisitRow take = [&](const Row& row) -> Result<void> {
      CLEW_TRY(rows, row.integer(0));
      return {};
    };
    EXPECT_TRUE(db_->read([&](Transaction& tx) {
      return tx.each_text(fmt::format("SELECT COUNT(*) AS n FROM {}", table), {}, take);
    }));
    return rows;
  };
  put("a");
  EXPECT_EQ(driver->deliver_due().value_or(-1), 0);
  EXPECT_EQ(count("outbox"), 1) << "a delivery that failed is put off";
  EXPECT_EQ(count("due_times"), 0) << "and what it did is undone";
  fails = false;
  EXPECT_EQ(driver->deliver_due().value_or(-1), 0) << "not before its time";
  clock_.advance(std::chrono::milliseconds(200));
  put("b");
  EXPECT_EQ(driver->deliver_due().value_or(-1), 2);
  EXPECT_THAT(delivered, testing::UnorderedElementsAre("a", "b"));
  EXPECT_EQ(count("outbox"), 0);
  EXPECT_EQ(count("due_times"), 2);
}

TEST_P(Driver, what_could_not_be_looked_for_is_looked_for_again_soon) {
  const Armed fault("outbox.deliver", {1, 2});
  std::map<std::string, Deliver> routes;
  routes.emplace("test", [](Transaction&, const Message&) { return Result<void>(); });
  ASSERT_TRUE(db_->write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(put_message(tx, "test", "a", Value(), clock_.now()));
    return {};
  }));
  const auto driver = start_outbox(*db_, *virtual_, std::move(routes));
  driver->wake();
  for (const auto pause : {100, 200}) {
    clock_.await_waiters(1);
    EXPECT_EQ(clock_.next_deadline(), clock_.now() + Duration(std::chrono::milliseconds(pause)));
    clock_.advance(std::chrono::milliseconds(pause));
  }
  driver->stop();
}

TEST_P(Driver, the_driver_hears_of_what_another_thread_has_put_off) {
  std::map<std::string, Deliver> routes;
  routes.emplace("test", [](Transaction&, const Message&) -> Result<void> {
    return Error(Code::unavailable, "not now");
  });
  const auto driver = start_outbox(*db_, *virtual_, std::move(routes));
  const auto put = [&](const char* key) {
    ASSERT_TRUE(db_->write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(put_message(tx, "test", key, Value(), clock_.now()));
      return {};
    }));
  };
  const auto await_rest_of = [&](int pause) {
    const auto due = clock_.now() + Duration(std::chrono::milliseconds(pause));
    while (clock_.next_deadline() != due) std::this_thread::yield();
  };
  put("a");
  driver->wake();
  await_rest_of(100);
  clock_.advance(std::chrono::milliseconds(100));
  await_rest_of(200);
  put("b");
  EXPECT_EQ(driver->deliver_due().value_or(-1), 0);
  await_rest_of(100);
}

INSTANTIATE_TEST_SUITE_P(Places, Laws, each_place, place_name);
INSTANTIATE_TEST_SUITE_P(Places, Driver, each_place, place_name);

}  // namespace
}  // namespace clew::store
