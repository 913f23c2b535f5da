#include "clew/base/fault.hpp"

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <utility>

#include "clew/base/check.hpp"
#include "clew/base/error.hpp"
#include "clew/base/semver.hpp"
#include "clew/base/text.hpp"

namespace clew {
namespace {

struct Registry {
  Mutex mutex;
  std::map<std::string, FaultPoint*, std::less<>> points CLEW_GUARDED_BY(mutex);
};

// Made by the first point that registers, hence destroyed after all static points.
Registry& registry() {
  static Registry instance;
  return instance;
}

enum class Action : std::uint8_t { kill, error };

struct Order {
  FaultPoint* point = nullptr;
  Action action = Action::kill;
  std::int64_t at_hit = 1;
};

constexpr std::string_view expected = "point=kill@hit or point=error@hit, hits counted from 1";

Error unknown_point(std::string_view name) {
  const auto points = fault_points();
  const auto meant = nearest(name, std::vector<std::string_view>(points.begin(), points.end()));
  return invalid_input("CLEW_FAULT", name,
                       meant.empty()
                           ? std::string("the name of a fault point")
                           : fmt::format("the name of a fault point; did you mean \"{}\"?", meant));
}

// One "name=action@hit".
Result<Order> parse_order(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) return invalid_input("CLEW_FAULT", text, expected);
  const auto name = text.substr(0, equals);
  auto action = text.substr(equals + 1);
  Order order;
  order.point = find_fault_point(name);
  if (order.point == nullptr) {
    return unknown_point(name);
  }
  if (const auto at = action.find('@'); at != std::string_view::npos) {
    const auto hit = action.substr(at + 1);
    const auto [end, problem] = std::from_chars(hit.data(), hit.data() + hit.size(), order.at_hit);
    if (problem != std::errc() || end != hit.data() + hit.size() || order.at_hit < 1) {
      return invalid_input("CLEW_FAULT", text, expected);
    }
    action = action.substr(0, at);
  }
  if (action != "kill" && action != "error") return invalid_input("CLEW_FAULT", text, expected);
  order.action = action == "kill" ? Action::kill : Action::error;
  return order;
}

void arm(const Order& order) {
  auto hits = std::make_shared<std::atomic<std::int64_t>>(0);
  order.point->arm([hits = std::move(hits), name = order.point->name(), action = order.action,
                    at_hit = order.at_hit]() -> Result<void> {
    if (hits->fetch_add(1) + 1 != at_hit) return {};
    if (action == Action::kill) std::raise(SIGKILL);
    return error(Code::unavailable, "fault point {} failed as armed", name)
        .with("fault_point", name)
        .with_retryable(true);
  });
}

}  // namespace

FaultPoint::FaultPoint(const char* name) : name_(name) {
  CLEW_CHECK(check_id(name, "fault point").has_value());
  auto& all = registry();
  const Lock lock(all.mutex);
  const bool added = all.points.try_emplace(name, this).second;
  CLEW_CHECK(added);
}

FaultPoint::~FaultPoint() {
  auto& all = registry();
  const Lock lock(all.mutex);
  all.points.erase(name_);
}

void FaultPoint::arm(Function<Result<void>()> action) {
  auto shared = std::make_shared<Function<Result<void>()>>(std::move(action));
  const Lock lock(mutex_);
  action_.swap(shared);  // the old action dies after the lock: `shared` was declared before it
  armed_.store(true, std::memory_order_relaxed);
}

void FaultPoint::disarm() {
  std::shared_ptr<Function<Result<void>()>> old;
  const Lock lock(mutex_);
  action_.swap(old);
  armed_.store(false, std::memory_order_relaxed);
}

Result<void> FaultPoint::hit_armed() {
  std::shared_ptr<Function<Result<void>()>> action;
  {
    const Lock lock(mutex_);
    action = action_;
  }
  if (action == nullptr) return {};
  return (*action)();
}

std::vector<std::string> fault_points() {
  auto& all = registry();
  const Lock lock(all.mutex);
  std::vector<std::string> names;
  for (const auto& [name, point] : all.points) names.push_back(name);
  return names;
}

FaultPoint* find_fault_point(std::string_view name) {
  auto& all = registry();
  const Lock lock(all.mutex);
  const auto found = all.points.find(name);
  return found == all.points.end() ? nullptr : found->second;
}

Result<void> arm_faults(std::string_view spec) {
  std::vector<Order> orders;
  while (!spec.empty()) {
    const auto comma = spec.find(',');
    CLEW_TRY(auto order, parse_order(spec.substr(0, comma)));
    orders.push_back(order);
    if (comma == std::string_view::npos) break;
    spec.remove_prefix(comma + 1);
    if (spec.empty()) return invalid_input("CLEW_FAULT", spec, expected);
  }
  for (const auto& order : orders) arm(order);
  return {};
}

Result<void> arm_faults_from_environment() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours ever sets a variable
  const char* spec = std::getenv("CLEW_FAULT");
  return spec == nullptr ? Result<void>() : arm_faults(spec);
}

}  // namespace clew
