// store/blob.hpp: bytes that are named by what they are: their id is their SHA-256.
//
// Small contents are one row, large ones a row and parts. What nobody pins is swept away some time
// after it was last put. Functions that take a Transaction hold the whole content in memory; writer
// and reader hold one part, for contents of any size.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/sha256.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::store {

// The tables blobs, blob_chunks, blob_stages and blob_pins.
Migration blob_migration(int version);

inline constexpr std::size_t blob_part_size = std::size_t{256} * 1024;

struct BlobLimits {
  std::int64_t size_max = std::int64_t{1} << 32;  // of one blob
};

// A stored blob. A value.
struct BlobInfo {
  std::string hash;  // lower-case hexadecimal
  std::int64_t size = 0;
  Timestamp touched_at;  // when it was last put or pinned
};

// The id of `bytes`.
std::string blob_id(std::string_view bytes);
// Whether `text` can be the id of a blob.
bool is_blob_id(std::string_view text);

// Stores `bytes`; when they are stored already only their time moves on. Their id.
// Errors: `resource_exhausted` beyond `size_max`, with `size` and `size_max`; `corrupt` when what
// stands under the id has another size.
Result<std::string> put_blob(Transaction& tx, std::string_view bytes, Timestamp now,
                             const BlobLimits& limits = {});
Result<std::optional<BlobInfo>> find_blob(Transaction& tx, std::string_view hash);
// The content; nothing when there is no such blob. Errors: `corrupt` naming the hash when the bytes
// are not what it says; `resource_exhausted` when there are more than `limits` allows.
Result<std::optional<std::string>> get_blob(Transaction& tx, std::string_view hash,
                                            const BlobLimits& limits = {});

// Says that `holder` needs the blob, so that no sweep takes it. Idempotent. `not_found` when there
// is none.
Result<void> pin_blob(Transaction& tx, std::string_view holder, std::string_view hash,
                      Timestamp now);
// What `holder` pinned is needed no more, at least not by it.
Result<void> unpin_blobs(Transaction& tx, std::string_view holder);
Result<void> unpin_blob(Transaction& tx, std::string_view holder, std::string_view hash);

// What a sweep did. `missing` tells of damage: pinned or given as a root, and not there.
struct BlobSweep {
  std::int64_t roots = 0;     // blobs that are pinned or given as roots
  std::int64_t retained = 0;  // blobs that stay: roots, and those put too recently
  std::int64_t deleted = 0;
  std::int64_t deleted_bytes = 0;
  std::vector<std::string> missing;
};
// Deletes every blob that is neither pinned nor among `roots` and was last put or pinned before
// `before`, and what writers left behind that began before then. Whoever puts one of them at the
// same time finds it whole, or puts it anew.
Result<BlobSweep> sweep_blobs(Transaction& tx, std::span<const std::string> roots,
                              Timestamp before);

// Reads every row and all bytes, and reports what cannot be.
Result<void> check_blobs(Transaction& tx, const ReportRow& report);

// A content that a BlobWriter has taken, not yet stored under its id. A value.
struct StagedBlob {
  std::string hash;
  std::int64_t size = 0;
  std::string bytes;    // of a small one
  std::string content;  // of a large one: under which its parts stand
};
// Writes a part of a content that put_staged() is to store, in order from 0. What is not put in the
// end, a later sweep removes.
Result<void> stage_part(Transaction& tx, std::string_view content, std::int64_t part,
                        std::string_view bytes, Timestamp now);
// Stores it under its id, like put_blob().
Result<void> put_staged(Transaction& tx, const StagedBlob& staged, Timestamp now);

// Takes a content of any size part by part: small ones in memory, the parts of large ones each with
// a commit of its own. What is not put in the end, a later sweep removes. External; blocks.
class BlobWriter {
 public:
  BlobWriter(Database& database, Env& env, BlobLimits limits = {})
      : database_(database), env_(env), limits_(limits) {}
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  // Errors: `resource_exhausted` beyond `size_max`; those of the database.
  Result<void> append(std::string_view bytes);
  // What there is to be put. Call it once.
  Result<StagedBlob> finish();

 private:
  Result<void> write_part();
  Database& database_;
  Env& env_;
  const BlobLimits limits_;
  Sha256 hash_;
  std::int64_t size_ = 0;
  std::int64_t parts_ = 0;
  std::string waiting_;
  std::string content_;
};

// Gives a content part by part, each read on its own. External; blocks.
class BlobReader {
 public:
  // `not_found` when there is no such blob.
  static Result<BlobReader> open(Database& database, std::string hash);
  const std::string& hash() const { return hash_; }
  std::int64_t size() const { return size_; }
  // The next part; empty at the end. Errors: `corrupt` naming the hash when a part is missing, or
  // at the end when the bytes were not what the hash says; `not_found` when it was swept meanwhile.
  Result<std::string> next();

 private:
  explicit BlobReader(Database& database, std::string hash)
      : database_(&database), hash_(std::move(hash)) {}
  Database* database_;
  std::string hash_;
  std::string content_;
  std::int64_t size_ = 0;
  std::int64_t read_ = 0;
  std::int64_t part_ = 0;
  Sha256 check_;
};

}  // namespace clew::store
