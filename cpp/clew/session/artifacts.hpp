// session/artifacts.hpp: program modules, named by what they are.
//
// A module's refs are hashes of a stream of tagged, length-prefixed tokens of its meaning, not of
// any text form. Whatever is stored, and whatever comes back, has its refs computed anew: a stored
// module cannot say something else than its name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

// Which part of a module a process is.
struct ProcessRef {
  std::string component;  // hash of the part
  std::int64_t position = 0;
  friend bool operator==(const ProcessRef&, const ProcessRef&) = default;
};

struct ModuleArtifact {
  std::string module_ref;
  std::string required_surface_ref;
  Value required_surface;                     // what the module uses of its host
  std::map<std::string, ProcessRef> exports;  // by the process's name
  Value canonical_ir;
  std::vector<std::string> dependencies;  // refs of other modules
  friend bool operator==(const ModuleArtifact&, const ModuleArtifact&) = default;
};

// "clew-surface:v1:sha256:<hex>" and "clew-module:v1:sha256:<hex>", the latter over surface,
// exports, dependencies and program. Integers and reals that are equal in value differ; -0.0 is
// 0.0; the order of an object's members does not matter.
std::string surface_ref_of(const Value& required_surface);
std::string module_ref_of(const ModuleArtifact& artifact);
// Sets both refs.
ModuleArtifact with_refs(ModuleArtifact artifact);

// `invalid_input` naming the ref that is not that of the content.
Result<void> verify_artifact(const ModuleArtifact& artifact);
// The bytes of a module that is as its refs say; the same for equal modules.
Result<std::string> encode_artifact(const ModuleArtifact& artifact);
// `invalid_input` for bytes that are no module, or one whose refs (the context's `path`) are not
// those of its content.
Result<ModuleArtifact> decode_artifact(std::string_view bytes);

// Stores a module, once. Its ref.
Result<std::string> put_artifact(store::Transaction& tx, const ModuleArtifact& artifact,
                                 Timestamp now);
// Nothing when there is none. `corrupt` when what is stored is not what its name says.
Result<std::optional<ModuleArtifact>> get_artifact(store::Transaction& tx,
                                                   std::string_view module_ref);
Result<std::vector<std::string>> list_artifacts(store::Transaction& tx, std::string_view after,
                                                int limit);
// The module is needed no more. False: there was none.
Result<bool> remove_artifact(store::Transaction& tx, std::string_view module_ref);
Result<void> check_artifacts(store::Transaction& tx, const store::ReportRow& report);

Value to_value(const ModuleArtifact& artifact);
Result<ModuleArtifact> artifact_from_value(const Value& value, const std::string& path);

}  // namespace clew::session
