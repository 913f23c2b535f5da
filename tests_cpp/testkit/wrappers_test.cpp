// Every conformance case again, on a database that is slow, watched, recorded, or fails once.
#include "clew/testkit/wrappers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clew/runtime/stores.hpp"
#include "clew/testkit/conformance/storages.hpp"
#include "clew/testkit/conformance/suites.hpp"

namespace clew::testkit {
namespace {

using conformance::Case;
using conformance::Failure;
using conformance::Storage;
using Wrap = std::function<std::unique_ptr<store::Database>(std::unique_ptr<store::Database>)>;

// A fresh storage in memory whose handles are wrapped.
conformance::Factory wrapped(Wrap wrap) {
  return [wrap = std::move(wrap)] {
    auto storage = conformance::backends().front().fresh();
    storage.open = [open = storage.open, wrap]() -> Result<std::unique_ptr<store::Database>> {
      CLEW_TRY(auto database, open());
      return wrap(std::move(database));
    };
    return storage;
  };
}

// What is wrong, or nothing.
std::string failure_of(const Case& each, const Wrap& wrap) {
  try {
    each.run(wrapped(wrap));
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "";
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

// Wherever a call fails, the case either ends at that failure or holds; it never sees a half.
TEST_P(Wrapped, ends_at_the_call_that_fails_or_holds) {
  const auto& [suite, each] = GetParam();
  if (cannot_fail(suite, each.name)) GTEST_SKIP() << "it would not know what became of its calls";
  constexpr int calls_max = 40;
  for (const bool is_after : {false, true}) {
    for (int at = 1; at <= calls_max; ++at) {
      const auto plan = std::make_shared<FaultPlan>();
      plan->at = at;
      plan->is_after = is_after;
      const auto findings = std::make_shared<Findings>();
      const auto failure = failure_of(each, [&](auto inner) {
        return faulty(checked(std::move(inner), verify, findings), plan);
      });
      const bool is_told = failure.find("was told to fail") != std::string::npos;
      // A repetition may find that its first try was the one that counted.
      const bool met_itself = is_after && !failure.empty();
      EXPECT_TRUE(failure.empty() || is_told || met_itself)
          << "call " << at << (is_after ? " after: " : " before: ") << failure;
      const Lock lock(findings->mutex);
      if (!damages(each.name)) {
        EXPECT_THAT(findings->violations, testing::IsEmpty());
      }
      if (plan->calls.load() < at) break;  // it makes no more calls
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Suites, Wrapped, testing::ValuesIn(rows()), name_of);

TEST(Wrappers, a_recording_tells_of_each_call_and_its_error) {
  const auto record = std::make_shared<Record>();
  auto storage = wrapped([&](auto inner) { return recording(std::move(inner), record); })();
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
