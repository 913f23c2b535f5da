// Every conformance case on a disk that fails once, wherever it may: what was acknowledged is there
// afterwards, what was refused is not, and nothing is there by half.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "clew/runtime/schema.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/testkit/conformance/suites.hpp"
#include "clew/testkit/fault_vfs.hpp"
#include "testkit/disk_support.hpp"
#include "testkit/tracked.hpp"

namespace clew::testkit {
namespace {

using conformance::Case;
using conformance::Failure;

// One case on one disk.
struct Run {
  std::string failure;  // of the case; empty: it held
  bool has_struck = false;
  std::array<int, disk_faults> calls{};  // that each fault could have met
  struct Store {
    std::string file;
    std::shared_ptr<Ledger> ledger;
  };
  std::vector<Store> stores;  // most cases have one
};

const std::string& empty_state() {
  static const std::string state = [] {
    const auto env = make_real_env();
    const auto opened =
        conformance::must(store::Database::open({.url = ":memory:"}, store_migrations(), *env), "");
    return conformance::dump(*opened, conformance::all_tables());
  }();
  return state;
}

Run run(const Case& each, StoreFolder& folder, const std::optional<DiskPlan>& plan,
        std::optional<Tail> cut) {
  Run made;
  FaultDisk disk(folder.path());
  const auto env = make_real_env();
  bool is_armed = false;
  const auto fresh = [&] {
    const auto file = folder.add_store();
    const auto ledger = std::make_shared<Ledger>(empty_state());
    made.stores.push_back({file, ledger});
    conformance::Storage storage;
    storage.is_durable = true;
    storage.folder = file + ".attachments";
    storage.open = [&, file, ledger]() -> Result<std::unique_ptr<store::Database>> {
      auto opened = store::Database::open({.url = file}, store_migrations(), *env);
      if (!opened) {
        ledger->note_error(opened.error());
        return opened;
      }
      if (!std::exchange(is_armed, true)) disk.arm(plan.value_or(DiskPlan{.at = 0}));
      return tracked(*std::move(opened), ledger);
    };
    return storage;
  };
  try {
    each.run(fresh);
  } catch (const Failure& failure) {
    made.failure = failure.what();
  }
  made.has_struck = disk.has_struck();
  for (int i = 0; i < disk_faults; ++i) made.calls[i] = disk.calls(static_cast<DiskFault>(i));
  disk.disarm();
  if (cut) disk.cut(*cut, plan ? plan->seed : 1);
  return made;
}

// What a fault that gives wrong bytes for right ones does cannot be told by a file without sums.
bool deceives(DiskFault fault) {
  return fault == DiskFault::bit_flip || fault == DiskFault::short_read;
}

bool loses_power(DiskFault fault) {
  return fault == DiskFault::lying_write || fault == DiskFault::power_cut;
}

void expect_sound(store::Database& database, bool is_damaged) {
  const auto findings = database.check_integrity();
  ASSERT_TRUE(findings) << findings.error().to_string();
  EXPECT_THAT(*findings, testing::IsEmpty());
  if (is_damaged) return;
  std::vector<std::string> violations;
  store::ReportViolation report = [&](std::string_view name, const std::string& detail) {
    violations.push_back(fmt::format("{}: {}", name, detail));
  };
  const auto verified =
      database.read([&](store::Transaction& tx) { return Stores::verify(tx, report); });
  EXPECT_TRUE(verified) << verified.error().to_string();
  EXPECT_THAT(violations, testing::IsEmpty());
}

// Opens what the disk has left, past the disk.
void expect_kept(const Run::Store& store, const DiskPlan& plan, bool after_cut, bool is_damaged) {
  const auto env = make_real_env();
  const auto opened = store::Database::open({.url = store.file}, store_migrations(), *env);
  if (deceives(plan.fault)) {
    if (opened) return;
    EXPECT_EQ(opened.error().code(), Code::corrupt) << opened.error().to_string();
    EXPECT_NE(opened.error().find("path"), nullptr) << "and where";
    return;
  }
  ASSERT_TRUE(opened) << opened.error().to_string();
  expect_sound(**opened, is_damaged);
  const auto found = conformance::dump(**opened, conformance::all_tables());
  const auto allowed = store.ledger->allowed(after_cut);
  const bool is_kept = std::ranges::find(allowed, found) != allowed.end();
  EXPECT_TRUE(is_kept) << "of " << allowed.size() << " states that may stand\n"
                       << first_difference(found, allowed.front());
}

void expect_typed(const Ledger& ledger, DiskFault fault) {
  for (const auto& error : ledger.errors()) {
    const bool is_of_disk = error.find("sqlite") != nullptr;
    if (!is_of_disk || deceives(fault)) continue;
    EXPECT_NE(error.code(), Code::internal) << error.to_string();
  }
}

struct Row {
  std::string suite;
  Case each;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.each.name; }

bool has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

// Cases that damage rows by hand.
bool damages(std::string_view name) {
  return has(name, "corrupt") || has(name, "damage") || has(name, "collection_keeps");
}

// Cases whose threads would wait for ever for the one that failed.
bool cannot_fail(const std::string& suite, std::string_view name) {
  return suite == "effects" || has(name, "and_wait_without") || has(name, "racing");
}

std::vector<Row> rows() {
  std::vector<Row> list;
  for (const auto& suite : conformance::suites()) {
    for (const auto& each : suite.cases) {
      if (!cannot_fail(suite.name, each.name)) list.push_back({suite.name, each});
    }
  }
  return list;
}

std::string name_of(const testing::TestParamInfo<Row>& info) {
  return info.param.suite + "_" + info.param.each.name;
}

std::uint64_t chosen_seed() {
  const char* given = std::getenv("CLEW_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

class Faults : public testing::TestWithParam<Row> {};

TEST_P(Faults, leave_all_that_was_acknowledged_and_nothing_by_half) {
  const auto& each = GetParam().each;
  const bool is_thorough = std::getenv("CLEW_STRESS") != nullptr;
  std::mt19937_64 random(chosen_seed() + std::hash<std::string_view>{}(each.name));
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << chosen_seed());
  StoreFolder untouched;
  const auto clean = run(each, untouched, {}, {});
  ASSERT_EQ(clean.failure, "") << "without a fault";
  const int points = is_thorough ? 8 * disk_faults : 8;
  auto next = static_cast<int>(random() % disk_faults);
  for (int i = 0; i < points; ++i, next = (next + 3) % disk_faults) {
    DiskPlan plan;
    plan.fault = static_cast<DiskFault>(next);
    const int calls = clean.calls[static_cast<std::size_t>(next)];
    if (calls == 0) continue;
    plan.at = 1 + static_cast<int>(random() % static_cast<unsigned>(calls));
    plan.tail = random() % 2 == 0 ? Tail::lost : Tail::mixed;
    plan.seed = random();
    std::optional<Tail> cut;
    if (random() % 2 == 0) cut = plan.tail;
    SCOPED_TRACE(testing::Message() << name(plan.fault) << " at call " << plan.at << " of " << calls
                                    << (cut ? ", then power goes" : ""));
    StoreFolder folder;
    const auto made = run(each, folder, plan, cut);
    if (!made.has_struck) {
      EXPECT_EQ(made.failure, "");
    }
    const bool after_cut = cut.has_value() || (loses_power(plan.fault) && made.has_struck);
    for (const auto& store : made.stores) {
      expect_typed(*store.ledger, plan.fault);
      expect_kept(store, plan, after_cut, damages(each.name));
    }
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Suites, Faults, testing::ValuesIn(rows()), name_of);

}  // namespace
}  // namespace clew::testkit
