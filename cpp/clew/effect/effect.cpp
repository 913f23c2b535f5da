#include "clew/effect/effect.hpp"

#include <fmt/format.h>

#include <array>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"

namespace clew::effect {
namespace {

constexpr std::array<std::string_view, 5> scope_names{"turn", "process", "queue_drain",
                                                      "session_delete", "runtime_operation"};
constexpr std::array<std::string_view, 8> command_names{"llm_call",
                                                        "direct",
                                                        "tool_call",
                                                        "process",
                                                        "exec_code",
                                                        "checkpoint",
                                                        "sync_execution_surface",
                                                        "sleep"};

constexpr std::int64_t sleep_ms_max = 1'000LL * 60 * 60 * 24 * 366 * 100;

bool has_session(ScopeKind kind) {
  return kind == ScopeKind::turn || kind == ScopeKind::queue_drain ||
         kind == ScopeKind::session_delete;
}

std::string_view id_field(ScopeKind kind) {
  switch (kind) {
    case ScopeKind::turn:
      return "turn_id";
    case ScopeKind::process:
      return "process_id";
    case ScopeKind::queue_drain:
      return "drain_id";
    case ScopeKind::session_delete:
      return "session_id";
    case ScopeKind::runtime_operation:
      return "operation_id";
  }
  return "";
}

Error refused(std::string_view reason, std::string_view path, const Value& value,
              std::string_view expected) {
  return invalid_input(path, value, expected).with("reason", reason);
}

}  // namespace

std::string_view name(ScopeKind kind) { return scope_names[static_cast<std::size_t>(kind)]; }

Result<Scope> Scope::checked(Scope scope) {
  const bool lacks_session = has_session(scope.kind_) && is_blank(scope.session_id_);
  if (!lacks_session && !is_blank(scope.id_)) {
    CLEW_TRY(check_key(fmt::format("scope.{}", id_field(scope.kind_)), scope.id_));
    if (has_session(scope.kind_)) CLEW_TRY(check_key("scope.session_id", scope.session_id_));
    return scope;
  }
  const auto field = lacks_session ? std::string_view("session_id") : id_field(scope.kind_);
  return refused("missing_effect_scope_id", fmt::format("scope.{}", field),
                 Value(lacks_session ? scope.session_id_ : scope.id_), "an id that is not blank");
}

Result<Scope> Scope::turn(std::string_view session_id, std::string_view turn_id) {
  return checked({ScopeKind::turn, session_id, turn_id});
}
Result<Scope> Scope::process(std::string_view process_id) {
  return checked({ScopeKind::process, "", process_id});
}
Result<Scope> Scope::queue_drain(std::string_view session_id, std::string_view drain_id) {
  return checked({ScopeKind::queue_drain, session_id, drain_id});
}
Result<Scope> Scope::session_delete(std::string_view session_id) {
  return checked({ScopeKind::session_delete, session_id, session_id});
}
Result<Scope> Scope::runtime_operation(std::string_view operation_id) {
  return checked({ScopeKind::runtime_operation, "", operation_id});
}

Result<Scope> Scope::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields,
           Fields::of(value, path,
                      {"type", "session_id", "turn_id", "process_id", "drain_id", "operation_id"}));
  CLEW_TRY(const auto place,
           choice(fields.value_or_null("type"), fields.path_of("type"), scope_names));
  const auto kind = static_cast<ScopeKind>(place);
  CLEW_TRY(const auto session_id, fields.text_if_given("session_id"));
  CLEW_TRY(const auto id, fields.text_if_given(id_field(kind)));
  return checked({kind, has_session(kind) ? std::string_view(session_id) : "", id});
}

Value Scope::to_value() const {
  std::vector<Member> members{{"type", Value(name(kind_))}};
  if (has_session(kind_)) members.push_back({"session_id", Value(session_id_)});
  if (kind_ != ScopeKind::session_delete) {
    members.push_back({std::string(id_field(kind_)), Value(id_)});
  }
  return Value::object(std::move(members));
}

std::string_view Scope::turn_id() const {
  return kind_ == ScopeKind::turn ? std::string_view(id_) : std::string_view();
}

std::string Scope::identity() const { return canonical_json(to_value()); }

Result<Envelope> Envelope::make(const Value& invocation, const Value& command) {
  Envelope made;
  made.invocation_ = invocation;
  made.command_ = command;
  const auto text_in = [](const Value* where, std::string_view key) {
    const auto* found = where == nullptr ? nullptr : where->find(key);
    return found != nullptr && found->is_string() && !is_blank(found->as_string())
               ? std::string(found->as_string())
               : std::string();
  };
  const auto* subject = invocation.find("subject");
  made.effect_id_ = text_in(subject, "effect_id");
  if (text_in(subject, "type") != "effect" || made.effect_id_.empty()) {
    return refused("runtime_effect_invocation_subject", "invocation.subject",
                   subject == nullptr ? Value() : *subject, "an effect with an id");
  }
  const auto* type = command.find("type");
  CLEW_TRY(const auto place,
           choice(type == nullptr ? Value() : *type, "command.type", command_names));
  made.kind_ = command_names[place];
  if (text_in(subject, "kind") != made.kind_) {
    return refused("runtime_effect_invocation_kind", "invocation.subject.kind",
                   Value(text_in(subject, "kind")),
                   fmt::format("\"{}\", as the command's type", made.kind_));
  }
  made.replay_key_ = text_in(invocation.find("replay"), "key");
  if (made.replay_key_.empty()) {
    return refused("runtime_effect_replay_required", "invocation.replay.key", Value(),
                   "a key that is not blank");
  }
  CLEW_TRY(check_key("invocation.replay.key", made.replay_key_));
  if (made.is_sleep()) {
    CLEW_TRY(const auto fields, Fields::of(command, "command", {"type", "duration_ms"}));
    CLEW_TRY(fields.integer("duration_ms", 0, sleep_ms_max));
  }
  return made;
}

Result<Envelope> Envelope::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"invocation", "command"}));
  return make(fields.value_or_null("invocation"), fields.value_or_null("command"));
}

Value Envelope::to_value() const {
  return Value::object({{"invocation", invocation_}, {"command", command_}});
}

std::string Envelope::hash() const { return to_hex(digest_of(to_value())); }

std::int64_t Envelope::sleep_ms() const {
  const auto* duration = is_sleep() ? command_.find("duration_ms") : nullptr;
  return duration == nullptr ? 0 : duration->as_int();
}

bool is_recordable(const Error& error) {
  if (error.retryable()) return false;
  switch (error.code()) {
    case Code::cancelled:
    case Code::stale_lease:
    case Code::resource_exhausted:
    case Code::corrupt:
    case Code::unavailable:
    case Code::closed:
    case Code::internal:
      return false;
    case Code::invalid_input:
    case Code::not_found:
    case Code::conflict:
    case Code::ambiguous:
    case Code::rejected:
    case Code::no_eligible_target:
    case Code::execution_failed:
    case Code::timeout:
    case Code::unknown_outcome:
    case Code::unsupported:
      break;
  }
  return true;
}

}  // namespace clew::effect
