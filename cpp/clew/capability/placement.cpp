#include "clew/capability/placement.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "clew/base/json.hpp"
#include "clew/capability/registry.hpp"

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
  std::string_view target;
  friend auto operator<=>(const Order& a, const Order& b) {
    return std::tie(a.is_overloaded, a.rank, a.load, a.target) <=>
           std::tie(b.is_overloaded, b.rank, b.load, b.target);
  }
};

std::string_view confidence_of(double load) {
  return load < 0.5 ? "high" : load < 0.75 ? "medium" : "low";
}

// Why `better` stands before `other`, in words and as the reason of the choice.
std::pair<std::string_view, HopReason> difference_of(const Order& better, const Order& other) {
  if (better.is_overloaded != other.is_overloaded) return {"is overloaded", HopReason::least_load};
  if (better.rank != other.rank) {
    return {"serves a target that is less preferred", HopReason::preferred_target};
  }
  if (better.load != other.load) return {"has more load", HopReason::least_load};
  return {"comes later by name", HopReason::tie_by_name};
}

Value to_value(const PlacementCandidate& candidate) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Value() : Value(text);
  };
  return Value::object({{"executor", Value(candidate.executor)},
                        {"target", text_or_null(candidate.target)},
                        {"load", Value(candidate.load)},
                        {"rejected", text_or_null(candidate.rejected)}});
}

}  // namespace

// The executor that stands first, and what was weighed: each one's load is asked once.
struct Placement::Choice {
  std::shared_ptr<CapabilityExecutor> executor;
  Order order;
  HopReason reason;
  std::vector<PlacementCandidate> candidates;
};

Result<Placement::Choice> Placement::weigh(const Capability& capability,
                                           const std::string& wish) const {
  struct Weighed {
    const std::shared_ptr<CapabilityExecutor>* executor;
    Order order;
    std::size_t candidate;
  };
  const Contract& contract = capability.contract;
  const List& list = *current_.load(std::memory_order_acquire);
  std::vector<PlacementCandidate> candidates;
  std::vector<Weighed> eligible;
  bool wish_decides = false;
  for (const auto& executor : list) {
    candidates.push_back({std::string(executor->name()), "", load_of(executor->load()),
                          objection(capability, *executor, wish)});
    auto& made = candidates.back();
    if (!made.rejected.empty()) {
      wish_decides = wish_decides ||
                     (!wish.empty() && objection(capability, *executor, std::string()).empty());
      continue;
    }
    const auto* target = common_target(contract, *executor, wish);
    made.target = *target;
    const Order order{made.load > overload, rank_of(contract, *target), made.load, *target};
    eligible.push_back({&executor, order, candidates.size() - 1});
  }
  if (eligible.empty()) return nobody(capability, *this, wish);
  // In order of names, so with all else equal the earlier name stays.
  const auto best = *std::ranges::min_element(
      eligible, [](const Weighed& a, const Weighed& b) { return a.order < b.order; });
  auto reason = wish_decides ? HopReason::target_requested : HopReason::only_candidate;
  const Weighed* second = nullptr;
  for (const auto& each : eligible) {
    if (each.executor == best.executor) continue;
    candidates[each.candidate].rejected = difference_of(best.order, each.order).first;
    if (second == nullptr || each.order < second->order) second = &each;
  }
  if (second != nullptr) reason = difference_of(best.order, second->order).second;
  return Choice{*best.executor, best.order, reason, std::move(candidates)};
}

Result<Placed> Placement::choose(const Capability& capability, const std::string& wish) const {
  const CapabilityExecutor* only = nullptr;
  const std::shared_ptr<CapabilityExecutor>* place = nullptr;
  bool several = false;
  for (const auto& executor : *current_.load(std::memory_order_acquire)) {
    if (!executor->accepts(capability)) continue;
    several = only != nullptr;
    if (several) break;
    only = executor.get();
    place = &executor;
  }
  const Contract& contract = capability.contract;
  const bool fits = only != nullptr && !several && only->is_open() &&
                    (contract.executor.empty() || contract.executor == only->name());
  if (fits) {
    const std::string* target = common_target(contract, *only, wish);
    if (target != nullptr) return Placed{*target, *place, HopReason::only_candidate, Value()};
  }
  CLEW_TRY(auto choice, weigh(capability, wish));
  std::vector<Value> considered;
  for (const auto& each : choice.candidates) {
    if (considered.size() < considered_max) considered.push_back(to_value(each));
  }
  return Placed{std::string(choice.order.target), std::move(choice.executor), choice.reason,
                Value::array(std::move(considered))};
}

Result<PlacementReport> Placement::explain(const Capability& capability,
                                           const std::string& wish) const {
  CLEW_TRY(auto choice, weigh(capability, wish));
  return PlacementReport{std::string(choice.order.target), std::string(choice.executor->name()),
                         std::string(name(choice.reason)),
                         std::string(confidence_of(choice.order.load)),
                         std::move(choice.candidates)};
}

}  // namespace clew
