#include "clew/store/blob.hpp"

#include <algorithm>

namespace clew::store {
namespace {

// blobs.content names the parts of a large content: they are written before its hash is known, and
// found under the same name afterwards, so that finishing rewrites none of them.
// blob_stages: contents of writers that have not finished.
constexpr const char* tables_sql = R"sql(
CREATE TABLE blobs (
  hash TEXT NOT NULL PRIMARY KEY,
  size {integer} NOT NULL,
  data {blob},
  content TEXT,
  touched_us {integer} NOT NULL
) {table};
CREATE INDEX blobs_touched ON blobs (touched_us);

CREATE TABLE blob_chunks (
  content TEXT NOT NULL,
  part {integer} NOT NULL,
  data {blob} NOT NULL,
  PRIMARY KEY (content, part)
) {table};

CREATE TABLE blob_stages (
  content TEXT NOT NULL PRIMARY KEY,
  begun_us {integer} NOT NULL
) {clustered};

CREATE TABLE blob_pins (
  holder TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (holder, hash)
) {clustered};
CREATE INDEX blob_pins_hash ON blob_pins (hash);
)sql";

// The update locks the row: a sweep at the same time looks at it again, or has taken it before.
const Statement touch_sql(R"sql(
    UPDATE blobs SET touched_us = CASE WHEN touched_us < :now THEN :now ELSE touched_us END
     WHERE hash = :hash)sql");
const Statement insert_sql(R"sql(
    INSERT INTO blobs (hash, size, data, content, touched_us)
    VALUES (:hash, :size, :data, :content, :now)
    ON CONFLICT (hash) DO UPDATE SET touched_us =
      CASE WHEN blobs.touched_us < excluded.touched_us THEN excluded.touched_us
           ELSE blobs.touched_us END)sql");
const Statement find_sql("SELECT hash, size, touched_us, content FROM blobs WHERE hash = :hash");
const Statement data_sql("SELECT hash, size, data, content FROM blobs WHERE hash = :hash");
const Statement insert_chunk_sql(
    "INSERT INTO blob_chunks (content, part, data) VALUES (:content, :part, :data)");
const Statement chunks_sql(
    "SELECT part, data FROM blob_chunks WHERE content = :content ORDER BY part");
const Statement chunk_sql(
    "SELECT part, data FROM blob_chunks WHERE content = :content AND part = :part");
const Statement delete_chunks_sql("DELETE FROM blob_chunks WHERE content = :content");
const Statement begin_stage_sql(
    "INSERT INTO blob_stages (content, begun_us) VALUES (:content, :now)");
const Statement end_stage_sql("DELETE FROM blob_stages WHERE content = :content");
const Statement old_stages_sql(
    "SELECT content FROM blob_stages WHERE begun_us < :before ORDER BY content {for_update}");
const Statement pin_sql(R"sql(
    INSERT INTO blob_pins (holder, hash) VALUES (:holder, :hash)
    ON CONFLICT (holder, hash) DO NOTHING)sql");
const Statement unpin_all_sql("DELETE FROM blob_pins WHERE holder = :holder");
const Statement unpin_sql("DELETE FROM blob_pins WHERE holder = :holder AND hash = :hash");
const Statement loose_sql(R"sql(
    SELECT hash, size, content FROM blobs
     WHERE touched_us < :before
       AND NOT EXISTS (SELECT 1 FROM blob_pins p WHERE p.hash = blobs.hash)
     ORDER BY hash {for_update})sql");
// Again under the row's lock: who pinned it meanwhile has held it.
const Statement delete_sql(R"sql(
    DELETE FROM blobs WHERE hash = :hash AND touched_us < :before
       AND NOT EXISTS (SELECT 1 FROM blob_pins p WHERE p.hash = blobs.hash))sql");
const Statement pinned_sql(R"sql(
    SELECT DISTINCT p.hash, b.hash FROM blob_pins p LEFT JOIN blobs b ON b.hash = p.hash
     ORDER BY p.hash)sql");
const Statement count_sql("SELECT COUNT(*) FROM blobs");
const Statement hashes_sql("SELECT hash FROM blobs ORDER BY hash");

Error damaged(std::string_view hash, std::string_view what) {
  return in_row(error(Code::corrupt, "blob {} {}", hash, what), "blobs", hash).with("hash", hash);
}

Error too_large(std::int64_t size, std::int64_t size_max) {
  return error(Code::resource_exhausted, "a blob of {} bytes is larger than {}", size, size_max)
      .with("size", size)
      .with("size_max", size_max);
}

struct Found {
  BlobInfo info;
  std::optional<std::string> data;
  std::string content;
};

Result<void> check_hash(const Row& row) {
  CLEW_TRY(const auto hash, row.text(0));
  if (!is_blob_id(hash)) return corrupt_column(row, 0, "a SHA-256 in hexadecimal");
  return {};
}

Result<std::optional<Found>> find_with_data(Transaction& tx, std::string_view hash) {
  std::optional<Found> found;
  CLEW_TRY(tx.first(
      data_sql,
      [&](const Row& row) -> Result<void> {
        found.emplace();
        found->info.hash = std::string(hash);
        const auto size = integer_at(row, 1, 0);
        if (!size) return in_row(size.error(), "blobs", hash);
        found->info.size = *size;
        CLEW_TRY(found->content, text_at(row, 3));
        if (!row.is_null(2)) {
          CLEW_TRY(const auto bytes, row.blob(2));
          found->data = std::string(bytes);
        }
        if (found->data.has_value() == !found->content.empty()) {
          return damaged(hash, "has neither bytes nor parts, or both");
        }
        return {};
      },
      hash));
  return found;
}

// What stands under the id after inserting must be as large as what was put.
Result<void> check_size(Transaction& tx, std::string_view hash, std::int64_t size) {
  CLEW_TRY(const auto found, find_blob(tx, hash));
  if (found && found->size == size) return {};
  return damaged(hash, fmt::format("is {} bytes, not {}", found ? found->size : -1, size));
}

Result<void> insert_parts(Transaction& tx, std::string_view content, std::string_view bytes) {
  for (std::int64_t part = 0; !bytes.empty(); ++part) {
    const auto data = bytes.substr(0, blob_part_size);
    CLEW_TRY(tx.post(insert_chunk_sql, content, part, Blob{data}));
    bytes.remove_prefix(data.size());
  }
  return {};
}

// Whose parts stand under it: the same for the same content, so that two who put it in whole do not
// leave two sets.
std::string content_of(std::string_view hash) { return fmt::format("whole:{}", hash); }

}  // namespace

