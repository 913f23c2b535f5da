#include "clew/session/sessions.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "clew/session/checkpoint.hpp"
#include "clew/session/detail/fields.hpp"
#include "clew/session/graph.hpp"
#include "clew/session/head.hpp"
#include "clew/session/manifest.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/session/triggers.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

const Statement find_turn_sql(
    "SELECT hash, result FROM session_turns WHERE session_id = :session AND turn_id = :turn");
const Statement put_turn_sql(R"sql(
    INSERT INTO session_turns (session_id, turn_id, hash, result)
    VALUES (:session, :turn, :hash, :result))sql");
const Statement clear_turns_sql("DELETE FROM session_turns WHERE session_id = :session");
const Statement put_frame_sql(R"sql(
    INSERT INTO session_frames (session_id, position, frame_id, frame)
    VALUES (:session, :position, :frame_id, :frame))sql");
const Statement frames_sql(R"sql(
    SELECT frame_id, frame FROM session_frames WHERE session_id = :session ORDER BY position)sql");
const Statement clear_frames_sql("DELETE FROM session_frames WHERE session_id = :session");
const Statement usage_sql(R"sql(
    SELECT source, model, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens
      FROM session_usage WHERE session_id = :session ORDER BY position)sql");
const Statement put_usage_sql(R"sql(
    INSERT INTO session_usage (session_id, position, source, model, input_tokens, output_tokens,
                               cached_input_tokens, reasoning_tokens)
    VALUES (:session, :position, :source, :model, :input, :output, :cached, :reasoning)
    ON CONFLICT (session_id, source, model) DO UPDATE SET
      input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
      cached_input_tokens = excluded.cached_input_tokens,
      reasoning_tokens = excluded.reasoning_tokens)sql");
const Statement clear_usage_sql("DELETE FROM session_usage WHERE session_id = :session");
const Statement put_meta_sql(R"sql(
    INSERT INTO session_meta (session_id, meta) VALUES (:session, :meta)
    ON CONFLICT (session_id) DO UPDATE SET meta = excluded.meta)sql");
const Statement meta_sql("SELECT meta FROM session_meta WHERE session_id = :session");
const Statement clear_meta_sql("DELETE FROM session_meta WHERE session_id = :session");
const Statement all_sessions_sql("SELECT session_id, deleted_us FROM sessions ORDER BY session_id");

// ---- turns

Result<std::optional<CommitResult>> known_turn(store::Transaction& tx, const TurnStamp& stamp) {
  std::optional<CommitResult> result;
  std::string hash;
  const auto key = fmt::format("{}/{}", stamp.session_id, stamp.turn_id);
  CLEW_TRY(tx.first(
      find_turn_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(hash, row.text(0));
        const auto value = store::json_at(row, 1);
        if (!value) return store::in_row(value.error(), "session_turns", key);
        auto in = detail::Fields::of(*value, "result");
        if (!in)
          return store::in_row(Error(Code::corrupt, in.error().message()), "session_turns", key);
        const auto revision = in->integer("head_revision", 1);
        const auto ref = in->id("checkpoint_ref");
        if (!revision || !ref) {
          return store::in_row(error(Code::corrupt, "the result of a turn is none"),
                               "session_turns", key);
        }
        result = CommitResult{*revision, *ref, in->value("manifest")};
        return {};
      },
      stamp.session_id, stamp.turn_id));
  if (result && hash != stamp.turn_commit_hash) {
    return error(Code::conflict, "turn {} of session {} was committed with other content",
                 stamp.turn_id, stamp.session_id)
        .with("session_id", stamp.session_id)
        .with("turn_id", stamp.turn_id);
  }
  return result;
}

// ---- frames

Result<void> write_frames(store::Transaction& tx, std::string_view session_id,
                          const std::vector<AgentFrame>& frames) {
  CLEW_TRY(tx.post(clear_frames_sql, session_id));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    CLEW_TRY(tx.post(put_frame_sql, session_id, static_cast<std::int64_t>(i), frames[i].frame_id,
                     to_json(to_value(frames[i]))));
  }
  return {};
}

Result<std::vector<AgentFrame>> read_frames(store::Transaction& tx, std::string_view session_id) {
  std::vector<AgentFrame> frames;
  CLEW_TRY(tx.each(
      frames_sql,
      [&](const Row& row) -> Result<void> {
        const auto key = fmt::format("{}/{}", session_id, store::shown_at(row, 0));
        const auto value = store::json_at(row, 1);
        if (!value) return store::in_row(value.error(), "session_frames", key);
        auto frame = frame_from_value(*value, "frame");
        if (!frame) {
          return store::in_row(Error(Code::corrupt, frame.error().message()), "session_frames",
                               key);
        }
        frames.push_back(*std::move(frame));
        return {};
      },
      session_id));
  for (auto& frame : frames) CLEW_TRY(hydrate_frame(tx, frame));
  return frames;
}

