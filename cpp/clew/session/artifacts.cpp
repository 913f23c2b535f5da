#include "clew/session/artifacts.hpp"

#include <algorithm>
#include <bit>

#include "clew/base/sha256.hpp"
#include "clew/session/detail/fields.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {
namespace {

using detail::Fields;
using store::Row;
using store::Statement;

const Statement insert_sql(R"sql(
    INSERT INTO artifacts (module_ref, hash, stored_us) VALUES (:ref, :hash, :now)
    ON CONFLICT (module_ref) DO NOTHING)sql");
const Statement find_sql("SELECT hash FROM artifacts WHERE module_ref = :ref");
const Statement list_sql(R"sql(
    SELECT module_ref FROM artifacts WHERE module_ref > :after ORDER BY module_ref LIMIT :limit)sql");
const Statement delete_sql("DELETE FROM artifacts WHERE module_ref = :ref");

// Hashes tokens, each as "<tag><bytes>:…;", so that no two sequences of tokens run together.
class Tokens {
 public:
  explicit Tokens(std::string_view version) { add('V', version); }

  void add(char tag, std::string_view bytes) {
    hash_.update(fmt::format("{}{}:", tag, bytes.size()));
    hash_.update(bytes);
    hash_.update(";");
  }
  void add_count(char tag, std::size_t count) { add(tag, fmt::format("{}", count)); }

  void add_value(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::null:
        return add('n', "");
      case Value::Kind::boolean:
        return add('b', value.as_bool() ? "1" : "0");
      case Value::Kind::integer:
        return add('i', fmt::format("{}", value.as_int()));
      case Value::Kind::real: {
        const double real = value.as_real() == 0.0 ? 0.0 : value.as_real();
        return add('r', fmt::format("{:016x}", std::bit_cast<std::uint64_t>(real)));
      }
      case Value::Kind::string:
        return add('s', value.as_string());
      case Value::Kind::array:
        add_count('a', value.size());
        for (const auto& each : value.items()) add_value(each);
        return;
      case Value::Kind::object:
        return add_members(value);
    }
  }

  std::string hex() const { return to_hex(hash_.digest()); }

 private:
  void add_members(const Value& object) {
    std::vector<const Member*> sorted;
    for (const auto& member : object.members()) sorted.push_back(&member);
    std::ranges::sort(sorted, {},
                      [](const Member* member) -> std::string_view { return member->key; });
    add_count('o', sorted.size());
    for (const auto* member : sorted) {
      add('k', member->key);
      add_value(member->value);
    }
  }
  Sha256 hash_;
};

std::string holder_of(std::string_view module_ref) {
  return fmt::format("artifact:{}", module_ref);
}

Error wrong_ref(std::string_view field, std::string_view said, std::string_view is) {
  return invalid_input(field, Value(said), fmt::format("the hash of the content, {}", is));
}

}  // namespace

std::string surface_ref_of(const Value& required_surface) {
  Tokens tokens("clew-surface:v1");
  tokens.add_value(required_surface);
  return "clew-surface:v1:sha256:" + tokens.hex();
}

std::string module_ref_of(const ModuleArtifact& artifact) {
  Tokens tokens("clew-module:v1");
  tokens.add('S', surface_ref_of(artifact.required_surface));
  tokens.add_count('E', artifact.exports.size());
  for (const auto& [name, ref] : artifact.exports) {
    tokens.add('k', name);
    tokens.add('c', ref.component);
    tokens.add('p', fmt::format("{}", ref.position));
  }
  tokens.add_count('D', artifact.dependencies.size());
  for (const auto& each : artifact.dependencies) tokens.add('d', each);
  tokens.add_value(artifact.canonical_ir);
  return "clew-module:v1:sha256:" + tokens.hex();
}

ModuleArtifact with_refs(ModuleArtifact artifact) {
  artifact.required_surface_ref = surface_ref_of(artifact.required_surface);
  artifact.module_ref = module_ref_of(artifact);
  return artifact;
}

Result<void> verify_artifact(const ModuleArtifact& artifact) {
  const auto surface = surface_ref_of(artifact.required_surface);
  if (artifact.required_surface_ref != surface) {
    return wrong_ref("required_surface_ref", artifact.required_surface_ref, surface);
  }
  const auto module = module_ref_of(artifact);
  if (artifact.module_ref != module) return wrong_ref("module_ref", artifact.module_ref, module);
  return {};
}

Result<std::string> encode_artifact(const ModuleArtifact& artifact) {
  CLEW_TRY(verify_artifact(artifact));
  // Not RFC 8785, which would print 1.0 as 1 and so change what the refs say of it.
  return to_json(to_value(artifact));
}

Result<ModuleArtifact> decode_artifact(std::string_view bytes) {
  CLEW_TRY(const auto value, parse_json(bytes, {.depth_max = Value::depth_limit}));
  CLEW_TRY(auto artifact, artifact_from_value(value, ""));
  CLEW_TRY(verify_artifact(artifact));
  return artifact;
}

