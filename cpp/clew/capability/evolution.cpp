#include "clew/capability/evolution.hpp"

#include <algorithm>
#include <functional>

#include "clew/base/check.hpp"
#include "clew/base/schema_includes.hpp"

namespace clew {
namespace {

// Adding is minor, taking away major.
template <typename T, typename Key>
std::optional<Bump> list_change(const std::vector<T>& older, const std::vector<T>& newer, Key key) {
  const auto missing = [&](const std::vector<T>& all, const T& each) {
    return std::ranges::find(all, std::invoke(key, each), key) == all.end();
  };
  if (std::ranges::any_of(older, [&](const T& each) { return missing(newer, each); })) {
    return Bump::major;
  }
  if (std::ranges::any_of(newer, [&](const T& each) { return missing(older, each); })) {
    return Bump::minor;
  }
  return std::nullopt;
}

std::optional<Bump> list_change(const std::vector<std::string>& older,
                                const std::vector<std::string>& newer) {
  return list_change(older, newer, std::identity());
}

std::optional<Bump> list_change(const std::vector<Requirement>& older,
                                const std::vector<Requirement>& newer) {
  if (auto bump = list_change(older, newer, &Requirement::name)) return bump;
  return list_change(older, newer, &Requirement::to_string) ? std::optional(Bump::minor)
                                                            : std::nullopt;
}

std::optional<Bump> when(bool changed, Bump bump) {
  return changed ? std::optional(bump) : std::nullopt;
}

std::optional<Bump> inputs_change(const Value& older, const Value& newer) {
  if (older == newer) return std::nullopt;
  return schema_includes(newer, older, Unnamed::unused) ? Bump::minor : Bump::major;
}

std::optional<Bump> outputs_change(const Value& older, const Value& newer) {
  if (older == newer) return std::nullopt;
  return schema_includes(older, newer) ? Bump::minor : Bump::major;
}

}  // namespace

std::string_view name(Bump bump) {
  switch (bump) {
    case Bump::patch:
      return "patch";
    case Bump::minor:
      return "minor";
    case Bump::major:
      return "major";
  }
  check_failed("bump has a name", {});
}

std::vector<ContractChange> changes_between(const Contract& older, const Contract& newer) {
  std::vector<ContractChange> changes;
  const auto note = [&](std::string_view path, std::optional<Bump> bump) {
    if (bump) changes.push_back({std::string(path), *bump});
  };
  note("effect", when(older.effect != newer.effect, Bump::major));
  note("service_type", when(older.service_type != newer.service_type, Bump::major));
  note("event_trigger", when(older.event_trigger != newer.event_trigger, Bump::major));
  note("inputs", inputs_change(older.inputs, newer.inputs));
  note("outputs", outputs_change(older.outputs, newer.outputs));
  note("emits", list_change(older.emits, newer.emits));
  note("consumes", list_change(older.consumes, newer.consumes));
  note("permissions", list_change(older.permissions, newer.permissions));
  note("permitted_targets", list_change(older.permitted_targets, newer.permitted_targets));
  note("connectors", list_change(older.connectors, newer.connectors));
  note("dependencies", list_change(older.dependencies, newer.dependencies));
  note("constraints", when(older.constraints != newer.constraints, Bump::major));
  return changes;
}

Bump bump_between(const Version& older, const Version& newer) {
  if (older.major != newer.major) return Bump::major;
  const bool early = older.major == 0;
  if (older.minor != newer.minor) return early ? Bump::major : Bump::minor;
  return early && older.patch != newer.patch ? Bump::minor : Bump::patch;
}

Result<void> check_progression(const Contract& older, const Contract& newer) {
  if (!older.version.pre.empty() || !newer.version.pre.empty()) return {};
  const auto given = bump_between(older.version, newer.version);
  for (const auto& change : changes_between(older, newer)) {
    if (change.needs <= given) continue;
    return error(Code::conflict, "{}: {} changed so that it asks for a {} version after {}, not {}",
                 newer.id, change.path, name(change.needs), older.version.to_string(),
                 newer.version.to_string())
        .with("reason", "semver_too_small")
        .with("path", change.path)
        .with("required", Value(name(change.needs)))
        .with("from", older.version.to_string())
        .with("to", newer.version.to_string());
  }
  return {};
}

}  // namespace clew
