// runtime/stores.hpp: the stores that stand beside calls and runs, over one database.
#pragma once

#include <memory>

#include "clew/effect/host.hpp"
#include "clew/process/processes.hpp"
#include "clew/runtime/janitor.hpp"
#include "clew/store/outbox.hpp"

namespace clew {

// Thread-safe. Owned by the Runtime; what it is made of is borrowed.
class Stores {
 public:
  static Result<std::unique_ptr<Stores>> open(store::Database& database, Env& env, Timers& timers,
                                              const std::string& owner, StoreRetention retention);

  process::Processes& processes() { return *processes_; }
  effect::EffectHost& effects() { return *effects_; }
  store::OutboxDriver& outbox() { return *outbox_; }

  // Forgets a session with all that it has, and its id for ever: its handles of processes, of which
  // those that nobody else can address are asked to stop, and what its effects have recorded. One
  // transaction. False when it was deleted before. Blocks.
  Result<bool> delete_session(const std::string& session_id);

  // See janitor.hpp. One transaction. Blocks.
  Result<std::vector<std::string>> prune_processes(Timestamp before, int limit);

  // Everything that must hold in their tables.
  static Result<void> verify(store::Transaction& tx, store::ReportViolation& report);
  Janitor& janitor() { return *janitor_; }

  // Delivers what an earlier process left in the outbox, and begins to tidy. Never blocks.
  void start();
  // Ends what runs in the background. The stores still answer until the database closes.
  void stop();

 private:
  Stores(store::Database& database, Env& env) : database_(database), env_(env) {}
  store::Database& database_;
  Env& env_;
  bool has_messages_ = false;  // in the outbox, when it was opened
  std::unique_ptr<store::OutboxDriver> outbox_;
  std::unique_ptr<process::Processes> processes_;
  std::unique_ptr<effect::EffectHost> effects_;
  std::unique_ptr<Janitor> janitor_;
};

}  // namespace clew
