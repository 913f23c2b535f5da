// What the tests of who works on a run share.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/base/fault.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/store/lease.hpp"
#include "runtime/fixture.hpp"

namespace clew {

inline constexpr std::string_view one_step = R"yaml(
workflow: own.one
version: 1.0.0
steps:
  only: {call: own.work}
output: "{{ steps.only.output }}"
)yaml";

class Ownership : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* point : {"store.commit.inside", "store.commit.after"}) {
      find_fault_point(point)->disarm();
    }
    std::filesystem::remove_all(folder_);
  }
  RuntimeOptions options() const {
    RuntimeOptions options;
    options.store = store_in(folder_);
    options.workers = 1;
    options.lease_ttl = std::chrono::milliseconds(30);
    return options;
  }
  // The next commit that gives somebody the lease of a run is made, but its answer is lost.
  // The store must be there already.
  void lose_the_answer_of_its_lease() {
    auto opened = store::Database::open({.url = store_in(folder_), .read_only = true},
                                        store_migrations(), *env_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    eyes_ = *std::move(opened);
    const auto newest = [this] {
      std::int64_t token = 0;
      EXPECT_TRUE(eyes_->read([&](store::Transaction& tx) -> Result<void> {
        store::VisitRow take = into(token);
        return tx.each_text("SELECT MAX(token) FROM leases WHERE kind = 'run'", {}, take);
      }));
      return token;
    };
    find_fault_point("store.commit.after")
        ->arm([newest, before = newest(), lost = false]() mutable -> Result<void> {
          if (lost || newest() == before) return {};
          lost = true;
          return error(Code::unknown_outcome, "the connection is gone");
        });
  }
  // Takes over the number in a row.
  static store::VisitRow into(std::int64_t& number) {
    return [&number](const store::Row& row) -> Result<void> {
      number = row.integer(0).value_or(0);
      return {};
    };
  }
  std::filesystem::path folder_ = fresh_folder();
  std::unique_ptr<Env> env_ = make_real_env();
  std::unique_ptr<store::Database> eyes_;
};

inline std::vector<std::string> event_types(const workflow::RunPtr& run) {
  std::vector<std::string> types;
  const auto events = run->events(0, 1000);
  EXPECT_TRUE(events) << events.error().to_string();
  for (const auto& event : *events) types.push_back(event.type);
  return types;
}

inline void await_event(const workflow::RunPtr& run, const std::string& type) {
  for (std::int64_t after = 0;;) {
    const auto events = run->events(after, 1000);
    ASSERT_TRUE(events);
    for (const auto& event : *events) {
      if (event.type == type) return;
      after = event.seq;
    }
    ASSERT_TRUE(run->wait_events(after, Timestamp::never()));
  }
}

// The only worker is held until it is told to stop.
inline void add_blocker(Runtime& runtime, Gate& blocking) {
  add(runtime, "own.block", [&blocking](Invocation& call, const Value&) -> Result<Value> {
    Gate told;
    const CancelSubscription wake(call.cancel_token(), [&] { told.open(); });
    blocking.open();
    told.wait();
    return error(Code::cancelled, "told to stop");
  });
}

// A run "left" whose only step has not begun, and whose runtime is closed.
inline void leave_a_run(RuntimeOptions options) {
  auto runtime = open(std::move(options));
  Gate blocking;
  add_blocker(*runtime, blocking);
  add(*runtime, "own.work", [](Invocation&, const Value&) -> Result<Value> { return Value(1); });
  runtime->submit(request("own.block"));
  blocking.wait();
  ASSERT_TRUE(start(*runtime, define(one_step), Value::object({}), "left"));
  runtime->close(false, std::chrono::seconds(10));
}

inline Contract once(const std::string& id) {
  auto made = contract(id);
  made.effect = Effect::once;
  return made;
}

}  // namespace clew
