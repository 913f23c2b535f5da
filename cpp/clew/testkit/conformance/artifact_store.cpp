#include "clew/session/artifact_store.hpp"

#include "clew/testkit/conformance/content_stores.hpp"
#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

namespace {

// The module of `process echo(value: str) { finish value }`, made by hand.
ModuleArtifact echo_module() {
  ModuleArtifact made;
  made.required_surface = Value::object({{"abilities", Value::array({"processes"})}});
  made.exports["echo"] = {"component:echo", 0};
  made.canonical_ir = Value::object(
      {{"processes",
        Value::array({Value::object({{"name", "echo"},
                                     {"parameters", Value::array({"value"})},
                                     {"body", Value::array({"finish", "value"})}})})}});
  made.dependencies = {"clew-module:v1:sha256:none"};
  return with_refs(std::move(made));
}

}  // namespace

void artifact_put_get_round_trips(const Factory& fresh) {
  World world(fresh);
  ArtifactStore store(*world.database, *world.env);
  const auto module = echo_module();
  expect_equal(must(store.put(module), "put"), module.module_ref, "its ref");
  must(store.put(module), "put again");
  const auto found = must(store.get(module.module_ref), "get");
  expect(found.has_value() && *found == module, "refs, exports and content are equal");
  expect_equal(must(encode_artifact(*found), "encode"), must(encode_artifact(module), "encode"),
               "the bytes are identical");
  expect_equal(must(store.list(), "list"), Texts{module.module_ref}, "it is listed once");
}

void artifact_get_unknown_is_none(const Factory& fresh) {
  World world(fresh);
  ArtifactStore store(*world.database, *world.env);
  expect(!must(store.get(echo_module().module_ref), "get").has_value(), "none, and no error");
}

void artifact_reports_declared_tier(const Factory& fresh) {
  World world(fresh);
  expect_equal(!world.database->is_memory(), world.storage.is_durable,
               "modules are as durable as their database");
}

void lashlang_artifact_store_survives_reopen(const Factory& fresh) {
  World world(fresh);
  const auto module = echo_module();
  must(ArtifactStore(*world.database, *world.env).put(module), "put");
  const auto second = world.open();
  const auto found = must(ArtifactStore(*second, *world.env).get(module.module_ref), "get");
  expect(found.has_value() && found->exports == module.exports, "its exports");
  expect_equal(found->required_surface_ref, module.required_surface_ref, "its refs");
}

void module_artifact_rejects_corrupted_store_bytes(const Factory& fresh) {
  expect_refused(decode_artifact("junk"), Code::invalid_input, "bytes that are no module");
  expect_refused(decode_artifact("{}"), Code::invalid_input, "JSON that is no module");
  auto bytes = must(encode_artifact(echo_module()), "encode");
  bytes.replace(bytes.find("finish"), 6, "finisH");
  const auto refused = expect_refused(decode_artifact(bytes), Code::invalid_input,
                                      "a module that is not what its ref says");
  expect_equal(told(refused, "path").as_string(), "module_ref", "it names the ref");
  auto module = echo_module();
  module.required_surface = Value::object({});
  const auto surface =
      expect_refused(encode_artifact(module), Code::invalid_input, "nor is it encoded");
  expect_equal(told(surface, "path").as_string(), "required_surface_ref", "it names the ref");

  World world(fresh);
  ArtifactStore store(*world.database, *world.env);
  expect_no_trace<std::string>(
      world, [&] { return store.put(module); }, Code::invalid_input, "nor is it stored");
  must(store.put(echo_module()), "put");
  must(in_write(*world.database,
                [](store::Transaction& tx) -> Status {
                  CLEW_TRY(tx.run_text("UPDATE artifacts SET hash = 'none'", {}));
                  return {};
                }),
       "damage it");
  expect_refused(store.get(echo_module().module_ref), Code::corrupt, "what has lost its bytes");
}

void module_refs_tell_what_counts(const Factory&) {
  const auto ref = [](Value ir) {
    auto module = echo_module();
    module.canonical_ir = std::move(ir);
    return module_ref_of(module);
  };
  const auto object = [](std::vector<Member> members) { return Value::object(std::move(members)); };
  expect_equal(ref(object({{"a", 1}, {"b", 2}})), ref(object({{"b", 2}, {"a", 1}})),
               "the order of members does not count");
  expect(ref(1) != ref(1.0), "an integer is no real");
  expect_equal(ref(0.0), ref(-0.0), "-0.0 is 0.0");
  expect(ref(Value::array({"ab", "c"})) != ref(Value::array({"a", "bc"})),
         "tokens do not run together");
  expect(ref(Value::array({Value::array({}), 1})) != ref(Value::array({Value::array({1})})),
         "nor do lists");
  expect(ref("1") != ref(1), "text is no number");
  auto module = echo_module();
  module.exports["echo"].position = 1;
  expect(module_ref_of(module) != echo_module().module_ref, "exports count");
  module = echo_module();
  module.required_surface = Value();
  expect(module_ref_of(module) != echo_module().module_ref, "the surface counts");
  expect(echo_module().module_ref.starts_with("clew-module:v1:sha256:"), "refs name their version");
}

void artifact_is_kept_by_the_collection(const Factory& fresh) {
  World world(fresh);
  ArtifactStore store(*world.database, *world.env);
  const auto module = echo_module();
  must(store.put(module), "put");
  world.advance(std::chrono::hours(1));
  expect_equal(must(collect_garbage(*world.database, world.now()), "collect").deleted_blob_count, 0,
               "a module is needed");
  expect(must(store.get(module.module_ref), "get").has_value(), "it is there");
  expect(must(store.remove(module.module_ref), "remove"), "until it is removed");
  expect(!must(store.get(module.module_ref), "get").has_value(), "then it is not");
  expect_equal(must(collect_garbage(*world.database, world.now()), "collect").deleted_blob_count, 1,
               "nor its bytes");
}

std::span<const Case> artifact_store_cases() {
  static constexpr Case cases[] = {
      {"artifact_put_get_round_trips", artifact_put_get_round_trips},
      {"artifact_get_unknown_is_none", artifact_get_unknown_is_none},
      {"artifact_reports_declared_tier", artifact_reports_declared_tier},
      {"lashlang_artifact_store_survives_reopen", lashlang_artifact_store_survives_reopen,
       Needs::reopen},
      {"module_artifact_rejects_corrupted_store_bytes",
       module_artifact_rejects_corrupted_store_bytes},
      {"module_refs_tell_what_counts", module_refs_tell_what_counts},
      {"artifact_is_kept_by_the_collection", artifact_is_kept_by_the_collection},
  };
  return cases;
}

}  // namespace clew::conformance