Migration blob_migration(int version) { return {version, "blobs", tables_sql}; }

std::string blob_id(std::string_view bytes) { return to_hex(sha256(bytes)); }

bool is_blob_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::string> put_blob(Transaction& tx, std::string_view bytes, Timestamp now,
                             const BlobLimits& limits) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (size > limits.size_max) return too_large(size, limits.size_max);
  auto hash = blob_id(bytes);
  CLEW_TRY(const auto touched, tx.run(touch_sql, now, hash));
  if (touched == 0) {
    if (bytes.size() <= blob_part_size) {
      CLEW_TRY(tx.post(insert_sql, hash, size, Blob{bytes}, nullptr, now));
    } else {
      const auto content = content_of(hash);
      CLEW_TRY(tx.post(insert_sql, hash, size, nullptr, content, now));
      // Whoever was first has put the parts in the same transaction.
      CLEW_TRY(const auto found, find_with_data(tx, hash));
      CLEW_CHECK(found.has_value());
      bool has_parts = false;
      CLEW_TRY(has_parts,
               tx.first(chunk_sql, [](const Row&) -> Result<void> { return {}; }, content, 0));
      if (found->content == content && !has_parts) {
        CLEW_TRY(insert_parts(tx, content, bytes));
      }
    }
  }
  CLEW_TRY(check_size(tx, hash, size));
  return hash;
}

Result<std::optional<BlobInfo>> find_blob(Transaction& tx, std::string_view hash) {
  std::optional<BlobInfo> info;
  CLEW_TRY(tx.first(
      find_sql,
      [&](const Row& row) -> Result<void> {
        const auto size = integer_at(row, 1, 0);
        if (!size) return in_row(size.error(), "blobs", hash);
        const auto touched = instant_at(row, 2);
        if (!touched) return in_row(touched.error(), "blobs", hash);
        info = BlobInfo{std::string(hash), *size, *touched};
        return {};
      },
      hash));
  return info;
}

Result<std::optional<std::string>> get_blob(Transaction& tx, std::string_view hash,
                                            const BlobLimits& limits) {
  CLEW_TRY(auto found, find_with_data(tx, hash));
  if (!found) return std::optional<std::string>();
  if (found->info.size > limits.size_max) return too_large(found->info.size, limits.size_max);
  std::string bytes = std::move(found->data).value_or("");
  if (!found->content.empty()) {
    std::int64_t expected = 0;
    CLEW_TRY(tx.each(
        chunks_sql,
        [&](const Row& row) -> Result<void> {
          CLEW_TRY(const auto part, row.integer(0));
          if (part != expected++) return damaged(hash, "lacks a part");
          CLEW_TRY(const auto data, row.blob(1));
          bytes += data;
          return {};
        },
        found->content));
  }
  if (static_cast<std::int64_t>(bytes.size()) != found->info.size || blob_id(bytes) != hash) {
    return damaged(hash, "has other bytes than its id says");
  }
  return std::optional<std::string>(std::move(bytes));
}

