#include "clew/runtime/janitor.hpp"

#include <algorithm>
#include <atomic>

#include "clew/base/fault.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/effect/journal.hpp"
#include "clew/process/processes.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/session/triggers.hpp"
#include "clew/store/timed_lease.hpp"

namespace clew {
namespace {

FaultPoint fault_round("janitor.round");  // a round is over

constexpr Duration look_every = std::chrono::seconds(15);
constexpr Duration tidy_every = std::chrono::minutes(10);

Result<std::int64_t> count_pruned(store::Transaction& tx, Timestamp before, int limit) {
  CLEW_TRY(const auto pruned, prune_processes(tx, before, limit));
  return static_cast<std::int64_t>(pruned.size());
}

// Those of effects in progress stay, however old: they say that somebody began.
Result<std::int64_t> purge_leases(store::Transaction& tx, Timestamp, int limit) {
  CLEW_TRY(const auto gone, store::purge_timed_leases(tx, "effect", Timestamp{0}, limit));
  return std::int64_t{gone};
}

class JanitorImpl final : public Janitor {
 public:
  JanitorImpl(store::Database& database, Env& env, store::OutboxDriver& outbox,
              StoreRetention retention)
      : database_(database), clock_(env.clock()), outbox_(outbox), retention_(retention) {}
  ~JanitorImpl() override { stop(); }

  void start() override {
    const auto first = clock_.now() + look_every;
    thread_.start("clew-janitor", [this, first] { run(first); });
  }

  void stop() override {
    {
      const Lock lock(mutex_);
      is_stopped_.store(true);
      changed_.notify_all();
    }
    thread_.join();
  }

  Result<Tidied> tidy(Timestamp now) override {
    Tidied gone;
    const auto keys = now + -retention_.keys_age;
    CLEW_TRY(gone.effects, in_batches(effect::purge_effects, keys));
    CLEW_TRY(gone.leases, in_batches(purge_leases, keys));
    CLEW_TRY(gone.source_keys, in_batches(session::forget_batch_sources, keys));
    CLEW_TRY(gone.host_events, in_batches(session::prune_host_events, keys));
    if (retention_.processes_age) {
      CLEW_TRY(gone.processes, in_batches(count_pruned, now + -*retention_.processes_age));
    }
    return gone;
  }

 private:
  using Remove = Result<std::int64_t> (*)(store::Transaction&, Timestamp before, int limit);

  // What the machine loses of it is removed again.
  Result<std::int64_t> in_batches(Remove remove, Timestamp before) {
    std::int64_t all = 0;
    std::int64_t gone = batch_max;
    while (gone >= batch_max && !is_stopped_.load()) {
      CLEW_TRY(database_.write(
          [&](store::Transaction& tx) -> Result<void> {
            CLEW_TRY(gone, remove(tx, before, batch_max));
            return {};
          },
          store::Durability::relaxed));
      all += gone;
    }
    return all;
  }

  void run(Timestamp next) {
    auto next_tidy = next;
    for (;;) {
      {
        Lock lock(mutex_);
        while (!is_stopped_.load() && clock_.now() < next) {
          clock_.wait_until(changed_, lock, next);
        }
        if (is_stopped_.load()) return;
      }
      // A database that is away now is asked again the next time; who writes hears of it.
      outbox_.look();
      const auto now = clock_.now();
      if (now >= next_tidy) {
        (void)tidy(now);
        next_tidy = now + tidy_every;
      }
      next = clock_.now() + look_every;
      (void)fault_round.hit();
    }
  }

  store::Database& database_;
  Clock& clock_;
  store::OutboxDriver& outbox_;
  const StoreRetention retention_;
  std::atomic<bool> is_stopped_{false};
  Mutex mutex_;
  Condition changed_;
  Threads thread_;
};

}  // namespace

Result<std::vector<std::string>> prune_processes(store::Transaction& tx, Timestamp before,
                                                 int limit) {
  CLEW_TRY(auto pruned, process::prune_processes(tx, before, limit));
  for (const auto& id : pruned) {
    CLEW_TRY(const auto scope, effect::Scope::process(id));
    CLEW_TRY(effect::retire_scope(tx, scope));
  }
  return pruned;
}

std::unique_ptr<Janitor> make_janitor(store::Database& database, Env& env,
                                      store::OutboxDriver& outbox, StoreRetention retention) {
  return std::make_unique<JanitorImpl>(database, env, outbox, retention);
}

}  // namespace clew
