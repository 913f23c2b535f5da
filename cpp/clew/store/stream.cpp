#include "clew/store/stream.hpp"

namespace clew::store {
namespace {

const Statement append_sql(R"sql(
    INSERT INTO events (stream, seq, at_us, type, subject, data)
    SELECT :stream, :seq, :at, :type, :subject, :data
     WHERE :seq = 1 + COALESCE((SELECT MAX(seq) FROM events WHERE stream = :stream), 0))sql");

const Statement read_sql(R"sql(
    SELECT seq, at_us, type, subject, data FROM events
     WHERE stream = :stream AND seq > :after ORDER BY seq LIMIT :limit)sql");

const Statement last_sql(R"sql(
    SELECT COALESCE(MAX(seq), 0) AS seq FROM events WHERE stream = :stream)sql");

Result<StreamEvent> decode_event(const Row& row) {
  StreamEvent event;
  CLEW_TRY(event.seq, row.integer(0));
  CLEW_TRY(event.at.us, row.integer(1));
  CLEW_TRY(event.type, row.text(2));
  CLEW_TRY(event.subject, row.text(3));
  CLEW_TRY(event.data, row.text(4));
  return event;
}

Error corrupt_stream(const Error& why, std::int64_t stream, std::int64_t seq) {
  return why.with("table", "events").with("stream", stream).with("seq", seq);
}

}  // namespace

Result<void> append_event(Transaction& tx, std::int64_t stream, const StreamEvent& event) {
  CLEW_TRY(const auto added,
           tx.run(append_sql, stream, event.seq, event.at, event.type, event.subject, event.data));
  if (added == 1) return {};
  CLEW_TRY(const auto last, last_sequence(tx, stream));
  return error(Code::conflict, "event {} of stream {} is not the next: the last is {}", event.seq,
               stream, last)
      .with("stream", stream)
      .with("seq", event.seq)
      .with("last", last);
}

Result<std::vector<StreamEvent>> read_events(Transaction& tx, std::int64_t stream,
                                             std::int64_t after, int limit) {
  std::vector<StreamEvent> events;
  auto expected = after < 0 ? 1 : after + 1;
  const auto take = [&](const Row& row) -> Result<void> {
    auto event = decode_event(row);
    if (!event) return corrupt_stream(event.error(), stream, expected);
    if (event->seq != expected) {
      return corrupt_stream(error(Code::corrupt, "stream {} has no event {}", stream, expected),
                            stream, expected);
    }
    ++expected;
    events.push_back(*std::move(event));
    return {};
  };
  CLEW_TRY(tx.each(read_sql, take, stream, after, limit));
  return events;
}

Result<std::int64_t> last_sequence(Transaction& tx, std::int64_t stream) {
  std::int64_t last = 0;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(last, row.integer(0));
    return {};
  };
  CLEW_TRY(tx.first(last_sql, take, stream));
  return last;
}

}  // namespace clew::store
