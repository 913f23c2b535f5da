#include "clew/runtime/schema.hpp"

#include "clew/capability/broker.hpp"
#include "clew/capability/contract_rows.hpp"
#include "clew/capability/idempotency.hpp"
#include "clew/capability/trace.hpp"
#include "clew/effect/journal.hpp"
#include "clew/process/registry.hpp"
#include "clew/session/schema.hpp"
#include "clew/store/blob.hpp"
#include "clew/store/migrate.hpp"
#include "clew/store/work_queue.hpp"
#include "clew/wasm/wasm.hpp"
#include "clew/workflow/engine.hpp"

namespace clew {

std::vector<store::Migration> store_migrations() {
  auto migrations = store::core_migrations();
  for (const auto make :
       {trace_migration, workflow::run_migration, contract_migration, idempotency_migration,
        wasm::module_migration, event_migration, trace_path_migration,
        workflow::run_workspace_migration, contract_workflow_migration,
        store::coordination_migration, process::process_migration, effect::effect_migration,
        store::blob_migration, store::work_queue_migration, session::session_migration,
        store::work_claims_migration}) {
    migrations.push_back(make(static_cast<int>(migrations.size()) + 1));
  }
  return migrations;
}

}  // namespace clew
