// Real processes, really killed, at every fault point.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "store/support.hpp"

namespace clew::store {
namespace {

constexpr int writes_of_child = 40;

// Writes with several threads and says in a file what was acknowledged. Each line is synced to the
// system (not to the disk: the process dies, the machine does not) before the next write.
TEST(CrashChild, DISABLED_writes) {
  ASSERT_TRUE(arm_faults_from_environment());
  const auto env = make_real_env();
  auto opened = Database::open({.url = std::getenv("CLEW_TEST_DB")}, test_migrations(), *env);
  ASSERT_TRUE(opened) << opened.error().to_string();
  const auto& db = *opened;
  Mutex mutex;
  std::ofstream acknowledged(std::getenv("CLEW_TEST_ACKS"), std::ios::app);
  const int base = std::atoi(std::getenv("CLEW_TEST_BASE"));
  const bool relaxed = std::getenv("CLEW_TEST_RELAXED") != nullptr;
  Threads threads;
  for (int t = 0; t < 4; ++t) {
    threads.start("writer", [&, t] {
      for (int i = 0; i < writes_of_child / 4; ++i) {
        const int id = base + i * 4 + t;
        const auto done = db->write(adding(id), relaxed ? Durability::relaxed : Durability::sync);
        if (!done) continue;
        const Lock lock(mutex);
        acknowledged << id << std::endl;
      }
    });
  }
  threads.join();
  if (relaxed) (void)db->await_durable(db->written_up_to(), Timestamp::never());
}

struct Crash {
  const char* point;
  int hit;
  bool relaxed;
};

class KilledAt : public testing::TestWithParam<Crash> {};

INSTANTIATE_TEST_SUITE_P(
    Points, KilledAt,
    testing::Values(Crash{"store.open", 1, false}, Crash{"store.commit.before", 1, false},
                    Crash{"store.commit.before", 5, false}, Crash{"store.commit.inside", 1, false},
                    Crash{"store.commit.inside", 6, false}, Crash{"store.sync", 1, false},
                    Crash{"store.sync", 4, false}, Crash{"store.commit.after", 1, false},
                    Crash{"store.commit.after", 7, false}, Crash{"store.commit.inside", 5, true},
                    Crash{"store.commit.after", 5, true}, Crash{"store.sync", 1, true}),
    [](const auto& point) {
      std::string name = fmt::format("{}_{}{}", point.param.point, point.param.hit,
                                     point.param.relaxed ? "_relaxed" : "");
      std::ranges::replace(name, '.', '_');
      return name;
    });

std::vector<std::int64_t> lines_of(const std::string& path) {
  std::istringstream text(read_bytes(path));
  std::vector<std::int64_t> numbers;
  for (std::int64_t number = 0; text >> number;) numbers.push_back(number);
  std::ranges::sort(numbers);
  return numbers;
}

TEST_P(KilledAt, nothing_acknowledged_is_lost_and_work_goes_on) {
  const auto& crash = GetParam();
  const Folder folder;
  const auto store = store_in(folder.path());
  Environment environment = {
      {"CLEW_TEST_DB", store}, {"CLEW_TEST_ACKS", folder.file("acks")}, {"CLEW_TEST_BASE", "1000"}};
  if (crash.relaxed) environment.emplace_back("CLEW_TEST_RELAXED", "1");
  auto killing = environment;
  killing.emplace_back("CLEW_FAULT", fmt::format("{}=kill@{}", crash.point, crash.hit));
  const auto end = run_child("CrashChild.DISABLED_writes", killing);
  EXPECT_EQ(end.signal, SIGKILL) << "exit code " << end.exit_code;

  const auto acknowledged = lines_of(folder.file("acks"));
  const auto env = make_real_env();
  {
    const auto db = open_or_fail(store, *env);
    ASSERT_NE(db, nullptr);
    const auto kept = notes_of(*db);
    EXPECT_TRUE(std::ranges::includes(kept, acknowledged));
    // At most the group in progress (each thread has one write in it) was kept without an answer.
    EXPECT_LE(kept.size(), acknowledged.size() + 4);
    EXPECT_THAT(*db->check_integrity(), testing::IsEmpty());
  }
  environment[2].second = "2000";
  EXPECT_EQ(run_child("CrashChild.DISABLED_writes", environment).exit_code, 0);
  const auto after = notes_of(*open_or_fail(store, *env));
  EXPECT_EQ(std::ranges::count_if(after, [](auto id) { return id >= 2000; }), writes_of_child);
}

TEST(Processes, two_writing_at_once_lose_nothing) {
  const Folder folder;
  const auto store = store_in(folder.path());
  const auto env = make_real_env();
  const auto db = open_or_fail(store, *env);
  Threads threads;
  for (const char* base : {"1000", "2000"}) {
    threads.start("parent", [&folder, &store, base] {
      const auto end = run_child("CrashChild.DISABLED_writes",
                                 {{"CLEW_TEST_DB", store},
                                  {"CLEW_TEST_ACKS", folder.file(std::string("acks") + base)},
                                  {"CLEW_TEST_BASE", base}});
      EXPECT_EQ(end.exit_code, 0);
    });
  }
  for (int i = 0; i < writes_of_child; ++i) EXPECT_TRUE(db->write(adding(i)));
  threads.join();
  EXPECT_EQ(notes_of(*db).size(), 3U * writes_of_child);
  for (const char* base : {"1000", "2000"}) {
    EXPECT_EQ(lines_of(folder.file(std::string("acks") + base)).size(),
              static_cast<std::size_t>(writes_of_child));
  }
}

}  // namespace
}  // namespace clew::store
