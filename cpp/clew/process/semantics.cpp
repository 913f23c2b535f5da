#include "clew/process/semantics.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"

namespace clew::process {
namespace {

constexpr std::array<std::string_view, 4> terminal_states{"completed", "failed", "cancelled",
                                                          "abandoned"};

// One step of a JSON pointer: "~1" is "/", "~0" is "~".
std::string unescaped(std::string_view step) {
  std::string plain;
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] == '~' && i + 1 < step.size() && (step[i + 1] == '0' || step[i + 1] == '1')) {
      plain += step[++i] == '0' ? '~' : '/';
    } else {
      plain += step[i];
    }
  }
  return plain;
}

bool is_pointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) {
      return false;
    }
  }
  return true;
}

// An array's index without leading zeros, or its size.
std::size_t index_of(const Value& array, std::string_view step) {
  std::size_t index = 0;
  const auto [end, code] = std::from_chars(step.data(), step.data() + step.size(), index);
  const bool is_index = code == std::errc() && end == step.data() + step.size() &&
                        (step.size() == 1 || step.front() != '0');
  return is_index && index < array.size() ? index : array.size();
}

// What stands at the pointer, or nullptr.
const Value* look_up(const Value& payload, std::string_view pointer) {
  const auto* here = &payload;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    const auto step = unescaped(pointer.substr(0, end));
    pointer.remove_prefix(end);
    if (here->is_array()) {
      const auto index = index_of(*here, step);
      if (index == here->size()) return nullptr;
      here = &here->items()[index];
    } else {
      here = here->find(step);
      if (here == nullptr) return nullptr;
    }
  }
  return here;
}

std::string below(std::string_view path, std::string_view key) {
  std::string whole(path);
  append_path_key(whole, key);
  return whole;
}

// The selector at that member, or none.
Result<std::optional<Selector>> selector_if_given(const Fields& fields, std::string_view key) {
  const auto* found = fields.find(key);
  if (found == nullptr) return std::optional<Selector>();
  CLEW_TRY(auto selector, Selector::from_value(*found, fields.path_of(key)));
  return std::optional<Selector>(std::move(selector));
}

}  // namespace

Result<Selector> Selector::from_value(const Value& value, std::string_view path) {
  Selector made;
  if (value.is_string() && value.as_string() == "payload") {
    made.document_ = Value::object({{"payload", true}});
    return made;
  }
  CLEW_TRY(
      const auto fields,
      Fields::of(value, path, {"payload", "pointer", "const", "template", "fields", "present"}));
  made.document_ = value;
  const auto wanted = value.find("template") != nullptr ? std::size_t{2} : std::size_t{1};
  if (value.size() != wanted) {
    return invalid_input(path, value,
                         "one of payload, pointer, const, present, or template and fields");
  }
  if (value.find("payload") != nullptr) {
    CLEW_TRY(const bool is_payload, fields.flag_or("payload", false));
    if (!is_payload) return invalid_input(fields.path_of("payload"), value, "true");
    return made;
  }
  if (const auto* constant = value.find("const")) {
    made.kind_ = Kind::constant;
    made.constant_ = *constant;
    return made;
  }
  if (value.find("template") != nullptr) {
    made.kind_ = Kind::format;
    CLEW_TRY(made.text_, fields.text_if_given("template"));
    const auto* parts = fields.find("fields");
    if (parts == nullptr || !parts->is_object()) {
      return invalid_input(fields.path_of("fields"), fields.value_or_null("fields"), "an object");
    }
    for (const auto& [name, part] : parts->members()) {
      CLEW_TRY(auto field, from_value(part, below(fields.path_of("fields"), name)));
      made.fields_.emplace_back(name, std::move(field));
    }
    return made;
  }
  const std::string_view key = value.find("pointer") != nullptr ? "pointer" : "present";
  made.kind_ = key == "pointer" ? Kind::pointer : Kind::present;
  const auto* pointer = fields.find(key);
  if (pointer == nullptr || !pointer->is_string() || !is_pointer(pointer->as_string())) {
    return invalid_input(fields.path_of(key), fields.value_or_null(key),
                         "a JSON pointer such as \"/line\"");
  }
  made.text_ = pointer->as_string();
  return made;
}

