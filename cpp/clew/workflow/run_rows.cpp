#include "clew/workflow/detail/run_rows.hpp"

#include <algorithm>
#include <array>

#include "clew/base/json.hpp"

namespace clew::workflow {
namespace {

using store::Row;
using store::Statement;
using store::Transaction;

constexpr const char* schema = R"sql(
CREATE TABLE workflows (
  digest TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, document TEXT NOT NULL) {table};
CREATE TABLE published (
  name TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, published_us {integer} NOT NULL,
  PRIMARY KEY (name, version)) {table};
CREATE TABLE runs (
  run {identity}, id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL, version TEXT NOT NULL,
  digest TEXT NOT NULL, status TEXT NOT NULL, input TEXT NOT NULL, output TEXT, error TEXT,
  failed_step TEXT, tags TEXT NOT NULL, priority {integer} NOT NULL, durability TEXT NOT NULL,
  created_us {integer} NOT NULL, ended_us {integer}, start_key TEXT) {table};
CREATE UNIQUE INDEX runs_start_key ON runs (workflow, start_key) WHERE start_key IS NOT NULL;
CREATE VIEW v_runs AS
  SELECT id, workflow, version, status, input, output, error, failed_step, tags, priority,
         created_us, ended_us, start_key FROM runs;
CREATE VIEW v_events AS
  SELECT r.id AS run, e.seq, e.at_us, e.type, e.subject AS step, e.data
    FROM events e JOIN runs r ON r.run = e.stream;
CREATE VIEW v_steps AS
  SELECT r.id AS run, e.subject AS step,
         CASE e.type WHEN 'step.started' THEN 'running' WHEN 'step.interrupted' THEN 'running'
                     WHEN 'step.retrying' THEN 'waiting' WHEN 'step.withdrawn' THEN 'waiting'
                     WHEN 'step.completed' THEN 'completed'
                     WHEN 'step.failed' THEN 'failed' WHEN 'step.skipped' THEN 'skipped'
                     ELSE 'cancelled' END AS status,
         e.at_us AS changed_us, e.data
    FROM events e JOIN runs r ON r.run = e.stream
   WHERE e.type LIKE 'step.%'
     AND e.seq = (SELECT MAX(x.seq) FROM events x
                   WHERE x.stream = e.stream AND x.subject = e.subject AND x.type LIKE 'step.%');
)sql";

const Statement insert_run_sql(R"sql(
    INSERT INTO runs (id, workflow, version, digest, status, input, tags, priority, durability,
                      created_us, start_key)
    VALUES (:id, :workflow, :version, :digest, 'running', :input, :tags, :priority, :durability,
            :created, :key) ON CONFLICT DO NOTHING RETURNING run)sql");
const Statement end_run_sql(R"sql(
    UPDATE runs SET status = :status, output = :output, error = :error, failed_step = :step,
                    ended_us = :ended WHERE run = :run)sql");
#define CLEW_RUN_COLUMNS                                                                         \
  "SELECT run, id, workflow, version, digest, status, input, output, error, failed_step, tags, " \
  "priority, durability, created_us, ended_us, start_key FROM runs "
const Statement find_run_sql(CLEW_RUN_COLUMNS "WHERE id = :id");
const Statement find_key_sql(CLEW_RUN_COLUMNS "WHERE workflow = :workflow AND start_key = :key");
const Statement find_number_sql(CLEW_RUN_COLUMNS "WHERE run = :run");
const Statement list_runs_sql(CLEW_RUN_COLUMNS
                              "WHERE run < :before AND (:status = '' OR status = :status) "
                              "AND (:workflow = '' OR workflow = :workflow) "
                              "ORDER BY run DESC LIMIT :limit");
const Statement keep_definition_sql(R"sql(
    INSERT INTO workflows (digest, name, version, document)
    VALUES (:digest, :name, :version, :document) ON CONFLICT (digest) DO NOTHING)sql");
const Statement find_document_sql("SELECT document FROM workflows WHERE digest = :digest");
const Statement publish_sql(R"sql(
    INSERT INTO published (name, version, digest, published_us)
    VALUES (:name, :version, :digest, :now) ON CONFLICT (name, version) DO NOTHING)sql");
const Statement published_sql("SELECT version, digest FROM published WHERE name = :name");

std::string text_or_empty(const Row& row, int column) {
  if (row.is_null(column)) return {};
  const auto text = row.text(column);
  return text ? std::string(*text) : std::string();
}

Result<Value> json_or_null(const Row& row, int column) {
  if (row.is_null(column)) return Value();
  CLEW_TRY(const auto text, row.text(column));
  auto value = parse_json(text, {.depth_max = Value::depth_limit});
  if (!value) {
    return error(Code::corrupt, "column {} of a run holds no JSON: {}", row.name(column),
                 value.error().message());
  }
  return value;
}

Result<std::vector<std::string>> strings(const Value& list) {
  std::vector<std::string> out;
  if (!list.is_array()) return error(Code::corrupt, "the tags of a run are no list");
  for (const auto& item : list.items()) {
    if (!item.is_string()) return error(Code::corrupt, "a tag of a run is no text");
    out.emplace_back(item.as_string());
  }
  return out;
}

Result<RunRow> decode(const Row& row) {
  RunRow run;
  CLEW_TRY(run.number, row.integer(0));
  run.info.id = text_or_empty(row, 1);
  run.info.workflow = text_or_empty(row, 2);
  run.info.version = text_or_empty(row, 3);
  run.digest = text_or_empty(row, 4);
  CLEW_TRY(run.info.status, parse_run_status(text_or_empty(row, 5)));
  CLEW_TRY(run.info.input, json_or_null(row, 6));
  CLEW_TRY(run.info.output, json_or_null(row, 7));
  CLEW_TRY(const auto failed, json_or_null(row, 8));
  if (!failed.is_null()) run.info.error = Error::from_value(failed);
  run.info.failed_step = text_or_empty(row, 9);
  CLEW_TRY(const auto tags, json_or_null(row, 10));
  CLEW_TRY(run.info.tags, strings(tags));
  CLEW_TRY(const auto priority, row.integer(11));
  run.info.priority = static_cast<int>(priority);
  run.durability =
      text_or_empty(row, 12) == "relaxed" ? store::Durability::relaxed : store::Durability::sync;
  CLEW_TRY(run.info.created.us, row.integer(13));
  if (!row.is_null(14)) {
    Timestamp ended;
    CLEW_TRY(ended.us, row.integer(14));
    run.info.ended = ended;
  }
  run.info.key = text_or_empty(row, 15);
  return run;
}

template <typename... Keys>
Result<std::optional<RunRow>> find_one(Transaction& tx, const Statement& statement,
                                       const Keys&... keys) {
  std::optional<RunRow> found;
  CLEW_TRY(tx.first(
      statement,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(found, decode(row));
        return {};
      },
      keys...));
  return found;
}

