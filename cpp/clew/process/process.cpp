#include "clew/process/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"

namespace clew::process {
namespace {

constexpr std::array<std::string_view, 5> status_names{"running", "completed", "failed",
                                                       "cancelled", "abandoned"};
constexpr std::array<std::string_view, 3> disposition_names{"rerunnable", "owner_bound",
                                                            "externally_owned"};

// A cause and the ids that it needs.
struct CauseShape {
  std::string_view type;
  std::vector<std::string_view> ids;
};

const std::vector<CauseShape>& cause_shapes() {
  static const std::vector<CauseShape> shapes{
      {"turn", {"session_id", "turn_id"}},
      {"effect", {"effect_id"}},
      {"tool_call", {"call_id"}},
      {"process", {"process_id"}},
      {"process_event", {"process_id", "sequence"}},
      {"host_event", {"occurrence_id"}},
      {"session_node", {"session_id", "node_id"}},
  };
  return shapes;
}

Value if_any(const std::string& text) { return text.empty() ? Value() : Value(text); }

void add_if_any(std::vector<Member>& members, std::string_view key, const std::string& text) {
  if (!text.empty()) members.push_back({std::string(key), Value(text)});
}

void add_unless_null(std::vector<Member>& members, std::string_view key, const Value& value) {
  if (!value.is_null()) members.push_back({std::string(key), value});
}

Value texts(const std::vector<std::string>& list) {
  std::vector<Value> items(list.begin(), list.end());
  return Value::array(std::move(items));
}

Result<std::string> key_in(const Fields& fields, std::string_view name) {
  CLEW_TRY(auto text, fields.word(name));
  CLEW_TRY(check_key(fields.path_of(name), text));
  return text;
}

Result<std::string> key_if_given(const Fields& fields, std::string_view name) {
  if (fields.find(name) == nullptr) return std::string();
  return key_in(fields, name);
}

// The core types, in the order in which they are added.
std::vector<EventType> core_types() {
  std::vector<EventType> types;
  types.push_back({.name = "process.cancel_requested", .semantics = {}});
  for (const auto state : {"completed", "failed", "cancelled", "abandoned"}) {
    auto output = Selector::from_value(Value::object({{"pointer", "/await_output"}}), "selector");
    Semantics semantics;
    semantics.terminal.emplace(state, *std::move(output));
    types.push_back({.name = fmt::format("process.{}", state), .semantics = std::move(semantics)});
  }
  return types;
}

Result<void> check_types(const Registration& made, std::string_view path) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < made.event_types.size(); ++i) {
    const auto& type = made.event_types[i];
    const auto where = fmt::format("{}.event_types[{}]", path, i);
    if (!names.insert(type.name).second) {
      return invalid_input(where + ".name", Value(type.name), "a name that occurs once");
    }
    const auto& terminal = type.semantics.terminal;
    if (terminal && terminal->state != "completed" && !terminal->await_output) {
      return invalid_input(where + ".semantics.terminal.await_output", Value(),
                           "a selector, for a process that does not complete must say why");
    }
  }
  return {};
}

}  // namespace

std::string_view name(Status status) { return status_names[static_cast<std::size_t>(status)]; }

std::string_view name(Disposition disposition) {
  return disposition_names[static_cast<std::size_t>(disposition)];
}

std::string Scope::id() const {
  if (agent_frame_id.empty()) return fmt::format("session:{}", session_id);
  return fmt::format("session:{}/frame:{}", session_id, agent_frame_id);
}

Value Scope::to_value() const {
  std::vector<Member> members{{"session_id", session_id}};
  add_if_any(members, "agent_frame_id", agent_frame_id);
  return Value::object(std::move(members));
}

Result<Scope> Scope::from_value(const Value& value, std::string_view path) {
  if (value.is_string() && !is_blank(value.as_string())) {
    CLEW_TRY(check_key(path, value.as_string()));
    return Scope{std::string(value.as_string()), ""};
  }
  if (!value.is_object()) return invalid_input(path, value, "a session's id, or an object");
  CLEW_TRY(const auto fields, Fields::of(value, path, {"session_id", "agent_frame_id"}));
  Scope made;
  CLEW_TRY(made.session_id, key_in(fields, "session_id"));
  CLEW_TRY(made.agent_frame_id, key_if_given(fields, "agent_frame_id"));
  return made;
}

Result<void> check_cause(const Value& cause, std::string_view path) {
  if (cause.is_null()) return {};
  const auto* type = cause.find("type");
  const auto& shapes = cause_shapes();
  const auto shape = std::ranges::find_if(
      shapes, [&](const CauseShape& one) { return type != nullptr && *type == Value(one.type); });
  if (shape == shapes.end()) {
    return invalid_input(path, cause,
                         "{\"type\": turn, effect, tool_call, process, process_event, host_event "
                         "or session_node, and its ids}");
  }
  for (const auto id : shape->ids) {
    const auto* found = cause.find(id);
    const bool is_there =
        found != nullptr &&
        (found->is_int() || (found->is_string() && !is_blank(found->as_string())));
    if (is_there) continue;
    std::string where(path);
    append_path_key(where, id);
    return invalid_input(where, found == nullptr ? Value() : *found, "an id");
  }
  return {};
}