Result<void> pin_blob(Transaction& tx, std::string_view holder, std::string_view hash,
                      Timestamp now) {
  CLEW_TRY(const auto touched, tx.run(touch_sql, now, hash));
  if (touched == 0) return error(Code::not_found, "there is no blob {}", hash).with("hash", hash);
  CLEW_TRY(tx.post(pin_sql, holder, hash));
  return {};
}

Result<void> unpin_blobs(Transaction& tx, std::string_view holder) {
  CLEW_TRY(tx.post(unpin_all_sql, holder));
  return {};
}

Result<void> unpin_blob(Transaction& tx, std::string_view holder, std::string_view hash) {
  CLEW_TRY(tx.post(unpin_sql, holder, hash));
  return {};
}

namespace {

struct Loose {
  std::string hash;
  std::int64_t size = 0;
  std::string content;
};

Result<std::vector<Loose>> loose_blobs(Transaction& tx, Timestamp before) {
  std::vector<Loose> all;
  CLEW_TRY(tx.each(
      loose_sql,
      [&](const Row& row) -> Result<void> {
        Loose each;
        CLEW_TRY(check_hash(row));
        CLEW_TRY(each.hash, word_at(row, 0));
        const auto size = integer_at(row, 1, 0);
        if (!size) return in_row(size.error(), "blobs", each.hash);
        each.size = *size;
        CLEW_TRY(each.content, text_at(row, 2));
        all.push_back(std::move(each));
        return {};
      },
      before));
  return all;
}

Result<void> sweep_stages(Transaction& tx, Timestamp before) {
  std::vector<std::string> stages;
  CLEW_TRY(tx.each(
      old_stages_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(stages.emplace_back(), word_at(row, 0));
        return {};
      },
      before));
  for (const auto& stage : stages) {
    CLEW_TRY(tx.post(delete_chunks_sql, stage));
    CLEW_TRY(tx.post(end_stage_sql, stage));
  }
  return {};
}

// Roots that were given and are not pinned, and roots that are not there.
Result<void> count_roots(Transaction& tx, std::span<const std::string> roots, BlobSweep& report) {
  std::vector<std::string> known;
  CLEW_TRY(tx.each(pinned_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto hash, word_at(row, 0));
    if (row.is_null(1)) report.missing.push_back(hash);
    known.push_back(std::move(hash));
    return {};
  }));
  report.roots = static_cast<std::int64_t>(known.size());
  for (const auto& root : roots) {
    if (std::ranges::find(known, root) != known.end()) continue;
    ++report.roots;
    CLEW_TRY(const auto found, find_blob(tx, root));
    if (!found) report.missing.push_back(root);
  }
  return {};
}

}  // namespace

Result<BlobSweep> sweep_blobs(Transaction& tx, std::span<const std::string> roots,
                              Timestamp before) {
  BlobSweep report;
  std::vector<std::string> kept(roots.begin(), roots.end());
  std::ranges::sort(kept);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  CLEW_TRY(count_roots(tx, kept, report));
  CLEW_TRY(const auto loose, loose_blobs(tx, before));
  for (const auto& each : loose) {
    if (std::ranges::binary_search(kept, each.hash)) continue;
    CLEW_TRY(const auto gone, tx.run(delete_sql, each.hash, before));
    if (gone == 0) continue;
    if (!each.content.empty()) CLEW_TRY(tx.post(delete_chunks_sql, each.content));
    ++report.deleted;
    report.deleted_bytes += each.size;
  }
  CLEW_TRY(sweep_stages(tx, before));
  CLEW_TRY(tx.first(count_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(report.retained, row.integer(0));
    return {};
  }));
  return report;
}

Result<void> check_blobs(Transaction& tx, const ReportRow& report) {
  std::vector<std::string> hashes;
  CLEW_TRY(tx.each(hashes_sql, [&](const Row& row) -> Result<void> {
    if (auto sound = check_hash(row); !sound) {
      report(in_row(sound.error(), "blobs", shown_at(row, 0)));
      return {};
    }
    CLEW_TRY(hashes.emplace_back(), word_at(row, 0));
    return {};
  }));
  for (const auto& hash : hashes) {
    const auto bytes = get_blob(tx, hash, {.size_max = INT64_MAX});
    if (!bytes && bytes.error().code() != Code::corrupt) return bytes.error();
    if (!bytes) report(bytes.error());
  }
  return {};
}

Result<void> stage_part(Transaction& tx, std::string_view content, std::int64_t part,
                        std::string_view bytes, Timestamp now) {
  if (part == 0) CLEW_TRY(tx.post(begin_stage_sql, content, now));
  CLEW_TRY(tx.post(insert_chunk_sql, content, part, Blob{bytes}));
  return {};
}

