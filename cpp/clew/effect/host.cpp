#include "clew/effect/host.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>

#include "clew/store/changes.hpp"

namespace clew::effect {
namespace {

constexpr Duration ask_every = std::chrono::milliseconds(50);
constexpr int remembered_max = 100'000;  // decided effects of a scope

struct Parts {
  store::Database& database;
  Env& env;
  Timers& timers;
  HostOptions options;
  store::Changes changes;
};

// Extends the lease of a running effect until it is stopped. When the lease turns out to be lost it
// tells the run. Thread-safe; kept alive by its own timers and writes.
class Renewal : public std::enable_shared_from_this<Renewal> {
 public:
  Renewal(Parts& parts, Scope scope, std::string key, std::string token)
      : parts_(parts), scope_(std::move(scope)), key_(std::move(key)), token_(std::move(token)) {}

  CancelToken lost() const { return lost_.token(); }

  void arm() {
    const auto due = parts_.env.clock().now() + parts_.options.lease_ttl / 3;
    const Lock lock(mutex_);
    if (is_stopped_) return;
    timer_ = parts_.timers.at(due, [self = shared_from_this()] { self->renew(); });
  }

  void stop() {
    const Lock lock(mutex_);
    is_stopped_ = true;
    if (timer_ != 0) parts_.timers.cancel(timer_);
  }

 private:
  void renew() {
    {
      const Lock lock(mutex_);
      if (is_stopped_) return;
    }
    parts_.database.submit({[self = shared_from_this()](Transaction& tx) -> Result<void> {
                              CLEW_TRY(renew_effect(tx, self->scope_, self->key_, self->token_,
                                                    self->parts_.env.clock().now(),
                                                    self->parts_.options.lease_ttl));
                              return {};
                            },
                            [self = shared_from_this()](const Result<store::CommitInfo>& renewed) {
                              self->renewed(renewed);
                            },
                            store::Durability::relaxed});
  }

  // A database that fails for a while is no reason to stop: until somebody takes the lease, it is
  // still this run's.
  void renewed(const Result<store::CommitInfo>& outcome) {
    if (!outcome && outcome.error().code() == Code::stale_lease) {
      lost_.cancel("the lease of the effect was lost");
    } else if (outcome || outcome.error().code() != Code::closed) {
      arm();
    }
  }

  Parts& parts_;
  const Scope scope_;
  const std::string key_;
  const std::string token_;
  CancelSource lost_;
  Mutex mutex_;
  TimerId timer_ CLEW_GUARDED_BY(mutex_) = 0;
  bool is_stopped_ CLEW_GUARDED_BY(mutex_) = false;
};

class Controller final : public EffectController {
 public:
  Controller(Parts& parts, const Scope& scope) : parts_(parts), scope_(scope) {}

  const Scope& scope() const override { return scope_; }
  void start_replay() override { is_strict_.store(true, std::memory_order_relaxed); }

  Result<Value> execute_effect(const Envelope& envelope, LocalExecutor execute,
                               GoOn go_on) override {
    CLEW_TRY(load());
    for (;;) {
      if (auto known = remembered(envelope)) return *std::move(known);
      const bool can_run = execute || envelope.is_sleep();
      const bool is_strict = is_strict_.load(std::memory_order_relaxed);
      auto claim = ask(envelope, is_strict || !can_run);
      if (!claim) return can_run || is_strict ? claim.error() : no_executor(claim.error());
      switch (claim->decision) {
        case Decision::completed:
        case Decision::failed:
          remember(*claim->recorded);
          return claim->recorded->result();
        case Decision::busy: {
          CLEW_TRY(await_end(envelope, go_on));
          break;
        }
        case Decision::insert:
        case Decision::take_over: {
          if (!envelope.is_sleep()) return run(envelope, *claim, execute);
          CLEW_TRY(await_due(*claim->recorded->due, go_on));
          // Whoever took the sleep over meanwhile has it end at the same time.
          if (auto ended = finalise(envelope, claim->lease.token, Value());
              !ended && ended.error().code() != Code::stale_lease) {
            return ended.error();
          }
          break;
        }
        case Decision::mismatch:
        case Decision::missing:
        case Decision::corrupt:
          return Error(Code::internal, "a refusal that is no error");
      }
    }
  }

 private:
  Result<Claim> ask(const Envelope& envelope, bool is_strict) {
    const auto token = parts_.env.ids().next().to_string();
    const store::LeaseClaim terms{parts_.options.owner, token, parts_.env.clock().now(),
                                  parts_.options.lease_ttl};
    std::optional<Claim> claim;
    CLEW_TRY(parts_.database.write([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(claim, claim_effect(tx, scope_, envelope, terms, is_strict));
      return {};
    }));
    return *std::move(claim);
  }

  Result<Value> run(const Envelope& envelope, const Claim& claim, LocalExecutor& execute) {
    const auto renewal =
        std::make_shared<Renewal>(parts_, scope_, envelope.replay_key(), claim.lease.token);
    renewal->arm();
    Result<Value> result = Value();
    try {
      result = execute({renewal->lost(), claim.lease.fence});
    } catch (const std::exception& bug) {
      result = Error(Code::internal, bug.what());
    }
    renewal->stop();
    CLEW_TRY(finalise(envelope, claim.lease.token, result));
    return result;
  }