Value EventType::to_value() const {
  return Value::object({{"name", Value(name)},
                        {"payload_schema", payload_schema},
                        {"semantics", semantics.to_value()}});
}

Result<EventType> EventType::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"name", "payload_schema", "semantics"}));
  EventType made;
  CLEW_TRY(made.name, key_in(fields, "name"));
  if (const auto* schema = fields.find("payload_schema")) made.payload_schema = *schema;
  CLEW_TRY(Schema::compile(made.payload_schema, fields.path_of("payload_schema")));
  if (const auto* semantics = fields.find("semantics")) {
    CLEW_TRY(made.semantics, Semantics::from_value(*semantics, fields.path_of("semantics")));
  }
  return made;
}

Value Registration::to_value() const {
  std::vector<Value> types;
  for (const auto& type : event_types) types.push_back(type.to_value());
  std::vector<Member> origin{{"owner_scope", provenance.owner_scope.to_value()},
                             {"host_profile_id", provenance.host_profile_id}};
  add_unless_null(origin, "caused_by", provenance.caused_by);
  return Value::object({{"id", Value(id)},
                        {"input", input},
                        {"event_types", Value::array(std::move(types))},
                        {"provenance", Value::object(std::move(origin))},
                        {"disposition", Value(name(disposition))}});
}

namespace {

Result<Provenance> parse_provenance(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields,
           Fields::of(value, path, {"owner_scope", "host_profile_id", "caused_by"}));
  Provenance made;
  if (const auto* scope = fields.find("owner_scope")) {
    CLEW_TRY(made.owner_scope, Scope::from_value(*scope, fields.path_of("owner_scope")));
  }
  if (fields.find("host_profile_id") != nullptr) {
    CLEW_TRY(made.host_profile_id, fields.word("host_profile_id"));
  }
  made.caused_by = fields.value_or_null("caused_by");
  CLEW_TRY(check_cause(made.caused_by, fields.path_of("caused_by")));
  return made;
}

}  // namespace

Result<Registration> Registration::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields,
           Fields::of(value, path, {"id", "input", "event_types", "provenance", "disposition"}));
  Registration made;
  CLEW_TRY(made.id, key_in(fields, "id"));
  made.input = fields.value_or_null("input");
  CLEW_TRY(const auto types, fields.items("event_types"));
  for (std::size_t i = 0; i < types.size(); ++i) {
    auto where = fields.path_of("event_types");
    append_path_index(where, i);
    CLEW_TRY(auto type, EventType::from_value(types[i], where));
    made.event_types.push_back(std::move(type));
  }
  if (const auto* provenance = fields.find("provenance")) {
    CLEW_TRY(made.provenance, parse_provenance(*provenance, fields.path_of("provenance")));
  }
  if (const auto* disposition = fields.find("disposition")) {
    CLEW_TRY(const auto place,
             choice(*disposition, fields.path_of("disposition"), disposition_names));
    made.disposition = static_cast<Disposition>(place);
  }
  CLEW_TRY(check_types(made, path));
  for (auto& type : core_types()) {
    if (made.find(type.name) == nullptr) made.event_types.push_back(std::move(type));
  }
  return made;
}

const EventType* Registration::find(std::string_view event_type) const {
  const auto found = std::ranges::find(event_types, event_type, &EventType::name);
  return found == event_types.end() ? nullptr : &*found;
}

Value ExternalRef::to_value() const {
  std::vector<Member> members{{"backend", backend}, {"id", id}};
  add_unless_null(members, "metadata", metadata);
  return Value::object(std::move(members));
}

Result<ExternalRef> ExternalRef::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"backend", "id", "metadata"}));
  ExternalRef made;
  CLEW_TRY(made.backend, fields.word("backend"));
  CLEW_TRY(made.id, fields.word("id"));
  made.metadata = fields.value_or_null("metadata");
  return made;
}

Value Record::to_value() const {
  return Value::object({{"registration", registration.to_value()},
                        {"registration_hash", Value(registration_hash)},
                        {"created_at_us", Value(created_at.us)},
                        {"updated_at_us", Value(updated_at.us)},
                        {"external_ref", external_ref ? external_ref->to_value() : Value()},
                        {"status", Value(name(status))},
                        {"await_output", await_output},
                        {"last_sequence", Value(last_sequence)}});
}

Result<AppendRequest> AppendRequest::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path,
                                         {"event_type", "payload", "replay_key",
                                          "wake_target_scope", "lease_token", "authority"}));
  AppendRequest made;
  CLEW_TRY(made.event_type, fields.word("event_type"));
  made.payload = fields.value_or_null("payload");
  CLEW_TRY(made.replay_key, fields.text_if_given("replay_key"));
  if (!made.replay_key.empty()) {
    CLEW_TRY(check_key(fields.path_of("replay_key"), made.replay_key));
  }
  if (const auto* scope = fields.find("wake_target_scope")) {
    CLEW_TRY(made.wake_target_scope,
             Scope::from_value(*scope, fields.path_of("wake_target_scope")));
  }
  CLEW_TRY(made.lease_token, key_if_given(fields, "lease_token"));
  CLEW_TRY(made.authority, fields.word_if_given("authority"));
  return made;
}

