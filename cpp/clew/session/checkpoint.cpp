#include "clew/session/checkpoint.hpp"

#include "clew/session/detail/fields.hpp"

namespace clew::session {
namespace {

std::string holder_of(std::string_view session_id) { return fmt::format("session:{}", session_id); }

std::string bytes_of(const Value& body) { return canonical_json(body); }
std::string bytes_of(const std::string& body) { return body; }

// Stores and pins parts for one head.
class Keeper {
 public:
  Keeper(store::Transaction& tx, std::string_view session_id, Timestamp now)
      : tx_(tx), holder_(holder_of(session_id)), now_(now) {}

  // The id of the part's blob; empty for a part that is absent.
  template <typename T>
  Result<std::string> keep(const Part<T>& part, const std::string& path) {
    if (part.is_absent()) return std::string();
    if (!part.body) {
      if (auto pinned = store::pin_blob(tx_, holder_, part.ref, now_); !pinned) {
        if (pinned.error().code() != Code::not_found) return pinned.error();
        return error(Code::not_found, "{} names {} without its body, and that is not stored", path,
                     part.ref)
            .with("path", path)
            .with("ref", part.ref);
      }
      return part.ref;
    }
    const auto bytes = bytes_of(*part.body);
    if (!part.ref.empty() && part.ref != store::blob_id(bytes)) {
      return invalid_input(path + ".ref", Value(part.ref), "the SHA-256 of the body");
    }
    return keep_bytes(bytes);
  }
  Result<std::string> keep_bytes(std::string_view bytes) {
    CLEW_TRY(auto ref, store::put_blob(tx_, bytes, now_));
    CLEW_TRY(store::pin_blob(tx_, holder_, ref, now_));
    return ref;
  }

 private:
  store::Transaction& tx_;
  const std::string holder_;
  const Timestamp now_;
};

Result<std::string> body_of(store::Transaction& tx, const std::string& ref) {
  CLEW_TRY(auto bytes, store::get_blob(tx, ref, {.size_max = INT64_MAX}));
  if (bytes) return *std::move(bytes);
  return store::in_row(error(Code::corrupt, "blob {} of a session's state is missing", ref),
                       "blobs", ref)
      .with("hash", ref);
}

Result<void> hydrate(store::Transaction& tx, Part<std::string>& part) {
  if (part.ref.empty()) return {};
  CLEW_TRY(part.body, body_of(tx, part.ref));
  return {};
}

Result<void> hydrate(store::Transaction& tx, Part<Value>& part) {
  if (part.ref.empty()) return {};
  CLEW_TRY(const auto bytes, body_of(tx, part.ref));
  CLEW_TRY(part.body, store::parse_stored(bytes));
  return {};
}

Result<Checkpoint> parse_manifest(const Value& manifest) {
  Checkpoint made;
  CLEW_TRY(auto in, detail::Fields::of(manifest, "manifest"));
  CLEW_TRY(made.turn_index, in.integer("turn_index", 0));
  CLEW_TRY(auto usage, detail::Fields::of(in.value("token_usage"), "manifest.token_usage"));
  CLEW_TRY(made.token_usage.input_tokens, usage.integer("input_tokens", 0));
  CLEW_TRY(made.token_usage.output_tokens, usage.integer("output_tokens", 0));
  CLEW_TRY(made.token_usage.cached_input_tokens, usage.integer("cached_input_tokens", 0));
  CLEW_TRY(made.token_usage.reasoning_tokens, usage.integer("reasoning_tokens", 0));
  made.last_prompt_usage = in.value("last_prompt_usage");
  made.protocol_turn_options = in.value("protocol_turn_options");
  CLEW_TRY(made.tool_state.ref, in.id_if_given("tool_state"));
  CLEW_TRY(made.plugin_snapshot.ref, in.id_if_given("plugin_snapshot"));
  CLEW_TRY(made.plugin_snapshot_revision, in.integer("plugin_snapshot_revision", 0));
  CLEW_TRY(made.execution_state.ref, in.id_if_given("execution_state"));
  CLEW_TRY(in.end());
  return made;
}

}  // namespace

Result<StoredCheckpoint> store_checkpoint(store::Transaction& tx, std::string_view session_id,
                                          const Checkpoint& checkpoint,
                                          std::vector<AgentFrame>& frames, Timestamp now) {
  // A ref alone may name what only this head has pinned: no sweep comes between, in one
  // transaction.
  CLEW_TRY(store::unpin_blobs(tx, holder_of(session_id)));
  Keeper keeper(tx, session_id, now);
  CLEW_TRY(const auto tools, keeper.keep(checkpoint.tool_state, "checkpoint.tool_state"));
  CLEW_TRY(const auto plugins,
           keeper.keep(checkpoint.plugin_snapshot, "checkpoint.plugin_snapshot"));
  CLEW_TRY(const auto execution,
           keeper.keep(checkpoint.execution_state, "checkpoint.execution_state"));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    CLEW_TRY(
        frames[i].execution_state.ref,
        keeper.keep(frames[i].execution_state, fmt::format("agent_frames[{}].execution_state", i)));
    frames[i].execution_state.body.reset();
  }
  StoredCheckpoint stored;
  stored.manifest =
      detail::object_of({{"turn_index", checkpoint.turn_index},
                         {"token_usage", to_value(checkpoint.token_usage)},
                         {"last_prompt_usage", checkpoint.last_prompt_usage},
                         {"protocol_turn_options", checkpoint.protocol_turn_options},
                         {"tool_state", detail::text_or_null(tools)},
                         {"plugin_snapshot", detail::text_or_null(plugins)},
                         {"plugin_snapshot_revision", checkpoint.plugin_snapshot_revision},
                         {"execution_state", detail::text_or_null(execution)}});
  CLEW_TRY(stored.ref, keeper.keep_bytes(canonical_json(stored.manifest)));
  return stored;
}

Result<Checkpoint> load_checkpoint(store::Transaction& tx, const std::string& ref) {
  CLEW_TRY(const auto bytes, body_of(tx, ref));
  CLEW_TRY(const auto manifest, store::parse_stored(bytes));
  auto made = parse_manifest(manifest);
  if (!made) {
    return store::in_row(Error(Code::corrupt, made.error().message()), "blobs", ref);
  }
  CLEW_TRY(hydrate(tx, made->tool_state));
  CLEW_TRY(hydrate(tx, made->plugin_snapshot));
  CLEW_TRY(hydrate(tx, made->execution_state));
  return made;
}

Result<void> hydrate_frame(store::Transaction& tx, AgentFrame& frame) {
  return hydrate(tx, frame.execution_state);
}

Result<void> release_checkpoint(store::Transaction& tx, std::string_view session_id) {
  return store::unpin_blobs(tx, holder_of(session_id));
}

}  // namespace clew::session
