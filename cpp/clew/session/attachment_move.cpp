#include "clew/session/attachment_move.hpp"

#include <vector>

#include "clew/base/sha256.hpp"
#include "clew/session/attachment_files.hpp"
#include "clew/session/detail/attachment_writer.hpp"
#include "clew/session/detail/files.hpp"
#include "clew/session/manifest.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

constexpr int page_rows = 256;

const Statement next_sql(R"sql(
    SELECT attachment_id FROM attachments WHERE place = 'file' AND attachment_id > :after
     GROUP BY attachment_id ORDER BY attachment_id LIMIT :limit)sql");
const Statement holders_sql(R"sql(
    SELECT session_id FROM attachments WHERE place = 'file' AND attachment_id = :id
     ORDER BY session_id)sql");
const Statement place_sql(
    "UPDATE attachments SET place = 'blob' WHERE place = 'file' AND attachment_id = :id");
const Statement no_files_sql("DELETE FROM attachment_files");

Error damaged(std::string_view id, std::string_view what, std::string_view path) {
  return store::in_row(error(Code::corrupt, "attachment {} {}", id, what), "attachments", id)
      .with("attachment_id", id)
      .with("path", path);
}

Result<std::vector<std::string>> words(store::Transaction& tx, const Statement& query,
                                       std::string_view key, std::optional<int> limit) {
  std::vector<std::string> found;
  const auto take = [&found](const Row& row) -> Result<void> {
    CLEW_TRY(found.emplace_back(), store::word_at(row, 0));
    return {};
  };
  if (limit) {
    CLEW_TRY(tx.each(query, take, key, *limit));
  } else {
    CLEW_TRY(tx.each(query, take, key));
  }
  return found;
}

// Gives each part of a file that must be what its name says to `use`; the size.
template <typename Use>
Result<std::int64_t> read_file(const std::string& path, const std::string& id, Use use) {
  CLEW_TRY(const auto file, detail::open_file(path));
  if (!file) return damaged(id, "has lost its file", path);
  Sha256 hash;
  std::int64_t size = 0;
  for (;;) {
    CLEW_TRY(const auto part, detail::read_some(*file, store::blob_part_size, path));
    if (part.empty()) break;
    hash.update(part);
    size += static_cast<std::int64_t>(part.size());
    CLEW_TRY(use(part));
  }
  if (to_hex(hash.digest()) == id) return size;
  return damaged(id, "has other bytes than its id says", path);
}

Result<std::int64_t> into_folder(const std::string& path, const std::string& id,
                                 const std::string& folder, const std::string& name) {
  CLEW_TRY(auto staged,
           detail::StagedFile::create(folder + "/" + std::string(detail::stage_folder), id));
  CLEW_TRY(const auto size,
           read_file(path, id, [&staged](const std::string& part) { return staged.write(part); }));
  CLEW_TRY(staged.sync());
  CLEW_TRY(staged.publish(folder + "/" + name));
  return size;
}

Result<std::int64_t> into_database(store::Transaction& tx, const std::string& path,
                                   const std::string& id, Timestamp now) {
  const auto content = "moved:" + id;
  std::int64_t parts = 0;
  const auto stage = [&](const std::string& part) {
    return store::stage_part(tx, content, parts++, part, now);
  };
  CLEW_TRY(const auto size, read_file(path, id, stage));
  store::StagedBlob staged{id, size, {}, parts == 0 ? "" : content};
  CLEW_TRY(store::put_staged(tx, staged, now));
  CLEW_TRY(const auto holders, words(tx, holders_sql, id, {}));
  for (const auto& session : holders) {
    CLEW_TRY(store::pin_blob(tx, attachment_holder(session), id, now));
  }
  CLEW_TRY(tx.post(place_sql, id));
  return size;
}

}  // namespace

Result<MovedAttachments> move_attachments(store::Transaction& tx, const AttachmentFolders& folders,
                                          Timestamp now) {
  MovedAttachments moved;
  std::string after;
  for (;;) {
    CLEW_TRY(const auto ids, words(tx, next_sql, after, page_rows));
    for (const auto& id : ids) {
      if (!store::is_blob_id(id)) return damaged(id, "has no SHA-256 for its id", "");
      CLEW_TRY(const auto generation, present_generation(tx, id));
      if (folders.from.empty() || generation == 0) return damaged(id, "has lost its file", "");
      const auto name = file_name(id, generation);
      const auto path = folders.from + "/" + name;
      const auto size = folders.to.empty() ? into_database(tx, path, id, now)
                                           : into_folder(path, id, folders.to, name);
      if (!size) return size.error();
      ++moved.count;
      moved.bytes += *size;
      after = id;
    }
    if (ids.size() < page_rows) break;
  }
  if (folders.to.empty()) CLEW_TRY(tx.post(no_files_sql));
  return moved;
}

}  // namespace clew::session
