#include "clew/store/stream.hpp"

#include "clew/store/column.hpp"

namespace clew::store {
namespace {

// Who appends at the same time breaks the uniqueness of (stream, seq).
const Statement append_sql(R"sql(
    INSERT INTO events (stream, seq, at_us, type, subject, data)
    VALUES (:stream, :seq, :at, :type, :subject, :data))sql");

const Statement append_two_sql(R"sql(
    INSERT INTO events (stream, seq, at_us, type, subject, data)
    VALUES (:stream, :seq, :at, :type, :subject, :data),
           (:stream, :seq2, :at2, :type2, :subject2, :data2))sql");

const Statement read_sql(R"sql(
    SELECT seq, at_us, type, subject, data FROM events
     WHERE stream = :stream AND seq > :after ORDER BY seq LIMIT :limit)sql");

const Statement all_events_sql(R"sql(
    SELECT seq, at_us, type, subject, data, stream, pos FROM events ORDER BY stream, seq)sql");

const Statement remove_sql("DELETE FROM events WHERE stream = :stream");

const Statement last_sql(R"sql(
    SELECT COALESCE(MAX(seq), 0) AS seq FROM events WHERE stream = :stream)sql");

Error not_next(Code code, std::int64_t stream, std::int64_t seq, std::int64_t last) {
  auto why = error(code, "event {} of stream {} is not the next: the last is {}", seq, stream, last)
                 .with("stream", stream)
                 .with("seq", seq)
                 .with("last", last);
  if (code != Code::corrupt) return why;
  return in_event(why, stream, seq);
}

// Columns: those that judge_lease() wants, and the last number.
const Statement lease_and_last_sql(R"sql(
    SELECT owner, token, closed,
           (SELECT COALESCE(MAX(seq), 0) FROM events WHERE stream = :stream) AS last
      FROM leases WHERE kind = :kind AND number = :number {for_update})sql");

Result<StreamEvent> decode_event(const Row& row) {
  StreamEvent event;
  CLEW_TRY(event.seq, row.integer(0));
  CLEW_TRY(event.at, instant_at(row, 1));
  CLEW_TRY(event.type, word_at(row, 2));
  CLEW_TRY(event.subject, row.text(3));
  CLEW_TRY(event.data, row.text(4));
  return event;
}

}  // namespace

Error in_event(const Error& why, std::int64_t stream, std::int64_t seq) {
  return in_row(why, "events", fmt::format("{}/{}", stream, seq))
      .with("stream", stream)
      .with("seq", seq);
}

namespace {

// `last`: a column of `row`.
Result<void> judge_last(const Row& row, int last, std::int64_t stream, std::int64_t seq,
                        Code otherwise) {
  CLEW_TRY(const auto stored, row.integer(last));
  if (seq == stored + 1) return {};
  return not_next(otherwise, stream, seq, stored);
}

// Two rows of one statement cost little more than one.
Result<void> append_all(Transaction& tx, std::int64_t stream, std::span<const StreamEvent> events,
                        Code otherwise) {
  for (std::size_t i = 1; i < events.size(); ++i) {
    const auto last = events[i - 1].seq;
    if (events[i].seq != last + 1) return not_next(otherwise, stream, events[i].seq, last);
  }
  for (; events.size() >= 2; events = events.subspan(2)) {
    const auto& one = events[0];
    const auto& two = events[1];
    CLEW_TRY(tx.post(append_two_sql, stream, one.seq, one.at, one.type, one.subject, one.data,
                     two.seq, two.at, two.type, two.subject, two.data));
  }
  if (events.empty()) return {};
  return append_next(tx, stream, events.front());
}

}  // namespace

Result<void> append_events(Transaction& tx, std::int64_t stream,
                           std::span<const StreamEvent> events) {
  if (events.empty()) return {};
  auto judge = [stream, seq = events.front().seq](const Row* row) {
    return judge_last(*row, 0, stream, seq, Code::conflict);
  };
  CLEW_TRY(tx.expect(last_sql, std::move(judge), stream));
  return append_all(tx, stream, events, Code::conflict);
}

Result<void> append_owned(Transaction& tx, Resource resource, const Lease& lease,
                          std::int64_t stream, std::span<const StreamEvent> events) {
  if (events.empty()) return check_lease(tx, resource, lease);
  auto judge = [kind = std::string(resource.kind), number = resource.number, lease, stream,
                seq = events.front().seq](const Row* row) -> Result<void> {
    CLEW_TRY(judge_lease(row, {kind, number}, lease));
    return judge_last(*row, 3, stream, seq, Code::corrupt);
  };
  CLEW_TRY(tx.expect(lease_and_last_sql, std::move(judge), stream, resource.kind, resource.number));
  return append_all(tx, stream, events, Code::corrupt);
}

Result<void> append_next(Transaction& tx, std::int64_t stream, const StreamEvent& event) {
  return tx.post(append_sql, stream, event.seq, event.at, event.type, event.subject, event.data);
}

Result<std::vector<StreamEvent>> read_events(Transaction& tx, std::int64_t stream,
                                             std::int64_t after, int limit) {
  std::vector<StreamEvent> events;
  auto expected = after < 0 ? 1 : after + 1;
  const auto take = [&](const Row& row) -> Result<void> {
    auto event = decode_event(row);
    if (!event) return in_event(event.error(), stream, expected);
    if (event->seq != expected) {
      return in_event(error(Code::corrupt, "stream {} has no event {}", stream, expected), stream,
                      expected);
    }
    ++expected;
    events.push_back(*std::move(event));
    return {};
  };
  // Numbers below the first, which cannot be, come first, and show as its absence.
  const std::int64_t above = after > 0 ? after : INT64_MIN;
  CLEW_TRY(tx.each(read_sql, take, stream, above, limit));
  return events;
}

Result<void> each_event(Transaction& tx, VisitEvent visit) {
  return tx.each(all_events_sql, [&visit](const Row& row) -> Result<void> {
    auto event = decode_event(row);
    if (const auto seq = integer_at(row, 0, 1); event && !seq) event = seq.error();
    if (const auto stream = integer_at(row, 5, 1); event && !stream) event = stream.error();
    if (const auto pos = integer_at(row, 6, 1); event && !pos) event = pos.error();
    visit(row.integer(5).value_or(0), row.integer(0).value_or(0), event);
    return {};
  });
}

Result<std::int64_t> remove_stream(Transaction& tx, std::int64_t stream) {
  return tx.run(remove_sql, stream);
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
