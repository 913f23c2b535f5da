// An effect whose owner is killed while it runs: processes that are really killed, leases that
// really run out.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "clew/base/threads.hpp"
#include "clew/effect/host.hpp"
#include "clew/runtime/schema.hpp"
#include "runtime/fixture.hpp"
#include "store/child.hpp"

namespace clew {
namespace {

using effect::EffectRun;
using store::Database;

// Short, so that the successors need not wait long; the killed owner never renews. Theirs is long,
// so that none is slow enough to lose it.
constexpr Duration victims_ttl = std::chrono::milliseconds(300);
constexpr Duration successors_ttl = std::chrono::seconds(60);

// Hosts of one process over a database, with all that they borrow.
struct World {
  World(const std::string& url, const std::string& owner, Duration lease_ttl)
      : env(make_real_env()),
        database(Database::open({.url = url}, store_migrations(), *env).value()),
        timers(make_timers(env->clock())) {
    EXPECT_TRUE(timers->start());
    host = effect::make_effect_host(*database, *env, *timers, {owner, lease_ttl}).value();
  }
  ~World() {
    EXPECT_TRUE(timers->stop(StopMode::cancel, Timestamp::never()));
    EXPECT_TRUE(database->close(Timestamp::never()));
  }
  Result<Value> execute(effect::LocalExecutor run) {
    const auto invocation = Value::object(
        {{"scope", Value::object({{"session_id", "s"}})},
         {"subject",
          Value::object({{"type", "effect"}, {"effect_id", "e"}, {"kind", "exec_code"}})},
         {"replay", Value::object({{"key", "s:turn:e"}})}});
    const auto command = Value::object({{"type", "exec_code"}, {"code", "work()"}});
    const auto scope = effect::Scope::turn("s", "turn").value();
    return host->scoped(scope)->execute_effect(effect::Envelope::make(invocation, command).value(),
                                               std::move(run));
  }

  std::unique_ptr<Env> env;
  std::unique_ptr<Database> database;
  std::unique_ptr<Timers> timers;
  std::unique_ptr<effect::EffectHost> host;
};

TEST(EffectOwnerChild, DISABLED_dies_in_its_effect) {
  World world(std::getenv("CLEW_TEST_DB"), "victim", victims_ttl);
  (void)world.execute([](const EffectRun& run) -> Result<Value> {
    std::ofstream(std::getenv("CLEW_TEST_RUNS")) << run.fence << std::flush;
    (void)raise(SIGKILL);
    return Value("never");
  });
}

class EffectOwner : public testing::TestWithParam<const char*> {
 protected:
  ~EffectOwner() override { std::filesystem::remove_all(folder_); }
  std::string url() {
    const bool is_file = GetParam() == std::string("file");
    return is_file ? (folder_ / "work.db").string() : schema_.url();
  }
  const std::filesystem::path folder_ = fresh_folder();
  PostgresSchema schema_;
};

INSTANTIATE_TEST_SUITE_P(Places, EffectOwner, testing::Values("file", "postgresql"),
                         [](const auto& place) { return std::string(place.param); });

TEST_P(EffectOwner, once_it_is_killed_exactly_one_successor_finishes) {
  constexpr int successors = 16;
  const auto runs = (folder_ / "runs").string();
  const auto end = run_child("EffectOwnerChild.DISABLED_dies_in_its_effect",
                             {{"CLEW_TEST_DB", url()}, {"CLEW_TEST_RUNS", runs}});
  ASSERT_EQ(end.signal, SIGKILL) << "exit code " << end.exit_code;
  std::int64_t first_fence = 0;
  ASSERT_TRUE(std::ifstream(runs) >> first_fence);

  // Two databases, as two processes have.
  World even(url(), "even", successors_ttl);
  World odd(url(), "odd", successors_ttl);
  Mutex mutex;
  std::vector<std::int64_t> fences;
  std::vector<Result<Value>> outcomes;
  Threads threads;
  for (int i = 0; i < successors; ++i) {
    threads.start("successor", [&, i] {
      auto outcome = (i % 2 == 0 ? even : odd).execute([&](const EffectRun& run) -> Result<Value> {
        const Lock lock(mutex);
        fences.push_back(run.fence);
        return Value(i);
      });
      const Lock lock(mutex);
      outcomes.push_back(std::move(outcome));
    });
  }
  threads.join();
  ASSERT_EQ(fences.size(), 1U);
  EXPECT_GT(fences.front(), first_fence);
  ASSERT_EQ(outcomes.size(), static_cast<std::size_t>(successors));
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    EXPECT_EQ(*outcome, *outcomes.front());
  }
}

}  // namespace
}  // namespace clew
