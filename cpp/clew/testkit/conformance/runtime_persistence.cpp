#include "clew/testkit/conformance/runtime_persistence.hpp"

#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

void runtime_persistence_reports_declared_durability(const Factory& fresh) {
  World world(fresh);
  expect_equal(!world.database->is_memory(), world.storage.is_durable,
               "the database is as durable as it is said to be");
}

void commit_increments_head_and_round_trips_agent_frames(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  AgentFrame second;
  second.frame_id = "frame-2";
  second.session_id = "root";
  second.previous_frame_id = commit.current_agent_frame_id;
  second.reason = "plan_mode";
  append_frame(commit, second);
  const std::string bytes("\0snapshot\xff", 10);
  set_execution_state(commit, bytes);
  const auto first = must(store.commit(commit), "commit");
  expect_equal(first.head_revision, 1, "the first revision is 1");

  const auto loaded = must(store.load(), "load");
  expect(loaded.has_value(), "the session is there");
  expect_equal(loaded->head_revision, 1, "revision");
  expect_equal(loaded->current_agent_frame_id, "frame-2", "current frame");
  expect_equal(loaded->agent_frames.size(), 2U, "both frames");
  expect_equal(loaded->agent_frames[1].reason, "plan_mode", "the reason is kept");
  expect(loaded->agent_frames[0].status == FrameStatus::superseded, "the first is superseded");
  expect(loaded->agent_frames[1].status == FrameStatus::active, "the second is active");
  expect_equal(loaded->agent_frames[1].execution_state.body.value_or(""), bytes,
               "the frame's bytes are equal");
  expect_equal(loaded->checkpoint.execution_state.body.value_or(""), bytes,
               "the checkpoint's bytes are equal");
  expect(!loaded->agent_frames[0].execution_state.body, "the first frame has no snapshot");

  commit.expected_head_revision = 1;
  expect_equal(must(store.commit(commit), "commit again").head_revision, 2, "then one more");
}

void commit_rejects_a_different_session_id(const Factory& fresh) {
  World world(fresh);
  auto alpha = world.session("alpha");
  must(alpha.commit(first_commit("alpha")), "commit alpha");
  const auto refused = expect_no_trace<CommitResult>(
      world, [&] { return alpha.commit(first_commit("beta")); }, Code::conflict,
      "a handle refuses another session");
  expect_equal(told(refused, "bound").as_string(), "alpha", "it names what it is bound to");
  expect_equal(told(refused, "attempted").as_string(), "beta", "and what was attempted");
  must(world.session("beta").commit(first_commit("beta")), "the store holds many sessions");
  expect_equal(must(alpha.load(), "load alpha")->session_id, "alpha", "alpha is unchanged");
}

void load_hydrates_checkpoint_and_usage(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("hydrated");
  expect(!must(store.load(), "load before any commit").has_value(), "none, and no error");
  auto commit = first_commit("hydrated");
  commit.checkpoint.turn_index = 3;
  commit.checkpoint.tool_state.body = Value::object({{"generation", 9}});
  commit.checkpoint.plugin_snapshot.body = Value::object({});
  commit.checkpoint.plugin_snapshot_revision = 12;
  commit.usage_deltas.push_back({"turn", "model", {11, 7, 3, 5}});
  must(store.commit(commit), "commit");
  const auto loaded = must(store.load(), "load");
  expect_equal(loaded->session_id, "hydrated", "session id");
  expect_equal(loaded->checkpoint.turn_index, 3, "turn index");
  expect(loaded->checkpoint.tool_state.body == commit.checkpoint.tool_state.body, "tool state");
  expect(loaded->checkpoint.plugin_snapshot.body == Value::object({}), "an empty snapshot is one");
  expect_equal(loaded->checkpoint.plugin_snapshot_revision, 12, "plugin revision");
  expect(loaded->checkpoint.execution_state.is_absent(), "what was absent stays absent");
  expect_equal(loaded->token_ledger.size(), 1U, "one entry");
  expect_equal(loaded->token_ledger[0].usage.input_tokens, 11, "its input");
  expect(loaded->token_ledger[0].usage == TokenUsage{11, 7, 3, 5}, "all of it");
}

