// Every conformance case again, on a database that is slow, watched, recorded, or fails once.
#include "clew/testkit/wrappers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "clew/runtime/stores.hpp"
#include "clew/testkit/conformance/storages.hpp"
#include "clew/testkit/conformance/suites.hpp"
#include "store/postgres.hpp"
#include "testkit/tracked.hpp"

namespace clew::testkit {
namespace {

using conformance::Case;
using conformance::Failure;
using conformance::Storage;
using Wrap = std::function<std::unique_ptr<store::Database>(std::unique_ptr<store::Database>)>;

// A fresh storage whose handles are wrapped.
conformance::Factory wrapped(Wrap wrap, conformance::Factory fresh) {
  return [wrap = std::move(wrap), fresh = std::move(fresh)] {
    auto storage = fresh();
    storage.open = [open = storage.open, wrap]() -> Result<std::unique_ptr<store::Database>> {
      CLEW_TRY(auto database, open());
      return wrap(std::move(database));
    };
    return storage;
  };
}

const conformance::Factory& in_memory() {
  static const auto fresh = conformance::backends().front().fresh;
  return fresh;
}

// What is wrong, or nothing.
std::string failure_of(const Case& each, const Wrap& wrap,
                       const conformance::Factory& fresh = in_memory()) {
  try {
    each.run(wrapped(wrap, fresh));
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "";
}

std::string fresh_schema(std::shared_ptr<void>& keep) {
  auto schema = std::make_shared<PostgresSchema>();
  auto url = schema->url();
  keep = std::move(schema);
  return url;
}

Result<void> verify(store::Transaction& tx, store::ReportViolation& report) {
  return Stores::verify(tx, report);
}

struct Row {
  std::string suite;
  Case each;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.each.name; }

std::vector<Row> rows() {
  std::vector<Row> list;
  for (const auto& suite : conformance::suites()) {
    for (const auto& each : suite.cases) {
      if (each.needs == conformance::Needs::nothing) list.push_back({suite.name, each});
    }
  }
  return list;
}

std::string name_of(const testing::TestParamInfo<Row>& info) {
  return info.param.suite + "_" + info.param.each.name;
}

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

// Cases that damage rows by hand.
bool damages(std::string_view name) {
  return has(name, "corrupt") || has(name, "damage") || has(name, "collection_keeps");
}

// Cases whose threads would wait for ever for the one that failed, that count what their threads
// are told, or that fail calls of their own.
bool cannot_fail(const std::string& suite, std::string_view name) {
  return suite == "effects" || has(name, "and_wait_without") || has(name, "racing") ||
         has(name, "intent_comes_first");
}

class Wrapped : public testing::TestWithParam<Row> {};

TEST_P(Wrapped, holds_when_every_call_is_slow) {
  EXPECT_EQ(
      failure_of(GetParam().each, [](auto inner) { return slow(std::move(inner), Duration(200)); }),
      "");
}

TEST_P(Wrapped, holds_all_invariants_after_every_write) {
  const auto findings = std::make_shared<Findings>();
  EXPECT_EQ(failure_of(GetParam().each,
                       [&](auto inner) { return checked(std::move(inner), verify, findings); }),
            "");
  const Lock lock(findings->mutex);
  if (!damages(GetParam().each.name)) {
    EXPECT_THAT(findings->violations, testing::IsEmpty());
  }
}

// One call that fails, and the case as it then ends.
struct Ended {
  std::string failure;
  bool is_told = false;  // the case ended at the error that the call was given
  int calls = 0;
  std::vector<std::string> violations;
  std::shared_ptr<Observed> observed = std::make_shared<Observed>();
};

Ended end_at(const Case& each, int at, bool is_after, const conformance::Factory& fresh) {
  Ended ended;
  const auto plan = std::make_shared<FaultPlan>();
  plan->at = at;
  plan->is_after = is_after;
  const auto findings = std::make_shared<Findings>();
  ended.failure = failure_of(
      each,
      [&](auto inner) {
        auto checks = checked(std::move(inner), verify, findings);
        return faulty(observed(std::move(checks), ended.observed), plan);
      },
      fresh);
  ended.is_told = ended.failure.find("was told to fail") != std::string::npos;
  ended.calls = plan->calls.load();
  const Lock lock(findings->mutex);
  if (!damages(each.name)) ended.violations = findings->violations;
  return ended;
}

// The state after the `at`-th call, or the `at`-th that was done.
std::string state_after(const Observed& clean, int at, bool counts_done_only) {
  for (const auto& call : clean.calls) {
    if (counts_done_only && !call.is_done) continue;
    if (--at == 0) return call.state;
  }
  return "";
}

bool is_same_each_time(const Observed& one, const Observed& other) {
  return one.is_complete && other.is_complete &&
         std::ranges::equal(one.calls, other.calls,
                            [](const auto& a, const auto& b) { return a.state == b.state; });
}

// Wherever a call fails, the case either ends at that failure or holds; it never sees a half. Where
// it ends, the store stands as before the call, or as it does when the call has gone well.
TEST_P(Wrapped, ends_at_the_call_that_fails_or_holds) {
  const auto& [suite, each] = GetParam();
  if (cannot_fail(suite, each.name)) GTEST_SKIP() << "it would not know what became of its calls";
  const auto clean = end_at(each, 0, false, in_memory());
  ASSERT_EQ(clean.failure, "");
  const bool is_known =
      is_same_each_time(*clean.observed, *end_at(each, 0, false, in_memory()).observed);
  constexpr int calls_max = 40;
  for (const bool is_after : {false, true}) {
    for (int at = 1; at <= calls_max; ++at) {
      SCOPED_TRACE(testing::Message() << "call " << at << (is_after ? " after" : " before"));
      const auto ended = end_at(each, at, is_after, in_memory());
      EXPECT_THAT(ended.violations, testing::IsEmpty());
      EXPECT_TRUE(ended.is_told || ended.failure.empty()) << ended.failure;
      if (ended.calls < at) break;  // it makes no more calls
      if (!ended.is_told || !is_known || ended.observed->calls.empty()) continue;
      const auto wanted = state_after(*clean.observed, is_after ? at : at - 1, is_after);
      if (wanted.empty()) continue;
      EXPECT_EQ(first_difference(ended.observed->calls.back().state, wanted), "");
    }
  }
}

// The same at a few calls, where databases have more than one connection.
TEST_P(Wrapped, ends_at_the_call_that_fails_or_holds_on_other_databases) {
  const auto& [suite, each] = GetParam();
  if (cannot_fail(suite, each.name)) GTEST_SKIP() << "it would not know what became of its calls";
  const char* given = std::getenv("CLEW_SEED");
  const std::uint64_t seed = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937_64 random(seed + std::hash<std::string_view>{}(each.name));
  const auto calls = static_cast<unsigned>(end_at(each, 0, false, in_memory()).calls);
  std::vector<conformance::Factory> places{conformance::backends().back().fresh};
  if (random() % 4 == 0 || std::getenv("CLEW_STRESS") != nullptr) {
    places.push_back(conformance::at_urls("postgresql", fresh_schema).fresh);
  }
  for (const auto& fresh : places) {
    for (const bool is_after : {false, true}) {
      const int at = 1 + static_cast<int>(random() % std::max(calls, 1U));
      SCOPED_TRACE(testing::Message() << "call " << at << (is_after ? " after" : " before"));
      const auto ended = end_at(each, at, is_after, fresh);
      EXPECT_THAT(ended.violations, testing::IsEmpty());
      EXPECT_TRUE(ended.is_told || ended.failure.empty()) << ended.failure;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Suites, Wrapped, testing::ValuesIn(rows()), name_of);

TEST(Wrappers, a_recording_tells_of_each_call_and_its_error) {
  const auto record = std::make_shared<Record>();
  auto storage =
      wrapped([&](auto inner) { return recording(std::move(inner), record); }, in_memory())();
  const auto database = conformance::must(storage.open(), "open");
  ASSERT_TRUE(database->write([](auto&) { return Result<void>(); }, store::Durability::sync));
  ASSERT_FALSE(database->write([](auto&) -> Result<void> { return Error(Code::rejected, "no"); },
                               store::Durability::sync));
  ASSERT_TRUE(database->read([](auto&) { return Result<void>(); }, nullptr));
  const Lock lock(record->mutex);
  EXPECT_THAT(record->calls, testing::ElementsAre("write", "write rejected", "read"));
}

}  // namespace
}  // namespace clew::testkit
