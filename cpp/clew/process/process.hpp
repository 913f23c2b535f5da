// process/process.hpp: what a process is. Read this first.
//
// A process is a long-lived thing with an identity: it is registered once, says what happens to it
// in a stream of events, and ends in one terminal event. Whoever has a handle may address it;
// whoever has its lease runs it.
//
//   process.hpp    this: the records, and their JSON
//   semantics.hpp  what a declared event means: does it end the process, does it wake somebody
//   registry.hpp   the operations, each inside a transaction of the caller's
//   processes.hpp  the same, each in a transaction of its own, and waiting
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/schema.hpp"
#include "clew/base/time.hpp"
#include "clew/process/semantics.hpp"

namespace clew::process {

// Who a process belongs to, or is woken for: a session, or one frame of it.
struct Scope {
  std::string session_id;
  std::string agent_frame_id;  // empty: the session as a whole

  std::string id() const;  // "session:<id>", "session:<id>/frame:<id>"
  Value to_value() const;
  // {"session_id": …, "agent_frame_id": …}, or the session's id alone.
  static Result<Scope> from_value(const Value& value, std::string_view path);
  friend bool operator==(const Scope&, const Scope&) = default;
};

// What may have caused something: {"type": one of turn, effect, tool_call, process, process_event,
// host_event, session_node, and the ids of it}. Ok for null.
Result<void> check_cause(const Value& cause, std::string_view path);

enum class Status : std::uint8_t { running, completed, failed, cancelled, abandoned };
std::string_view name(Status status);
inline bool is_terminal(Status status) { return status != Status::running; }

// What becomes of a process whose runner died.
enum class Disposition : std::uint8_t {
  rerunnable,       // the next runner runs it again from the start
  owner_bound,      // nobody else can: it is abandoned
  externally_owned  // something outside runs it: nobody here decides
};
std::string_view name(Disposition disposition);

// One kind of event that a process may tell.
struct EventType {
  std::string name;
  Value payload_schema = Value::object({});  // JSON Schema; {}: anything
  Semantics semantics;

  Value to_value() const;
  static Result<EventType> from_value(const Value& value, std::string_view path);
};

struct Provenance {
  Scope owner_scope{"root", ""};
  std::string host_profile_id = "default";
  Value caused_by;  // a cause, or null
};

// How a process is made known. The core event types are added when they are missing:
// process.cancel_requested, and the terminal process.completed, .failed, .cancelled and .abandoned,
// each with its output at /await_output.
struct Registration {
  std::string id;
  Value input;  // {"type": tool_call, process, session_turn or external, …}
  std::vector<EventType> event_types;
  Provenance provenance;
  Disposition disposition = Disposition::rerunnable;

  Value to_value() const;
  // Error: `invalid_input` for a blank id, session or profile, an event name that is blank or
  // occurs twice, a bad schema, a terminal type for failure, cancelling or abandoning without
  // `await_output`.
  static Result<Registration> from_value(const Value& value, std::string_view path);
  const EventType* find(std::string_view event_type) const;
};

// Where a process runs when that is not here.
struct ExternalRef {
  std::string backend;
  std::string id;
  Value metadata;

  Value to_value() const;
  static Result<ExternalRef> from_value(const Value& value, std::string_view path);
};

struct Record {
  Registration registration;
  std::string registration_hash;  // SHA-256 of the registration's JSON
  Timestamp created_at;
  Timestamp updated_at;  // of the last event
  std::optional<ExternalRef> external_ref;
  Status status = Status::running;
  Value await_output;  // of a terminal process
  std::int64_t last_sequence = 0;

  Value to_value() const;
};

// What one append asks for.
struct AppendRequest {
  std::string event_type;
  Value payload;
  std::string replay_key;                  // empty: none; each append is an event of its own
  std::optional<Scope> wake_target_scope;  // whom a wake is for
  std::string lease_token;                 // not empty: only while this lease is the newest
  std::string authority;  // who ends a leased process without its lease; kept in the event

  static Result<AppendRequest> from_value(const Value& value, std::string_view path);
};

struct Event {
  std::string process_id;
  std::int64_t sequence = 0;  // dense from 1
  std::string event_type;
  Value payload;
  Value invocation;  // {scope, subject, caused_by, replay?, authority?}
  Materialised semantics;
  Timestamp occurred_at;

  Value to_value() const;
};

// A wake on its way to a session.
struct WakeDelivery {
  std::string wake_id;
  std::string target_session_id;
  std::string target_scope_id;
  std::string process_id;
  std::int64_t sequence = 0;
  std::string event_type;
  Value event_invocation;
  Value process_caused_by;
  std::string dedupe_key;
  std::string input;
  Timestamp created_at;

  Value to_value() const;
  static Result<WakeDelivery> from_value(const Value& value, std::string_view path);
};

struct AppendResult {
  Event event;
  std::optional<WakeDelivery> wake_delivery;
  bool is_replay = false;  // the event was there already

  Value to_value() const;
};

// The right to address a process. Never ownership.
struct HandleGrant {
  Scope scope;
  std::string process_id;
  std::string kind;
  std::string label;

  Value to_value() const;
};

struct SessionDeleteReport {
  std::string session_id;
  int revoked_handle_count = 0;
  int deleted_wake_count = 0;
  std::vector<std::string> cancel_process_ids;     // live, and nobody else can address them
  std::vector<std::string> preserved_process_ids;  // live, and somebody else can

  Value to_value() const;
};

// The output that a process ends with: {"type": "success", "value"}, {"type": "failure", "class",
// "code", "message", "raw"}, {"type": "cancelled", "message", "raw"} or {"type": "abandoned",
// "message"}, each with "control" or without.
bool is_await_output(const Value& value);
// The status that it stands for. Error: `invalid_input` for what is none.
Result<Status> status_of_output(const Value& output, std::string_view path);
// `selected` as an output for that end: itself when it is one, else wrapped in one.
Value as_await_output(const Value& selected, Status status);

}  // namespace clew::process