Result<Value> Selector::select(const Value& payload) const {
  switch (kind_) {
    case Kind::payload:
      return payload;
    case Kind::constant:
      return constant_;
    case Kind::present:
      return Value(look_up(payload, text_) != nullptr);
    case Kind::pointer: {
      const auto* found = look_up(payload, text_);
      if (found == nullptr) {
        return invalid_input("payload", payload, fmt::format("something at {}", text_));
      }
      return *found;
    }
    case Kind::format:
      break;
  }
  // Left to right, so that a brace in a field's text is never taken for a field.
  std::string text;
  for (std::size_t at = 0; at < text_.size();) {
    const auto end = text_[at] == '{' ? text_.find('}', at) : std::string::npos;
    const auto name = end == std::string::npos
                          ? std::string_view()
                          : std::string_view(text_).substr(at + 1, end - at - 1);
    const auto field = std::find_if(fields_.begin(), fields_.end(),
                                    [&](const auto& part) { return part.first == name; });
    if (end == std::string::npos || field == fields_.end()) {
      text += text_[at++];
      continue;
    }
    CLEW_TRY(const auto part, field->second.select(payload));
    text += as_text(part);
    at = end + 1;
  }
  return Value(text);
}

std::string as_text(const Value& value) {
  return value.is_string() ? std::string(value.as_string()) : to_json(value);
}

bool is_truthy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      return false;
    case Value::Kind::boolean:
      return value.as_bool();
    case Value::Kind::integer:
    case Value::Kind::real:
      return true;
    case Value::Kind::string:
      return !value.as_string().empty();
    case Value::Kind::array:
    case Value::Kind::object:
      return value.size() > 0;
  }
  return false;
}

namespace {

Value to_value(const TerminalSpec& terminal) {
  std::vector<Member> members{{"state", terminal.state}};
  if (terminal.await_output) members.push_back({"await_output", terminal.await_output->to_value()});
  return Value::object(std::move(members));
}

Result<TerminalSpec> parse_terminal(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"state", "await_output"}));
  TerminalSpec made;
  CLEW_TRY(const auto place,
           choice(fields.value_or_null("state"), fields.path_of("state"), terminal_states));
  made.state = terminal_states[place];
  CLEW_TRY(made.await_output, selector_if_given(fields, "await_output"));
  return made;
}

Value to_value(const WakeSpec& wake) {
  std::vector<Member> members;
  if (wake.when) members.push_back({"when", wake.when->to_value()});
  members.push_back({"input", wake.input->to_value()});
  Value key("event_identity");
  if (wake.dedupe_by == DedupeBy::selector) {
    key = Value::object({{"selector", wake.dedupe_selector->to_value()}});
  } else if (wake.dedupe_by == DedupeBy::constant) {
    key = Value::object({{"const", Value(wake.dedupe_constant)}});
  }
  members.push_back({"dedupe_key", std::move(key)});
  return Value::object(std::move(members));
}

Result<void> parse_dedupe_key(const Fields& wake, WakeSpec& made) {
  const auto* key = wake.find("dedupe_key");
  if (key == nullptr || *key == Value("event_identity")) return {};
  const auto path = wake.path_of("dedupe_key");
  if (!key->is_object() || key->size() != 1) {
    return invalid_input(path, *key, "\"event_identity\", {\"selector\": …} or {\"const\": text}");
  }
  CLEW_TRY(const auto fields, Fields::of(*key, path, {"selector", "const"}));
  CLEW_TRY(made.dedupe_selector, selector_if_given(fields, "selector"));
  if (made.dedupe_selector) {
    made.dedupe_by = DedupeBy::selector;
    return {};
  }
  made.dedupe_by = DedupeBy::constant;
  CLEW_TRY(made.dedupe_constant, fields.word("const"));
  return {};
}

