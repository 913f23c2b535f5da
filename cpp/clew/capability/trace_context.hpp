// capability/trace_context.hpp: how a call belongs to a trace that spans processes.
// Source: W3C Trace Context, https://www.w3.org/TR/trace-context/
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "clew/base/env.hpp"

namespace clew {

// What a traceparent says. A value.
struct TraceContext {
  Id trace{};  // shared by all calls of one trace; nil: begins with the call that has it
  std::array<std::uint8_t, 8> parent{};  // the span that asked; zero: a call of this process
  std::uint8_t flags = 1;                // 1: sampled
  friend bool operator==(const TraceContext&, const TraceContext&) = default;

  bool has_parent() const { return parent != decltype(parent){}; }
};

// Reads "00-<32 hex>-<16 hex>-<2 hex>" (lower case, no id zero); of versions above 00 what is
// known. `invalid_input` at "traceparent".
Result<TraceContext> parse_traceparent(std::string_view text);
// The parent's span as text; empty without one.
std::string remote_parent_of(const TraceContext& context);
// What the call `id` hands to whom it asks. Its span is the last half of the id, which is chance.
std::string to_traceparent(const TraceContext& context, const Id& id);

}  // namespace clew
