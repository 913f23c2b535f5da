#include "clew/session/attachment_files.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

// state: writing → present → removing → gone; from the last two a claim begins the next generation.
const Statement make_sql(R"sql(
    INSERT INTO attachment_files (attachment_id, generation, state, touched_us)
    VALUES (:id, 0, 'gone', :now) ON CONFLICT (attachment_id) DO NOTHING)sql");
const Statement lock_sql(R"sql(
    SELECT generation, state FROM attachment_files WHERE attachment_id = :id {for_update})sql");
const Statement find_sql(
    "SELECT generation, state FROM attachment_files WHERE attachment_id = :id");
const Statement begin_sql(R"sql(
    UPDATE attachment_files SET generation = :generation, state = 'writing', touched_us = :now
     WHERE attachment_id = :id)sql");
const Statement touch_sql(
    "UPDATE attachment_files SET touched_us = :now WHERE attachment_id = :id");
const Statement written_sql(R"sql(
    UPDATE attachment_files SET state = 'present', touched_us = :now
     WHERE attachment_id = :id AND generation = :generation AND state IN ('writing', 'present'))sql");
const Statement loose_sql(R"sql(
    SELECT attachment_id, generation, state FROM attachment_files
     WHERE state = 'removing' OR (touched_us < :before AND state IN ('writing', 'present')
       AND NOT EXISTS (SELECT 1 FROM attachments a
                        WHERE a.attachment_id = attachment_files.attachment_id))
     ORDER BY attachment_id {for_update})sql");
// Again under the row's lock: who claimed it meanwhile has an entry for it.
const Statement doom_sql(R"sql(
    UPDATE attachment_files SET state = 'removing'
     WHERE attachment_id = :id AND generation = :generation
       AND (state = 'removing' OR NOT EXISTS
         (SELECT 1 FROM attachments a WHERE a.attachment_id = attachment_files.attachment_id)))sql");
const Statement gone_sql(R"sql(
    UPDATE attachment_files SET state = 'gone'
     WHERE attachment_id = :id AND generation = :generation AND state = 'removing')sql");

struct FileRow {
  std::int64_t generation = 0;
  std::string state;
  bool is_usable() const { return state == "writing" || state == "present"; }
};

Result<FileRow> decode(const Row& row, int first, std::string_view id) {
  FileRow made;
  const auto generation = store::integer_at(row, first, 0);
  if (!generation) return store::in_row(generation.error(), "attachment_files", id);
  made.generation = *generation;
  CLEW_TRY(made.state, store::word_at(row, first + 1));
  if (made.is_usable() || made.state == "removing" || made.state == "gone") return made;
  return store::in_row(store::corrupt_column(row, first + 1, "the state of a file"),
                       "attachment_files", id);
}

Result<std::optional<FileRow>> read(store::Transaction& tx, const Statement& statement,
                                    std::string_view id) {
  std::optional<FileRow> found;
  CLEW_TRY(tx.first(
      statement,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(found, decode(row, 0, id));
        return {};
      },
      id));
  return found;
}

}  // namespace

Result<FileClaim> claim_file(store::Transaction& tx, std::string_view attachment_id,
                             Timestamp now) {
  CLEW_TRY(tx.post(make_sql, attachment_id, now));
  CLEW_TRY(const auto row, read(tx, lock_sql, attachment_id));
  CLEW_CHECK(row.has_value());
  if (row->is_usable()) {
    CLEW_TRY(tx.post(touch_sql, now, attachment_id));
    return FileClaim{row->generation, row->state == "present"};
  }
  CLEW_TRY(tx.post(begin_sql, row->generation + 1, now, attachment_id));
  return FileClaim{row->generation + 1, false};
}

Result<bool> file_written(store::Transaction& tx, std::string_view attachment_id,
                          std::int64_t generation, Timestamp now) {
  CLEW_TRY(const auto changed, tx.run(written_sql, now, attachment_id, generation));
  return changed == 1;
}

Result<std::int64_t> present_generation(store::Transaction& tx, std::string_view attachment_id) {
  CLEW_TRY(const auto row, read(tx, find_sql, attachment_id));
  return row && row->state == "present" ? row->generation : 0;
}

Result<std::vector<DoomedFile>> doom_files(store::Transaction& tx, Timestamp before) {
  std::vector<DoomedFile> loose;
  CLEW_TRY(tx.each(
      loose_sql,
      [&](const Row& row) -> Result<void> {
        DoomedFile each;
        CLEW_TRY(each.attachment_id, store::word_at(row, 0));
        CLEW_TRY(const auto found, decode(row, 1, each.attachment_id));
        each.generation = found.generation;
        loose.push_back(std::move(each));
        return {};
      },
      before));
  std::vector<std::vector<store::Arg>> each;
  for (const auto& file : loose) each.push_back({file.attachment_id, file.generation});
  CLEW_TRY(const auto changed, tx.run_each(doom_sql, each));
  std::vector<DoomedFile> doomed;
  for (std::size_t i = 0; i < loose.size(); ++i) {
    if (changed[i] == 1) doomed.push_back(std::move(loose[i]));
  }
  return doomed;
}

Result<void> file_removed(store::Transaction& tx, const DoomedFile& file) {
  CLEW_TRY(tx.post(gone_sql, file.attachment_id, file.generation));
  return {};
}

std::string file_name(std::string_view attachment_id, std::int64_t generation) {
  const auto name = fmt::format("{}/{}", attachment_id.substr(0, 2), attachment_id.substr(2));
  return generation == 1 ? name : fmt::format("{}.{}", name, generation);
}

}  // namespace clew::session