Result<WakeSpec> parse_wake(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"when", "input", "dedupe_key"}));
  WakeSpec made;
  CLEW_TRY(made.when, selector_if_given(fields, "when"));
  CLEW_TRY(made.input, selector_if_given(fields, "input"));
  if (!made.input) return invalid_input(fields.path_of("input"), Value(), "a selector");
  CLEW_TRY(parse_dedupe_key(fields, made));
  return made;
}

}  // namespace

Value Semantics::to_value() const {
  std::vector<Member> members;
  if (terminal) members.push_back({"terminal", process::to_value(*terminal)});
  if (wake) members.push_back({"wake", process::to_value(*wake)});
  return Value::object(std::move(members));
}

Result<Semantics> Semantics::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"terminal", "wake"}));
  Semantics made;
  if (const auto* terminal = fields.find("terminal")) {
    CLEW_TRY(made.terminal, parse_terminal(*terminal, fields.path_of("terminal")));
  }
  if (const auto* wake = fields.find("wake")) {
    CLEW_TRY(made.wake, parse_wake(*wake, fields.path_of("wake")));
  }
  return made;
}

Value Materialised::to_value() const {
  std::vector<Member> members;
  if (terminal) {
    members.push_back({"terminal", Value::object({{"state", Value(terminal->state)},
                                                  {"await_output", terminal->await_output}})});
  }
  if (wake) {
    members.push_back({"wake", Value::object({{"input", Value(wake->input)},
                                              {"dedupe_key", Value(wake->dedupe_key)}})});
  }
  return Value::object(std::move(members));
}

Result<Materialised> Materialised::from_value(const Value& value, std::string_view path) {
  CLEW_TRY(const auto fields, Fields::of(value, path, {"terminal", "wake"}));
  Materialised made;
  if (const auto* terminal = fields.find("terminal")) {
    CLEW_TRY(const auto parts,
             Fields::of(*terminal, fields.path_of("terminal"), {"state", "await_output"}));
    made.terminal.emplace();
    CLEW_TRY(made.terminal->state, parts.word("state"));
    made.terminal->await_output = parts.value_or_null("await_output");
  }
  if (const auto* wake = fields.find("wake")) {
    CLEW_TRY(const auto parts, Fields::of(*wake, fields.path_of("wake"), {"input", "dedupe_key"}));
    made.wake.emplace();
    CLEW_TRY(made.wake->input, parts.text_if_given("input"));
    CLEW_TRY(made.wake->dedupe_key, parts.text_if_given("dedupe_key"));
  }
  return made;
}

Result<Materialised> materialise(const Semantics& declared, const Value& payload,
                                 std::string_view process_id, std::int64_t sequence) {
  Materialised made;
  if (declared.terminal) {
    made.terminal.emplace(declared.terminal->state, Value());
    if (declared.terminal->await_output) {
      CLEW_TRY(made.terminal->await_output, declared.terminal->await_output->select(payload));
    }
  }
  if (!declared.wake) return made;
  const auto& wake = *declared.wake;
  if (wake.when) {
    CLEW_TRY(const auto when, wake.when->select(payload));
    if (!is_truthy(when)) return made;
  }
  CLEW_TRY(const auto input, wake.input->select(payload));
  auto key = fmt::format("{}:{}", process_id, sequence);
  if (wake.dedupe_by == DedupeBy::constant) key = wake.dedupe_constant;
  if (wake.dedupe_by == DedupeBy::selector) {
    CLEW_TRY(const auto selected, wake.dedupe_selector->select(payload));
    key = as_text(selected);
  }
  made.wake.emplace(as_text(input), std::move(key));
  return made;
}

}  // namespace clew::process
