#include <algorithm>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"
#include "clew/process/detail/rows.hpp"
#include "clew/store/idempotency.hpp"
#include "clew/store/outbox.hpp"

namespace clew::process {
namespace {

using store::Row;
using store::Statement;

const Statement advance_sql(R"sql(
    UPDATE processes SET last_seq = :seq, updated_us = :now, status = :status, output = :output
     WHERE number = :number)sql");

const Statement add_wake_sql("INSERT INTO process_wakes (process, seq) VALUES (:process, :seq)");

const Statement ack_wake_sql(R"sql(
    DELETE FROM process_wakes WHERE process = :process AND seq = :seq)sql");

const Statement wakes_after_sql(R"sql(
    SELECT seq FROM process_wakes WHERE process = :process AND seq > :after
     ORDER BY seq LIMIT :limit)sql");

constexpr std::string_view cancel_requested = "process.cancel_requested";

Error about(const Error& why, std::string_view id) { return why.with("process_id", id); }

// The wake that `event` means for that target. Its identity follows from target and dedupe key, so
// repeating the event makes the same one.
WakeDelivery delivery_of(const Event& event, const Registration& registration,
                         const Scope& target) {
  const auto& wake = *event.semantics.wake;
  const auto identity = Value::array({Value(target.id()), Value(wake.dedupe_key)});
  return {.wake_id = "wake:" + to_hex(digest_of(identity)),
          .target_session_id = target.session_id,
          .target_scope_id = target.id(),
          .process_id = event.process_id,
          .sequence = event.sequence,
          .event_type = event.event_type,
          .event_invocation = event.invocation,
          .process_caused_by = registration.provenance.caused_by,
          .dedupe_key = wake.dedupe_key,
          .input = wake.input,
          .created_at = event.occurred_at};
}

Result<Event> event_at(Transaction& tx, const ProcessRow& row, const Declared& declared,
                       std::int64_t sequence) {
  CLEW_TRY(const auto stored, store::read_events(tx, row.stream(), sequence - 1, 1));
  if (stored.empty()) {
    return store::in_event(error(Code::corrupt, "process \"{}\" has no event {}", row.id, sequence),
                           row.stream(), sequence);
  }
  return from_stream_event(row, declared, stored.front());
}

// Ok when the event may be appended as far as type, key and payload go.
Result<const EventType*> check_event(const Declared& declared, const AppendRequest& request) {
  const auto& types = declared.registration.event_types;
  const auto* type = declared.registration.find(request.event_type);
  if (type == nullptr) {
    return about(
        invalid_input("event_type", Value(request.event_type), "a type that the process declares"),
        declared.registration.id);
  }
  const bool needs_key = type->semantics.terminal || type->name == cancel_requested;
  if (needs_key && request.replay_key.empty()) {
    return about(
        invalid_input("replay_key", Value(), fmt::format("a key: {} happens once", type->name)),
        declared.registration.id);
  }
  const auto place = static_cast<std::size_t>(type - types.data());
  CLEW_TRY(declared.schemas[place]->check(request.payload, "payload"));
  return type;
}

Status status_after(const Materialised& semantics) {
  if (!semantics.terminal) return Status::running;
  const auto& state = semantics.terminal->state;
  if (state == "completed") return Status::completed;
  if (state == "failed") return Status::failed;
  return state == "cancelled" ? Status::cancelled : Status::abandoned;
}

// A lease's token decides wherever one is given; a leased process is ended by nobody else, unless
// they say by whose authority.
Result<void> check_right(Transaction& tx, const ProcessRow& row, const AppendRequest& request,
                         bool is_end, Timestamp now) {
  const store::LeaseKey key{"process", row.id};
  if (!request.lease_token.empty()) return store::check_timed_lease(tx, key, request.lease_token);
  if (!is_end || !request.authority.empty()) return {};
  CLEW_TRY(const auto lease, store::find_timed_lease(tx, key));
  if (!lease || !lease->is_live(now)) return {};
  return about(error(Code::stale_lease,
                     "process \"{}\" is leased by \"{}\": its end needs the lease's token, or an "
                     "authority",
                     row.id, lease->owner)
                   .with("owner", lease->owner),
               row.id);
}

Result<AppendResult> repeat(Transaction& tx, const ProcessRow& row, const Declared& declared,
                            const AppendRequest& request, std::int64_t sequence) {
  AppendResult result;
  result.is_replay = true;
  CLEW_TRY(result.event, event_at(tx, row, declared, sequence));
  if (result.event.semantics.wake && request.wake_target_scope) {
    result.wake_delivery =
        delivery_of(result.event, declared.registration, *request.wake_target_scope);
  }
  return result;
}

Result<void> write(Transaction& tx, const ProcessRow& row, const AppendRequest& request,
                   const AppendResult& result, Timestamp now) {
  const auto& event = result.event;
  const auto stored = to_stream_event(event, request.replay_key, request.authority);
  const auto status = status_after(event.semantics);
  std::string output;
  if (event.semantics.terminal) {
    output = to_json(as_await_output(event.semantics.terminal->await_output, status));
  }
  // The row is locked since it was read.
  CLEW_TRY(tx.post(advance_sql, event.sequence, now, name(status),
                   output.empty() ? store::Arg(nullptr) : store::Arg(output), row.number));
  CLEW_TRY(store::append_next(tx, row.stream(), stored));
  if (!result.wake_delivery) return {};
  CLEW_TRY(tx.post(add_wake_sql, row.number, event.sequence));
  CLEW_TRY(store::put_message(tx, wake_topic, result.wake_delivery->target_session_id,
                              result.wake_delivery->to_value(), now));
  return {};
}

}  // namespace

Result<AppendResult> append_event(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                  const AppendRequest& request, Timestamp now) {
  CLEW_TRY(const auto row, load_row(tx, id));
  CLEW_TRY(const auto declared, declared_by(tx, cache, row));
  const store::RequestKey key{"process_event", id, request.replay_key};
  const auto content =
      Value::object({{"event_type", Value(request.event_type)}, {"payload", request.payload}});
  if (!request.replay_key.empty()) {
    auto before = store::find_request(tx, key, content);
    if (!before) return about(before.error(), id);
    if (*before && !(*before)->is_int()) {
      return store::in_row(Error(Code::corrupt, "a remembered event has no number"), "requests",
                           fmt::format("process_event/{}/{}", id, request.replay_key));
    }
    if (*before) return repeat(tx, row, *declared, request, (*before)->as_int());
  }
  CLEW_TRY(const auto* type, check_event(*declared, request));
  AppendResult result;
  auto& event = result.event;
  event.process_id = row.id;
  event.sequence = row.last_sequence + 1;
  event.event_type = request.event_type;
  event.payload = request.payload;
  event.occurred_at = now;
  CLEW_TRY(event.semantics, materialise(type->semantics, request.payload, row.id, event.sequence));
  if (is_terminal(row.status)) {
    return about(error(Code::conflict, "process \"{}\" has ended as {}", id, name(row.status))
                     .with("status", name(row.status)),
                 id);
  }
  const auto if_any = [](const std::string& text) { return text.empty() ? Value() : Value(text); };
  event.invocation = invocation_of(declared->registration, event.sequence, event.event_type,
                                   if_any(request.replay_key), if_any(request.authority));
  if (event.semantics.wake) {
    if (!request.wake_target_scope) {
      return about(error(Code::invalid_input,
                         "wake_target_scope: event {} of process \"{}\" wakes somebody, and was "
                         "appended without a wake target scope",
                         request.event_type, id)
                       .with("path", "wake_target_scope"),
                   id);
    }
    result.wake_delivery = delivery_of(event, declared->registration, *request.wake_target_scope);
  }
  CLEW_TRY(check_right(tx, row, request, event.semantics.terminal.has_value(), now));
  CLEW_TRY(write(tx, row, request, result, now));
  if (!request.replay_key.empty()) {
    CLEW_TRY(store::remember_request(tx, key, content, Value(event.sequence), now));
  }
  return result;
}

Result<AppendResult> complete_process(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                      const Value& output, const CompleteOptions& options,
                                      Timestamp now) {
  CLEW_TRY(const auto status, status_of_output(output, "output"));
  if (!options.authority.empty() && is_blank(options.authority)) {
    return invalid_input("authority", Value(options.authority), "text that is not blank");
  }
  AppendRequest request;
  request.event_type = fmt::format("process.{}", name(status));
  request.payload = Value::object({{"await_output", output}});
  request.replay_key = fmt::format("process:{}:terminal:{}", id, request.event_type);
  request.lease_token = options.lease_token;
  request.authority = options.authority;
  return append_event(tx, cache, id, request, now);
}

Result<AppendResult> request_cancel(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                    std::string_view reason, Timestamp now) {
  AppendRequest request;
  request.event_type = cancel_requested;
  request.payload = Value::object({{"reason", reason.empty() ? Value() : Value(reason)}});
  request.replay_key =
      fmt::format("process:{}:cancel_requested:{}", id, to_hex(digest_of(request.payload)));
  return append_event(tx, cache, id, request, now);
}

Result<std::vector<Event>> events_after(Transaction& tx, DeclaredCache& cache, std::string_view id,
                                        std::int64_t after, int limit) {
  CLEW_TRY(const auto row, load_row(tx, id));
  CLEW_TRY(const auto declared, declared_by(tx, cache, row));
  CLEW_TRY(const auto stored, store::read_events(tx, row.stream(), after, limit));
  std::vector<Event> events;
  for (const auto& each : stored) {
    CLEW_TRY(auto event, from_stream_event(row, *declared, each));
    events.push_back(std::move(event));
  }
  return events;
}

Result<std::vector<Event>> wake_events_after(Transaction& tx, DeclaredCache& cache,
                                             std::string_view id, std::int64_t after, int limit) {
  CLEW_TRY(const auto row, load_row(tx, id));
  CLEW_TRY(const auto declared, declared_by(tx, cache, row));
  std::vector<std::int64_t> sequences;
  const auto take = [&](const Row& wake) -> Result<void> {
    CLEW_TRY(const auto seq, store::integer_at(wake, 0, 1));
    sequences.push_back(seq);
    return {};
  };
  CLEW_TRY(tx.each(wakes_after_sql, take, row.number, after, limit));
  std::vector<Event> events;
  for (const auto seq : sequences) {
    CLEW_TRY(auto event, event_at(tx, row, *declared, seq));
    events.push_back(std::move(event));
  }
  return events;
}

Result<void> ack_wake(Transaction& tx, std::string_view id, std::int64_t sequence) {
  CLEW_TRY(const auto row, load_row(tx, id));
  CLEW_TRY(tx.post(ack_wake_sql, row.number, sequence));
  return {};
}

Result<std::optional<Event>> first_event_after(Transaction& tx, DeclaredCache& cache,
                                               std::string_view id, std::string_view event_type,
                                               std::int64_t after) {
  constexpr int page = 256;
  for (;;) {
    CLEW_TRY(auto events, events_after(tx, cache, id, after, page));
    const auto found = std::ranges::find(events, event_type, &Event::event_type);
    if (found != events.end()) return std::optional<Event>(std::move(*found));
    if (events.size() < page) return std::optional<Event>();
    after = events.back().sequence;
  }
}

Result<Record> refold(const Record& record, const std::vector<Event>& events) {
  Record made = record;
  made.status = Status::running;
  made.await_output = Value();
  made.updated_at = record.created_at;
  made.last_sequence = 0;
  for (const auto& event : events) {
    if (event.sequence != made.last_sequence + 1) {
      return error(Code::corrupt, "process \"{}\" has no event {}", record.registration.id,
                   made.last_sequence + 1);
    }
    made.last_sequence = event.sequence;
    made.updated_at = event.occurred_at;
    made.status = status_after(event.semantics);
    if (is_terminal(made.status)) {
      made.await_output = as_await_output(event.semantics.terminal->await_output, made.status);
    }
  }
  return made;
}

Result<void> check_processes(Transaction& tx, const store::ReportRow& report) {
  DeclaredCache cache;
  CLEW_TRY(const auto rows, all_rows(tx, false));
  for (const auto& row : rows) {
    const auto record = to_record(tx, row);
    if (!record) {
      report(record.error());
      continue;
    }
    const auto events = events_after(tx, cache, row.id, 0, INT32_MAX);
    const auto folded = events ? refold(*record, *events) : Result<Record>(events.error());
    if (!folded) {
      report(in_process(folded.error(), row.id));
      continue;
    }
    const auto difference = first_difference(folded->to_value(), record->to_value());
    if (!difference.found) continue;
    report(in_process(error(Code::corrupt, "{} is {}, but its events say {}", difference.path,
                            preview(difference.right), preview(difference.left)),
                      row.id));
  }
  return {};
}

}  // namespace clew::process
