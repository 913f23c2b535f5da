// Ids of traces are UUIDv7, made when the call starts: their order is that of the starts, so one
// key serves for appending, for "newest first" and for finding what is oldest.
#include "clew/capability/detail/trace_rows.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/capability/detail/trace_ids.hpp"

namespace clew {

// The view is for people: ids and digests as text. hex() is SQLite's; a database without it gets a
// function of that name.
store::Migration trace_migration(int version) {
  return {version, "traces", R"sql(
CREATE TABLE traces (
  id {blob} NOT NULL PRIMARY KEY,
  parent {blob},
  capability TEXT NOT NULL,
  version TEXT NOT NULL,
  target TEXT NOT NULL,
  executor TEXT NOT NULL,
  outcome TEXT NOT NULL,
  code TEXT,
  started_us {integer} NOT NULL,
  queue_us {integer} NOT NULL,
  run_us {integer} NOT NULL,
  commit_us {integer} NOT NULL,
  input_sha256 {blob} NOT NULL,
  output_sha256 {blob},
  attempt {integer} NOT NULL,
  run TEXT,
  step TEXT,
  item {integer},
  correlation_id TEXT
) {clustered};
CREATE INDEX traces_of_run ON traces (run, id) WHERE run IS NOT NULL;

CREATE VIEW v_traces AS
SELECT substr(lower(hex(id)), 1, 8) || '-' || substr(lower(hex(id)), 9, 4) || '-' ||
         substr(lower(hex(id)), 13, 4) || '-' || substr(lower(hex(id)), 17, 4) || '-' ||
         substr(lower(hex(id)), 21) AS id,
       CASE WHEN parent IS NOT NULL THEN
         substr(lower(hex(parent)), 1, 8) || '-' || substr(lower(hex(parent)), 9, 4) || '-' ||
         substr(lower(hex(parent)), 13, 4) || '-' || substr(lower(hex(parent)), 17, 4) || '-' ||
         substr(lower(hex(parent)), 21) END AS parent,
       capability, version, target, executor, outcome, code, started_us, queue_us, run_us,
       commit_us, lower(hex(input_sha256)) AS input_sha256,
       CASE WHEN output_sha256 IS NOT NULL THEN lower(hex(output_sha256)) END AS output_sha256,
       attempt, run, step, item, correlation_id
  FROM traces;
)sql"};
}

// How a call went, whose trace it belongs to, and what finds it among a million.
store::Migration trace_path_migration(int version) {
  return {version, "paths of traces", R"sql(
ALTER TABLE traces ADD COLUMN path {integer} NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN context {blob};
ALTER TABLE traces ADD COLUMN considered TEXT;

CREATE INDEX traces_of_capability ON traces (capability, id);
CREATE INDEX traces_by_outcome ON traces (outcome, id) WHERE outcome <> 'success';
CREATE INDEX traces_by_code ON traces (code, id) WHERE code IS NOT NULL;
CREATE INDEX traces_of_capability_by_outcome ON traces (capability, outcome, id)
 WHERE outcome <> 'success';
CREATE INDEX traces_of_capability_by_code ON traces (capability, code, id) WHERE code IS NOT NULL;
CREATE INDEX traces_damaged ON traces (id)
 WHERE outcome NOT IN ('success', 'failure', 'timeout', 'cancelled', 'rejected');

DROP VIEW v_traces;
CREATE VIEW v_traces AS
SELECT substr(lower(hex(id)), 1, 8) || '-' || substr(lower(hex(id)), 9, 4) || '-' ||
         substr(lower(hex(id)), 13, 4) || '-' || substr(lower(hex(id)), 17, 4) || '-' ||
         substr(lower(hex(id)), 21) AS id,
       CASE WHEN parent IS NOT NULL THEN
         substr(lower(hex(parent)), 1, 8) || '-' || substr(lower(hex(parent)), 9, 4) || '-' ||
         substr(lower(hex(parent)), 13, 4) || '-' || substr(lower(hex(parent)), 17, 4) || '-' ||
         substr(lower(hex(parent)), 21) END AS parent,
       capability, version, target, executor, outcome, code, started_us, queue_us, run_us,
       commit_us, lower(hex(input_sha256)) AS input_sha256,
       CASE WHEN output_sha256 IS NOT NULL THEN lower(hex(output_sha256)) END AS output_sha256,
       attempt, run, step, item, correlation_id,
       '00-' || CASE WHEN context IS NULL THEN lower(hex(id))
                     ELSE substr(lower(hex(context)), 1, 32) END ||
         '-' || substr(lower(hex(id)), 17) ||
         '-' || CASE WHEN context IS NULL THEN '01'
                     ELSE substr(lower(hex(context)), 49, 2) END AS traceparent,
       CASE WHEN substr(lower(hex(context)), 33, 16) <> '0000000000000000' THEN
         substr(lower(hex(context)), 33, 16) END AS remote_parent,
       considered
  FROM traces;
)sql"};
}

namespace detail {
namespace {

using store::Arg;
using store::Blob;
using store::corrupt_column;
using store::in_row;
using store::instant_at;
using store::integer_at;
using store::Row;
using store::shown_at;
using store::text_at;

const store::Statement insert_sql(R"sql(
    INSERT INTO traces (id, parent, capability, version, target, executor, outcome, code,
                        started_us, queue_us, run_us, commit_us, input_sha256, output_sha256,
                        attempt, run, step, item, correlation_id, path, context,
                        considered)
    VALUES (:id, :parent, :capability, :version, :target, :executor, :outcome, :code,
            :started_us, :queue_us, :run_us, :commit_us, :input_sha256, :output_sha256,
            :attempt, :run, :step, :item, :correlation_id, :path, :context, :considered)
    ON CONFLICT (id) DO NOTHING)sql");

const store::Statement count_sql("SELECT count(*) FROM traces");

const store::Statement delete_oldest_sql(R"sql(
    DELETE FROM traces WHERE id IN (SELECT id FROM traces ORDER BY id LIMIT :count))sql");

const store::Statement nth_oldest_sql("SELECT id FROM traces ORDER BY id LIMIT 1 OFFSET :older");

const store::Statement delete_through_sql(R"sql(
    DELETE FROM traces
     WHERE id IN (SELECT id FROM traces WHERE id <= :last ORDER BY id LIMIT :count))sql");

// A time before 1970 is damage. It must show, and not be taken for old age.
const store::Statement delete_expired_sql(R"sql(
    DELETE FROM traces
     WHERE id IN (SELECT id FROM traces ORDER BY id LIMIT :count)
       AND started_us <= :expired AND started_us >= 0)sql");

// Within a millisecond, ids need not stand in the order of the starts.
const store::Statement oldest_sql(R"sql(
    SELECT started_us FROM
           (SELECT started_us FROM traces WHERE started_us >= 0 ORDER BY id LIMIT 64) AS oldest
     ORDER BY started_us LIMIT 1)sql");

// The columns in the order of `Column`.
constexpr std::string_view select_sql = R"sql(
    SELECT id, parent, capability, version, target, executor, outcome, code, started_us, queue_us,
           run_us, commit_us, input_sha256, output_sha256, attempt, run, step, item, correlation_id,
           path, context, considered
      FROM traces)sql";

enum Column {
  id_column,
  parent_column,
  capability_column,
  version_column,
  target_column,
  executor_column,
  outcome_column,
  code_column,
  started_column,
  queue_column,
  run_us_column,
  commit_column,
  input_column,
  output_column,
  attempt_column,
  run_column,
  step_column,
  item_column,
  correlation_column,
  path_column,
  context_column,
  considered_column,
};

constexpr int limit_max = 10'000;

// In the words of the indexes, or they are not used.
constexpr std::string_view of_outcome = "outcome = :outcome";
constexpr std::string_view of_indexed_outcome = "outcome <> 'success' AND outcome = :outcome";
constexpr std::string_view of_no_outcome =
    "outcome NOT IN ('success', 'failure', 'timeout', 'cancelled', 'rejected')";
constexpr std::string_view unexpired = "(started_us > :expired OR started_us < 0)";

Arg text_or_null(std::string_view text) { return text.empty() ? Arg(nullptr) : Arg(text); }

Blob blob_of(const Digest& digest) {
  return {{reinterpret_cast<const char*>(digest.data()), digest.size()}};
}

std::int64_t to_us(std::int64_t ns) { return ns / 1000; }

Result<Id> id_at(const Row& row, Column column) {
  CLEW_TRY(const auto bytes, row.blob(column));
  if (bytes.size() != sizeof(Id::bytes)) return corrupt_column(row, column, "an id of 16 bytes");
  return Id::from_bytes(bytes);
}

Result<std::string> digest_at(const Row& row, Column column) {
  if (row.is_null(column)) return std::string();
  CLEW_TRY(const auto bytes, row.blob(column));
  if (bytes.size() != sizeof(Digest)) return corrupt_column(row, column, "a digest of 32 bytes");
  return to_hex(bytes);
}

Result<CallOutcome> outcome_at(const Row& row, Column column) {
  CLEW_TRY(const auto word, row.text(column));
  auto outcome = parse_outcome(word);
  if (!outcome) return corrupt_column(row, column, "the word of an outcome");
  return outcome;
}

Result<std::string> code_at(const Row& row, Column column) {
  CLEW_TRY(auto word, text_at(row, column));
  if (!row.is_null(column) && name(code_of(word)) != word) {
    return corrupt_column(row, column, "the code of an error");
  }
  return word;
}

Result<int> int_at(const Row& row, Column column, int low) {
  CLEW_TRY(const auto number, integer_at(row, column, low, INT32_MAX));
  return static_cast<int>(number);
}

// The bytes of a context: the trace, the parent's span, the flags.
constexpr std::size_t context_size = 16 + 8 + 1;

std::string context_bytes(const TraceContext& context) {
  std::string bytes(context.trace.view());
  bytes.append(context.parent.begin(), context.parent.end());
  bytes.push_back(static_cast<char>(context.flags));
  return bytes;
}

Result<TraceContext> context_at(const Row& row) {
  if (row.is_null(context_column)) return TraceContext{};
  CLEW_TRY(const auto bytes, row.blob(context_column));
  if (bytes.size() != context_size) return corrupt_column(row, context_column, "25 bytes");
  TraceContext context{Id::from_bytes(bytes.substr(0, 16))};
  std::ranges::copy(bytes.substr(16, 8), context.parent.begin());
  context.flags = static_cast<std::uint8_t>(bytes.back());
  return context;
}

Result<CallPath> path_at(const Row& row) {
  CLEW_TRY(const auto packed, row.integer(path_column));
  const auto path = CallPath::unpack(packed);
  if (!path) return corrupt_column(row, path_column, "the way of a call");
  return *path;
}

// What was considered as one JSON text; empty: nothing.
std::string considered_text(const TraceRecord& record) {
  if (record.versions.is_null() && record.executors.is_null()) return {};
  return to_json(Value::object({{"versions", record.versions}, {"executors", record.executors}}));
}

Result<void> take_considered(const Row& row, Trace& trace) {
  if (row.is_null(considered_column)) return {};
  CLEW_TRY(const auto text, row.text(considered_column));
  const auto both = parse_json(text);
  const auto* versions = both ? both->find("versions") : nullptr;
  const auto* executors = both ? both->find("executors") : nullptr;
  const auto is_list = [](const Value* value) {
    return value != nullptr && (value->is_null() || value->is_array());
  };
  if (!is_list(versions) || !is_list(executors)) {
    return corrupt_column(row, considered_column, "lists of what was considered");
  }
  trace.versions = *versions;
  trace.executors = *executors;
  return {};
}

Result<Trace> decode(const Row& row) {
  Trace trace;
  CLEW_TRY(trace.id, id_at(row, id_column));
  if (!row.is_null(parent_column)) {
    CLEW_TRY(trace.parent, id_at(row, parent_column));
  }
  CLEW_TRY(trace.capability, text_at(row, capability_column));
  CLEW_TRY(trace.version, text_at(row, version_column));
  CLEW_TRY(trace.target, text_at(row, target_column));
  CLEW_TRY(trace.executor, text_at(row, executor_column));
  CLEW_TRY(trace.outcome, outcome_at(row, outcome_column));
  CLEW_TRY(trace.code, code_at(row, code_column));
  CLEW_TRY(trace.started, instant_at(row, started_column));
  CLEW_TRY(trace.queue_us, integer_at(row, queue_column, 0));
  CLEW_TRY(trace.run_us, integer_at(row, run_us_column, 0));
  CLEW_TRY(trace.commit_us, integer_at(row, commit_column, 0));
  CLEW_TRY(trace.input_sha256, digest_at(row, input_column));
  CLEW_TRY(trace.output_sha256, digest_at(row, output_column));
  CLEW_TRY(trace.attempt, int_at(row, attempt_column, 1));
  CLEW_TRY(trace.run, text_at(row, run_column));
  CLEW_TRY(trace.step, text_at(row, step_column));
  if (!row.is_null(item_column)) {
    CLEW_TRY(trace.item, int_at(row, item_column, 0));
  }
  CLEW_TRY(trace.correlation_id, text_at(row, correlation_column));
  CLEW_TRY(trace.path, path_at(row));
  CLEW_TRY(const auto context, context_at(row));
  trace.traceparent = to_traceparent(context, trace.id);
  trace.remote_parent = remote_parent_of(context);
  CLEW_TRY(take_considered(row, trace));
  return trace;
}

// Decodes a row; an error names the table and, when it can be read, the key.
Result<Trace> trace_of(const Row& row) {
  auto trace = decode(row);
  if (trace) return trace;
  const auto id = id_at(row, id_column);
  const auto key = id ? id->to_string() : shown_at(row, id_column);
  return in_row(trace.error(), "traces", key).with("id", Value(key));
}

// The page lies below this one, by cursor and time.
TracePosition end_of(const TraceQuery& query, const TracePosition& below) {
  if (!query.until) return below;
  const auto end = lowest_id(*query.until + id_lag_max + std::chrono::milliseconds(1));
  return below ? std::min(*below, end) : end;
}

// Conditions of a query and their arguments, in the same order.
class Where {
 public:
  void add(std::string_view condition) {
    text_ += text_.empty() ? " WHERE " : " AND ";
    text_ += condition;
  }
  void add(std::string_view condition, Arg arg) {
    add(condition);
    args_.push_back(arg);
  }
  // Nothing for an empty text. An expression of a column keeps its index out of the query.
  void add_text(std::string_view column, const std::string& text, bool by_index = false) {
    if (text.empty()) return;
    add(fmt::format("{}{} = :{}", column, by_index ? "" : " || ''", column), Arg(text));
  }
  const std::string& text() const { return text_; }
  std::vector<Arg> take_args() && { return std::move(args_); }

