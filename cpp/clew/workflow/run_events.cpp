// Events of runs as they are stored, and the state that they lead to.
#include <algorithm>
#include <array>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/store/column.hpp"
#include "clew/workflow/detail/run_rows.hpp"

namespace clew::workflow {
namespace {

using store::Transaction;

// Every type that an event of a run may have; a RunEvent's type points into this list.
constexpr auto types = std::to_array<std::string_view>(
    {"run.started",    "run.completed",  "run.failed",     "run.cancelled",    "run.unknown",
     "step.started",   "step.completed", "step.retrying",  "step.failed",      "step.interrupted",
     "step.withdrawn", "step.skipped",   "step.cancelled", "step.waiting",     "step.event",
     "item.started",   "item.completed", "item.retrying",  "item.interrupted", "item.withdrawn",
     "item.failed",    "item.cancelled"});

Error corrupt_event(const store::StreamEvent& event, std::string_view what) {
  return error(Code::corrupt, "event {} ({}) of a run {}", event.seq, event.type, what);
}

// Whatever an event says beside its type must be of the kind that the fold takes it for.
Result<int> item_in(const store::StreamEvent& event, const Value& data) {
  const Value* item = data.find("item");
  if (item == nullptr) return -1;
  if (!item->is_int() || item->as_int() < 0 || !std::in_range<int>(item->as_int())) {
    return corrupt_event(event, "names an item that is none");
  }
  return static_cast<int>(item->as_int());
}

Result<void> check_error(const store::StreamEvent& event, const Value& data) {
  const Value* failed = data.find("error");
  if (failed == nullptr || Error::from_value(*failed).to_value() == *failed) return {};
  return corrupt_event(event, "holds an error that is none");
}

// As far as an event can be read without its workflow: all but its step.
Result<RunEvent> decode_alone(const store::StreamEvent& event) {
  RunEvent decoded;
  decoded.at = event.at;
  const auto type = std::ranges::find(types, event.type);
  if (type == types.end()) return corrupt_event(event, "has a type that is none");
  decoded.type = *type;
  if (event.subject.empty() != type->starts_with("run.")) {
    return corrupt_event(event, "must name a step unless it is about the run");
  }
  auto data = store::parse_stored(event.data);
  if (!data || !data->is_object()) return corrupt_event(event, "holds no JSON object");
  CLEW_TRY(decoded.item, item_in(event, *data));
  CLEW_TRY(check_error(event, *data));
  decoded.data = std::move(data).value();
  return decoded;
}

}  // namespace

store::StreamEvent to_stream_event(const Definition& definition, const RunEvent& event,
                                   std::int64_t seq) {
  store::StreamEvent stored;
  stored.seq = seq;
  stored.at = event.at;
  stored.type = event.type;
  if (event.step >= 0) stored.subject = definition.steps[static_cast<std::size_t>(event.step)].name;
  if (event.item < 0) {
    stored.data = to_json(event.data);
  } else {
    std::vector<Member> members = {{"item", Value(event.item)}};
    for (const auto& member : event.data.members()) {
      if (member.key != "item") members.push_back(member);
    }
    stored.data = to_json(Value::object(std::move(members)));
  }
  return stored;
}

Result<RunEvent> from_stream_event(const Definition& definition, const store::StreamEvent& event) {
  CLEW_TRY(auto decoded, decode_alone(event));
  if (event.subject.empty()) return decoded;
  decoded.step = definition.find(event.subject);
  if (decoded.step < 0) return corrupt_event(event, "names a step that its workflow lacks");
  return decoded;
}

Result<std::vector<EventInfo>> read_event_infos(Transaction& tx, const Definition& definition,
                                                std::int64_t number, std::int64_t after,
                                                int limit) {
  CLEW_TRY(const auto stored, store::read_events(tx, number, after, limit));
  std::vector<EventInfo> infos;
  infos.reserve(stored.size());
  for (const auto& event : stored) {
    auto decoded = from_stream_event(definition, event);
    if (!decoded) return store::in_event(decoded.error(), number, event.seq);
    infos.push_back(
        {event.seq, event.at, event.type, event.subject, decoded->item, std::move(decoded->data)});
  }
  return infos;
}

Result<void> check_row(const RunRow& row, const Definition& definition, const RunState& state) {
  const auto differs = [&](std::string_view what, const Value& events, const Value& stored) {
    return store::in_row(error(Code::corrupt, "the {} of run \"{}\" is {}, but its events say {}",
                               what, row.info.id, preview(stored), preview(events)),
                         "runs", row.info.id);
  };
  const auto& info = row.info;
  const auto text_of = [](const std::optional<Error>& failed) {
    return failed ? failed->to_value() : Value();
  };
  const struct {
    std::string_view what;
    Value events;
    Value stored;
  } pairs[] = {
      {"workflow", definition.name, info.workflow},
      {"version", definition.version_text, info.version},
      {"status", name(state.status), name(info.status)},
      {"input", state.input, info.input},
      {"output", state.output, info.output},
      {"error", text_of(state.error), text_of(info.error)},
      {"failed step", state.failed_step, info.failed_step},
      {"end", is_terminal(state.status) ? Value(state.ended.us) : Value(),
       info.ended ? Value(info.ended->us) : Value()},
  };
  for (const auto& [what, events, stored] : pairs) {
    if (events != stored) return differs(what, events, stored);
  }
  return {};
}

Result<void> check_events(Transaction& tx, const store::ReportRow& report) {
  return store::each_event(tx, [&report](std::int64_t stream, std::int64_t seq,
                                         const Result<store::StreamEvent>& event) {
    if (stream > 0 && !store::is_stream_of(store::StreamKind::run, stream)) return;
    const auto decoded = event ? decode_alone(*event) : Result<RunEvent>(event.error());
    if (!decoded) report(store::in_event(decoded.error(), stream, seq));
  });
}

Result<LoadedState> load_state(Transaction& tx, const Definition& definition, std::int64_t number) {
  constexpr int page = 4096;
  LoadedState loaded{initial_state(definition), {}};
  RunState& state = loaded.state;
  for (;;) {
    CLEW_TRY(const auto events, store::read_events(tx, number, state.last_seq, page));
    for (const auto& stored : events) {
      const auto event = from_stream_event(definition, stored);
      auto applied = event ? apply(definition, state, *event) : Result<void>(event.error());
      if (!applied) return store::in_event(applied.error(), number, stored.seq);
      state.last_seq = stored.seq;
      if (stored.seq != 1) continue;
      if (const Value* pins = event->data.find("pins")) loaded.pinned.pins = *pins;
      if (const Value* lock = event->data.find("lock")) loaded.pinned.lock = *lock;
    }
    if (events.size() < page) break;
  }
  if (state.last_seq > 0) return loaded;
  return store::in_event(error(Code::corrupt, "run number {} has no events", number), number, 1);
}

}  // namespace clew::workflow
