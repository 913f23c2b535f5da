#include "clew/capability/placement.hpp"

#include <algorithm>
#include <optional>

#include "clew/base/json.hpp"

namespace clew {
namespace {

double load_of(const ExecutorLoad& load) {
  return static_cast<double>(load.running + load.queued) / std::max(1, load.capacity);
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

// The first target, by name, at which the executor may serve the call; empty when there is none.
const std::string* common_target(const Contract& contract, const CapabilityExecutor& executor,
                                 const std::string& wish) {
  const std::string* best = nullptr;
  for (const auto& target : executor.targets()) {
    if (!contains(contract.permitted_targets, target)) continue;
    if (!wish.empty() && target != wish) continue;
    if (best == nullptr || target < *best) best = &target;
  }
  return best;
}

// Why an executor cannot take the call; empty when it can.
std::string objection(const Capability& capability, const CapabilityExecutor& executor,
                      const std::string& wish) {
  const Contract& contract = capability.contract;
  if (!contract.executor.empty() && contract.executor != executor.name()) {
    return fmt::format("the contract asks for executor \"{}\"", contract.executor);
  }
  if (!executor.accepts(capability)) {
    return fmt::format("does not run {} handlers", capability.handler->kind());
  }
  if (common_target(contract, executor, wish) == nullptr) {
    return wish.empty() ? "serves none of the permitted targets"
                        : fmt::format("does not serve target \"{}\" for it", wish);
  }
  if (!executor.is_open()) return executor.why_closed();
  return {};
}

Error nobody(const Capability& capability, const Placement& placement, const std::string& wish) {
  std::vector<Member> reasons;
  for (const auto& executor : placement.executors()) {
    reasons.push_back({std::string(executor->name()), objection(capability, *executor, wish)});
  }
  const auto listed = Value::object(std::move(reasons));
  return error(Code::no_eligible_target, "nobody may run {}{}: {}", capability.contract.id,
               wish.empty() ? "" : fmt::format(" at target \"{}\"", wish), preview(listed, 400))
      .with("capability", capability.contract.id)
      .with("candidates", listed);
}

}  // namespace

Placement::Placement() {
  const Lock lock(writers_);
  current_.store(lists_.emplace_back(std::make_unique<const List>()).get());
}

Result<void> Placement::add(std::shared_ptr<CapabilityExecutor> executor) {
  const Lock lock(writers_);
  auto next = std::make_unique<List>(*current_.load());
  const auto place = std::ranges::lower_bound(*next, executor->name(), {},
                                              [](const auto& each) { return each->name(); });
  if (place != next->end() && (*place)->name() == executor->name()) {
    return error(Code::conflict, "there is an executor \"{}\" already", executor->name());
  }
  next->insert(place, std::move(executor));
  current_.store(lists_.emplace_back(std::move(next)).get());
  return {};
}

Result<Placed> Placement::choose(const Capability& capability, const std::string& wish) const {
  const List* list = current_.load(std::memory_order_acquire);
  const Contract& contract = capability.contract;
  const std::shared_ptr<CapabilityExecutor>* best = nullptr;
  const std::string* best_target = nullptr;
  std::optional<double> best_load;  // known once there is a choice
  for (const auto& executor : *list) {
    if (!contract.executor.empty() && contract.executor != executor->name()) continue;
    if (!executor->is_open() || !executor->accepts(capability)) continue;
    const std::string* target = common_target(contract, *executor, wish);
    if (target == nullptr) continue;
    if (best != nullptr) {
      if (!best_load) best_load = load_of((*best)->load());
      const double load = load_of(executor->load());
      // In order of names, so with equal loads the earlier name stays; an earlier target wins.
      if (load > *best_load || (load == *best_load && *best_target <= *target)) continue;
      best_load = load;
    }
    best = &executor;
    best_target = target;
  }
  if (best == nullptr) return nobody(capability, *this, wish);
  return Placed{*best_target, *best};
}

}  // namespace clew
