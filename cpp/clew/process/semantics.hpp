// process/semantics.hpp: what a declared event means.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew::process {

// Takes a value out of an event's payload. In JSON:
//   "payload" or {"payload": true}            the payload itself
//   {"pointer": "/a/0"}                       what stands at that JSON pointer (RFC 6901)
//   {"const": value}                          that value
//   {"template": "line {line}", "fields": {"line": selector}}   text; each {name} is its field
//   {"present": "/a"}                         whether anything stands there
class Selector {
 public:
  static Result<Selector> from_value(const Value& value, std::string_view path);
  Value to_value() const { return document_; }
  // Error: `invalid_input` for a pointer to nothing.
  Result<Value> select(const Value& payload) const;

 private:
  enum class Kind : std::uint8_t { payload, pointer, constant, format, present };
  Kind kind_ = Kind::payload;
  Value document_;
  std::string text_;  // pointer or template
  Value constant_;
  std::vector<std::pair<std::string, Selector>> fields_;
};

// Text as itself, anything else as compact JSON.
std::string as_text(const Value& value);
// False for null, false and what is empty; true for every number.
bool is_truthy(const Value& value);

// What a wake of the same meaning is known by.
enum class DedupeBy : std::uint8_t { event_identity, selector, constant };

struct WakeSpec {
  std::optional<Selector> when;  // none: always
  std::optional<Selector> input;
  DedupeBy dedupe_by = DedupeBy::event_identity;
  std::optional<Selector> dedupe_selector;
  std::string dedupe_constant;
};

// "completed", "failed", "cancelled" or "abandoned".
struct TerminalSpec {
  std::string state;
  std::optional<Selector> await_output;
};

// What an event type declares: {"terminal": {"state", "await_output"}, "wake": {"when", "input",
// "dedupe_key"}}; a dedupe key is "event_identity", {"selector": selector} or {"const": text}.
struct Semantics {
  std::optional<TerminalSpec> terminal;
  std::optional<WakeSpec> wake;

  Value to_value() const;
  static Result<Semantics> from_value(const Value& value, std::string_view path);
};

struct MaterialisedWake {
  std::string input;
  std::string dedupe_key;
};

struct MaterialisedTerminal {
  std::string state;
  Value await_output;  // as selected
};

// What one event turned out to mean.
struct Materialised {
  std::optional<MaterialisedTerminal> terminal;
  std::optional<MaterialisedWake> wake;

  Value to_value() const;
  static Result<Materialised> from_value(const Value& value, std::string_view path);
};

// Applies what is declared to one event. Pure. Error: `invalid_input` for a selector that selects
// nothing.
Result<Materialised> materialise(const Semantics& declared, const Value& payload,
                                 std::string_view process_id, std::int64_t sequence);

}  // namespace clew::process