// ---- the token ledger

constexpr std::int64_t TokenUsage::* counters[] = {
    &TokenUsage::input_tokens, &TokenUsage::output_tokens, &TokenUsage::cached_input_tokens,
    &TokenUsage::reasoning_tokens};
constexpr std::string_view counter_names[] = {"input_tokens", "output_tokens",
                                              "cached_input_tokens", "reasoning_tokens"};

Result<std::vector<TokenLedgerEntry>> read_ledger(store::Transaction& tx,
                                                  std::string_view session_id) {
  std::vector<TokenLedgerEntry> entries;
  CLEW_TRY(tx.each(
      usage_sql,
      [&](const Row& row) -> Result<void> {
        const auto key =
            fmt::format("{}/{}/{}", session_id, store::shown_at(row, 0), store::shown_at(row, 1));
        TokenLedgerEntry entry;
        CLEW_TRY(entry.source, row.text(0));
        CLEW_TRY(entry.model, row.text(1));
        for (int i = 0; i < 4; ++i) {
          const auto count = store::integer_at(row, 2 + i, 0);
          if (!count) return store::in_row(count.error(), "session_usage", key);
          entry.usage.*counters[i] = *count;
        }
        entries.push_back(std::move(entry));
        return {};
      },
      session_id));
  return entries;
}

Result<void> add_usage(TokenUsage& to, const TokenUsage& by, std::size_t index) {
  for (int i = 0; i < 4; ++i) {
    auto& count = to.*counters[i];
    const auto more = by.*counters[i];
    if (more > std::numeric_limits<std::int64_t>::max() - count) {
      return invalid_input(fmt::format("usage_deltas[{}].usage.{}", index, counter_names[i]),
                           Value(more), "a count whose sum fits 64 bits");
    }
    count += more;
  }
  return {};
}

Result<void> write_usage(store::Transaction& tx, std::string_view session_id, Head& head,
                         const std::vector<TokenLedgerEntry>& deltas) {
  if (deltas.empty()) return {};
  CLEW_TRY(auto entries, read_ledger(tx, session_id));
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    if (deltas[i].usage.is_zero()) continue;
    auto entry = std::ranges::find_if(entries, [&](const TokenLedgerEntry& each) {
      return each.source == deltas[i].source && each.model == deltas[i].model;
    });
    if (entry == entries.end()) {
      entry = entries.insert(entry, {deltas[i].source, deltas[i].model, {}});
    }
    CLEW_TRY(add_usage(entry->usage, deltas[i].usage, i));
    const auto& sum = entry->usage;
    CLEW_TRY(tx.post(put_usage_sql, session_id, ++head.last_position, entry->source, entry->model,
                     sum.input_tokens, sum.output_tokens, sum.cached_input_tokens,
                     sum.reasoning_tokens));
  }
  return {};
}

// ---- what a commit must be

Result<void> check_frames(const RuntimeCommit& commit) {
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < commit.agent_frames.size(); ++i) {
    const auto& frame = commit.agent_frames[i];
    const auto path = fmt::format("agent_frames[{}]", i);
    CLEW_TRY(detail::check_id(path + ".frame_id", frame.frame_id));
    if (!ids.insert(frame.frame_id).second) {
      return invalid_input(path + ".frame_id", Value(frame.frame_id), "an id that occurs once");
    }
    if (frame.session_id != commit.session_id) {
      return invalid_input(path + ".session_id", Value(frame.session_id), commit.session_id);
    }
  }
  const bool is_known = commit.current_agent_frame_id.empty()
                            ? commit.agent_frames.empty()
                            : ids.contains(commit.current_agent_frame_id);
  if (is_known) return {};
  return invalid_input("current_agent_frame_id", Value(commit.current_agent_frame_id),
                       "one of the frames");
}

Result<void> check_usage(const RuntimeCommit& commit) {
  for (std::size_t i = 0; i < commit.usage_deltas.size(); ++i) {
    const auto path = fmt::format("usage_deltas[{}].usage", i);
    for (int k = 0; k < 4; ++k) {
      const auto count = commit.usage_deltas[i].usage.*counters[k];
      if (count >= 0) continue;
      return invalid_input(fmt::format("{}.{}", path, counter_names[k]), Value(count),
                           "a count of at least 0");
    }
  }
  return {};
}

