#include "clew/capability/idempotency.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/base/mutex.hpp"

namespace clew {
namespace {

constexpr const char* keys_sql = R"sql(
CREATE TABLE idempotency (
  workspace TEXT NOT NULL,
  capability TEXT NOT NULL,
  key TEXT NOT NULL,
  state TEXT NOT NULL,
  owner {integer} NOT NULL,
  input TEXT NOT NULL,
  output TEXT,
  expires_us {integer} NOT NULL,
  PRIMARY KEY (workspace, capability, key)
) {clustered};
CREATE INDEX idempotency_expiry ON idempotency (expires_us);
)sql";

const store::Statement lock_sql(R"sql(
SELECT state, owner, input, output, expires_us FROM idempotency
WHERE workspace = :workspace AND capability = :capability AND key = :key {for_update})sql");

// Of two processes that begin at once the second waits for the first's commit, and then finds it.
const store::Statement begin_sql(R"sql(
INSERT INTO idempotency (workspace, capability, key, state, owner, input, output, expires_us)
VALUES (:workspace, :capability, :key, 'running', :owner, :input, NULL, :expires)
ON CONFLICT (workspace, capability, key) DO NOTHING)sql");

const store::Statement put_sql(R"sql(
INSERT INTO idempotency (workspace, capability, key, state, owner, input, output, expires_us)
VALUES (:workspace, :capability, :key, :state, :owner, :input, :output, :expires)
ON CONFLICT (workspace, capability, key)
DO UPDATE SET state = excluded.state, owner = excluded.owner, input = excluded.input,
              output = excluded.output, expires_us = excluded.expires_us)sql");

// Not what another owner has under way or has kept. What is unknown so far is known now.
const store::Statement keep_sql(R"sql(
INSERT INTO idempotency (workspace, capability, key, state, owner, input, output, expires_us)
VALUES (:workspace, :capability, :key, 'done', :owner, :input, :output, :expires)
ON CONFLICT (workspace, capability, key)
DO UPDATE SET state = excluded.state, owner = excluded.owner, input = excluded.input,
              output = excluded.output, expires_us = excluded.expires_us
WHERE idempotency.state = 'unknown'
   OR (idempotency.state = 'running' AND idempotency.owner = excluded.owner))sql");

const store::Statement free_sql(R"sql(
DELETE FROM idempotency
WHERE workspace = :workspace AND capability = :capability AND key = :key AND owner = :owner
  AND state = 'running')sql");

// A few at a time, whenever a key is claimed.
const store::Statement expire_sql(R"sql(
DELETE FROM idempotency WHERE (workspace, capability, key) IN (
  SELECT workspace, capability, key FROM idempotency WHERE expires_us <= :now LIMIT 16
  {skip_locked}))sql");

const store::Statement all_sql(R"sql(
SELECT state, owner, input, output, expires_us, workspace, capability, key FROM idempotency
ORDER BY workspace, capability, key)sql");

enum class State : std::uint8_t { running, done, unknown };

std::string_view name(State state) {
  return state == State::running ? "running" : state == State::done ? "done" : "unknown";
}

// What stands under a key.
struct Row {
  State state = State::running;
  store::OwnerId owner = 0;
  Value input;
  Value output;
  std::int64_t expires_us = 0;
};

Result<Row> decode(const store::Row& row) {
  Row made;
  CLEW_TRY(const auto state, store::word_at(row, 0));
  if (state == "done") {
    made.state = State::done;
  } else if (state == "unknown") {
    made.state = State::unknown;
  } else if (state != "running") {
    return store::corrupt_column(row, 0, "running, done or unknown");
  }
  CLEW_TRY(made.owner, store::integer_at(row, 1, 0));
  CLEW_TRY(made.input, store::json_at(row, 2));
  CLEW_TRY(made.output, store::json_at(row, 3));
  CLEW_TRY(made.expires_us, store::integer_at(row, 4, 0));
  return made;
}

using Key = std::tuple<std::string, std::string, std::string>;  // workspace, capability, key

Key key_of(const Invocation& call) {
  return {call.capability()->workspace, call.capability()->contract.id, call.idempotency_key()};
}

std::string shown(const Key& key) {
  return fmt::format("{}/{}/{}", std::get<0>(key), std::get<1>(key), std::get<2>(key));
}

Error other_input(const Invocation& call, const Value& before) {
  const auto difference = first_difference(before, call.input());
  return error(Code::conflict, "the key \"{}\" belongs to another input: {} was {}, not {}",
               call.idempotency_key(), difference.path.empty() ? "it" : difference.path,
               preview(difference.left), preview(difference.right))
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right)
      .with("idempotency_key", call.idempotency_key());
}

Error unknown_before(const Invocation& call) {
  return error(
             Code::unknown_outcome,
             "an earlier call of {} under the key \"{}\" was interrupted while it ran: whether it "
             "took effect is unknown",
             call.capability()->contract.id, call.idempotency_key())
      .with("idempotency_key", call.idempotency_key());
}

