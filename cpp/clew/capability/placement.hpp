// capability/placement.hpp: where a call runs, and by whom.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "clew/base/snapshot.hpp"
#include "clew/capability/executor.hpp"

namespace clew {

struct Placed {
  std::string target;
  std::shared_ptr<CapabilityExecutor> executor;
};

// The executors of a runtime and the choice among them. Thread-safe; choosing never waits for
// adding.
class Placement {
 public:
  Placement();

  // `conflict` for a name that is taken.
  Result<void> add(std::shared_ptr<CapabilityExecutor> executor);

  // The least loaded open executor that accepts the capability and serves a target that its
  // contract permits; ties go by target, then by name. `wish` narrows the targets and never widens
  // them. Errors: `no_eligible_target` with the reason against each candidate.
  Result<Placed> choose(const Capability& capability, const std::string& wish) const;

  std::vector<std::shared_ptr<CapabilityExecutor>> executors() const { return *current_.load(); }

 private:
  using List = std::vector<std::shared_ptr<CapabilityExecutor>>;
  Mutex writers_;
  Snapshot<List> current_;
};

}  // namespace clew
