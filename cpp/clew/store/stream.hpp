// store/stream.hpp: the events of one thing, in the order in which they happened.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/store/lease.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

// What a stream is about. Streams of all kinds share one table: the kind stands in the upper bits
// of a stream's number, the thing's own number in the others.
enum class StreamKind : std::uint8_t { run = 0, process = 1 };

constexpr std::int64_t stream_kind_unit = std::int64_t{1} << 56;

constexpr std::int64_t stream_of(StreamKind kind, std::int64_t number) {
  return static_cast<std::int64_t>(kind) * stream_kind_unit + number;
}
constexpr bool is_stream_of(StreamKind kind, std::int64_t stream) {
  return stream / stream_kind_unit == static_cast<std::int64_t>(kind);
}

// One event of a stream. `data` is JSON text.
struct StreamEvent {
  std::int64_t seq = 0;  // dense from 1 within its stream
  Timestamp at;
  std::string type;     // "step.completed"
  std::string subject;  // the part of the thing that it is about: a step's name; may be empty
  std::string data;
};

// Appends `events`, whose numbers must be the next ones of `stream`: `conflict` naming the first
// that is not, and the last number that stands there. A refused append burns no number. May answer
// later (Transaction::expect).
Result<void> append_events(Transaction& tx, std::int64_t stream,
                           std::span<const StreamEvent> events);
// check_lease() and append_events() at once, for whoever owns what the stream is about. Nobody else
// appends to it, so that numbers which are not the next are `corrupt`.
Result<void> append_owned(Transaction& tx, Resource resource, const Lease& lease,
                          std::int64_t stream, std::span<const StreamEvent> events);
// The same for one event and a caller that has locked what the stream is about and knows its last
// number: the database is not asked for it, only the number's uniqueness is guarded.
Result<void> append_next(Transaction& tx, std::int64_t stream, const StreamEvent& event);
// Events after `after`, in order, at most `limit`. `corrupt` naming the first that is missing or
// damaged.
Result<std::vector<StreamEvent>> read_events(Transaction& tx, std::int64_t stream,
                                             std::int64_t after, int limit);
// Forgets a stream: the thing that it is about is gone for good. How many events.
Result<std::int64_t> remove_stream(Transaction& tx, std::int64_t stream);
// Every event of every stream, in order; `visit` gets the damage of those that cannot be read, and
// the stream and number that stand in the row, whatever they are.
using VisitEvent =
    Function<void(std::int64_t stream, std::int64_t seq, const Result<StreamEvent>& event)>;
Result<void> each_event(Transaction& tx, VisitEvent visit);
// `why` as what is wrong with one event.
Error in_event(const Error& why, std::int64_t stream, std::int64_t seq);
// The last sequence of the stream, 0 when it has none.
Result<std::int64_t> last_sequence(Transaction& tx, std::int64_t stream);

}  // namespace clew::store
