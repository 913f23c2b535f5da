#include "clew/workflow/detail/run_rows.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/store/column.hpp"

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

constexpr const char* workspace_sql = R"sql(
ALTER TABLE runs ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
DROP INDEX runs_start_key;
CREATE UNIQUE INDEX runs_start_key ON runs (workspace, workflow, start_key)
  WHERE start_key IS NOT NULL;
DROP VIEW v_runs;
CREATE VIEW v_runs AS
  SELECT id, workflow, version, status, input, output, error, failed_step, tags, priority,
         created_us, ended_us, start_key, workspace FROM runs;
DROP VIEW v_steps;
CREATE VIEW v_steps AS
  SELECT r.id AS run, e.subject AS step,
         CASE e.type WHEN 'step.started' THEN 'running' WHEN 'step.interrupted' THEN 'running'
                     WHEN 'step.retrying' THEN 'waiting' WHEN 'step.withdrawn' THEN 'waiting'
                     WHEN 'step.waiting' THEN 'waiting' WHEN 'step.event' THEN 'waiting'
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
                      created_us, start_key, workspace)
    VALUES (:id, :workflow, :version, :digest, 'running', :input, :tags, :priority, :durability,
            :created, :key, :workspace) ON CONFLICT DO NOTHING)sql");
// Not RETURNING: for that SQLite makes a table in between, which costs more than all else here.
const Statement run_number_sql("SELECT run FROM runs WHERE id = :id");
const Statement end_run_sql(R"sql(
    UPDATE runs SET status = :status, output = :output, error = :error, failed_step = :step,
                    ended_us = :ended WHERE run = :run)sql");
#define CLEW_RUN_COLUMNS                                                                         \
  "SELECT run, id, workflow, version, digest, status, input, output, error, failed_step, tags, " \
  "priority, durability, created_us, ended_us, start_key, workspace FROM runs "
const Statement find_run_sql(CLEW_RUN_COLUMNS "WHERE id = :id");
const Statement find_key_sql(
    CLEW_RUN_COLUMNS "WHERE workspace = :workspace AND workflow = :workflow AND start_key = :key");
const Statement find_number_sql(CLEW_RUN_COLUMNS "WHERE run = :run");
const Statement list_runs_sql(CLEW_RUN_COLUMNS
                              "WHERE run < :before AND (:status = '' OR status = :status OR status "
                              "NOT IN ('running', 'completed', 'failed', 'cancelled', 'unknown')) "
                              "AND (:workflow = '' OR workflow = :workflow) "
                              "AND (:any_workspace = 1 OR workspace = :workspace) "
                              "ORDER BY run DESC LIMIT :limit");
const Statement run_numbers_sql(
    "SELECT run FROM runs WHERE run > :after ORDER BY run LIMIT :limit");
const Statement all_runs_sql(CLEW_RUN_COLUMNS "ORDER BY run");
const Statement keep_definition_sql(R"sql(
    INSERT INTO workflows (digest, name, version, document)
    VALUES (:digest, :name, :version, :document) ON CONFLICT (digest) DO NOTHING)sql");
#define CLEW_DEFINITION_COLUMNS "SELECT digest, name, version, document FROM workflows "
const Statement find_definition_sql(CLEW_DEFINITION_COLUMNS "WHERE digest = :digest");
const Statement all_definitions_sql(CLEW_DEFINITION_COLUMNS "ORDER BY digest");
const Statement publish_sql(R"sql(
    INSERT INTO published (name, version, digest, published_us)
    VALUES (:name, :version, :digest, :now) ON CONFLICT (name, version) DO NOTHING)sql");
#define CLEW_PUBLISHED_COLUMNS "SELECT name, version, digest, published_us FROM published "
const Statement published_sql(CLEW_PUBLISHED_COLUMNS "WHERE name = :name");
const Statement all_published_sql(CLEW_PUBLISHED_COLUMNS "ORDER BY name, version");

Result<std::vector<std::string>> strings_at(const Row& row, int column) {
  CLEW_TRY(const auto list, store::json_at(row, column));
  if (!list.is_array()) return store::corrupt_column(row, column, "a list");
  std::vector<std::string> out;
  for (const auto& item : list.items()) {
    if (!item.is_string()) return store::corrupt_column(row, column, "a list of texts");
    out.emplace_back(item.as_string());
  }
  return out;
}

Result<std::string> version_at(const Row& row, int column) {
  CLEW_TRY(auto text, store::word_at(row, column));
  if (!Version::parse(text)) return store::corrupt_column(row, column, "a version");
  return text;
}

Result<std::string> digest_at(const Row& row, int column) {
  CLEW_TRY(auto text, store::word_at(row, column));
  const bool is_hex = text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (text.size() != 2 * sizeof(Digest) || !is_hex) {
    return store::corrupt_column(row, column, "a digest in hexadecimal");
  }
  return text;
}