Result<void> put_staged(Transaction& tx, const StagedBlob& staged, Timestamp now) {
  if (staged.content.empty()) {
    CLEW_TRY(put_blob(tx, staged.bytes, now, {.size_max = INT64_MAX}));
    return {};
  }
  // Whoever sweeps stages has taken the parts with it.
  CLEW_TRY(const auto ended, tx.run(end_stage_sql, staged.content));
  CLEW_TRY(tx.post(insert_sql, staged.hash, staged.size, nullptr, staged.content, now));
  CLEW_TRY(const auto found, find_with_data(tx, staged.hash));
  if (!found || found->info.size != staged.size) {
    return damaged(staged.hash, fmt::format("is not {} bytes", staged.size));
  }
  if (found->content != staged.content) {
    CLEW_TRY(tx.post(delete_chunks_sql, staged.content));  // the bytes are there already
  } else if (ended == 0) {
    return error(Code::conflict, "what was staged as {} has been swept away", staged.content)
        .with("hash", staged.hash)
        .with("swept", true);
  }
  return {};
}

Result<void> BlobWriter::append(std::string_view bytes) {
  const auto size = size_ + static_cast<std::int64_t>(bytes.size());
  if (size > limits_.size_max) return too_large(size, limits_.size_max);
  size_ = size;
  hash_.update(bytes);
  while (!bytes.empty()) {
    // A full part is written when more follows, so that one part alone stays in memory.
    if (waiting_.size() == blob_part_size) CLEW_TRY(write_part());
    const auto taken = bytes.substr(0, blob_part_size - waiting_.size());
    waiting_ += taken;
    bytes.remove_prefix(taken.size());
  }
  return {};
}

Result<void> BlobWriter::write_part() {
  const auto now = env_.clock().now();
  if (content_.empty()) content_ = env_.ids().next().to_string();
  CLEW_TRY(database_.write(
      [&](Transaction& tx) { return stage_part(tx, content_, parts_, waiting_, now); },
      Durability::relaxed));
  ++parts_;
  waiting_.clear();
  return {};
}

Result<StagedBlob> BlobWriter::finish() {
  StagedBlob staged;
  if (content_.empty()) {
    staged.bytes = std::move(waiting_);
  } else if (!waiting_.empty()) {
    CLEW_TRY(write_part());
  }
  staged.hash = to_hex(hash_.digest());
  staged.size = size_;
  staged.content = content_;
  return staged;
}

Result<BlobReader> BlobReader::open(Database& database, std::string hash) {
  BlobReader reader(database, std::move(hash));
  bool is_there = false;
  CLEW_TRY(database.read([&](Transaction& tx) -> Result<void> {
    is_there = false;
    CLEW_TRY(is_there, tx.first(
                           find_sql,
                           [&](const Row& row) -> Result<void> {
                             const auto size = integer_at(row, 1, 0);
                             if (!size) return in_row(size.error(), "blobs", reader.hash_);
                             reader.size_ = *size;
                             CLEW_TRY(reader.content_, text_at(row, 3));
                             return {};
                           },
                           reader.hash_));
    return {};
  }));
  if (!is_there) {
    return error(Code::not_found, "there is no blob {}", reader.hash_).with("hash", reader.hash_);
  }
  return reader;
}

Result<std::string> BlobReader::next() {
  if (read_ == size_) {
    if (to_hex(check_.digest()) != hash_) {
      return damaged(hash_, "has other bytes than its id says");
    }
    return std::string();
  }
  std::string bytes;
  bool is_there = false;
  const auto take = [&](int column) {
    return [&, column](const Row& row) -> Result<void> {
      if (row.is_null(column)) return damaged(hash_, "has neither bytes nor parts");
      CLEW_TRY(const auto data, row.blob(column));
      bytes = std::string(data);
      return {};
    };
  };
  CLEW_TRY(database_->read([&](Transaction& tx) -> Result<void> {
    if (content_.empty()) {
      CLEW_TRY(is_there, tx.first(data_sql, take(2), hash_));
      return {};
    }
    CLEW_TRY(is_there, tx.first(chunk_sql, take(1), content_, part_));
    if (is_there) return {};
    CLEW_TRY(const auto still, find_blob(tx, hash_));
    if (still) return damaged(hash_, fmt::format("lacks part {}", part_));
    return {};
  }));
  if (!is_there) {
    return error(Code::not_found, "blob {} was removed while it was read", hash_)
        .with("hash", hash_);
  }
  ++part_;
  read_ += static_cast<std::int64_t>(bytes.size());
  if (bytes.empty() || read_ > size_) return damaged(hash_, "has another size than it says");
  check_.update(bytes);
  return bytes;
}

}  // namespace clew::store
