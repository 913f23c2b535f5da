#include "clew/capability/trace_context.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/base/signature.hpp"

namespace clew {
namespace {

constexpr std::size_t text_size = 55;  // of version 00
constexpr std::string_view expected =
    "a W3C traceparent, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view digits) { return digits.find_first_not_of('0') == digits.npos; }

bool is_traceparent(std::string_view text) {
  if (text.size() < text_size || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const auto version = text.substr(0, 2);
  if (!is_hex(version) || version == "ff") return false;
  if (text.size() > text_size && (version == "00" || text[text_size] != '-')) return false;
  const auto trace = text.substr(3, 32);
  const auto parent = text.substr(36, 16);
  return is_hex(trace) && !is_zero(trace) && is_hex(parent) && !is_zero(parent) &&
         is_hex(text.substr(53, 2));
}

}  // namespace

Result<TraceContext> parse_traceparent(std::string_view text) {
  if (!is_traceparent(text)) return invalid_input("traceparent", Value(text), expected);
  TraceContext context;
  CLEW_TRY(const auto trace, from_hex(text.substr(3, 32), "traceparent"));
  context.trace = Id::from_bytes(trace);
  CLEW_TRY(const auto parent, from_hex(text.substr(36, 16), "traceparent"));
  std::ranges::copy(parent, context.parent.begin());
  CLEW_TRY(const auto flags, from_hex(text.substr(53, 2), "traceparent"));
  context.flags = static_cast<std::uint8_t>(flags.front());
  return context;
}

std::string remote_parent_of(const TraceContext& context) {
  if (!context.has_parent()) return {};
  const auto& bytes = context.parent;
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string to_traceparent(const TraceContext& context, const Id& id) {
  const Id& trace = context.trace.is_nil() ? id : context.trace;
  return fmt::format("00-{}-{}-{:02x}", to_hex(trace.view()), to_hex(id.view().substr(8)),
                     context.flags);
}

}  // namespace clew
