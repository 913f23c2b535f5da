// What the stores rule beyond the first list of cases.
#include <atomic>
#include <limits>

#include "clew/base/threads.hpp"
#include "clew/session/trigger_store.hpp"
#include "clew/testkit/conformance/runtime_persistence.hpp"
#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

void first_commit_requires_that_there_is_no_head(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  must(store.commit(first_commit("root")), "the first writer");
  const auto refused = expect_no_trace<CommitResult>(
      world, [&] { return store.commit(first_commit("root")); }, Code::conflict,
      "a second first writer");
  expect_equal(told(refused, "expected").as_int(), 0, "it expected none");
  expect_equal(told(refused, "actual").as_int(), 1, "and there is one");
  for (const std::int64_t wrong : {0, 2}) {
    expect_no_trace<CommitResult>(
        world, [&] { return store.commit(next_commit("root", wrong)); }, Code::conflict,
        "another revision than the head's");
  }
}

void stamp_with_another_hash_is_refused(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  stamp(commit, "turn");
  commit.checkpoint.turn_index = 41;  // after the hash was taken
  expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::invalid_input,
      "a stamp that is not of this commit");
  stamp(commit, "turn");
  commit.turn_commit->session_id = "other";
  expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::invalid_input,
      "a stamp of another session");
}

void stamp_hash_excludes_transport_facts(const Factory&) {
  auto commit = with_nodes(first_commit("root"), {node("a")}, "a");
  commit.graph.nodes[0].payload = Value::object(
      {{"id", "m1"}, {"role", "user"}, {"parts", Value::array({})}, {"timestamp", 5}});
  const auto hash = turn_commit_hash(commit);
  auto same = commit;
  same.expected_head_revision = 9;
  same.completed_queue_claims.push_back({"root", "claim", "token", {"batch"}});
  same.agent_frames[0].created_at = Timestamp{77};
  same.graph.nodes[0].node_id = "other";
  same.graph.leaf_node_id = "other";
  same.graph.nodes[0].timestamp = Timestamp{99};
  same.graph.nodes[0].payload = Value::object(
      {{"id", "m2"}, {"role", "user"}, {"parts", Value::array({})}, {"timestamp", 6}});
  expect_equal(turn_commit_hash(same), hash, "revision, claims, clocks and ids do not count");
  auto other = commit;
  other.checkpoint.execution_state.body = "bytes";
  expect(turn_commit_hash(other) != hash, "bytes count");
  auto by_ref = other;
  by_ref.checkpoint.execution_state = {store::blob_id("bytes"), {}};
  expect_equal(turn_commit_hash(by_ref), turn_commit_hash(other), "the same by their id");
  other = commit;
  other.graph.nodes[0].payload = Value::object({{"id", "kept"}});
  auto renamed = other;
  renamed.graph.nodes[0].payload = Value::object({{"id", "another"}});
  expect(turn_commit_hash(renamed) != turn_commit_hash(other),
         "an id of what is no message counts");
}

void ref_without_a_stored_body_is_refused(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  commit.checkpoint.execution_state.ref = store::blob_id("never stored");
  const auto refused = expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::not_found,
      "a ref alone of which nothing is stored");
  expect_equal(told(refused, "path").as_string(), "checkpoint.execution_state",
               "it names the part");
  commit.checkpoint.execution_state.body = "other bytes";
  expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::invalid_input,
      "a ref that is not that of its body");
  expect(!must(store.load(), "load").has_value(), "no empty state was made of it");
}

void ref_without_body_means_as_before(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  set_execution_state(commit, "bytes");
  must(store.commit(commit), "commit");
  auto next = next_commit("root", 1);
  next.checkpoint.execution_state.ref = store::blob_id("bytes");
  const auto result = must(store.commit(next), "commit by ref");
  world.advance(std::chrono::hours(1));
  must(collect_garbage(*world.database, world.now()), "collect");
  expect_equal(must(store.load(), "load")->checkpoint.execution_state.body.value_or(""), "bytes",
               "the body is the one before");
  expect_equal(result.manifest.find("execution_state")->as_string(), store::blob_id("bytes"),
               "the manifest names it");
}

