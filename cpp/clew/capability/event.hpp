// capability/event.hpp: what events are: their types, their envelope, and patterns over types.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/schema.hpp"
#include "clew/base/semver.hpp"
#include "clew/base/time.hpp"

namespace clew {

// May an event of a type be published? Only while the type is `active`.
enum class EventLifecycle : std::uint8_t { draft, active, deprecated, retired };
std::string_view name(EventLifecycle lifecycle);
// `invalid_input` at the path "lifecycle" for a word that is none.
Result<EventLifecycle> parse_event_lifecycle(std::string_view word);

// One version of an event type. Immutable, shared.
struct EventType {
  std::string id;
  Version version;
  std::string version_text;
  EventLifecycle lifecycle = EventLifecycle::active;
  std::string summary;
  std::shared_ptr<const Schema> schema;  // of the data
  Timestamp defined;
};
using EventTypePtr = std::shared_ptr<const EventType>;

// A position in the log of events: 1 for the first event ever, and so on without gaps, in the order
// of commits. Never used again. 0: before everything.
using Cursor = std::int64_t;

// One event: the envelope of CloudEvents and what Clew adds. A value; shared once published.
struct Event {
  Cursor cursor = 0;  // 0: not published yet
  std::string id;
  std::string type;  // without its version
  std::string version;
  std::string source;
  Timestamp time;              // never earlier than that of the event before
  std::string subject;         // these: empty when absent
  std::string key;             // events of one key belong in one order
  std::string correlation_id;  // of what the event belongs to
  std::string causation_id;    // of what made it, such as a trace
  Value data;
};
using EventPtr = std::shared_ptr<const Event>;

// What of the log is retained, and for how long an id is known: at most `count_max` events, and
// none that is `age_max` old (over at now >= time + age_max). Both are positive.
struct EventRetention {
  std::int64_t count_max = 100'000;
  Duration age_max = std::chrono::hours(24 * 7);
  // At `now` the events of that instant or before are over: nobody sees them.
  Timestamp expired(Timestamp now) const { return {now.us - age_max.count()}; }
};

// The media type of every event's data.
inline constexpr std::string_view event_content_type = "application/json";
// Stands in a stream in place of events that are gone. Never stored, never published by users.
inline constexpr std::string_view backlog_dropped = "clew.backlog_dropped";
// Says that a subscription has fallen behind by four fifths of what is kept for it.
inline constexpr std::string_view backlog_warning = "clew.backlog_warning";

// What somebody wants to publish. Empty texts are absent: the id is then a new one.
struct EventDraft {
  std::string type;  // "text.counted@1.0.0", "text.counted@^1", "text.counted"
  Value data{};
  std::string subject{};
  std::string id{};
  std::string key{};
  std::string source{};
  std::string correlation_id{};
  std::string causation_id{};
};

// Which types a subscriber wants: "text.counted", "text.counted@1.0.0", "text.counted@^1",
// "text.*" (exactly one more segment), "text.>" or "text.**" (one or more), ">" or "**" (all),
// "*.counted@^2". A pattern without a version takes every version. A value.
class EventPattern {
 public:
  // Error `invalid_input` at `path`: a segment that is no word and no wildcard, a ">" or "**" that
  // is not the last, a version that is neither version nor range.
  static Result<EventPattern> parse(std::string_view text, std::string_view path = "pattern");
  bool matches(std::string_view type, std::string_view version) const;
  const std::string& text() const { return text_; }

 private:
  bool matches_type(std::string_view type) const;

  std::string text_;
  std::vector<std::string> segments_;  // "*" for one of any kind
  bool is_open_ = false;               // one or more segments follow
  std::optional<Version> version_;
  std::optional<VersionRange> range_;
};

}  // namespace clew
