#include "clew/process/detail/rows.hpp"

#include <algorithm>

#include "clew/base/json.hpp"

namespace clew::process {
namespace {

using store::Row;
using store::Statement;

const Statement find_sql(R"sql(
    SELECT number, id, hash, status, output, external_ref, last_seq, created_us, updated_us,
           pruned_us
      FROM processes WHERE id = :id {for_update})sql");

const Statement registration_sql("SELECT registration FROM processes WHERE number = :number");

const Statement all_sql(R"sql(
    SELECT number, id, hash, status, output, external_ref, last_seq, created_us, updated_us,
           pruned_us
      FROM processes WHERE pruned_us IS NULL ORDER BY id)sql");

const Statement live_sql(R"sql(
    SELECT number, id, hash, status, output, external_ref, last_seq, created_us, updated_us,
           pruned_us
      FROM processes WHERE status = 'running' ORDER BY id)sql");

Result<Status> status_at(const Row& row, int column) {
  CLEW_TRY(const auto word, store::word_at(row, column));
  for (const auto status :
       {Status::running, Status::completed, Status::failed, Status::cancelled, Status::abandoned}) {
    if (word == name(status)) return status;
  }
  return store::corrupt_column(row, column, "a process's status");
}

Result<ProcessRow> decode_columns(const Row& row) {
  ProcessRow made;
  CLEW_TRY(made.number, store::integer_at(row, 0, 1, store::stream_kind_unit - 1));
  CLEW_TRY(made.id, store::word_at(row, 1));
  CLEW_TRY(made.hash, store::word_at(row, 2));
  CLEW_TRY(made.status, status_at(row, 3));
  CLEW_TRY(made.output, store::json_at(row, 4));
  CLEW_TRY(const auto external, store::json_at(row, 5));
  if (!external.is_null()) {
    auto ref = ExternalRef::from_value(external, "external_ref");
    if (!ref) return store::corrupt_column(row, 5, "an external reference");
    made.external_ref = *std::move(ref);
  }
  CLEW_TRY(made.last_sequence, store::integer_at(row, 6, 0));
  CLEW_TRY(made.created_at, store::instant_at(row, 7));
  CLEW_TRY(made.updated_at, store::instant_at(row, 8));
  made.is_pruned = !row.is_null(9);
  return made;
}

Result<ProcessRow> decode(const Row& row) {
  auto made = decode_columns(row);
  if (made) return made;
  return store::in_row(made.error(), "processes", store::shown_at(row, 1));
}

}  // namespace

Error in_process(const Error& why, std::string_view id) {
  return store::in_row(why, "processes", id);
}

Result<std::optional<ProcessRow>> find_row(Transaction& tx, std::string_view id) {
  std::optional<ProcessRow> found;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(found, decode(row));
    return {};
  };
  CLEW_TRY(tx.first(find_sql, take, id));
  return found;
}

Result<ProcessRow> load_row(Transaction& tx, std::string_view id) {
  CLEW_TRY(auto found, find_row(tx, id));
  if (found && !found->is_pruned) return *std::move(found);
  return error(Code::not_found, "no process \"{}\"", id).with("process_id", id);
}

Result<std::vector<ProcessRow>> all_rows(Transaction& tx, bool live_only) {
  std::vector<ProcessRow> rows;
  CLEW_TRY(tx.each(live_only ? live_sql : all_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto made, decode(row));
    rows.push_back(std::move(made));
    return {};
  }));
  return rows;
}

Result<std::shared_ptr<const Declared>> compile(Registration registration, std::string hash) {
  auto made = std::make_shared<Declared>();
  made->hash = std::move(hash);
  for (const auto& type : registration.event_types) {
    CLEW_TRY(auto schema, Schema::compile(type.payload_schema));
    made->schemas.push_back(std::move(schema));
  }
  made->registration = std::move(registration);
  return std::shared_ptr<const Declared>(std::move(made));
}

Result<Registration> registration_of(Transaction& tx, const ProcessRow& row) {
  Value document;
  const auto take = [&](const Row& found) -> Result<void> {
    auto read = store::json_at(found, 0);
    if (!read) return in_process(read.error(), row.id);
    document = *std::move(read);
    return {};
  };
  CLEW_TRY(tx.first(registration_sql, take, row.number));
  auto registration = Registration::from_value(document, "registration");
  if (registration) return registration;
  return in_process(Error(Code::corrupt, registration.error().to_string()), row.id);
}

