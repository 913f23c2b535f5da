// effect/host.hpp: who carries effects out.
#pragma once

#include <memory>
#include <string>

#include "clew/base/cancel.hpp"
#include "clew/base/env.hpp"
#include "clew/effect/journal.hpp"
#include "clew/exec/timers.hpp"

namespace clew::effect {

// What a local run of an effect gets to know.
struct EffectRun {
  CancelToken cancelled;   // the lease was lost: whatever it comes to, nobody will hear of it
  std::int64_t fence = 0;  // rises with each run of this effect
};
// Carries an effect out here. Empty: it cannot be.
using LocalExecutor = Function<Result<Value>(const EffectRun&)>;
// Asked at least every 50 ms of real time while a caller waits; its error ends the wait.
using GoOn = store::GoOn;

// Effects of one scope. Thread-safe: many may run at once, on their callers' threads.
class EffectController {
 public:
  virtual ~EffectController() = default;
  virtual const Scope& scope() const = 0;

  // The outcome of the effect: recorded, or of a run of `execute` that is recorded before anybody
  // hears of it. While another caller runs it, this waits for what it comes to. A sleep needs no
  // executor: it is over at the time that its first request fixed, however often it is asked again.
  // Errors: those of claim_effect() and finalise_effect(); the recorded or new failure of the
  // effect itself; `unsupported` with reason effect_executor_unavailable when it would have to run
  // and `execute` is empty; that of `go_on`. Blocks.
  virtual Result<Value> execute_effect(const Envelope& envelope, LocalExecutor execute,
                                       GoOn go_on = nullptr) = 0;

  // From now on nothing is run: what is not recorded is `not_found` (effect_missing).
  virtual void start_replay() = 0;
};

class EffectHost {
 public:
  virtual ~EffectHost() = default;
  // Whether what it records outlives the process.
  virtual bool is_durable() const = 0;
  // The controller may outlive neither the host nor what it borrows.
  virtual std::shared_ptr<EffectController> scoped(const Scope& scope) = 0;
};

struct HostOptions {
  std::string owner = "clew";                     // who runs effects, for whoever looks at leases
  Duration lease_ttl = std::chrono::seconds(30);  // renewed at a third of it
};

// Keeps effects in the database. All borrowed. Error: `invalid_input` for a ttl below 1 ms.
Result<std::unique_ptr<EffectHost>> make_effect_host(store::Database& database, Env& env,
                                                     Timers& timers, HostOptions options);

}  // namespace clew::effect
