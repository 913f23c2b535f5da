#include "clew/session/artifact_store.hpp"

#include "clew/session/detail/ask.hpp"

namespace clew::session {

using detail::ask;
using detail::change;
using store::Transaction;

Result<std::string> ArtifactStore::put(const ModuleArtifact& artifact) {
  CLEW_TRY(verify_artifact(artifact));
  const auto now = env_.clock().now();
  return change<std::string>(database_,
                             [&](Transaction& tx) { return put_artifact(tx, artifact, now); });
}

Result<std::optional<ModuleArtifact>> ArtifactStore::get(const std::string& module_ref) {
  return ask<std::optional<ModuleArtifact>>(
      database_, [&](Transaction& tx) { return get_artifact(tx, module_ref); });
}

Result<std::vector<std::string>> ArtifactStore::list(const std::string& after, int limit) {
  return ask<std::vector<std::string>>(
      database_, [&](Transaction& tx) { return list_artifacts(tx, after, limit); });
}

Result<bool> ArtifactStore::remove(const std::string& module_ref) {
  return change<bool>(database_, [&](Transaction& tx) { return remove_artifact(tx, module_ref); });
}

}  // namespace clew::session
