// capability/registry.hpp: which capabilities there are.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "clew/base/function.hpp"
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

// What a registration may take the place of: nothing (production); another function, and what
// only an earlier process has registered (development); or also another contract under one version
// (at a prompt, where functions are written again and again).
enum class Replace : std::uint8_t { nothing, function, everything };

// Through whose eyes a reference is read.
struct View {
  std::string workspace;     // empty: the default one
  bool public_only = false;  // else the private overlay shadows what is public, version by version
};

// A version that was considered for a reference.
struct Candidate {
  CapabilityPtr capability;
  std::string rejected;       // why it was not taken; empty for the one that was
  bool is_satisfying = true;  // whether the reference means such a version
};

struct Resolution {
  CapabilityPtr capability;
  std::vector<Candidate> candidates;  // highest version first
};

// The most alternatives of one choice that a trace shows.
inline constexpr std::size_t considered_max = 32;

// What a reference means, and what else it might have meant.
struct Resolved {
  CapabilityPtr capability;
  // Of the versions that satisfy the reference, if there are several: as Trace::versions.
  Value considered;
};

// One state of the registry. Immutable. Ids are spread over shards, of which a registration copies
// one.
class RegistrySnapshot {
 public:
  RegistrySnapshot();

  // What a reference means: of the versions that it fits, that may run and whose handler is here,
  // the highest; for a bare id the only one. Errors, their "reason" in the context where a code has
  // several: `invalid_input` for one that is malformed; `not_found` naming near ids ("unknown_id"),
  // or the versions that exist ("no_version"), or what keeps those that fit from running
  // ("not_runnable"); `ambiguous` for a bare id with several versions; `unavailable` when only
  // handlers are missing ("unbound"). "candidates" lists each with the reason against it.
  Result<CapabilityPtr> resolve(const std::string& reference, const View& view = {}) const;
  Result<CapabilityPtr> resolve(const Reference& reference, const View& view = {}) const;
  Result<Resolved> lookup(const std::string& reference, const View& view = {}) const;
  // The same with every version, whether it satisfies the reference or not.
  Result<Resolution> explain(const Reference& reference, const View& view = {}) const;

  // Exactly that version, whatever its lifecycle; null when it is not there or not bound.
  CapabilityPtr find(const std::string& exact, const View& view = {}) const;

  // What the capability needs, transitively, each as the highest version that its requirement
  // allows now; deepest first, each once. Errors: `not_found` and the like naming the chain that
  // asks; `conflict` with "cycle" listing it; `resource_exhausted` beyond depth_max levels.
  static constexpr int depth_max = 5;
  Result<std::vector<CapabilityPtr>> dependencies(const Capability& capability) const;

  // Everything in a workspace, by id, highest version first, what shadows before what it shadows.
  std::vector<CapabilityPtr> list(const std::string& workspace = {}) const;

 private:
  friend class Registry;
  using Versions = std::vector<CapabilityPtr>;  // highest first, the overlay before the public one
  struct Shard {
    std::map<std::string, Versions, std::less<>> by_key;  // "id", or "workspace/id"
    // "id" (when it means one version) and "id@1.2.0", with their workspace: the ready answers
    std::unordered_map<std::string, Resolved> by_text;
  };
  static constexpr std::size_t shards_max = 128;
  static std::size_t shard_of(std::string_view key);
  const Versions* versions_of(const std::string& id, const std::string& workspace) const;
  Error unknown_id(const std::string& id, const std::string& workspace) const;
  Result<void> add_dependencies(const Capability& capability, std::vector<std::string>& chain,
                                std::vector<CapabilityPtr>& into) const;

  std::array<std::shared_ptr<const Shard>, shards_max> shards_;
};

// Stores what a registration changed, before anybody sees it; its error refuses the registration.
// The lifecycle that is stored then: a later one when another process has moved it on.
using Persist = Function<Result<Lifecycle>(const Capability& changed)>;

struct AddOptions {
  Replace replace = Replace::function;
  Scope scope = Scope::everyone;
  std::string workspace;
  std::string workflow{};  // the digest of the workflow that the handler stands for
};

// Thread-safe. Readers take a snapshot and are never blocked by a registration; registrations wait
// for one another, also while one persists.
class Registry {
 public:
  Registry();

  // Compiles and adds a capability; without a handler its contract alone. The same contract and
  // function (by fingerprint) again is fine. A changed function or contract under one version
  // replaces the old one as far as `replace` allows; else `conflict` naming the first difference.
  // A new version must have gone up by what its changes ask for: see check_progression(). A
  // lifecycle may move forwards only. After an error the registry is unchanged, but for a lifecycle
  // to which another process had moved on.
  Result<Registration> add(Contract contract, std::shared_ptr<const Handler> handler,
                           AddOptions options = {}, Persist persist = nullptr);
  // Moves one version on. `not_found`; `conflict` for a move backwards.
  Result<void> set_lifecycle(const std::string& exact, Lifecycle to, const AddOptions& where,
                             Persist persist = nullptr);
  // Takes over what a store holds: contracts whose handlers come later, or with them. Errors: those
  // of compiling schemas.
  Result<void> restore(std::vector<Capability> stored);

  std::shared_ptr<const RegistrySnapshot> snapshot() const { return current_.load(); }
  // Changes with each registration.
  std::uint64_t version() const { return current_.version(); }
  // Drops everything: handlers may hold foreign objects that must die before their world does.
  void clear();

 private:
  void put(std::shared_ptr<Capability> made) CLEW_REQUIRES(writers_);
  std::uint32_t tenant_of(const std::string& workspace) CLEW_REQUIRES(writers_);

  Mutex writers_;
  Snapshot<RegistrySnapshot> current_;
  std::uint64_t last_key_ CLEW_GUARDED_BY(writers_) = 0;
  std::map<std::string, std::uint32_t> tenants_ CLEW_GUARDED_BY(writers_){{"", 0}};
};

// `invalid_input` unless the name is empty or as an id must be.
Result<void> check_workspace(const std::string& name);

}  // namespace clew
