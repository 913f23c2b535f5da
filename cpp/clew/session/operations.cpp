#include "clew/session/operations.hpp"

#include <algorithm>
#include <span>

#include "clew/session/artifact_store.hpp"
#include "clew/session/detail/ask.hpp"
#include "clew/session/detail/fields.hpp"
#include "clew/session/detail/operations.hpp"
#include "clew/session/session_store.hpp"

namespace clew::session {
namespace detail {
namespace {

constexpr std::int64_t limit_max = 10'000;

Result<SessionStore> session_of(const Stores& stores, Fields& in) {
  CLEW_TRY(auto id, in.id("session_id"));
  return SessionStore(stores.database, stores.env, std::move(id));
}

Result<Duration> ttl_of(Fields& in) {
  CLEW_TRY(const auto us, in.integer("ttl", 0));
  return Duration(us);
}

Result<Value> commit(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto made, commit_from_value(in.value("commit"), ""));
  return valued(store.commit(made));
}

Result<Value> commit_hash(const Stores&, Fields& in) {
  CLEW_TRY(const auto made, commit_from_value(in.value("commit"), ""));
  return Value(turn_commit_hash(made));
}

Result<Value> load(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto scope, scope_from_value(in.value("scope"), "scope"));
  return valued(store.load(scope));
}

Result<Value> load_node(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto node, in.id("node_id"));
  return valued(store.load_node(node));
}

Result<Value> tombstone_node(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto node, in.id("node_id"));
  return valued(store.tombstone_node(node));
}

Result<Value> tombstone_nodes(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto nodes, ids_of(in, "node_ids"));
  return valued(store.tombstone_nodes(nodes));
}

Result<Value> vacuum(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto report, store.vacuum());
  return Value::object({{"removed_node_count", report.removed_node_count}});
}

Result<Value> save_meta(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto meta, meta_from_value(in.value("meta"), ""));
  return valued(store.save_meta(meta));
}

Result<Value> load_meta(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  return valued(store.load_meta());
}

Result<Value> list(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto after, in.text("after"));
  CLEW_TRY(const auto limit, limit_of(in));
  return valued(list_sessions(stores.database, after, limit));
}

Result<Value> collect(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto before, in.instant("before"));
  CLEW_TRY(const auto report, collect_garbage(stores.database, before));
  return Value::object({{"root_count", report.root_count},
                        {"retained_blob_count", report.retained_blob_count},
                        {"deleted_blob_count", report.deleted_blob_count}});
}

Result<Value> enqueue(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto draft, draft_from_value(in.value("draft"), ""));
  CLEW_TRY(const bool strict, in.boolean("strict", false));
  return valued(store.enqueue(draft, strict));
}

Result<Value> enqueue_wake(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto draft, wake_draft(in.value("wake")));
  return valued(store.enqueue(draft));
}

Result<Value> list_queued(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  return valued(store.list_queued());
}

Result<Value> list_pending(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  return valued(store.list_pending());
}

Result<Value> cancel_queued(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto batch, in.id("batch_id"));
  return valued(store.cancel_queued(batch));
}

Result<Value> claim(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto word, in.text("boundary"));
  CLEW_TRY(const auto boundary, boundary_from_word(word));
  CLEW_TRY(const auto owner, in.id("owner_id"));
  CLEW_TRY(const auto ttl, ttl_of(in));
  CLEW_TRY(const auto max, in.integer("max", 0));
  return valued(
      store.claim(boundary, owner, ttl, static_cast<int>(std::min<std::int64_t>(max, limit_max))));
}

Result<Value> claim_batches(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto word, in.text("boundary"));
  CLEW_TRY(const auto boundary, boundary_from_word(word));
  CLEW_TRY(const auto owner, in.id("owner_id"));
  CLEW_TRY(const auto ttl, ttl_of(in));
  CLEW_TRY(const auto ids, ids_of(in, "batch_ids"));
  return valued(store.claim_batches(boundary, owner, ttl, ids));
}

Result<Value> renew(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto held, claim_from_value(in.value("claim"), "claim"));
  CLEW_TRY(const auto ttl, ttl_of(in));
  return valued(store.renew(held, ttl));
}

Result<Value> abandon(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto held, claim_from_value(in.value("claim"), "claim"));
  return valued(store.abandon(held));
}

