// The same programs on each database: every answer and every row must be the same.
#include "clew/testkit/differential/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "clew/base/env.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/testkit/wrappers.hpp"
#include "store/postgres.hpp"
#include "testkit/disk_support.hpp"

namespace clew::differential {
namespace {

using store::Database;
using Opened = Result<std::unique_ptr<Database>>;

Opened open_at(const std::string& url) {
  static const auto env = make_real_env();
  return Database::open({.url = url}, store_migrations(), *env);
}

Place memory() {
  return {"memory", [] { return open_at(":memory:"); }};
}

// Each program gets a file and a schema of its own, which go with the place.
Place file() {
  auto folder = std::make_shared<testkit::StoreFolder>();
  return {"a file", [folder] { return open_at(folder->add_store()); }};
}
Place postgresql() {
  auto schemas = std::make_shared<std::vector<std::unique_ptr<PostgresSchema>>>();
  return {"PostgreSQL", [schemas] {
            schemas->push_back(std::make_unique<PostgresSchema>());
            return open_at(schemas->back()->url());
          }};
}

std::uint64_t chosen_seed() {
  const char* given = std::getenv("CLEW_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

// As what a person reads and puts into the corpus.
std::string report(const Program& program, const std::vector<Place>& places) {
  const auto fails = [&](const Program& tried) { return difference(tried, places).has_value(); };
  const auto least = minimised(program, fails, 400);
  return fmt::format("{}\nin this program, to be kept in tests_cpp/testkit/corpus:\n{}",
                     difference(least, places).value_or("it does not happen each time"),
                     to_text(least));
}

std::filesystem::path corpus() { return std::filesystem::path(__FILE__).parent_path() / "corpus"; }

TEST(Programs, of_the_corpus_answer_alike_everywhere) {
  const std::vector<Place> places{memory(), file(), postgresql()};
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus())) {
    SCOPED_TRACE(entry.path().string());
    std::ifstream text(entry.path());
    const auto program = parse_program(std::string(std::istreambuf_iterator<char>(text), {}));
    ASSERT_TRUE(program) << program.error().to_string();
    const auto found = difference(*program, places);
    EXPECT_FALSE(found) << *found;
    ++count;
  }
  EXPECT_GE(count, 3);
}

void expect_alike(const std::vector<Place>& places, int programs, std::uint64_t first) {
  const int times = std::getenv("CLEW_STRESS") != nullptr ? 20 : 1;
  for (int i = 0; i < programs * times; ++i) {
    const auto program = random_program(first + static_cast<std::uint64_t>(i), 250);
    const auto found = difference(program, places);
    ASSERT_FALSE(found) << "CLEW_SEED=" << chosen_seed() << ", program " << i << "\n"
                        << report(program, places);
  }
}

TEST(Programs, random_ones_answer_alike_in_memory_and_in_a_file) {
  expect_alike({memory(), file()}, 40, chosen_seed() * 100'000);
}

// Fewer: a database of its own for each program takes PostgreSQL a while.
TEST(Programs, random_ones_answer_alike_everywhere) {
  expect_alike({memory(), file(), postgresql()}, 8, chosen_seed() * 100'000 + 50'000);
}

TEST(Programs, use_every_word) {
  std::set<std::string> used;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    for (const auto& step : random_program(seed, 250)) used.insert(step.verb);
  }
  EXPECT_THAT(std::vector(used.begin(), used.end()), testing::ElementsAreArray(verbs()));
}

TEST(Programs, are_read_as_they_are_written) {
  const auto program = random_program(7, 200);
  const auto again = parse_program("# a comment\n\n" + to_text(program));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, program);
  EXPECT_NE(random_program(8, 200), program);
  for (const auto* bad : {"lease_steal 1", "lease_find", "lease_find 1 2", "lease_find -1",
                          "lease_find 1x", "lease_find 1000001"}) {
    const auto refused = parse_program(std::string("advance 1\n") + bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::invalid_input);
    EXPECT_EQ(*refused.error().find("path"), Value("line 2")) << bad;
  }
}

// Says of a renewal that it is done, and does nothing.
class ForgetfulTransaction final : public store::Transaction {
 public:
  explicit ForgetfulTransaction(Transaction& inner) : inner_(inner) {}
  Result<std::int64_t> run_text(std::string_view sql, std::span<const store::Arg> args) override {
    return inner_.run_text(sql, args);
  }
  Result<void> each_text(std::string_view sql, std::span<const store::Arg> args,
                         store::VisitRow& visit) override {
    return inner_.each_text(sql, args, visit);
  }
  Result<std::int64_t> run_args(const store::Statement& statement,
                                std::span<const store::Arg> args) override {
    const std::string_view sql(statement.sql());
    if (sql.find("UPDATE timed_leases") != sql.npos) return 1;
    return inner_.run_args(statement, args);
  }
  Result<void> each_args(const store::Statement& statement, std::span<const store::Arg> args,
                         store::VisitRow& visit) override {
    return inner_.each_args(statement, args, visit);
  }
  Result<bool> first_args(const store::Statement& statement, std::span<const store::Arg> args,
                          store::VisitRow& visit) override {
    return inner_.first_args(statement, args, visit);
  }

 private:
  Transaction& inner_;
};

class Forgetful final : public testkit::WrappedDatabase {
 public:
  using WrappedDatabase::WrappedDatabase;
  Result<store::CommitInfo> write(store::Apply apply, store::Durability durability) override {
    return inner().write(
        [apply = std::move(apply)](store::Transaction& tx) mutable {
          ForgetfulTransaction forgetful(tx);
          return apply(forgetful);
        },
        durability);
  }
};

TEST(Programs, that_find_a_database_wrong_shrink_to_a_few_steps) {
  const std::vector<Place> places{memory(), {"one that forgets", []() -> Opened {
                                               CLEW_TRY(auto right, open_at(":memory:"));
                                               return std::make_unique<Forgetful>(std::move(right));
                                             }}};
  const auto fails = [&](const Program& tried) { return difference(tried, places).has_value(); };
  auto seed = chosen_seed();
  while (!fails(random_program(seed, 200))) ++seed;
  const auto least = minimised(random_program(seed, 200), fails, 1000);
  EXPECT_TRUE(fails(least));
  EXPECT_LE(least.size(), 2U) << to_text(least);
  ASSERT_FALSE(least.empty());
  EXPECT_EQ(least.front().verb.find("advance"), std::string::npos) << to_text(least);
}

}  // namespace
}  // namespace clew::differential