// Registrations never change, so each is read once.
Result<std::shared_ptr<const Declared>> declared_by(Transaction& tx, DeclaredCache& cache,
                                                    const ProcessRow& row) {
  if (auto known = cache.find(row.number); known && known->hash == row.hash) return known;
  CLEW_TRY(auto registration, registration_of(tx, row));
  CLEW_TRY(auto declared, compile(std::move(registration), row.hash));
  cache.put(row.number, declared);
  return declared;
}

Result<Record> to_record(Transaction& tx, const ProcessRow& row) {
  Record record;
  CLEW_TRY(record.registration, registration_of(tx, row));
  record.registration_hash = row.hash;
  record.created_at = row.created_at;
  record.updated_at = row.updated_at;
  record.external_ref = row.external_ref;
  record.status = row.status;
  record.await_output = row.output;
  record.last_sequence = row.last_sequence;
  return record;
}

store::StreamEvent to_stream_event(const Event& event, std::string_view replay_key,
                                   std::string_view authority) {
  std::vector<Member> data{{"payload", event.payload}};
  if (!replay_key.empty()) data.push_back({"replay_key", Value(replay_key)});
  if (!authority.empty()) data.push_back({"authority", Value(authority)});
  if (event.semantics.terminal || event.semantics.wake) {
    data.push_back({"semantics", event.semantics.to_value()});
  }
  return {.seq = event.sequence,
          .at = event.occurred_at,
          .type = event.event_type,
          .subject = "",
          .data = to_json(Value::object(std::move(data)))};
}

Value invocation_of(const Registration& registration, std::int64_t sequence,
                    std::string_view event_type, const Value& replay_key, const Value& authority) {
  const auto& session_id = registration.provenance.owner_scope.session_id;
  std::vector<Member> members;
  members.push_back({"scope", Value::object({{"session_id", Value(session_id)}})});
  members.push_back({"subject", Value::object({{"type", "process_event"},
                                               {"process_id", Value(registration.id)},
                                               {"sequence", Value(sequence)},
                                               {"event_type", Value(event_type)}})});
  members.push_back(
      {"caused_by", Value::object({{"type", "process"}, {"process_id", Value(registration.id)}})});
  if (!replay_key.is_null()) {
    members.push_back({"replay", Value::object({{"key", replay_key}})});
  }
  if (!authority.is_null()) members.push_back({"authority", authority});
  return Value::object(std::move(members));
}

Result<Event> from_stream_event(const ProcessRow& row, const Declared& declared,
                                const store::StreamEvent& stored) {
  const auto data = store::parse_stored(stored.data);
  if (!data) return store::in_event(data.error(), row.stream(), stored.seq);
  Event event;
  event.process_id = row.id;
  event.sequence = stored.seq;
  event.event_type = stored.type;
  event.occurred_at = stored.at;
  if (const auto* payload = data->find("payload")) event.payload = *payload;
  if (const auto* semantics = data->find("semantics")) {
    auto made = Materialised::from_value(*semantics, "semantics");
    if (!made) {
      return store::in_event(Error(Code::corrupt, made.error().message()), row.stream(),
                             stored.seq);
    }
    event.semantics = *std::move(made);
  }
  const auto* key = data->find("replay_key");
  const auto* authority = data->find("authority");
  event.invocation =
      invocation_of(declared.registration, stored.seq, stored.type, key == nullptr ? Value() : *key,
                    authority == nullptr ? Value() : *authority);
  return event;
}

std::shared_ptr<const Declared> DeclaredCache::find(std::int64_t number) {
  const Lock lock(mutex_);
  const auto found = known_.find(number);
  return found == known_.end() ? nullptr : found->second;
}

// The oldest processes are asked about least.
void DeclaredCache::put(std::int64_t number, std::shared_ptr<const Declared> declared) {
  const Lock lock(mutex_);
  known_.insert_or_assign(number, std::move(declared));
  if (known_.size() > size_max) known_.erase(known_.begin());
}

}  // namespace clew::process
