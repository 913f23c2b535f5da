#include "clew/store/detail/postgres_errors.hpp"

#include <algorithm>

namespace clew::store::detail {
namespace {

struct Mapping {
  std::string_view begins;  // of the SQLSTATE
  Code ours;
  bool retryable;
  Reach reach;
};

// The longest beginning that fits counts.
constexpr Mapping mappings[] = {
    {"08", Code::unavailable, true, Reach::chance},           // connection
    {"08P01", Code::internal, false, Reach::statement},       // as for a wrong number of arguments
    {"0A", Code::unsupported, false, Reach::statement},       // feature
    {"22", Code::internal, false, Reach::statement},          // data
    {"22021", Code::invalid_input, false, Reach::statement},  // character not in the encoding
    {"22P05", Code::invalid_input, false, Reach::statement},  // untranslatable character
    {"23", Code::conflict, false, Reach::statement},          // constraint
    {"25", Code::internal, false, Reach::transaction},        // state of the transaction
    {"25006", Code::unsupported, false, Reach::statement},    // write in a reader
    {"25P03", Code::unavailable, true, Reach::chance},        // idle for too long within it
    {"28", Code::unavailable, false, Reach::transaction},     // password, role
    {"3D", Code::unavailable, false, Reach::transaction},     // no such database
    {"3F", Code::unavailable, false, Reach::transaction},     // no such schema
    {"40", Code::unavailable, true, Reach::chance},           // serialization, deadlock
    {"42", Code::internal, false, Reach::statement},          // syntax, names
    {"42501", Code::unsupported, false, Reach::statement},    // privilege
    {"53", Code::resource_exhausted, true, Reach::transaction},
    {"53300", Code::unavailable, true, Reach::chance},          // too many connections
    {"54", Code::resource_exhausted, false, Reach::statement},  // limits of the program
    {"55", Code::unavailable, true, Reach::transaction},        // object in use
    {"55P03", Code::unavailable, true, Reach::transaction},     // lock not available in time
    {"57", Code::unavailable, true, Reach::chance},             // operator intervention: shutdown
    {"57014", Code::unavailable, true, Reach::transaction},     // query cancelled
    {"58", Code::unavailable, false, Reach::transaction},       // I/O
    {"58P01", Code::corrupt, false, Reach::transaction},        // a file is gone
    {"XX", Code::internal, false, Reach::transaction},
    {"XX001", Code::corrupt, false, Reach::transaction},  // data
    {"XX002", Code::corrupt, false, Reach::transaction},  // index
};

const Mapping* find_mapping(std::string_view sqlstate) {
  const Mapping* best = nullptr;
  for (const auto& mapping : mappings) {
    if (!sqlstate.starts_with(mapping.begins)) continue;
    if (best == nullptr || mapping.begins.size() > best->begins.size()) best = &mapping;
  }
  return best;
}

// The server's messages end with a line break.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

Error postgres_error(std::string_view sqlstate, std::string_view doing, std::string_view detail) {
  const auto* mapping = find_mapping(sqlstate);
  const auto message = fmt::format("{}: {}", doing, trimmed(detail));
  return Error(mapping != nullptr ? mapping->ours : Code::internal, message,
               mapping != nullptr && mapping->retryable)
      .with("sqlstate", sqlstate);
}

Error connection_lost(std::string_view doing, std::string_view detail) {
  const auto why = trimmed(detail);
  return Error(Code::unavailable,
               fmt::format("{}: the connection to the database is lost{}{}", doing,
                           why.empty() ? "" : ": ", why),
               true)
      .with("sqlstate", "08006");
}

Reach reach_of(std::string_view sqlstate) {
  const auto* mapping = find_mapping(sqlstate);
  return mapping != nullptr ? mapping->reach : Reach::transaction;
}

}  // namespace clew::store::detail