// A row says only that a run is running, or how it ended.
Result<RunStatus> status_at(const Row& row, int column) {
  CLEW_TRY(const auto word, store::word_at(row, column));
  const auto status = parse_run_status(word);
  if (!status || (*status != RunStatus::running && !is_terminal(*status))) {
    return store::corrupt_column(row, column, "the status of a stored run");
  }
  return *status;
}

Result<store::Durability> durability_at(const Row& row, int column) {
  CLEW_TRY(const auto word, store::word_at(row, column));
  if (word == "relaxed") return store::Durability::relaxed;
  if (word == "sync") return store::Durability::sync;
  return store::corrupt_column(row, column, "sync or relaxed");
}

// What must be there once a run has ended so, and must not be there otherwise.
Result<void> check_end(const Row& row, RunStatus status) {
  const auto check = [&](int column, bool wanted) -> Result<void> {
    if (row.is_null(column) != wanted) return {};
    return store::corrupt_column(
        row, column,
        fmt::format("{} while the status is {}", wanted ? "a value" : "null", name(status)));
  };
  CLEW_TRY(check(7, status == RunStatus::completed));
  CLEW_TRY(check(8, is_terminal(status) && status != RunStatus::completed));
  return check(14, is_terminal(status));
}

Result<void> decode_end(const Row& row, RunInfo& info) {
  CLEW_TRY(check_end(row, info.status));
  CLEW_TRY(info.output, store::json_at(row, 7));
  CLEW_TRY(const auto failed, store::json_at(row, 8));
  if (!row.is_null(8)) {
    info.error = Error::from_value(failed);
    if (info.error->to_value() != failed) return store::corrupt_column(row, 8, "an error");
  }
  CLEW_TRY(info.failed_step, store::text_at(row, 9));
  if (!row.is_null(14)) {
    CLEW_TRY(info.ended, store::instant_at(row, 14));
  }
  return {};
}

Result<RunRow> decode_columns(const Row& row) {
  RunRow run;
  CLEW_TRY(run.number, store::integer_at(row, 0, 1));
  CLEW_TRY(run.info.id, store::word_at(row, 1));
  CLEW_TRY(run.info.workflow, store::word_at(row, 2));
  CLEW_TRY(run.info.version, version_at(row, 3));
  CLEW_TRY(run.digest, digest_at(row, 4));
  CLEW_TRY(run.info.status, status_at(row, 5));
  CLEW_TRY(run.info.input, store::json_at(row, 6));
  if (!run.info.input.is_object()) return store::corrupt_column(row, 6, "an object");
  CLEW_TRY(decode_end(row, run.info));
  CLEW_TRY(run.info.tags, strings_at(row, 10));
  CLEW_TRY(const auto priority, store::integer_at(row, 11, INT32_MIN, INT32_MAX));
  run.info.priority = static_cast<int>(priority);
  CLEW_TRY(run.durability, durability_at(row, 12));
  CLEW_TRY(run.info.created, store::instant_at(row, 13));
  CLEW_TRY(run.info.key, store::text_at(row, 15));
  CLEW_TRY(run.info.workspace, store::text_at(row, 16));
  return run;
}

Result<RunRow> decode(const Row& row) {
  auto run = decode_columns(row);
  if (run) return run;
  return store::in_row(run.error(), "runs", store::shown_at(row, 1))
      .with("run", store::shown_at(row, 1));
}

// The document, when it is what the row says that it is.
Result<DefinitionPtr> load_document(const Row& row) {
  CLEW_TRY(const auto digest, digest_at(row, 0));
  CLEW_TRY(const auto id, store::word_at(row, 1));
  CLEW_TRY(const auto version, version_at(row, 2));
  CLEW_TRY(const auto document, store::json_at(row, 3));
  auto loaded = load_value(document);
  if (!loaded.definition) {
    return error(Code::corrupt, "the document of {}@{} is no workflow: {}", id, version,
                 to_error(loaded.problems).message())
        .with("column", "document");
  }
  const auto differs = [&](std::string_view column, std::string_view found) {
    return error(Code::corrupt, "the document of {}@{} is another: its {} is {}", id, version,
                 column, found)
        .with("column", column);
  };
  const auto& definition = *loaded.definition;
  if (definition.digest != digest) return differs("digest", definition.digest);
  if (definition.name != id) return differs("name", definition.name);
  if (definition.version_text != version) return differs("version", definition.version_text);
  return loaded.definition;
}

Result<DefinitionPtr> decode_definition(const Row& row) {
  auto definition = load_document(row);
  if (definition) return definition;
  return store::in_row(definition.error(), "workflows", store::shown_at(row, 0));
}