 private:
  std::string text_;
  std::vector<Arg> args_;
};

// Where in the order of the ids the rows are.
struct Bounds {
  TracePosition from;
  TracePosition below;
};

// By which indexes rows are found. Of a run the calls are few, and so are damaged rows; the
// database does not know that.
enum class Found : std::uint8_t { as_asked, by_damage };

// All but the outcome. Borrows from its arguments.
Where conditions(const TraceQuery& query, const Bounds& bounds, Timestamp expired, Found found) {
  const bool by_run = found == Found::as_asked;
  const bool by_rest = by_run && query.run.empty();
  Where where;
  where.add(unexpired, Arg(expired));
  where.add_text("run", query.run, by_run);
  if (bounds.below) where.add("id < :below", Arg(Blob{bounds.below->view()}));
  if (bounds.from) where.add("id >= :from", Arg(Blob{bounds.from->view()}));
  where.add_text("capability", query.capability, by_rest);
  where.add_text("version", query.version);
  where.add_text("code", query.code, by_rest);
  if (query.since) where.add("started_us >= :since", Arg(*query.since));
  if (query.until) where.add("started_us < :until", Arg(*query.until));
  return where;
}

// A word that is no outcome is damage, which no filter hides from the page on which it would be.
Result<void> check_outcomes(store::Transaction& tx, Where where, const TracePage& page) {
  where.add(of_no_outcome);
  const bool is_last = page.next_cursor.empty();
  if (!is_last) where.add("id > :last", Arg(Blob{page.traces.back().id.view()}));
  const auto text = std::string(select_sql) + where.text() + " ORDER BY id DESC LIMIT 1";
  store::VisitRow visit = [](const Row& row) -> Result<void> {
    CLEW_TRY(trace_of(row));
    return {};
  };
  return tx.each_text(text, std::move(where).take_args(), visit);
}

}  // namespace

Result<void> insert_trace(store::Transaction& tx, const TraceRecord& record,
                          std::int64_t commit_ns) {
  TraceDigests own;
  if (!record.digests) {
    own.input = digest_of(record.input);
    if (record.has_output) own.output = digest_of(record.output);
  }
  const auto& digests = record.digests ? *record.digests : own;
  static const StepTag bare;
  const auto& tag = record.tag ? *record.tag : bare;
  const auto* contract = record.capability ? &record.capability->contract : nullptr;
  const bool has_context = !record.context.trace.is_nil();
  const auto context = has_context ? context_bytes(record.context) : std::string();
  const auto considered = considered_text(record);
  return tx.post(
      insert_sql, Blob{record.id.view()},
      record.parent.is_nil() ? Arg(nullptr) : Arg(Blob{record.parent.view()}),
      contract != nullptr ? contract->id : record.reference,
      contract != nullptr ? std::string_view(record.capability->version_text) : "", record.target,
      record.executor, name(record.outcome), record.code ? Arg(name(*record.code)) : Arg(nullptr),
      record.started, to_us(record.queue_ns), to_us(record.run_ns), to_us(commit_ns),
      blob_of(digests.input), digests.output ? Arg(blob_of(*digests.output)) : Arg(nullptr),
      tag.attempt, text_or_null(tag.run), text_or_null(tag.step),
      tag.item >= 0 ? Arg(tag.item) : Arg(nullptr), text_or_null(record.correlation_id),
      record.path.packed(), has_context ? Arg(Blob{context}) : Arg(nullptr),
      text_or_null(considered));
}

Result<std::int64_t> count_traces(store::Transaction& tx) {
  std::int64_t count = 0;
  CLEW_TRY(tx.first(count_sql, [&count](const Row& row) -> Result<void> {
    CLEW_TRY(count, row.integer(0));
    return {};
  }));
  return count;
}

Result<std::int64_t> delete_oldest_traces(store::Transaction& tx, std::int64_t count) {
  return tx.run(delete_oldest_sql, count);
}

Result<std::optional<Id>> nth_oldest_trace(store::Transaction& tx, std::int64_t n) {
  std::optional<Id> found;
  CLEW_TRY(tx.first(
      nth_oldest_sql,
      [&found](const Row& row) -> Result<void> {
        CLEW_TRY(found, id_at(row, id_column));
        return {};
      },
      n - 1));
  return found;
}

Result<std::int64_t> delete_traces_through(store::Transaction& tx, const Id& last,
                                           std::int64_t count) {
  return tx.run(delete_through_sql, Blob{last.view()}, count);
}

Result<std::int64_t> delete_expired_traces(store::Transaction& tx, Timestamp expired,
                                           std::int64_t count) {
  return tx.run(delete_expired_sql, count, expired);
}

Result<std::optional<Timestamp>> oldest_trace(store::Transaction& tx) {
  std::optional<Timestamp> oldest;
  CLEW_TRY(tx.first(oldest_sql, [&oldest](const Row& row) -> Result<void> {
    CLEW_TRY(const auto us, row.integer(0));
    oldest = Timestamp{us};
    return {};
  }));
  return oldest;
}

Result<std::optional<Trace>> find_trace(store::Transaction& tx, const Id& id, Timestamp expired) {
  static const std::string text = fmt::format("{} WHERE id = :id AND {}", select_sql, unexpired);
  static const store::Statement find_sql(text.c_str());
  std::optional<Trace> found;
  CLEW_TRY(tx.first(
      find_sql,
      [&found](const Row& row) -> Result<void> {
        CLEW_TRY(found, trace_of(row));
        return {};
      },
      Blob{id.view()}, expired));
  return found;
}

Result<TracePosition> check_query(const TraceQuery& query) {
  if (query.limit < 1 || query.limit > limit_max) {
    return invalid_input("limit", Value(query.limit), "an integer from 1 to 10000");
  }
  if (!query.version.empty()) {
    CLEW_TRY(Version::parse(query.version, "version"));
  }
  if (!query.code.empty() && name(code_of(query.code)) != query.code) {
    return invalid_input("code", Value(query.code), "the code of an error");
  }
  if (query.cursor.empty()) return TracePosition();
  const auto below = Id::parse(query.cursor);
  if (!below) return invalid_input("cursor", Value(query.cursor), "the next_cursor of a page");
  return TracePosition(*below);
}

Result<TracePage> read_traces(store::Transaction& tx, const TraceQuery& query,
                              const TracePosition& below, Timestamp expired) {
  const Bounds bounds{query.since ? TracePosition(lowest_id(*query.since)) : TracePosition(),
                      end_of(query, below)};
  auto where = conditions(query, bounds, expired, Found::as_asked);
  if (query.outcome) {
    const bool by_index = query.run.empty() && *query.outcome != CallOutcome::success;
    where.add(by_index ? of_indexed_outcome : of_outcome, Arg(name(*query.outcome)));
  }
  const auto text = std::string(select_sql) + where.text() + " ORDER BY id DESC LIMIT :limit";
  auto args = std::move(where).take_args();
  args.push_back(Arg(query.limit + 1));  // one more tells whether there is a next page
  TracePage page;
  bool more = false;
  store::VisitRow visit = [&](const Row& row) -> Result<void> {
    if (page.traces.size() == static_cast<std::size_t>(query.limit)) {
      more = true;
      return {};
    }
    CLEW_TRY(auto trace, trace_of(row));
    page.traces.push_back(std::move(trace));
    return {};
  };
  CLEW_TRY(tx.each_text(text, args, visit));
  if (more) page.next_cursor = page.traces.back().id.to_string();
  if (query.outcome) {
    CLEW_TRY(check_outcomes(tx, conditions(query, bounds, expired, Found::by_damage), page));
  }
  return page;
}

}  // namespace detail

Result<void> check_traces(store::Transaction& tx, const store::ReportRow& report) {
  static const std::string text = fmt::format("{} ORDER BY id", detail::select_sql);
  static const store::Statement all_sql(text.c_str());
  return tx.each(all_sql, [&report](const store::Row& row) -> Result<void> {
    if (const auto trace = detail::trace_of(row); !trace) report(trace.error());
    return {};
  });
}

}  // namespace clew