  Result<void> finalise(const Envelope& envelope, const std::string& token,
                        const Result<Value>& result) {
    const auto done = parts_.database.write([&](Transaction& tx) -> Result<void> {
      return finalise_effect(tx, scope_, envelope, token, result);
    });
    parts_.changes.tell();
    if (!done) return done.error();
    if (result) {
      remember({envelope.replay_key(), envelope, Status::completed, *result, {}, {}});
    } else if (is_recordable(result.error())) {
      remember({envelope.replay_key(), envelope, Status::failed, {}, result.error(), {}});
    }
    return {};
  }

  // Until the effect is decided, or nobody runs it any more. That a lease runs out is no change
  // that anybody would tell of.
  Result<void> await_end(const Envelope& envelope, GoOn& go_on) {
    auto& clock = parts_.env.clock();
    std::optional<Timestamp> runs_till;
    const auto look = [&]() -> Result<bool> {
      bool is_over = false;
      CLEW_TRY(parts_.database.read([&](Transaction& tx) -> Result<void> {
        CLEW_TRY(const auto found, find_effect(tx, scope_, envelope.replay_key()));
        CLEW_TRY(runs_till, runs_until(tx, scope_, envelope.replay_key()));
        is_over = !found || found->status != Status::in_progress || !runs_till ||
                  *runs_till <= clock.now();
        return {};
      }));
      return is_over;
    };
    for (;;) {
      CLEW_TRY(const bool is_over, look());
      if (is_over) return {};
      const auto until = go_on ? std::min(*runs_till, clock.now() + ask_every) : *runs_till;
      CLEW_TRY(const bool ended, parts_.changes.look_until(until, look));
      if (ended) return {};
      if (go_on) {
        CLEW_TRY(go_on());
      }
    }
  }

  Result<void> await_due(Timestamp due, GoOn& go_on) {
    auto& clock = parts_.env.clock();
    for (auto now = clock.now(); now < due; now = clock.now()) {
      if (go_on) {
        CLEW_TRY(go_on());
      }
      Lock lock(mutex_);
      (void)clock.wait_until(never_, lock, go_on ? std::min(due, now + ask_every) : due);
    }
    return {};
  }

  // What is decided never changes, so each scope reads it once.
  Result<void> load() {
    {
      const Lock lock(mutex_);
      if (is_loaded_) return {};
    }
    std::vector<Recorded> decided;
    CLEW_TRY(parts_.database.read([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(decided, decided_effects(tx, scope_, remembered_max));
      return {};
    }));
    const Lock lock(mutex_);
    is_loaded_ = true;
    for (auto& each : decided) {
      auto key = each.replay_key;
      known_.insert_or_assign(std::move(key), std::move(each));
    }
    return {};
  }

  void remember(const Recorded& decided) {
    const Lock lock(mutex_);
    if (known_.size() < remembered_max) known_.insert_or_assign(decided.replay_key, decided);
  }

  // Nothing: ask the journal, which also says what differs.
  std::optional<Result<Value>> remembered(const Envelope& envelope) {
    const Lock lock(mutex_);
    const auto found = known_.find(envelope.replay_key());
    if (found == known_.end() || !(found->second.envelope == envelope)) return std::nullopt;
    return found->second.result();
  }

  static Error no_executor(const Error& why) {
    const auto* reason = why.find("reason");
    if (reason == nullptr || *reason != Value("effect_missing")) return why;
    return Error(Code::unsupported, "the effect would have to run, and nothing here can run it")
        .with("reason", "effect_executor_unavailable");
  }

  Parts& parts_;
  const Scope scope_;
  std::atomic<bool> is_strict_{false};
  Mutex mutex_;
  Condition never_;  // told of nothing: for sleeping
  bool is_loaded_ CLEW_GUARDED_BY(mutex_) = false;
  std::map<std::string, Recorded, std::less<>> known_ CLEW_GUARDED_BY(mutex_);
};

class Host final : public EffectHost {
 public:
  Host(store::Database& database, Env& env, Timers& timers, HostOptions options)
      : parts_{database, env, timers, std::move(options), {database, env.clock()}} {}

  bool is_durable() const override { return !parts_.database.is_memory(); }
  std::shared_ptr<EffectController> scoped(const Scope& scope) override {
    return std::make_shared<Controller>(parts_, scope);
  }

 private:
  Parts parts_;
};

}  // namespace

Result<std::unique_ptr<EffectHost>> make_effect_host(store::Database& database, Env& env,
                                                     Timers& timers, HostOptions options) {
  if (options.lease_ttl < std::chrono::milliseconds(1)) {
    return invalid_input("lease_ttl", Value(to_string(options.lease_ttl)), "at least 1 ms");
  }
  return std::unique_ptr<EffectHost>(
      std::make_unique<Host>(database, env, timers, std::move(options)));
}

}  // namespace clew::effect