Value Event::to_value() const {
  return Value::object({{"process_id", Value(process_id)},
                        {"sequence", Value(sequence)},
                        {"event_type", Value(event_type)},
                        {"payload", payload},
                        {"invocation", invocation},
                        {"semantics", semantics.to_value()},
                        {"occurred_at_us", Value(occurred_at.us)}});
}

Value WakeDelivery::to_value() const {
  return Value::object({{"wake_id", Value(wake_id)},
                        {"target_session_id", Value(target_session_id)},
                        {"target_scope_id", Value(target_scope_id)},
                        {"process_id", Value(process_id)},
                        {"sequence", Value(sequence)},
                        {"event_type", Value(event_type)},
                        {"event_invocation", event_invocation},
                        {"process_caused_by", process_caused_by},
                        {"dedupe_key", Value(dedupe_key)},
                        {"input", Value(input)},
                        {"created_at_us", Value(created_at.us)}});
}

Result<WakeDelivery> WakeDelivery::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields,
           Fields::of(value, path,
                      {"wake_id", "target_session_id", "target_scope_id", "process_id", "sequence",
                       "event_type", "event_invocation", "process_caused_by", "dedupe_key", "input",
                       "created_at_us"}));
  WakeDelivery made;
  CLEW_TRY(made.wake_id, fields.word("wake_id"));
  CLEW_TRY(made.target_session_id, fields.word("target_session_id"));
  CLEW_TRY(made.target_scope_id, fields.word("target_scope_id"));
  CLEW_TRY(made.process_id, fields.word("process_id"));
  CLEW_TRY(made.sequence, fields.integer("sequence", 1));
  CLEW_TRY(made.event_type, fields.word("event_type"));
  made.event_invocation = fields.value_or_null("event_invocation");
  made.process_caused_by = fields.value_or_null("process_caused_by");
  CLEW_TRY(made.dedupe_key, fields.text_if_given("dedupe_key"));
  CLEW_TRY(made.input, fields.text_if_given("input"));
  CLEW_TRY(made.created_at.us, fields.integer("created_at_us", 0));
  return made;
}

Value AppendResult::to_value() const {
  return Value::object({{"event", event.to_value()},
                        {"wake_delivery", wake_delivery ? wake_delivery->to_value() : Value()},
                        {"is_replay", is_replay}});
}

Value HandleGrant::to_value() const {
  return Value::object({{"scope", scope.to_value()},
                        {"process_id", Value(process_id)},
                        {"kind", if_any(kind)},
                        {"label", if_any(label)}});
}

Value SessionDeleteReport::to_value() const {
  return Value::object({{"session_id", Value(session_id)},
                        {"revoked_handle_count", Value(revoked_handle_count)},
                        {"deleted_wake_count", Value(deleted_wake_count)},
                        {"cancel_process_ids", texts(cancel_process_ids)},
                        {"preserved_process_ids", texts(preserved_process_ids)}});
}

bool is_await_output(const Value& value) {
  const auto* type = value.find("type");
  const auto has_text = [&](std::string_view key) {
    const auto* found = value.find(key);
    return found != nullptr && found->is_string();
  };
  if (type == nullptr) return false;
  if (*type == Value("success")) return value.find("value") != nullptr;
  if (*type == Value("failure")) return has_text("code") && has_text("message");
  return (*type == Value("cancelled") || *type == Value("abandoned")) && has_text("message");
}

Result<Status> status_of_output(const Value& output, std::string_view path) {
  if (!is_await_output(output)) {
    return invalid_input(path, output,
                         "{\"type\": \"success\", \"value\": …}, {\"type\": \"failure\", \"code\", "
                         "\"message\"}, {\"type\": \"cancelled\", \"message\"} or {\"type\": "
                         "\"abandoned\", \"message\"}");
  }
  const auto type = output.find("type")->as_string();
  if (type == "success") return Status::completed;
  if (type == "failure") return Status::failed;
  return type == "cancelled" ? Status::cancelled : Status::abandoned;
}

Value as_await_output(const Value& selected, Status status) {
  if (is_await_output(selected)) return selected;
  switch (status) {
    case Status::failed:
      return Value::object({{"type", "failure"},
                            {"class", "execution"},
                            {"code", "process_failed"},
                            {"message", Value(as_text(selected))},
                            {"raw", selected}});
    case Status::cancelled:
      return Value::object({{"type", "cancelled"}, {"message", Value(as_text(selected))}});
    case Status::abandoned:
      return Value::object({{"type", "abandoned"}, {"message", Value(as_text(selected))}});
    case Status::completed:
    case Status::running:
      break;
  }
  return Value::object({{"type", "success"}, {"value", selected}});
}

}  // namespace clew::process