Result<Value> complete(const Stores& stores, Fields& in) {
  CLEW_TRY(auto store, session_of(stores, in));
  CLEW_TRY(const auto done, completion_from_value(in.value("completion"), "completion"));
  return valued(store.complete(done));
}

Result<Value> forget_sources(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto before, in.instant("before"));
  return valued(change<std::int64_t>(
      stores.database, [&](store::Transaction& tx) { return forget_batch_sources(tx, before); }));
}

Result<Value> put_module(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto artifact, artifact_from_value(in.value("artifact"), ""));
  return valued(ArtifactStore(stores.database, stores.env).put(artifact));
}

// The refs need not be given: they follow from the rest.
Result<Value> seal_module(const Stores&, Fields& in) {
  const auto& given = in.value("artifact");
  if (!given.is_object()) return invalid_input("artifact", given, "an object");
  std::vector<Member> members{{"module_ref", "unsealed"}, {"required_surface_ref", "unsealed"}};
  for (const auto& member : given.members()) {
    if (member.key != "module_ref" && member.key != "required_surface_ref") {
      members.push_back(member);
    }
  }
  CLEW_TRY(auto artifact, artifact_from_value(Value::object(std::move(members)), ""));
  return to_value(with_refs(std::move(artifact)));
}

Result<Value> get_module(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto ref, in.id("module_ref"));
  return valued(ArtifactStore(stores.database, stores.env).get(ref));
}

Result<Value> list_modules(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto after, in.text("after"));
  CLEW_TRY(const auto limit, limit_of(in));
  return valued(ArtifactStore(stores.database, stores.env).list(after, limit));
}

Result<Value> remove_module(const Stores& stores, Fields& in) {
  CLEW_TRY(const auto ref, in.id("module_ref"));
  return valued(ArtifactStore(stores.database, stores.env).remove(ref));
}

constexpr Operation table[] = {
    {"artifact.get", get_module},
    {"artifact.list", list_modules},
    {"artifact.put", put_module},
    {"artifact.remove", remove_module},
    {"artifact.seal", seal_module},
    {"session.abandon", abandon},
    {"session.cancel_queued", cancel_queued},
    {"session.claim", claim},
    {"session.claim_batches", claim_batches},
    {"session.commit", commit},
    {"session.commit_hash", commit_hash},
    {"session.complete", complete},
    {"session.enqueue", enqueue},
    {"session.enqueue_wake", enqueue_wake},
    {"session.forget_sources", forget_sources},
    {"session.gc", collect},
    {"session.list", list},
    {"session.list_pending", list_pending},
    {"session.list_queued", list_queued},
    {"session.load", load},
    {"session.load_meta", load_meta},
    {"session.load_node", load_node},
    {"session.renew", renew},
    {"session.save_meta", save_meta},
    {"session.tombstone_node", tombstone_node},
    {"session.tombstone_nodes", tombstone_nodes},
    {"session.vacuum", vacuum},
};

}  // namespace

std::span<const Operation> session_operations() { return table; }

Result<int> limit_of(Fields& in) {
  CLEW_TRY(const auto limit, in.integer("limit", 1, 1000));
  if (limit <= limit_max) return static_cast<int>(limit);
  return invalid_input(in.path_of("limit"), Value(limit), fmt::format("at most {}", limit_max));
}

Result<std::vector<std::string>> ids_of(Fields& in, std::string_view key) {
  return in.list<std::string>(key,
                              [](const Value& item, const std::string& at) -> Result<std::string> {
                                if (!item.is_string())
                                  return invalid_input(at, item, "text that is not blank");
                                CLEW_TRY(check_id(at, item.as_string()));
                                return std::string(item.as_string());
                              });
}

}  // namespace detail

Result<Value> perform(const Stores& stores, std::string_view operation, const Value& arguments) {
  for (const auto& known : {detail::session_operations(), detail::host_operations()}) {
    const auto found = std::ranges::find(known, operation, &detail::Operation::name);
    if (found == known.end()) continue;
    CLEW_TRY(auto in, detail::Fields::of(arguments, ""));
    return found->run(stores, in);
  }
  return invalid_input("operation", Value(operation), "an operation of the session stores");
}

std::vector<std::string_view> operations() {
  std::vector<std::string_view> names;
  for (const auto& known : {detail::session_operations(), detail::host_operations()}) {
    for (const auto& each : known) names.push_back(each.name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace clew::session
