// effect/effect.hpp: what an effect is, and where it belongs. Read this first.
//
// An effect is one thing that code cannot repeat with the same result by itself: a call of a model,
// a tool, a sleep. Everything of that kind crosses one interface under a key of its own, so that it
// happens once, and a run of the same code after a crash is answered from what was recorded.
//
//   effect.hpp   this: scopes, envelopes
//   decide.hpp   what a request means for what is recorded: a pure function
//   journal.hpp  the records, each change inside a transaction of the caller's
//   host.hpp     who carries effects out: EffectHost, EffectController
#pragma once

#include <string>
#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew::effect {

enum class ScopeKind : std::uint8_t {
  turn,
  process,
  queue_drain,
  session_delete,
  runtime_operation
};
std::string_view name(ScopeKind kind);

// The identity of one run of effects, chosen before any of them. A value.
class Scope {
 public:
  // Errors: `invalid_input` with reason missing_effect_scope_id for a blank id.
  static Result<Scope> turn(std::string_view session_id, std::string_view turn_id);
  static Result<Scope> process(std::string_view process_id);
  static Result<Scope> queue_drain(std::string_view session_id, std::string_view drain_id);
  static Result<Scope> session_delete(std::string_view session_id);
  static Result<Scope> runtime_operation(std::string_view operation_id);
  // {"type": "turn", "session_id": …, "turn_id": …} and so on; to_value() writes it.
  static Result<Scope> from_value(const Value& value, std::string_view path);
  Value to_value() const;

  ScopeKind kind() const { return kind_; }
  // The innermost id: of the turn, the process, the drain, the session or the operation.
  const std::string& id() const { return id_; }
  // Of a turn only, else empty.
  std::string_view turn_id() const;
  // Of the session that it belongs to, or empty.
  const std::string& session_id() const { return session_id_; }
  // Differs for every two scopes that differ in anything: the same turn id in two sessions is two.
  std::string identity() const;

  friend bool operator==(const Scope&, const Scope&) = default;

 private:
  Scope(ScopeKind kind, std::string_view session_id, std::string_view id)
      : kind_(kind), session_id_(session_id), id_(id) {}
  static Result<Scope> checked(Scope scope);
  ScopeKind kind_;
  std::string session_id_;
  std::string id_;
};

// One effect that is asked for: who asks ("invocation": {scope, subject {"type": "effect",
// "effect_id", "kind"}, caused_by, replay {"key"}}), and for what ("command": {"type": one of
// llm_call, direct, tool_call, process, exec_code, checkpoint, sync_execution_surface, sleep, …}).
// A value.
class Envelope {
 public:
  // Errors: `invalid_input` whose reason is runtime_effect_invocation_subject (no effect with an
  // id), runtime_effect_invocation_kind (of another kind than the command) or
  // runtime_effect_replay_required (no replay key).
  static Result<Envelope> make(const Value& invocation, const Value& command);
  static Result<Envelope> from_value(const Value& value, std::string_view path);
  Value to_value() const;

  const Value& invocation() const { return invocation_; }
  const Value& command() const { return command_; }
  const std::string& effect_id() const { return effect_id_; }
  const std::string& kind() const { return kind_; }
  const std::string& replay_key() const { return replay_key_; }
  // SHA-256 over both parts.
  std::string hash() const;
  // Milliseconds, of a sleep only.
  std::int64_t sleep_ms() const;
  bool is_sleep() const { return kind_ == "sleep"; }

  friend bool operator==(const Envelope&, const Envelope&) = default;

 private:
  Envelope() = default;
  Value invocation_;
  Value command_;
  std::string effect_id_;
  std::string kind_;
  std::string replay_key_;
};

// Whether a failure of that kind is an effect's outcome, to be answered again, or something that
// kept it from happening: cancelled, a lost lease, a store that failed, whatever may be retried.
bool is_recordable(const Error& error);

}  // namespace clew::effect
