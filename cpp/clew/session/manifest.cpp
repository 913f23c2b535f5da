#include "clew/session/manifest.hpp"

#include "clew/session/detail/fields.hpp"
#include "clew/session/head.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

constexpr detail::Word<Place> places[] = {
    {Place::nowhere, "nowhere"}, {Place::blob, "blob"}, {Place::file, "file"}};

const Statement insert_sql(R"sql(
    INSERT INTO attachments (session_id, attachment_id, uri, intent_us, committed_us, place, meta)
    VALUES (:session, :id, :uri, :at, NULL, 'nowhere', NULL)
    ON CONFLICT (session_id, attachment_id) DO NOTHING)sql");
const Statement find_sql(R"sql(
    SELECT session_id, attachment_id, uri, intent_us, committed_us, place, meta FROM attachments
     WHERE session_id = :session AND attachment_id = :id)sql");
const Statement list_sql(R"sql(
    SELECT session_id, attachment_id, uri, intent_us, committed_us, place, meta FROM attachments
     WHERE session_id = :session ORDER BY attachment_id)sql");
const Statement uncommitted_sql(R"sql(
    SELECT session_id, attachment_id, uri, intent_us, committed_us, place, meta FROM attachments
     WHERE committed_us IS NULL AND intent_us <= :until
     ORDER BY intent_us, session_id, attachment_id LIMIT :limit)sql");
const Statement stamp_sql(R"sql(
    UPDATE attachments SET committed_us = COALESCE(committed_us, :now)
     WHERE session_id = :session AND attachment_id = :id)sql");
const Statement place_sql(R"sql(
    UPDATE attachments SET place = :place, meta = :meta
     WHERE session_id = :session AND attachment_id = :id)sql");
const Statement delete_sql(
    "DELETE FROM attachments WHERE session_id = :session AND attachment_id = :id");
const Statement clear_sql("DELETE FROM attachments WHERE session_id = :session");

Result<ManifestEntry> decode(const Row& row) {
  const auto read = [&]() -> Result<ManifestEntry> {
    ManifestEntry entry;
    CLEW_TRY(entry.intent.session_id, store::word_at(row, 0));
    CLEW_TRY(entry.intent.attachment_id, store::word_at(row, 1));
    CLEW_TRY(entry.intent.canonical_uri, row.text(2));
    CLEW_TRY(entry.intent.intent_at, store::instant_at(row, 3));
    if (!row.is_null(4)) {
      CLEW_TRY(entry.committed_at, store::instant_at(row, 4));
    }
    CLEW_TRY(const auto word, row.text(5));
    bool is_known = false;
    for (const auto& each : places) {
      if (each.word != word) continue;
      entry.place = each.value;
      is_known = true;
    }
    if (!is_known) return store::corrupt_column(row, 5, "a place");
    CLEW_TRY(entry.meta, store::json_at(row, 6));
    return entry;
  };
  auto entry = read();
  if (entry) return entry;
  return store::in_row(entry.error(), "attachments",
                       fmt::format("{}/{}", store::shown_at(row, 0), store::shown_at(row, 1)));
}

store::VisitRow into(std::vector<ManifestEntry>& entries) {
  return [&entries](const Row& row) -> Result<void> {
    CLEW_TRY(auto entry, decode(row));
    entries.push_back(std::move(entry));
    return {};
  };
}

}  // namespace

Result<void> record_intent(store::Transaction& tx, const AttachmentIntent& intent) {
  CLEW_TRY(detail::check_id("attachment_id", intent.attachment_id));
  CLEW_TRY(lock_head(tx, intent.session_id));
  CLEW_TRY(tx.post(insert_sql, intent.session_id, intent.attachment_id, intent.canonical_uri,
                   intent.intent_at));
  return {};
}

Result<void> commit_refs(store::Transaction& tx, std::string_view session_id,
                         std::span<const std::string> ids, Timestamp now) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CLEW_TRY(const auto stamped, tx.run(stamp_sql, now, session_id, ids[i]));
    if (stamped == 1) continue;
    return error(Code::not_found, "session {} has no attachment {}", session_id, ids[i])
        .with("path", fmt::format("committed_attachment_ids[{}]", i))
        .with("session_id", session_id)
        .with("attachment_id", ids[i]);
  }
  return {};
}

Result<std::vector<ManifestEntry>> list_uncommitted(store::Transaction& tx, Timestamp until,
                                                    int limit) {
  std::vector<ManifestEntry> entries;
  CLEW_TRY(tx.each(uncommitted_sql, into(entries), until, limit));
  return entries;
}

Result<std::optional<ManifestEntry>> find_entry(store::Transaction& tx, std::string_view session_id,
                                                std::string_view attachment_id) {
  std::vector<ManifestEntry> entries;
  CLEW_TRY(tx.each(find_sql, into(entries), session_id, attachment_id));
  if (entries.empty()) return std::optional<ManifestEntry>();
  return std::optional(std::move(entries.front()));
}

Result<std::vector<ManifestEntry>> list_entries(store::Transaction& tx,
                                                std::string_view session_id) {
  std::vector<ManifestEntry> entries;
  CLEW_TRY(tx.each(list_sql, into(entries), session_id));
  return entries;
}

Result<bool> place_entry(store::Transaction& tx, std::string_view session_id,
                         std::string_view attachment_id, Place place, const Value& meta) {
  CLEW_TRY(const auto placed, tx.run(place_sql, detail::word_of(place, places), to_json(meta),
                                     session_id, attachment_id));
  return placed == 1;
}

Result<bool> forget_entry(store::Transaction& tx, std::string_view session_id,
                          std::string_view attachment_id) {
  CLEW_TRY(const auto removed, tx.run(delete_sql, session_id, attachment_id));
  CLEW_TRY(store::unpin_blob(tx, attachment_holder(session_id), attachment_id));
  return removed == 1;
}

Result<void> forget_entries(store::Transaction& tx, std::string_view session_id) {
  CLEW_TRY(tx.post(clear_sql, session_id));
  return store::unpin_blobs(tx, attachment_holder(session_id));
}

std::string attachment_holder(std::string_view session_id) {
  return fmt::format("attachments:{}", session_id);
}

Value to_value(const ManifestEntry& entry) {
  return detail::object_of(
      {{"attachment_id", entry.intent.attachment_id},
       {"session_id", entry.intent.session_id},
       {"canonical_uri", entry.intent.canonical_uri},
       {"intent_at", entry.intent.intent_at.us},
       {"committed_at", entry.committed_at ? Value(entry.committed_at->us) : Value()},
       {"stored", entry.place != Place::nowhere}});
}

}  // namespace clew::session
