// capability/registry.hpp: which capabilities there are.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/snapshot.hpp"
#include "clew/capability/contract.hpp"

namespace clew {

// What a registration did.
struct Registration {
  std::string id;
  std::string version;
  std::string digest;
  bool already_registered = false;  // the same content stood there before
  bool replaced = false;            // a changed function took the place of an older one
  std::string warning{};            // what its author should know; empty: nothing
};

// What a registration may take the place of. Never another contract under one version, unless its
// author is at a prompt, changing the function again and again.
enum class Replace : std::uint8_t { nothing, function, everything };

// One state of the registry. Immutable.
struct RegistrySnapshot {
  // id → versions, highest first
  std::map<std::string, std::vector<CapabilityPtr>, std::less<>> by_id;
  // "id" (when it has one version) and "id@1.2.0" → capability: the ready answers
  std::unordered_map<std::string, CapabilityPtr> by_text;

  // What a reference means. Errors: `invalid_input` for one that is malformed, `not_found` naming
  // near ids or the versions that exist, `ambiguous` for a bare id with several versions.
  Result<CapabilityPtr> resolve(const std::string& reference) const;
  Result<CapabilityPtr> resolve(const Reference& reference) const;
};

// Thread-safe. Readers take a snapshot and are never blocked by a registration.
class Registry {
 public:
  Registry();

  // Compiles and adds a capability. The same contract and function (by fingerprint) again is fine.
  // A changed function or contract under one version replaces the old one as far as `replace`
  // allows; else `conflict` naming the first difference, and the registry is unchanged.
  Result<Registration> add(Contract contract, std::shared_ptr<const Handler> handler,
                           Replace replace);
  std::shared_ptr<const RegistrySnapshot> snapshot() const { return current_.load(); }
  // Changes with each registration.
  std::uint64_t version() const { return current_.version(); }
  // Drops everything: handlers may hold foreign objects that must die before their world does.
  void clear();

 private:
  Mutex writers_;
  Snapshot<RegistrySnapshot> current_;
  std::uint64_t last_key_ CLEW_GUARDED_BY(writers_) = 0;
};

}  // namespace clew