void manifest_is_keyed_by_session_and_id(const Factory& fresh) {
  World world(fresh);
  auto manifest = world.attachments();
  must(manifest.record_intent({"same", "a", "uri", {100}}), "intent of a");
  must(manifest.record_intent({"same", "b", "uri", {150}}), "intent of b");
  expect_equal(must(manifest.list_uncommitted({200}), "list").size(), 2U, "two entries");
  must(manifest.commit_refs("a", {"same"}), "a commits");
  const auto left = must(manifest.list_uncommitted({200}), "list");
  expect_equal(left.size(), 1U, "b has not");
  expect_equal(left[0].intent.session_id, "b", "it is b's");
  expect_equal(left[0].intent.intent_at.us, 150, "with its own time");
  expect(must(manifest.forget("b", "same"), "forget"), "b forgets");
  expect_refused(manifest.commit_refs("b", {"same"}), Code::not_found, "b has none");
  must(manifest.commit_refs("a", {"same"}), "a has");
}

void damaged_rows_are_corrupt_and_never_skipped(const Factory& fresh) {
  const std::pair<const char*, const char*> damages[] = {
      {"UPDATE session_nodes SET node = '{}'", "session_nodes"},
      {"UPDATE session_nodes SET parent_id = 'nobody'", "session_nodes"},
      {"UPDATE session_frames SET frame = 'none'", "session_frames"},
      {"UPDATE session_usage SET input_tokens = -1", "session_usage"},
      {"UPDATE sessions SET head_revision = -1", "sessions"},
      {"DELETE FROM blobs", "blobs"},
      {"UPDATE blobs SET size = size + 1", "blobs"},
  };
  World world(fresh);
  int sessions = 0;  // one for each damage, which may hit those before it too
  for (const auto& [damage, table] : damages) {
    const auto id = fmt::format("root-{}", ++sessions);
    auto store = world.session(id);
    auto commit = with_nodes(first_commit(id), {node("a")}, "a");
    commit.usage_deltas.push_back({"turn", "model", {1, 1, 1, 1}});
    set_execution_state(commit, "bytes of " + id);
    must(store.commit(commit), "commit");
    must(in_write(*world.database,
                  [&](store::Transaction& tx) -> Result<void> {
                    CLEW_TRY(tx.run_text(damage, {}));
                    return {};
                  }),
         "damage it");
    const auto refused = expect_refused(store.load(), Code::corrupt, damage);
    expect(refused.find("table") != nullptr, "the table is named", refused.to_string());
    expect_equal(told(refused, "table").as_string(), table, damage);
    expect(refused.find("key") != nullptr, "the key is named", refused.to_string());
  }
}

