// session/artifact_store.hpp: program modules of a store.
#pragma once

#include "clew/base/env.hpp"
#include "clew/session/artifacts.hpp"

namespace clew::session {

// Thread-safe; borrows what it is made with. Everything blocks for the disk. The contracts are
// those of the functions in artifacts.hpp.
class ArtifactStore {
 public:
  ArtifactStore(store::Database& database, Env& env) : database_(database), env_(env) {}

  Result<std::string> put(const ModuleArtifact& artifact);
  Result<std::optional<ModuleArtifact>> get(const std::string& module_ref);
  Result<std::vector<std::string>> list(const std::string& after = {}, int limit = 1000);
  Result<bool> remove(const std::string& module_ref);

 private:
  store::Database& database_;
  Env& env_;
};

}  // namespace clew::session
