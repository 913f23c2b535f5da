// process/detail/rows.hpp: processes as they stand in their table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clew/process/registry.hpp"
#include "clew/store/stream.hpp"

namespace clew::process {

// A process's row without its registration, which the cache mostly has.
struct ProcessRow {
  std::int64_t number = 0;
  std::string id;
  std::string hash;
  Status status = Status::running;
  Value output;
  std::optional<ExternalRef> external_ref;
  std::int64_t last_sequence = 0;
  Timestamp created_at;
  Timestamp updated_at;
  bool is_pruned = false;

  std::int64_t stream() const { return store::stream_of(store::StreamKind::process, number); }
};

// Locks the row until the transaction ends. Nothing when there is none.
Result<std::optional<ProcessRow>> find_row(Transaction& tx, std::string_view id);
// `not_found` when there is none, or it was pruned.
Result<ProcessRow> load_row(Transaction& tx, std::string_view id);
// Those that are not pruned, by id.
Result<std::vector<ProcessRow>> all_rows(Transaction& tx, bool live_only);
Result<Registration> registration_of(Transaction& tx, const ProcessRow& row);
Result<Record> to_record(Transaction& tx, const ProcessRow& row);
// `why` as what is wrong with that process's row.
Error in_process(const Error& why, std::string_view id);

Result<std::shared_ptr<const Declared>> declared_by(Transaction& tx, DeclaredCache& cache,
                                                    const ProcessRow& row);
Result<std::shared_ptr<const Declared>> compile(Registration registration, std::string hash);

// Where an event came from, and why. A key or authority that was not given is null.
Value invocation_of(const Registration& registration, std::int64_t sequence,
                    std::string_view event_type, const Value& replay_key, const Value& authority);

// An event as the stream keeps it, and back.
store::StreamEvent to_stream_event(const Event& event, std::string_view replay_key,
                                   std::string_view authority);
Result<Event> from_stream_event(const ProcessRow& row, const Declared& declared,
                                const store::StreamEvent& stored);

}  // namespace clew::process