// Every type that an event of a run may have; a RunEvent's type points into this list.
constexpr auto types = std::to_array<std::string_view>(
    {"run.started",    "run.completed",    "run.failed",     "run.cancelled", "run.unknown",
     "step.started",   "step.completed",   "step.retrying",  "step.failed",   "step.interrupted",
     "step.withdrawn", "step.skipped",     "step.cancelled", "item.started",  "item.completed",
     "item.retrying",  "item.interrupted", "item.withdrawn", "item.failed",   "item.cancelled"});

Error corrupt_event(const store::StreamEvent& event, std::string_view what) {
  return error(Code::corrupt, "event {} ({}) of a run {}", event.seq, event.type, what)
      .with("table", "events")
      .with("seq", event.seq);
}

}  // namespace

store::Migration run_migration(int version) { return {version, "runs", schema}; }

Result<std::optional<std::int64_t>> insert_run(Transaction& tx, const NewRun& run) {
  std::optional<std::int64_t> number;
  CLEW_TRY(tx.each(
      insert_run_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(number, row.integer(0));
        return {};
      },
      run.id, run.definition->name, run.definition->version_text, run.definition->digest, run.input,
      run.tags, run.priority, run.durability == store::Durability::relaxed ? "relaxed" : "sync",
      run.created, run.key.empty() ? store::Arg(nullptr) : store::Arg(run.key)));
  return number;
}

Result<void> end_run(Transaction& tx, std::int64_t number, const RunState& state) {
  const auto output = to_json(state.output);
  const auto failure = state.error ? to_json(state.error->to_value()) : std::string();
  using store::Arg;
  CLEW_TRY(tx.run(end_run_sql, name(state.status),
                  state.status == RunStatus::completed ? Arg(output) : Arg(nullptr),
                  state.error ? Arg(failure) : Arg(nullptr),
                  state.failed_step.empty() ? Arg(nullptr) : Arg(state.failed_step), state.ended,
                  number));
  return {};
}

Result<std::optional<RunRow>> find_run(Transaction& tx, const std::string& id) {
  return find_one(tx, find_run_sql, id);
}

Result<std::optional<RunRow>> find_run_by_key(Transaction& tx, const std::string& workflow,
                                              const std::string& key) {
  return find_one(tx, find_key_sql, workflow, key);
}

Result<std::optional<RunRow>> find_run(Transaction& tx, std::int64_t number) {
  return find_one(tx, find_number_sql, number);
}