Result<std::string> put_artifact(store::Transaction& tx, const ModuleArtifact& artifact,
                                 Timestamp now) {
  CLEW_TRY(const auto bytes, encode_artifact(artifact));
  CLEW_TRY(const auto hash, store::put_blob(tx, bytes, now));
  CLEW_TRY(const auto added, tx.run(insert_sql, artifact.module_ref, hash, now));
  if (added == 1) CLEW_TRY(store::pin_blob(tx, holder_of(artifact.module_ref), hash, now));
  return artifact.module_ref;
}

Result<std::optional<ModuleArtifact>> get_artifact(store::Transaction& tx,
                                                   std::string_view module_ref) {
  std::string hash;
  CLEW_TRY(const bool known, tx.first(
                                 find_sql,
                                 [&](const Row& row) -> Result<void> {
                                   CLEW_TRY(hash, store::word_at(row, 0));
                                   return {};
                                 },
                                 module_ref));
  if (!known) return std::optional<ModuleArtifact>();
  const auto damaged = [&](std::string_view what) {
    return store::in_row(error(Code::corrupt, "module {}: {}", module_ref, what), "artifacts",
                         module_ref);
  };
  auto bytes = store::get_blob(tx, hash, {.size_max = INT64_MAX});
  if (!bytes) return store::in_row(bytes.error(), "artifacts", module_ref);
  if (!*bytes) return damaged("its bytes are missing");
  auto artifact = decode_artifact(**bytes);
  if (!artifact) return damaged(artifact.error().message());
  if (artifact->module_ref != module_ref) return damaged("it holds another module");
  return std::optional(*std::move(artifact));
}

Result<std::vector<std::string>> list_artifacts(store::Transaction& tx, std::string_view after,
                                                int limit) {
  std::vector<std::string> refs;
  CLEW_TRY(tx.each(
      list_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(refs.emplace_back(), store::word_at(row, 0));
        return {};
      },
      after, limit));
  return refs;
}

Result<bool> remove_artifact(store::Transaction& tx, std::string_view module_ref) {
  CLEW_TRY(const auto removed, tx.run(delete_sql, module_ref));
  CLEW_TRY(store::unpin_blobs(tx, holder_of(module_ref)));
  return removed == 1;
}

Result<void> check_artifacts(store::Transaction& tx, const store::ReportRow& report) {
  CLEW_TRY(const auto refs, list_artifacts(tx, "", INT32_MAX));
  for (const auto& ref : refs) {
    const auto found = get_artifact(tx, ref);
    if (!found && found.error().code() != Code::corrupt) return found.error();
    if (!found) report(found.error());
  }
  return {};
}

Value to_value(const ModuleArtifact& artifact) {
  std::vector<Member> exports;
  for (const auto& [name, ref] : artifact.exports) {
    exports.push_back(
        {name, Value::object({{"component", ref.component}, {"position", ref.position}})});
  }
  return Value::object({{"module_ref", artifact.module_ref},
                        {"required_surface_ref", artifact.required_surface_ref},
                        {"required_surface", artifact.required_surface},
                        {"exports", Value::object(std::move(exports))},
                        {"canonical_ir", artifact.canonical_ir},
                        {"dependencies", Value::array({artifact.dependencies.begin(),
                                                       artifact.dependencies.end()})}});
}

Result<ModuleArtifact> artifact_from_value(const Value& value, const std::string& path) {
  ModuleArtifact artifact;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(artifact.module_ref, in.id("module_ref"));
  CLEW_TRY(artifact.required_surface_ref, in.id("required_surface_ref"));
  artifact.required_surface = in.value("required_surface");
  artifact.canonical_ir = in.value("canonical_ir");
  auto exports = in.value("exports");
  if (exports.is_null()) exports = Value::object({});
  if (!exports.is_object()) return invalid_input(in.path_of("exports"), exports, "an object");
  for (const auto& [name, each] : exports.members()) {
    auto at = in.path_of("exports");
    append_path_key(at, name);
    CLEW_TRY(detail::check_id(at, name));
    CLEW_TRY(auto ref, Fields::of(each, at));
    ProcessRef made;
    CLEW_TRY(made.component, ref.id("component"));
    CLEW_TRY(made.position, ref.integer("position", 0, 0));
    CLEW_TRY(ref.end());
    artifact.exports.emplace(name, std::move(made));
  }
  CLEW_TRY(artifact.dependencies,
           in.list<std::string>(
               "dependencies", [](const Value& item, const std::string& at) -> Result<std::string> {
                 if (!item.is_string()) {
                   return invalid_input(at, item, "the ref of a module");
                 }
                 CLEW_TRY(detail::check_id(at, item.as_string()));
                 return std::string(item.as_string());
               }));
  CLEW_TRY(in.end());
  return artifact;
}

}  // namespace clew::session