Result<Published> decode_published(const Row& row) {
  const auto decode_it = [&row]() -> Result<Published> {
    Published published;
    CLEW_TRY(store::word_at(row, 0));
    CLEW_TRY(published.version, version_at(row, 1));
    CLEW_TRY(published.digest, digest_at(row, 2));
    CLEW_TRY(store::instant_at(row, 3));
    return published;
  };
  auto published = decode_it();
  if (published) return published;
  return store::in_row(published.error(), "published",
                       fmt::format("{}@{}", store::shown_at(row, 0), store::shown_at(row, 1)));
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

}  // namespace

store::Migration run_migration(int version) { return {version, "runs", schema}; }
store::Migration run_workspace_migration(int version) {
  return {version, "workspaces of runs, waits for events", workspace_sql};
}

Result<std::optional<std::int64_t>> insert_run(Transaction& tx, const NewRun& run) {
  CLEW_TRY(const auto added,
           tx.run(insert_run_sql, run.id, run.definition->name, run.definition->version_text,
                  run.definition->digest, run.input, run.tags, run.priority,
                  run.durability == store::Durability::relaxed ? "relaxed" : "sync", run.created,
                  run.key.empty() ? store::Arg(nullptr) : store::Arg(run.key), run.workspace));
  if (added == 0) return std::optional<std::int64_t>();
  std::int64_t number = 0;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(number, row.integer(0));
    return {};
  };
  CLEW_TRY(const bool found, tx.first(run_number_sql, take, run.id));
  CLEW_CHECK(found);
  return number;
}

Result<void> end_run(Transaction& tx, std::int64_t number, const RunState& state) {
  const auto output = to_json(state.output);
  const auto failure = state.error ? to_json(state.error->to_value()) : std::string();
  using store::Arg;
  CLEW_TRY(const auto ended,
           tx.run(end_run_sql, name(state.status),
                  state.status == RunStatus::completed ? Arg(output) : Arg(nullptr),
                  state.error ? Arg(failure) : Arg(nullptr),
                  state.failed_step.empty() ? Arg(nullptr) : Arg(state.failed_step), state.ended,
                  number));
  if (ended == 1) return {};
  return store::in_row(error(Code::corrupt, "run number {} has no row any more", number), "runs",
                       fmt::format("{}", number));
}

Result<std::optional<RunRow>> find_run(Transaction& tx, const std::string& id) {
  return find_one(tx, find_run_sql, id);
}

Result<std::optional<RunRow>> find_run_by_key(Transaction& tx, const StartKey& key) {
  return find_one(tx, find_key_sql, key.workspace, key.workflow, key.key);
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
                     query.workspace ? 0 : 1, query.workspace.value_or(""),
                     static_cast<std::int64_t>(wanted)));
    if (before == first || query.tag.empty()) break;
  }
  if (rows.size() > wanted) rows.resize(wanted);
  return rows;
}

Result<void> keep_definition(Transaction& tx, const Definition& definition) {
  CLEW_TRY(const auto added, tx.run(keep_definition_sql, definition.digest, definition.name,
                                    definition.version_text, to_json(definition.document)));
  if (added == 1) return {};
  CLEW_TRY(read_definition(tx, definition.digest));  // what stands there must be it
  return {};
}

Result<DefinitionPtr> read_definition(Transaction& tx, const std::string& digest) {
  DefinitionPtr definition;
  const auto visit = [&](const Row& row) -> Result<void> {
    CLEW_TRY(definition, decode_definition(row));
    return {};
  };
  CLEW_TRY(tx.first(find_definition_sql, visit, digest));
  if (definition) return definition;
  return store::in_row(error(Code::corrupt, "workflow {} is not kept", digest), "workflows",
                       digest);
}

Result<std::vector<Published>> published_versions(Transaction& tx, const std::string& name) {
  std::vector<Published> found;
  const auto visit = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto published, decode_published(row));
    found.push_back(std::move(published));
    return {};
  };
  CLEW_TRY(tx.each(published_sql, visit, name));
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

Result<std::vector<std::int64_t>> run_numbers(Transaction& tx, std::int64_t after, int limit) {
  std::vector<std::int64_t> numbers;
  const auto visit = [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto number, row.integer(0));
    numbers.push_back(number);
    return {};
  };
  CLEW_TRY(tx.each(run_numbers_sql, visit, after, limit));
  return numbers;
}

Result<void> check_rows(Transaction& tx, const store::ReportRow& report) {
  const auto report_of = [&report](auto decode_row) {
    return [&report, decode_row](const Row& row) -> Result<void> {
      if (const auto decoded = decode_row(row); !decoded) report(decoded.error());
      return {};
    };
  };
  CLEW_TRY(tx.each(all_runs_sql, report_of(decode)));
  CLEW_TRY(tx.each(all_definitions_sql, report_of(decode_definition)));
  return tx.each(all_published_sql, report_of(decode_published));
}

}  // namespace clew::workflow