void active_path_read_scope_selects_only_requested_ancestry(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  must(store.commit(with_nodes(first_commit("root"),
                               {node("root"), node("left", "root"), node("left-leaf", "left"),
                                node("right-leaf", "root")},
                               "left-leaf")),
       "commit");
  const auto full = must(store.load(), "load all")->graph;
  expect_equal(ids_of(full), Texts{"root", "left", "left-leaf", "right-leaf"},
               "all, in the order of insertion");
  const auto path = must(store.load({true, ""}), "load the path")->graph;
  expect_equal(ids_of(path), Texts{"root", "left", "left-leaf"}, "the way to the leaf");
  expect_equal(path.leaf_node_id, "left-leaf", "its leaf");
  const auto right = must(store.load({true, "right-leaf"}), "load another path")->graph;
  expect_equal(ids_of(right), Texts{"root", "right-leaf"}, "the way to that leaf");
  expect_equal(right.leaf_node_id, "right-leaf", "that leaf");
}

void attachment_manifest_records_intent_and_commit_stamps(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto manifest = world.attachments();
  const Timestamp at{100};
  for (const auto* id : {"manual", "runtime-commit", "orphan"}) {
    must(manifest.record_intent({id, "root", std::string("attachment:") + id, at}), "intent");
  }
  expect_equal(must(manifest.list_uncommitted({99}), "list").size(), 0U, "none is so old");
  expect_equal(must(manifest.list_uncommitted({200}), "list").size(), 3U, "all three");
  must(manifest.commit_refs("root", {"manual"}), "commit by hand");
  auto commit = first_commit("root");
  commit.committed_attachment_ids = {"runtime-commit"};
  must(store.commit(commit), "commit");
  const auto left = must(manifest.list_uncommitted({200}), "list");
  expect_equal(left.size(), 1U, "only the orphan");
  expect_equal(left[0].intent.attachment_id, "orphan", "the orphan");
  expect(!left[0].committed_at, "which no commit refers to");
  must(manifest.record_intent({"orphan", "root", "elsewhere", {50}}), "again");
  expect(must(manifest.list_uncommitted({200}), "list")[0].intent == left[0].intent,
         "the first intent stays");
  expect(must(manifest.forget("root", "orphan"), "forget"), "it was there");
  expect_equal(must(manifest.list_uncommitted({200}), "list").size(), 0U, "nothing is left");
  auto unknown = next_commit("root", 1);
  unknown.committed_attachment_ids = {"manual", "never"};
  expect_no_trace<CommitResult>(
      world, [&] { return store.commit(unknown); }, Code::not_found,
      "a commit that refers to an unknown attachment is refused");
}