void blank_ids_and_bad_counters_are_refused(const Factory& fresh) {
  World world(fresh);
  const auto path_of = [](const Error& why) { return std::string(told(why, "path").as_string()); };
  for (const auto* blank : {"", "  \t"}) {
    auto store = world.session(blank);
    const auto refused = expect_no_trace<CommitResult>(
        world, [&] { return store.commit(first_commit(blank)); }, Code::invalid_input,
        "a blank session id");
    expect_equal(path_of(refused), "session_id", "it names the path");
  }
  auto store = world.session("root");
  const auto refused_at = [&](RuntimeCommit commit, const std::string& path) {
    const auto refused = expect_no_trace<CommitResult>(
        world, [&] { return store.commit(commit); }, Code::invalid_input, path);
    expect_equal(path_of(refused), path, "it names the path");
  };
  auto commit = first_commit("root");
  commit.usage_deltas.push_back({"turn", "model", {1, -1, 0, 0}});
  refused_at(commit, "usage_deltas[0].usage.output_tokens");
  commit = first_commit("root");
  commit.agent_frames[0].session_id = "other";
  refused_at(commit, "agent_frames[0].session_id");
  commit = first_commit("root");
  commit.current_agent_frame_id = "nobody";
  refused_at(commit, "current_agent_frame_id");
  commit = first_commit("root");
  commit.agent_frames.push_back(commit.agent_frames[0]);
  refused_at(commit, "agent_frames[1].frame_id");
  const std::string long_id(2'000, 'x');
  expect_refused(world.session(long_id).commit(first_commit(long_id)), Code::invalid_input,
                 "a very long id");

  commit = first_commit("root");
  const auto most = std::numeric_limits<std::int64_t>::max();
  commit.usage_deltas = {{"turn", "model", {most, 0, 0, 0}}};
  must(store.commit(commit), "the largest count");
  commit = next_commit("root", 1);
  commit.usage_deltas = {{"turn", "other", {1, 0, 0, 0}}, {"turn", "model", {1, 0, 0, 0}}};
  refused_at(commit, "usage_deltas[1].usage.input_tokens");
}

void graph_mistakes_are_typed_errors(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  must(store.commit(
           with_nodes(first_commit("root"), {node("a"), node("b", "a"), node("c", "b")}, "c")),
       "commit");
  const auto refused = expect_no_trace<bool>(
      world, [&] { return store.tombstone_node("b"); }, Code::conflict,
      "a node with a living child is not taken out");
  expect_equal(told(refused, "child").as_string(), "c", "the child is named");
  expect_refused(store.load({true, "nobody"}), Code::not_found, "the path to an unknown leaf");

  const auto refuse = [&](std::vector<SessionNode> nodes, const std::string& leaf, Code code,
                          std::string_view rule) {
    expect_no_trace<CommitResult>(
        world,
        [&] { return store.commit(with_nodes(next_commit("root", 1), std::move(nodes), leaf)); },
        code, rule);
  };
  refuse({node("d", "nobody")}, "c", Code::invalid_input, "a parent that is not there");
  refuse({node("d", "e"), node("e", "d")}, "c", Code::invalid_input, "parents in a circle");
  refuse({node("d", "d")}, "c", Code::invalid_input, "its own parent");
  refuse({node("d", "c"), node("d", "c")}, "c", Code::invalid_input, "an id that occurs twice");
  refuse({node("d", "c")}, "nobody", Code::invalid_input, "a leaf that is not there");
  refuse({node("b", "c")}, "c", Code::conflict, "a node that is there with other content");
  must(store.commit(with_nodes(next_commit("root", 1), {node("d", "e"), node("e", "c")}, "d")),
       "a parent may come after its child");

  must(in_write(*world.database,
                [](store::Transaction& tx) -> Result<void> {
                  CLEW_TRY(
                      tx.run_text("UPDATE session_nodes SET tombstone_us = 5 "
                                  "WHERE node_id = 'b'",
                                  {}));
                  return {};
                }),
       "tear a hole");
  expect_refused(store.vacuum(), Code::corrupt, "a vacuum that would leave an orphan");
  expect_refused(store.load({true, "d"}), Code::corrupt, "a path that leads nowhere");
}

void racing_commits_on_one_head_apply_once(const Factory& fresh) {
  World world(fresh);
  const auto other = world.storage.is_durable ? world.open() : nullptr;
  constexpr int racers = 16;
  std::atomic<int> won{0};
  std::atomic<int> refused{0};
  {
    Threads threads;
    for (int i = 0; i < racers; ++i) {
      threads.start("commits", [&, i] {
        auto store = world.session(other && i % 2 == 1 ? *other : *world.database, "root");
        auto commit = first_commit("root");
        commit.checkpoint.turn_index = i;
        const auto done = store.commit(commit);
        if (done) ++won;
        if (!done && done.error().code() == Code::conflict && done.error().find("actual")) {
          ++refused;
        }
      });
    }
    threads.join();
  }
  expect_equal(won.load(), 1, "one wins");
  expect_equal(refused.load(), racers - 1, "the others get the typed conflict");
  expect_equal(must(world.session("root").load(), "load")->head_revision, 1, "one revision");
}

void usage_is_merged_and_applied_once(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = first_commit("root");
  commit.usage_deltas = {{"turn", "m", {1, 2, 3, 4}},
                         {"tool", "m", {5, 0, 0, 0}},
                         {"turn", "m", {10, 0, 0, 0}},
                         {"idle", "m", {0, 0, 0, 0}}};
  stamp(commit, "turn-1");
  must(store.commit(commit), "commit");
  must(store.commit(commit), "the same turn again");
  const std::vector<TokenLedgerEntry> wanted{{"turn", "m", {11, 2, 3, 4}},
                                             {"tool", "m", {5, 0, 0, 0}}};
  expect(must(store.load(), "load")->token_ledger == wanted,
         "merged by source and model, once, and without what is zero");
}

void deleted_session_never_comes_back(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto commit = with_nodes(first_commit("root"), {node("a")}, "a");
  set_execution_state(commit, "bytes");
  stamp(commit, "turn");
  must(store.commit(commit), "commit");
  must(store.save_meta({"root", "name", Timestamp{5}, "m", "", Relation::root, {}, {}}), "meta");
  must(store.enqueue(draft("root", "text", "key")), "enqueue");
  must(world.attachments().record_intent({"x", "root", "uri", {5}}), "intent");
  must(world.session("other").commit(first_commit("other")), "another session");

  expect(must(store.remove(), "delete"), "it was there");
  expect(!must(store.remove(), "delete again"), "only once");
  expect(!must(store.load(), "load").has_value(), "no state");
  expect(!must(store.load_meta(), "load meta").has_value(), "no meta");
  expect_equal(must(store.list_queued(), "list").size(), 0U, "no queue");
  expect_equal(must(list_sessions(*world.database, "", 10), "list"), Texts{"other"},
               "the other one is untouched");
  const auto refuse = [&](Function<Status()> step, std::string_view rule) {
    const auto refused = expect_no_trace<void>(world, std::move(step), Code::conflict, rule);
    expect(refused.find("deleted") != nullptr, "it says that the session was deleted", rule);
  };
  const auto plain = [](const auto& done) { return done ? Status() : Status(done.error()); };
  refuse([&] { return plain(store.commit(first_commit("root"))); }, "a commit");
  refuse([&] { return plain(store.commit(commit)); }, "a turn that was known");
  refuse([&] { return plain(store.enqueue(draft("root", "text"))); }, "a batch");
  refuse(
      [&] { return store.save_meta({"root", "n", Timestamp{5}, "m", "", Relation::root, {}, {}}); },
      "meta");
  refuse([&] { return world.attachments().record_intent({"x", "root", "uri", {5}}); }, "an intent");
  world.advance(std::chrono::hours(1));
  const auto report = must(collect_garbage(*world.database, world.now()), "collect");
  expect(report.deleted_blob_count >= 1, "what only it needed is collected");
  expect(must(world.session("other").load(), "load").has_value(), "the other's is not");
}

void collection_keeps_what_any_head_needs(const Factory& fresh) {
  World world(fresh);
  auto a = world.session("a");
  auto b = world.session("b");
  auto commit = first_commit("a");
  set_execution_state(commit, "shared");
  commit.checkpoint.tool_state.body = Value::object({{"generation", 1}});
  must(a.commit(commit), "commit a");
  commit = first_commit("b");
  set_execution_state(commit, "shared");
  must(b.commit(commit), "commit b");
  must(a.commit(next_commit("a", 1)), "a needs its parts no more");
  const auto young = must(collect_garbage(*world.database, world.now()), "collect too early");
  expect_equal(young.deleted_blob_count, 0, "what was needed just now stays");
  world.advance(std::chrono::hours(1));
  const auto report = must(collect_garbage(*world.database, world.now()), "collect");
  expect_equal(report.deleted_blob_count, 2, "a's tool state and its old manifest go");
  expect_equal(report.root_count, report.retained_blob_count, "what stays is needed");
  expect_equal(must(b.load(), "load b")->checkpoint.execution_state.body.value_or(""), "shared",
               "b has what it shared");
  must(in_write(*world.database,
                [](store::Transaction& tx) -> Result<void> {
                  CLEW_TRY(tx.run_text("DELETE FROM blobs", {}));
                  return {};
                }),
       "lose everything");
  expect_refused(collect_garbage(*world.database, world.now()), Code::corrupt,
                 "a sweep that finds a root missing fails");
}

void oversize_commit_is_refused_before_its_transaction(const Factory& fresh) {
  World world(fresh);
  SessionStore store(*world.database, *world.env, "root", {.bytes_max = 1'000});
  auto commit = first_commit("root");
  set_execution_state(commit, std::string(2'000, 'x'));
  const auto writes = world.database->stats().writes;
  const auto refusals = world.database->stats().refused;
  expect_refused(store.commit(commit), Code::resource_exhausted, "a commit beyond the limit");
  expect_equal(world.database->stats().writes, writes, "nothing was written");
  expect_equal(world.database->stats().refused, refusals, "no transaction had to be given up");
}

}  // namespace clew::conformance