Result<void> check_stamp(const RuntimeCommit& commit) {
  if (!commit.turn_commit) return {};
  const auto& stamp = *commit.turn_commit;
  CLEW_TRY(detail::check_id("turn_commit.turn_id", stamp.turn_id));
  if (stamp.session_id != commit.session_id) {
    return invalid_input("turn_commit.session_id", Value(stamp.session_id), commit.session_id);
  }
  if (stamp.turn_commit_hash == turn_commit_hash(commit)) return {};
  return invalid_input("turn_commit.turn_commit_hash", Value(stamp.turn_commit_hash),
                       "the hash of this commit");
}

std::size_t size_of(const RuntimeCommit& commit) {
  std::size_t size = commit.checkpoint.tool_state.body.value_or(Value()).byte_size() +
                     commit.checkpoint.plugin_snapshot.body.value_or(Value()).byte_size() +
                     commit.checkpoint.execution_state.body.value_or("").size() +
                     commit.checkpoint.protocol_turn_options.byte_size();
  for (const auto& node : commit.graph.nodes) {
    size += node.payload.byte_size() + node.caused_by.byte_size();
  }
  for (const auto& frame : commit.agent_frames) {
    size += frame.assignment.byte_size() + frame.protocol_turn_options.byte_size() +
            frame.execution_state.body.value_or("").size();
  }
  return size;
}

// A claim on the queue of another session is not this session's to complete.
Result<void> complete_claims(store::Transaction& tx, const RuntimeCommit& commit, Timestamp now) {
  for (std::size_t i = 0; i < commit.completed_queue_claims.size(); ++i) {
    const auto& claim = commit.completed_queue_claims[i];
    if (auto done = complete_batches(tx, claim, now); !done) {
      return done.error().with("path", fmt::format("completed_queue_claims[{}]", i));
    }
  }
  return {};
}

}  // namespace

Result<void> check_commit(const RuntimeCommit& commit, const CommitLimits& limits) {
  CLEW_TRY(detail::check_id("session_id", commit.session_id));
  if (commit.expected_head_revision && *commit.expected_head_revision < 0) {
    return invalid_input("expected_head_revision", Value(*commit.expected_head_revision),
                         "a revision");
  }
  CLEW_TRY(check_frames(commit));
  CLEW_TRY(check_usage(commit));
  for (std::size_t i = 0; i < commit.completed_queue_claims.size(); ++i) {
    const auto& claim = commit.completed_queue_claims[i];
    if (claim.session_id != commit.session_id) {
      return invalid_input(fmt::format("completed_queue_claims[{}].session_id", i),
                           Value(claim.session_id), commit.session_id);
    }
  }
  if (const auto size = size_of(commit); size > limits.bytes_max) {
    return error(Code::resource_exhausted, "a commit of {} bytes is larger than {}", size,
                 limits.bytes_max)
        .with("size", static_cast<std::int64_t>(size))
        .with("size_max", static_cast<std::int64_t>(limits.bytes_max));
  }
  return check_stamp(commit);
}

Result<CommitResult> commit_session(store::Transaction& tx, const RuntimeCommit& commit,
                                    Timestamp now) {
  const std::string_view id = commit.session_id;
  CLEW_TRY(auto head, lock_head(tx, id));
  if (commit.turn_commit) {
    CLEW_TRY(auto known, known_turn(tx, *commit.turn_commit));
    if (known) return *std::move(known);
  }
  const auto expected = commit.expected_head_revision.value_or(0);
  if (expected != head.revision) {
    return error(Code::conflict, "session {} is at revision {}, not {}", id, head.revision,
                 expected)
        .with("session_id", id)
        .with("expected", expected)
        .with("actual", head.revision);
  }
  CLEW_TRY(complete_claims(tx, commit, now));
  auto frames = commit.agent_frames;
  CLEW_TRY(auto stored, store_checkpoint(tx, id, commit.checkpoint, frames, now));
  CLEW_TRY(write_frames(tx, id, frames));
  CLEW_TRY(apply_delta(tx, id, head, commit.graph));
  CLEW_TRY(write_usage(tx, id, head, commit.usage_deltas));
  CLEW_TRY(commit_refs(tx, id, commit.committed_attachment_ids, now));
  head.revision += 1;
  head.config = commit.config;
  head.current_frame_id = commit.current_agent_frame_id;
  head.checkpoint_ref = stored.ref;
  CLEW_TRY(update_head(tx, id, head));
  CommitResult result{head.revision, std::move(stored.ref), std::move(stored.manifest)};
  if (commit.turn_commit) {
    CLEW_TRY(tx.post(put_turn_sql, id, commit.turn_commit->turn_id,
                     commit.turn_commit->turn_commit_hash, to_json(to_value(result))));
  }
  return result;
}