void session_metadata_round_trips(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  expect(!must(store.load_meta(), "load").has_value(), "none at first");
  SessionMeta meta{"root", "A session", Timestamp{1'234}, "model", "/tmp", Relation::root, {}, {}};
  must(store.save_meta(meta), "save");
  expect(must(store.load_meta(), "load") == std::optional(meta), "all fields are equal");
  expect(!must(store.load(), "load the state").has_value(), "meta makes no head");
  meta.relation = Relation::child;
  meta.parent_session_id = "other";
  meta.cwd.clear();
  must(store.save_meta(meta), "save again");
  expect(must(store.load_meta(), "load") == std::optional(meta), "the last one counts");
}

void tombstone_vacuum_and_gc_are_minimally_consistent(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  must(store.commit(
           with_nodes(first_commit("root"), {node("keep"), node("delete", "keep")}, "delete")),
       "commit");
  expect(must(store.load_node("delete"), "load").has_value(), "the node is there");
  expect(must(store.tombstone_node("delete"), "tombstone"), "it was");
  expect(!must(store.tombstone_node("delete"), "tombstone again"), "only once");
  expect(!must(store.load_node("delete"), "load").has_value(), "the node is gone");
  const auto graph = must(store.load(), "load")->graph;
  expect_equal(ids_of(graph), Texts{"keep"}, "the graph lacks it");
  expect_equal(graph.leaf_node_id, "keep", "its parent is the leaf now");

  auto revive = with_nodes(next_commit("root", 1), {node("delete", "keep")}, "delete");
  revive.graph.nodes[0].payload = Value::object({{"text", "new"}});
  must(store.commit(revive), "an id that was taken out may come again");
  expect(must(store.load_node("delete"), "load")->payload == revive.graph.nodes[0].payload,
         "with its new content");
  expect(must(store.tombstone_node("delete"), "tombstone"), "and go again");

  expect_equal(must(store.vacuum(), "vacuum").removed_node_count, 1, "one row is removed");
  expect_equal(must(store.vacuum(), "vacuum").removed_node_count, 0, "and no other");
  world.advance(std::chrono::hours(1));
  const auto report = must(collect_garbage(*world.database, world.now()), "collect");
  expect_equal(report.deleted_blob_count + report.retained_blob_count >= report.root_count, true,
               "the report adds up");
  expect(must(store.load(), "load").has_value(), "what the head needs is there");
}

void final_commit_stamp_is_idempotent_and_conflicts_on_changed_hash(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  stamp(commit, "provider-turn");
  const auto first = must(store.commit(commit), "commit");
  const auto before = world.dump();
  const auto again = must(store.commit(commit), "commit again");
  expect(again == first, "the same result");
  auto newer = commit;
  newer.expected_head_revision = 1;
  expect_equal(turn_commit_hash(newer), commit.turn_commit->turn_commit_hash,
               "the hash does not depend on the revision");
  expect(must(store.commit(newer), "commit with another revision") == first, "the same result");
  expect(world.dump() == before, "a repeated turn changes nothing");
  auto changed = newer;
  changed.checkpoint.turn_index = 1;
  stamp(changed, "provider-turn");
  const auto refused = expect_no_trace<CommitResult>(
      world, [&] { return store.commit(changed); }, Code::conflict,
      "the same turn with other content");
  expect_equal(told(refused, "turn_id").as_string(), "provider-turn", "it names the turn");

  must(store.commit(next_commit("root", 1)), "the head moves on");
  expect(must(store.commit(commit), "the turn again") == first,
         "its result is the first, also after the head has moved");
}

void runtime_persistence_survives_reopen(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  must(store.save_meta({"root", "kept", Timestamp{5}, "model", "", Relation::root, {}, {}}),
       "save meta");
  auto commit = first_commit("root");
  commit.checkpoint.tool_state.body = Value::object({{"generation", 77}});
  must(store.commit(commit), "commit");
  const auto receipt = must(store.enqueue(draft("root", "hello", "source:1")), "enqueue");
  must(world.attachments().record_intent({"a", "root", "uri", {100}}), "intent");

  const auto second = world.open();
  auto again = world.session(*second, "root");
  expect_equal(must(again.load_meta(), "load meta")->session_name, "kept", "the name");
  const auto loaded = must(again.load(), "load");
  expect_equal(loaded->session_id, "root", "the id");
  expect_equal(loaded->checkpoint.tool_state.body->find("generation")->as_int(), 77, "the state");
  const auto queued = must(again.list_queued(), "list");
  expect_equal(queued.size(), 1U, "one batch");
  expect(queued[0] == receipt.batch, "the same batch");
  expect_equal(must(world.attachments(*second).list_uncommitted({100}), "list").size(), 1U,
               "the intent");
  must(again.commit(next_commit("root", 1)), "the second handle commits");
  expect_equal(must(store.load(), "load by the first")->head_revision, 2,
               "each handle sees at once what the other has committed");
}

std::span<const Case> runtime_persistence_cases() {
  static constexpr Case cases[] = {
#define CLEW_CASE(function) {#function, function}
      CLEW_CASE(runtime_persistence_reports_declared_durability),
      CLEW_CASE(commit_increments_head_and_round_trips_agent_frames),
      CLEW_CASE(commit_rejects_a_different_session_id),
      CLEW_CASE(load_hydrates_checkpoint_and_usage),
      CLEW_CASE(active_path_read_scope_selects_only_requested_ancestry),
      CLEW_CASE(attachment_manifest_records_intent_and_commit_stamps),
      CLEW_CASE(session_metadata_round_trips),
      CLEW_CASE(tombstone_vacuum_and_gc_are_minimally_consistent),
      CLEW_CASE(final_commit_stamp_is_idempotent_and_conflicts_on_changed_hash),
      {"runtime_persistence_survives_reopen", runtime_persistence_survives_reopen, Needs::reopen},
      CLEW_CASE(first_commit_requires_that_there_is_no_head),
      CLEW_CASE(stamp_with_another_hash_is_refused),
      CLEW_CASE(stamp_hash_excludes_transport_facts),
      CLEW_CASE(ref_without_a_stored_body_is_refused),
      CLEW_CASE(ref_without_body_means_as_before),
      CLEW_CASE(manifest_is_keyed_by_session_and_id),
      CLEW_CASE(damaged_rows_are_corrupt_and_never_skipped),
      CLEW_CASE(blank_ids_and_bad_counters_are_refused),
      CLEW_CASE(graph_mistakes_are_typed_errors),
      CLEW_CASE(racing_commits_on_one_head_apply_once),
      CLEW_CASE(usage_is_merged_and_applied_once),
      CLEW_CASE(deleted_session_never_comes_back),
      CLEW_CASE(collection_keeps_what_any_head_needs),
      CLEW_CASE(oversize_commit_is_refused_before_its_transaction),
#undef CLEW_CASE
  };
  return cases;
}

}  // namespace clew::conformance
