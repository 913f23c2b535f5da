#include "clew/capability/placement.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "clew/base/json.hpp"

namespace clew {
namespace {

double load_of(const ExecutorLoad& load) {
  return static_cast<double>(load.running + load.queued) / std::max(1, load.capacity);
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

// How far down a target stands among the preferred ones.
std::size_t rank_of(const Contract& contract, const std::string& target) {
  return static_cast<std::size_t>(std::ranges::find(contract.preferred_targets, target) -
                                  contract.preferred_targets.begin());
}

// The target at which the executor would serve the call: the most preferred one, or the first by
// name; null when there is none.
const std::string* common_target(const Contract& contract, const CapabilityExecutor& executor,
                                 const std::string& wish) {
  const std::string* best = nullptr;
  for (const auto& target : executor.targets()) {
    if (!contains(contract.permitted_targets, target)) continue;
    if (!wish.empty() && target != wish) continue;
    if (contract.service_type == ServiceType::stateful && target == "browser") continue;
    if (best == nullptr ||
        std::pair(rank_of(contract, target), target) < std::pair(rank_of(contract, *best), *best)) {
      best = &target;
    }
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

namespace {

// What places candidates in order: the least goes first. Names are compared last.
struct Order {
  bool is_overloaded;
  std::size_t rank;
  double load;
  const std::string& target;
  friend auto operator<=>(const Order& a, const Order& b) {
    return std::tie(a.is_overloaded, a.rank, a.load, a.target) <=>
           std::tie(b.is_overloaded, b.rank, b.load, b.target);
  }
};

Order order_of(const Contract& contract, const CapabilityExecutor& executor,
               const std::string& target) {
  const double load = load_of(executor.load());
  return {load > Placement::overload, rank_of(contract, target), load, target};
}

std::string_view confidence_of(double load) {
  return load < 0.5 ? "high" : load < 0.75 ? "medium" : "low";
}

// Why `better` stands before `other`.
std::string_view difference_of(const Order& better, const Order& other) {
  if (better.is_overloaded != other.is_overloaded) return "is overloaded";
  if (better.rank != other.rank) return "serves a target that is less preferred";
  return better.load != other.load ? "has more load" : "comes later by name";
}

}  // namespace

Result<Placed> Placement::choose(const Capability& capability, const std::string& wish) const {
  const List* list = current_.load(std::memory_order_acquire);
  const Contract& contract = capability.contract;
  const std::shared_ptr<CapabilityExecutor>* best = nullptr;
  const std::string* best_target = nullptr;
  std::optional<Order> best_order;  // known once there is a choice
  for (const auto& executor : *list) {
    if (!contract.executor.empty() && contract.executor != executor->name()) continue;
    if (!executor->is_open() || !executor->accepts(capability)) continue;
    const std::string* target = common_target(contract, *executor, wish);
    if (target == nullptr) continue;
    if (best != nullptr) {
      if (!best_order) best_order.emplace(order_of(contract, **best, *best_target));
      const auto order = order_of(contract, *executor, *target);
      // In order of names, so with all else equal the earlier name stays.
      if (!(order < *best_order)) continue;
      best_order.emplace(order);
    }
    best = &executor;
    best_target = target;
  }
  if (best == nullptr) return nobody(capability, *this, wish);
  return Placed{*best_target, *best};
}

Result<PlacementReport> Placement::explain(const Capability& capability,
                                           const std::string& wish) const {
  const Contract& contract = capability.contract;
  CLEW_TRY(const auto chosen, choose(capability, wish));
  const auto best = order_of(contract, *chosen.executor, chosen.target);
  PlacementReport report{chosen.target,
                         std::string(chosen.executor->name()),
                         "only_candidate",
                         std::string(confidence_of(best.load)),
                         {}};
  for (const auto& executor : executors()) {
    PlacementCandidate candidate{std::string(executor->name()), "", load_of(executor->load()),
                                 objection(capability, *executor, wish)};
    if (candidate.rejected.empty()) {
      candidate.target = *common_target(contract, *executor, wish);
      if (executor != chosen.executor) {
        const auto other = order_of(contract, *executor, candidate.target);
        const auto why = difference_of(best, other);
        candidate.rejected = why;
        if (why == "comes later by name") {
          report.reason = report.reason == "only_candidate" ? "tie_by_name" : report.reason;
        } else {
          report.reason = why.starts_with("serves") ? "preferred_target" : "least_load";
        }
      }
    }
    report.candidates.push_back(std::move(candidate));
  }
  return report;
}

}  // namespace clew