Result<std::optional<PersistedSession>> load_session(store::Transaction& tx,
                                                     std::string_view session_id,
                                                     const ReadScope& scope) {
  CLEW_TRY(const auto head, find_head(tx, session_id));
  if (!head || head->is_deleted || head->revision == 0) return std::optional<PersistedSession>();
  PersistedSession session;
  session.session_id = std::string(session_id);
  session.head_revision = head->revision;
  session.config = head->config;
  session.current_agent_frame_id = head->current_frame_id;
  session.checkpoint_ref = head->checkpoint_ref;
  CLEW_TRY(session.agent_frames, read_frames(tx, session_id));
  CLEW_TRY(session.graph, read_graph(tx, session_id, *head, scope));
  CLEW_TRY(session.checkpoint, load_checkpoint(tx, head->checkpoint_ref));
  CLEW_TRY(session.token_ledger, read_ledger(tx, session_id));
  return std::optional(std::move(session));
}

Result<void> save_meta(store::Transaction& tx, const SessionMeta& meta) {
  CLEW_TRY(lock_head(tx, meta.session_id));
  CLEW_TRY(tx.post(put_meta_sql, meta.session_id, to_json(to_value(meta))));
  return {};
}

Result<std::optional<SessionMeta>> load_meta(store::Transaction& tx, std::string_view session_id) {
  std::optional<SessionMeta> meta;
  CLEW_TRY(tx.first(
      meta_sql,
      [&](const Row& row) -> Result<void> {
        const auto value = store::json_at(row, 0);
        if (!value) return store::in_row(value.error(), "session_meta", session_id);
        auto made = meta_from_value(*value, "meta");
        if (!made) {
          return store::in_row(Error(Code::corrupt, made.error().message()), "session_meta",
                               session_id);
        }
        meta = *std::move(made);
        return {};
      },
      session_id));
  return meta;
}

Result<bool> delete_session(store::Transaction& tx, std::string_view session_id, Timestamp now) {
  if (const auto head = lock_head(tx, session_id); !head) {
    if (head.error().find("deleted") != nullptr) return false;
    return head.error();
  }
  CLEW_TRY(mark_deleted(tx, session_id, now));
  CLEW_TRY(clear_batches(tx, session_id));
  CLEW_TRY(remove_nodes(tx, session_id));
  for (const auto* clear :
       {&clear_turns_sql, &clear_frames_sql, &clear_usage_sql, &clear_meta_sql}) {
    CLEW_TRY(tx.post(*clear, session_id));
  }
  CLEW_TRY(forget_entries(tx, session_id));
  CLEW_TRY(remove_subscriptions(tx, session_id));
  CLEW_TRY(release_checkpoint(tx, session_id));
  return true;
}

Result<GcReport> gc_unreachable(store::Transaction& tx, Timestamp before) {
  CLEW_TRY(const auto swept, store::sweep_blobs(tx, {}, before));
  if (swept.missing.empty()) return GcReport{swept.roots, swept.retained, swept.deleted};
  const auto& hash = swept.missing.front();
  return store::in_row(error(Code::corrupt, "blob {} is needed and missing", hash), "blobs", hash)
      .with("hash", hash);
}

Result<void> check_sessions(store::Transaction& tx, const store::ReportRow& report) {
  std::vector<std::string> ids;
  CLEW_TRY(tx.each(all_sessions_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(ids.emplace_back(), store::word_at(row, 0));
    return {};
  }));
  const auto look = [&](const auto& read) -> Result<void> {
    if (!read && read.error().code() != Code::corrupt) return read.error();
    if (!read) report(read.error());
    return {};
  };
  for (const auto& id : ids) {
    CLEW_TRY(look(load_session(tx, id, {})));
    CLEW_TRY(look(load_meta(tx, id)));
    CLEW_TRY(look(list_batches(tx, id)));
    CLEW_TRY(look(list_entries(tx, id)));
  }
  CLEW_TRY(store::check_blobs(tx, report));
  return store::check_work(tx, report);
}

}  // namespace clew::session
