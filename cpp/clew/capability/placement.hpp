// capability/placement.hpp: where a call runs, and by whom.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/executor.hpp"

namespace clew {

struct Placed {
  std::string target;
  std::shared_ptr<CapabilityExecutor> executor;
};

// The executors of a runtime and the choice among them. Thread-safe; choosing takes no lock.
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
  // Every list that there was: executors come seldom and never go, and a reader may be at any.
  std::vector<std::unique_ptr<const List>> lists_ CLEW_GUARDED_BY(writers_);
  std::atomic<const List*> current_;
};

}  // namespace clew
