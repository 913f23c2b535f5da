#include "clew/wasm/limits.hpp"

#include <algorithm>
#include <array>

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

Result<void> read_env(const Value& value, Limits& into) {
  if (!value.is_object()) return invalid_input("wasm.env", value, "an object of strings");
  for (const auto& [key, item] : value.members()) {
    const auto path = fmt::format("wasm.env.{}", key);
    if (key.empty() || key.find('=') != std::string::npos || key.find('\0') != std::string::npos) {
      return invalid_input("wasm.env", Value(key), "names without '='");
    }
    if (!item.is_string() || item.as_string().find('\0') != std::string_view::npos) {
      return invalid_input(path, item, "a string without zero bytes");
    }
    into.env.emplace_back(key, std::string(item.as_string()));
  }
  return {};
}

}  // namespace

Result<Limits> Limits::from_value(const Value& value) {
  Limits limits;
  if (value.is_null()) return limits;
  if (!value.is_object()) return invalid_input("wasm", value, "an object of limits");
  for (const auto& [key, item] : value.members()) {
    const auto path = fmt::format("wasm.{}", key);
    if (key == "env") {
      CLEW_TRY(read_env(item, limits));
      continue;
    }
    if (key == "wall") {
      CLEW_TRY(limits.wall, to_duration(item, path));
      if (limits.wall <= Duration{0}) return invalid_input(path, item, "a duration above zero");
      continue;
    }
    const auto* bound = std::ranges::find(bounds, std::string_view(key), &Bound::key);
    if (bound == bounds.end()) {
      return invalid_input(path, item,
                           "one of fuel, memory_bytes, table_elements, wall, output_bytes, "
                           "stderr_bytes, env");
    }
    if (!item.is_int() || item.as_int() < bound->low || item.as_int() > bound->high) {
      return invalid_input(path, item,
                           fmt::format("an integer from {} to {}", bound->low, bound->high));
    }
    limits.*bound->field = item.as_int();
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
