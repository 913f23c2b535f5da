// capability/contract_rows.hpp: registered contracts in the store.
#pragma once

#include <vector>

#include "clew/capability/contract.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew {

// The table of contracts and its view `v_capabilities`, one migration.
store::Migration contract_migration(int version);
// And what came later: the workflow that carries a capability out.
store::Migration contract_workflow_migration(int version);

// Keeps what was registered. `conflict` naming the first difference when other content is stored,
// by another process say, unless `may_replace`. A lifecycle never goes backwards: the one that
// stands there in the end.
Result<Lifecycle> store_contract(store::Transaction& tx, const Capability& capability,
                                 bool may_replace, Timestamp now);

// Every contract that can be read, without handlers; `damaged` is told of each that cannot.
Result<std::vector<Capability>> load_contracts(store::Transaction& tx,
                                               const store::ReportRow& damaged);

}  // namespace clew
