// capability/placement.hpp: where a call runs, and by whom.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/call_path.hpp"
#include "clew/capability/executor.hpp"

namespace clew {

// Where a call runs, and why there.
struct Placed {
  std::string target;
  std::shared_ptr<CapabilityExecutor> executor;
  // only_candidate, target_requested (only one serves it), preferred_target, least_load,
  // tie_by_name
  HopReason reason = HopReason::only_candidate;
  Value considered;  // when several run such handlers: as Trace::executors
};

// An executor that was considered for a call.
struct PlacementCandidate {
  std::string executor;
  std::string target;    // where it would run; empty when it cannot
  double load = 0;       // running and queued calls over capacity
  std::string rejected;  // why it does not run the call; empty for the one that does
};

// Why a call would run where it does now.
struct PlacementReport {
  std::string target;
  std::string executor;
  std::string reason;      // Placed::reason
  std::string confidence;  // "high" below half of its load, "medium" below three quarters, "low"
  std::vector<PlacementCandidate> candidates;  // by name
};

// The executors of a runtime and the choice among them. Thread-safe; choosing takes no lock.
// Law: the contract's executor and permitted targets, what an executor accepts, that it is open, a
// wish. Among those that are left: one whose load is at most overload beats one that is above it
// (which still takes what nobody else can: it queues); then the preferred target that comes first;
// then the least load; then the names of target and executor.
class Placement {
 public:
  static constexpr double overload = 0.9;
  Placement();

  // `conflict` for a name that is taken.
  Result<void> add(std::shared_ptr<CapabilityExecutor> executor);

  // `wish` narrows the targets and never widens them. Errors: `no_eligible_target`; "candidates" in
  // its context has the reason against each.
  Result<Placed> choose(const Capability& capability, const std::string& wish) const;
  // The same choice, and why.
  Result<PlacementReport> explain(const Capability& capability, const std::string& wish) const;

  std::vector<std::shared_ptr<CapabilityExecutor>> executors() const { return *current_.load(); }

 private:
  using List = std::vector<std::shared_ptr<CapabilityExecutor>>;
  struct Choice;
  Result<Choice> weigh(const Capability& capability, const std::string& wish) const;
  Mutex writers_;
  // Every list that there was: executors come seldom and never go, and a reader may be at any.
  std::vector<std::unique_ptr<const List>> lists_ CLEW_GUARDED_BY(writers_);
  std::atomic<const List*> current_;
};

}  // namespace clew