Error taken_over(const Invocation& call) {
  return error(Code::stale_lease,
               "another process has taken the key \"{}\" while {} ran: its result is discarded",
               call.idempotency_key(), call.capability()->contract.id)
      .with("idempotency_key", call.idempotency_key());
}

class StoredKeys final : public IdempotencyKeys {
 public:
  StoredKeys(store::Database& database, Env& env, IdempotencyOptions options,
             Function<store::OwnerId()> owner)
      : database_(database), env_(env), options_(options), owner_(std::move(owner)) {}

  bool claim(const InvocationPtr& call, Function<void()> again) override {
    const auto key = key_of(*call);
    const auto owner = owner_();
    std::optional<Error> refusal;
    {
      Lock lock(mutex_);
      // One that ended before it began is about to let go of its key, on another thread.
      for (auto found = running_.find(key);
           found != running_.end() && found->second.leader->never_ran();
           found = running_.find(key)) {
        let_go_.wait(lock);
      }
      const auto [place, is_first] = running_.try_emplace(key);
      Running& running = place->second;
      if (is_first) {
        running.leader = call;
        running.owner = owner;
        running.input = call->input();
      } else if (running.input == call->input()) {
        running.followers.push_back({call, std::move(again)});
        return false;
      } else {
        refusal = other_input(*call, running.input);
      }
    }
    if (refusal) {
      call->answer(HopReason::key_refused, *std::move(refusal));
      return false;
    }
    std::optional<Result<Value>> answer;
    if (auto done = take_row(*call, key, owner, answer); !done) answer = done.error();
    if (!answer) return true;
    conclude(key, *call, *answer);
    call->answer(answer->has_value() ? HopReason::result_replayed : HopReason::key_refused,
                 *std::move(answer));
    return false;
  }

  Result<void> settle(Invocation& call, const Result<Value>& result, store::Apply also) override {
    const auto key = key_of(call);
    const auto owner = owner_of(key, call);
    if (!owner) return {};
    const auto kept = result ? keep_row(call, key, *owner, *result, also) : Result<void>();
    const auto outcome = result && !kept ? Result<Value>(kept.error()) : result;
    if (!outcome) free_row(key, *owner);
    conclude(key, call, outcome);
    return kept;
  }

  void let_go(Invocation& call) override {
    const auto key = key_of(call);
    store::OwnerId owner = 0;
    {
      // Once: by then the row may be that of the next call with this key.
      const Lock lock(mutex_);
      const auto found = running_.find(key);
      if (found == running_.end() || found->second.leader.get() != &call) return;
      if (std::exchange(found->second.is_let_go, true)) return;
      owner = found->second.owner;
    }
    free_row(key, owner);
    for (auto& each : take_followers(key, call)) each.again();
  }

 private:
  struct Follower {
    InvocationPtr call;
    Function<void()> again;
  };
  // A key whose first call is under way in this process.
  struct Running {
    InvocationPtr leader;
    store::OwnerId owner = 0;  // that this process was when it claimed the key
    Value input;
    std::vector<Follower> followers;  // with the same input; they end with it
    bool is_let_go = false;           // by one who is about to free its row
  };

  // Nothing when the key is not that call's.
  std::optional<store::OwnerId> owner_of(const Key& key, const Invocation& call) {
    const Lock lock(mutex_);
    const auto found = running_.find(key);
    if (found == running_.end() || found->second.leader.get() != &call) return std::nullopt;
    return found->second.owner;
  }

  // The key is free for the next call. Empty when it was already.
  std::vector<Follower> take_followers(const Key& key, const Invocation& call) {
    std::vector<Follower> followers;
    {
      const Lock lock(mutex_);
      const auto found = running_.find(key);
      if (found == running_.end() || found->second.leader.get() != &call) return {};
      followers = std::move(found->second.followers);
      running_.erase(found);
    }
    let_go_.notify_all();
    return followers;
  }
  // The same, and whoever waited for this call has its answer.
  void conclude(const Key& key, const Invocation& call, const Result<Value>& answer) {
    for (const auto& each : take_followers(key, call)) {
      each.call->answer(answer ? HopReason::result_replayed : HopReason::leader_failed, answer);
    }
  }

