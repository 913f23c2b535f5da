#include <algorithm>
#include <memory>
#include <optional>

#include "clew/base/fault.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/store/outbox.hpp"

namespace clew::store {
namespace {

FaultPoint fault_deliver("outbox.deliver");  // messages were found, none is delivered

constexpr int batch_max = 64;
constexpr Duration first_delay = std::chrono::milliseconds(100);
constexpr Duration delay_max = std::chrono::minutes(1);

Duration delay_after(int attempts) {
  const int doublings = std::min(attempts, 16);
  return std::min(delay_max, first_delay * (1 << doublings));
}

// The writes of one batch: counts those that are on their way, keeps what became of them.
class Batch {
 public:
  explicit Batch(std::size_t size) : outcomes_(size), pending_(size) {}

  void end(std::size_t place, Result<CommitInfo> outcome) {
    const Lock lock(mutex_);
    outcomes_[place] = outcome ? Result<void>() : Result<void>(outcome.error());
    if (--pending_ == 0) ended_.notify_one();
  }
  std::vector<Result<void>> wait() {
    Lock lock(mutex_);
    while (pending_ > 0) ended_.wait(lock);
    return std::move(outcomes_);
  }

 private:
  Mutex mutex_;
  Condition ended_;
  std::vector<Result<void>> outcomes_ CLEW_GUARDED_BY(mutex_);
  std::size_t pending_ CLEW_GUARDED_BY(mutex_);
};

class Driver final : public OutboxDriver {
 public:
  Driver(Database& database, Env& env, std::map<std::string, Deliver> routes)
      : database_(database), clock_(env.clock()), routes_(std::move(routes)) {}
  ~Driver() override { stop(); }

  void wake() override {
    const Lock lock(mutex_);
    if (is_stopped_) return;
    is_awake_ = true;
    if (threads_.size() == 0) threads_.start("clew-outbox", [this] { run(); });
    changed_.notify_all();
  }

  void look() override {
    const auto next = next_due_time();
    if (next && *next <= clock_.now()) wake();
  }

  Result<int> deliver_due() override {
    int delivered = 0;
    for (auto& [topic, deliver] : routes_) {
      for (;;) {
        CLEW_TRY(const auto passed, deliver_some(topic, deliver));
        delivered += passed.delivered;
        if (passed.found == 0) break;
      }
    }
    return delivered;
  }

  void stop() override {
    {
      const Lock lock(mutex_);
      is_stopped_ = true;
      changed_.notify_all();
    }
    threads_.join();
  }

 private:
  struct Pass {
    int found = 0;
    int delivered = 0;
  };

  void run() {
    int failures = 0;  // in a row
    for (;;) {
      {
        Lock lock(mutex_);
        while (!is_stopped_ && !is_awake_) {
          if (clock_.wait_until(changed_, lock, next_)) break;
        }
        if (is_stopped_) return;
        is_awake_ = false;
        next_ = Timestamp::never();
      }
      const auto done = deliver_due();
      const auto next = done ? next_due_time() : Result<Timestamp>(done.error());
      const auto again = next ? *next : clock_.now() + delay_after(failures);
      failures = next ? 0 : failures + 1;
      const Lock lock(mutex_);
      next_ = std::min(next_, again);
    }
  }

  // One batch of what is due. A message that another process delivered meanwhile counts as found
  // only.
  Result<Pass> deliver_some(const std::string& topic, Deliver& deliver) {
    std::vector<Message> found;
    const auto now = clock_.now();
    CLEW_TRY(database_.read([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(found, due_messages(tx, topic, now, batch_max));
      return {};
    }));
    if (!found.empty()) {
      CLEW_TRY(fault_deliver.hit());
    }
    Batch batch(found.size());
    std::vector<char> is_ours(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& message = found[i];
      auto& ours = is_ours[i];
      database_.submit(
          {[&deliver, &message, &ours](Transaction& tx) -> Result<void> {
             CLEW_TRY(const bool removed, remove_message(tx, message.id));
             ours = removed ? 1 : 0;
             return removed ? deliver(tx, message) : Result<void>();
           },
           [&batch, i](Result<CommitInfo> outcome) { batch.end(i, std::move(outcome)); },
           Durability::sync});
    }
    Pass pass{.found = static_cast<int>(found.size())};
    if (found.empty()) return pass;
    const auto outcomes = batch.wait();
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (outcomes[i]) {
        pass.delivered += is_ours[i];
      } else {
        CLEW_TRY(put_off(found[i], outcomes[i].error()));
      }
    }
    return pass;
  }

  Result<Timestamp> next_due_time() {
    auto next = Timestamp::never();
    CLEW_TRY(database_.read([&](Transaction& tx) -> Result<void> {
      for (const auto& [topic, deliver] : routes_) {
        CLEW_TRY(const auto due, next_message_due(tx, topic));
        next = std::min(next, due);
      }
      return {};
    }));
    return next;
  }

  Result<void> put_off(const Message& message, const Error& why) {
    const auto due = clock_.now() + delay_after(message.attempts);
    const auto problem = why.shortened().to_string();
    CLEW_TRY(database_.write(
        [&](Transaction& tx) -> Result<void> { return defer_message(tx, message, problem, due); }));
    const Lock lock(mutex_);  // it need not be the driver's thread
    next_ = std::min(next_, due);
    changed_.notify_all();
    return {};
  }

  Database& database_;
  Clock& clock_;
  std::map<std::string, Deliver> routes_;
  Threads threads_;  // at most one, started by the first wake()
  Mutex mutex_;
  Condition changed_;
  bool is_awake_ CLEW_GUARDED_BY(mutex_) = false;
  bool is_stopped_ CLEW_GUARDED_BY(mutex_) = false;
  Timestamp next_ CLEW_GUARDED_BY(mutex_) = Timestamp::never();  // something is due then
};

}  // namespace

std::unique_ptr<OutboxDriver> start_outbox(Database& database, Env& env,
                                           std::map<std::string, Deliver> routes) {
  return std::make_unique<Driver>(database, env, std::move(routes));
}

}  // namespace clew::store
