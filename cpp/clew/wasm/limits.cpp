#include "clew/wasm/limits.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace clew::wasm {
namespace {

constexpr std::int64_t page_bytes = 64LL << 10;

struct Bound {
  std::string_view key;
  std::int64_t Limits::* field;
  std::int64_t low;
  std::int64_t high;
};
constexpr std::array<Bound, 5> bounds = {{
    {"fuel", &Limits::fuel, 1, 1'000'000'000'000'000},
    {"memory_bytes", &Limits::memory_bytes, page_bytes, Limits::memory_bytes_max},
    {"table_elements", &Limits::table_elements, 1, 1'000'000},
    {"output_bytes", &Limits::output_bytes, 1, 16LL << 20},
    {"stderr_bytes", &Limits::stderr_bytes, 0, 1LL << 20},
}};

Result<void> read_limits(const Value& value, Limits& into) {
  if (!value.is_object()) return invalid_input("constraints.wasm", value, "an object of limits");
  for (const auto& [key, item] : value.members()) {
    const auto path = fmt::format("constraints.wasm.{}", key);
    if (key == "wall") {
      CLEW_TRY(into.wall, to_duration(item, path));
      if (into.wall <= Duration{0}) return invalid_input(path, item, "a duration above zero");
      continue;
    }
    const auto* bound = std::ranges::find(bounds, std::string_view(key), &Bound::key);
    if (bound == bounds.end()) {
      return invalid_input(path, item,
                           "one of fuel, wall, memory_bytes, table_elements, output_bytes, "
                           "stderr_bytes");
    }
    if (!item.is_int() || item.as_int() < bound->low || item.as_int() > bound->high) {
      return invalid_input(path, item,
                           fmt::format("an integer from {} to {}", bound->low, bound->high));
    }
    into.*bound->field = item.as_int();
  }
  return {};
}

Result<void> read_environment(const Value& names, Limits& into) {
  for (const auto& name : names.is_array() ? names.items() : std::span<const Value>()) {
    if (!name.is_string()) return invalid_input("constraints.environment", names, "names");
    into.environment.emplace_back(name.as_string());
  }
  return {};
}

}  // namespace

Result<Limits> Limits::from_constraints(const Value& constraints) {
  Limits limits;
  if (constraints.is_null()) return limits;
  if (!constraints.is_object()) return invalid_input("constraints", constraints, "an object");
  for (const std::string_view outside : {"network", "filesystem"}) {
    const Value* granted = constraints.find(outside);
    if (granted != nullptr && *granted != Value(false)) {
      return invalid_input(fmt::format("constraints.{}", outside), *granted,
                           "false: a WebAssembly module has neither files nor network");
    }
  }
  if (const Value* given = constraints.find("wasm")) {
    CLEW_TRY(read_limits(*given, limits));
  }
  if (const Value* names = constraints.find("environment")) {
    CLEW_TRY(read_environment(*names, limits));
  }
  return limits;
}

Value Limits::to_value() const {
  std::vector<Member> members;
  for (const auto& bound : bounds) {
    members.push_back({std::string(bound.key), Value(this->*bound.field)});
  }
  members.push_back({"wall", Value(to_string(wall))});
  return Value::object(std::move(members));
}

}  // namespace clew::wasm