  // Marks the key as running, or finds the answer that stands there.
  Result<void> take_row(const Invocation& call, const Key& key, store::OwnerId owner,
                        std::optional<Result<Value>>& answer) {
    const auto now = env_.clock().now();
    const auto input = to_json(call.input());
    const auto& [workspace, capability, word] = key;
    // Only a `once` capability must know after a power cut that it had begun.
    const bool is_once = call.capability()->contract.effect == Effect::once;
    const auto durability = is_once ? options_.durability : store::Durability::relaxed;
    const auto apply = [&](store::Transaction& tx) -> Result<void> {
      answer.reset();
      CLEW_TRY(tx.post(expire_sql, now.us));
      std::optional<Row> row;
      while (!row) {  // whoever has the key may free it in between
        CLEW_TRY(const auto begun,
                 tx.run(begin_sql, workspace, capability, word, owner, input, INT64_MAX));
        if (begun == 1) return {};
        CLEW_TRY(read_row(tx, key, row));
      }
      if (now.us < row->expires_us) {
        CLEW_TRY(answer, answer_of(tx, call, owner, *row, now));
        if (answer && !marks_unknown(*row, *answer)) return {};
      }
      const auto state = answer ? State::unknown : State::running;
      const auto expires = answer ? (now + options_.ttl).us : INT64_MAX;
      CLEW_TRY(tx.post(put_sql, workspace, capability, word, std::string(name(state)), owner, input,
                       nullptr, expires));
      return {};
    };
    CLEW_TRY(database_.write(apply, durability));
    return {};
  }

  static Result<void> read_row(store::Transaction& tx, const Key& key, std::optional<Row>& into) {
    const auto& [workspace, capability, word] = key;
    CLEW_TRY(tx.first(
        lock_sql,
        [&](const store::Row& row) -> Result<void> {
          auto made = decode(row);
          if (!made) return store::in_row(made.error(), "idempotency", shown(key));
          into = *std::move(made);
          return {};
        },
        workspace, capability, word));
    return {};
  }

  // What a row that has not expired says to a call; nothing when the call may run.
  static Result<std::optional<Result<Value>>> answer_of(store::Transaction& tx,
                                                        const Invocation& call,
                                                        store::OwnerId owner, const Row& row,
                                                        Timestamp now) {
    using Answer = std::optional<Result<Value>>;
    if (row.input != call.input()) return Answer(other_input(call, row.input));
    if (row.state == State::done) return Answer(row.output);
    if (row.state == State::unknown) return Answer(unknown_before(call));
    if (row.owner != owner) {
      CLEW_TRY(const auto owners, store::list_owners(tx));
      const auto found = std::ranges::find(owners, row.owner, &store::Owner::id);
      if (found != owners.end() && store::may_be_alive(found->process) && now < found->expires_at) {
        return Answer(error(Code::unavailable, "another process is running {} under the key \"{}\"",
                            call.capability()->contract.id, call.idempotency_key())
                          .with_retryable(true)
                          .with("owner", found->name)
                          .with("idempotency_key", call.idempotency_key()));
      }
    }
    // Whoever ran it is gone.
    if (call.capability()->contract.effect == Effect::once) return Answer(unknown_before(call));
    return Answer();
  }
  static bool marks_unknown(const Row& row, const Result<Value>& answer) {
    return row.state == State::running && !answer && answer.error().code() == Code::unknown_outcome;
  }

  Result<void> keep_row(const Invocation& call, const Key& key, store::OwnerId owner,
                        const Value& output, store::Apply& also) {
    const auto& [workspace, capability, word] = key;
    const auto expires = (env_.clock().now() + options_.ttl).us;
    const auto input = to_json(call.input());
    const auto text = to_json(output);
    CLEW_TRY(database_.write(
        [&](store::Transaction& tx) -> Result<void> {
          CLEW_TRY(const auto changed,
                   tx.run(keep_sql, workspace, capability, word, owner, input, text, expires));
          if (changed == 0) return taken_over(call);
          return also ? also(tx) : Result<void>();
        },
        options_.durability));
    return {};
  }

  // Not waited for: a claim of the same key comes after it in the queue of writes.
  void free_row(const Key& key, store::OwnerId owner) {
    database_.submit({[key, owner](store::Transaction& tx) -> Result<void> {
                        const auto& [workspace, capability, word] = key;
                        CLEW_TRY(tx.post(free_sql, workspace, capability, word, owner));
                        return {};
                      },
                      [](Result<store::CommitInfo>) {}, store::Durability::relaxed});
  }

  store::Database& database_;
  Env& env_;
  const IdempotencyOptions options_;
  Function<store::OwnerId()> owner_;
  Mutex mutex_;
  Condition let_go_;
  std::map<Key, Running> running_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace

store::Migration idempotency_migration(int version) { return {version, "idempotency", keys_sql}; }

Result<void> check_idempotency(store::Transaction& tx, const store::ReportRow& report) {
  CLEW_TRY(tx.each(all_sql, [&](const store::Row& row) -> Result<void> {
    if (auto made = decode(row); !made) {
      const auto key = fmt::format("{}/{}/{}", store::shown_at(row, 5), store::shown_at(row, 6),
                                   store::shown_at(row, 7));
      report(store::in_row(made.error(), "idempotency", key));
    }
    return {};
  }));
  return {};
}

std::unique_ptr<IdempotencyKeys> make_idempotency_keys(store::Database& database, Env& env,
                                                       IdempotencyOptions options,
                                                       Function<store::OwnerId()> owner) {
  return std::make_unique<StoredKeys>(database, env, options, std::move(owner));
}

}  // namespace clew
