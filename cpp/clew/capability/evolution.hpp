// capability/evolution.hpp: what may change from one version of a contract to the next.
#pragma once

#include <string>
#include <vector>

#include "clew/capability/contract.hpp"

namespace clew {

// The part of a version that a change asks for, least first.
enum class Bump : std::uint8_t { patch, minor, major };
std::string_view name(Bump bump);

struct ContractChange {
  std::string path;  // of the contract: "inputs", "emits"
  Bump needs = Bump::patch;
};

// What differs, in the order of the document's fields. Decides every change:
//   major: inputs that refuse what was accepted, outputs that may be what they never were; another
//          effect, service type, trigger or constraints; anything taken from a list
//   minor: inputs that accept more, outputs that promise more; anything added to a list
//   patch: texts, tags, owner, provenance, limits, preferences
// A member of the input that the older contract does not name counts as never sent, unless it
// speaks of additionalProperties.
std::vector<ContractChange> changes_between(const Contract& older, const Contract& newer);

// How far `newer` is from `older`, as Cargo reads versions: before 1.0.0 the minor number stands
// for the major one, and the patch number for the minor one.
Bump bump_between(const Version& older, const Version& newer);

// `conflict` unless the version went up by what the changes ask for. Its context names the first
// change that asks for more: path, required, from, to. A pre-release promises nothing.
Result<void> check_progression(const Contract& older, const Contract& newer);

}  // namespace clew