Result<std::vector<RunRow>> list_runs(Transaction& tx, const RunQuery& query) {
  std::int64_t before = INT64_MAX;
  if (!query.cursor.empty()) {
    const auto cursor = parse_json(query.cursor);
    if (!cursor || !cursor->is_int()) {
      return invalid_input("cursor", query.cursor, "the next_cursor of an earlier page");
    }
    before = cursor->as_int();
  }
  const std::string status = query.status ? std::string(name(*query.status)) : std::string();
  std::vector<RunRow> rows;
  const auto visit = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto run, decode(row));
    before = run.number;
    if (query.tag.empty() || std::ranges::find(run.info.tags, query.tag) != run.info.tags.end()) {
      rows.push_back(std::move(run));
    }
    return {};
  };
  // One more than asked for tells whether there is another page. Tags are looked at row by row.
  const auto wanted = static_cast<std::size_t>(query.limit) + 1;
  while (rows.size() < wanted) {
    const auto first = before;
    CLEW_TRY(tx.each(list_runs_sql, std::ref(visit), before, status, query.workflow,
                     static_cast<std::int64_t>(wanted)));
    if (before == first || query.tag.empty()) break;
  }
  if (rows.size() > wanted) rows.resize(wanted);
  return rows;
}

Result<void> keep_definition(Transaction& tx, const Definition& definition) {
  CLEW_TRY(tx.run(keep_definition_sql, definition.digest, definition.name, definition.version_text,
                  to_json(definition.document)));
  return {};
}

Result<std::optional<std::string>> find_document(Transaction& tx, const std::string& digest) {
  std::optional<std::string> document;
  CLEW_TRY(tx.first(
      find_document_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(const auto text, row.text(0));
        document = std::string(text);
        return {};
      },
      digest));
  return document;
}

Result<std::vector<Published>> published_versions(Transaction& tx, const std::string& name) {
  std::vector<Published> found;
  CLEW_TRY(tx.each(
      published_sql,
      [&](const Row& row) -> Result<void> {
        found.push_back({text_or_empty(row, 0), text_or_empty(row, 1)});
        return {};
      },
      name));
  return found;
}

Result<void> publish_definition(Transaction& tx, const Definition& definition, Timestamp now) {
  CLEW_TRY(keep_definition(tx, definition));
  CLEW_TRY(const auto added,
           tx.run(publish_sql, definition.name, definition.version_text, definition.digest, now));
  if (added > 0) return {};
  CLEW_TRY(const auto versions, published_versions(tx, definition.name));
  const auto same = std::ranges::find(versions, definition.version_text, &Published::version);
  if (same != versions.end() && same->digest == definition.digest) return {};
  return error(Code::conflict, "workflow {}@{} is published with other content", definition.name,
               definition.version_text)
      .with("workflow", definition.name)
      .with("version", definition.version_text);
}

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
  RunEvent decoded;
  decoded.at = event.at;
  const auto type = std::ranges::find(types, event.type);
  if (type == types.end()) return corrupt_event(event, "has a type that is none");
  decoded.type = *type;
  if (!event.subject.empty()) {
    decoded.step = definition.find(event.subject);
    if (decoded.step < 0) return corrupt_event(event, "names a step that its workflow lacks");
  }
  auto data = parse_json(event.data, {.depth_max = Value::depth_limit});
  if (!data || !data->is_object()) return corrupt_event(event, "holds no JSON object");
  if (const Value* item = data->find("item"); item != nullptr && item->is_int()) {
    decoded.item = static_cast<int>(item->as_int());
  }
  decoded.data = std::move(data).value();
  return decoded;
}

Result<EventInfo> to_event_info(const store::StreamEvent& event) {
  auto data = parse_json(event.data, {.depth_max = Value::depth_limit});
  if (!data || !data->is_object()) return corrupt_event(event, "holds no JSON object");
  EventInfo info{event.seq, event.at, event.type, event.subject, -1, std::move(data).value()};
  if (const Value* item = info.data.find("item"); item != nullptr && item->is_int()) {
    info.item = static_cast<int>(item->as_int());
  }
  return info;
}

Result<LoadedState> load_state(Transaction& tx, const Definition& definition, std::int64_t number) {
  constexpr int page = 4096;
  LoadedState loaded{initial_state(definition), Value()};
  RunState& state = loaded.state;
  for (;;) {
    CLEW_TRY(const auto events, store::read_events(tx, number, state.last_seq, page));
    for (const auto& stored : events) {
      if (stored.seq != state.last_seq + 1) {
        return corrupt_event(stored, fmt::format("follows event {}", state.last_seq));
      }
      CLEW_TRY(const auto event, from_stream_event(definition, stored));
      CLEW_TRY(apply(definition, state, event));
      state.last_seq = stored.seq;
      if (const Value* pins = event.data.find("pins"); stored.seq == 1 && pins != nullptr) {
        loaded.pins = *pins;
      }
    }
    if (events.size() < page) return loaded;
  }
}

}  // namespace clew::workflow
