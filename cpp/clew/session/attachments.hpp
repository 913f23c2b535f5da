// session/attachments.hpp: the bytes of attachments, named by their SHA-256.
//
// An intent is recorded before the bytes are stored, and the entry says where they are only once
// they are safe on the disk: a crash leaves an intent, never an entry without bytes. Small contents
// are blobs of the database; large ones files in a folder beside it, where there is one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/session/manifest.hpp"
#include "clew/store/blob.hpp"

namespace clew::session {

struct AttachmentOptions {
  std::string folder;                                // for files; empty: all are in the database
  std::size_t inline_max = std::size_t{256} * 1024;  // larger are files; higher: a larger database
  std::int64_t size_max = std::int64_t{4} << 30;
};

// The folder that belongs to a database: "<file>.attachments", empty for one that is no file.
std::string attachment_folder(const store::Database& database);
std::string attachment_folder(const std::string& url);

// What its owner says of an attachment.
struct AttachmentMeta {
  std::string media_type;  // "image/png"
  std::optional<std::int64_t> width;
  std::optional<std::int64_t> height;
  std::string label;  // empty: none
  friend bool operator==(const AttachmentMeta&, const AttachmentMeta&) = default;
};

struct AttachmentRef {
  std::string id;
  std::int64_t byte_len = 0;
  AttachmentMeta meta;
  friend bool operator==(const AttachmentRef&, const AttachmentRef&) = default;
};

struct StoredAttachment {
  AttachmentRef ref;
  std::string bytes;
};

struct AttachmentSweep {
  std::int64_t deleted_files = 0;
  std::int64_t deleted_stages = 0;  // what writers left behind
};

// Takes a content of any size part by part, holding one part in memory. What is not finished leaves
// nothing. External; blocks.
class AttachmentWriter {
 public:
  virtual ~AttachmentWriter() = default;
  // Errors: `resource_exhausted` beyond size_max or on a full disk.
  virtual Result<void> append(std::string_view bytes) = 0;
  // Stores it. Call it once. Errors: `conflict` when the session is deleted, or the attachment
  // was forgotten while it was stored.
  virtual Result<AttachmentRef> finish() = 0;
};

// Gives a content part by part. External; blocks.
class AttachmentReader {
 public:
  virtual ~AttachmentReader() = default;
  virtual const AttachmentRef& ref() const = 0;
  // Empty at the end. `corrupt` naming the id when bytes are missing or not what the id says.
  virtual Result<std::string> next() = 0;
};

// Attachments of all sessions. Thread-safe; borrows what it is made with. Everything blocks for the
// disk.
class AttachmentStore {
 public:
  AttachmentStore(store::Database& database, Env& env, AttachmentOptions options = {})
      : database_(database), env_(env), options_(std::move(options)) {}

  // Stores bytes for a session. The same bytes again are the same attachment, whose first meta
  // stays. `invalid_input` with the path of what is wrong in `meta`.
  Result<AttachmentRef> put(const std::string& session_id, std::string_view bytes,
                            const AttachmentMeta& meta);
  Result<std::unique_ptr<AttachmentWriter>> writer(const std::string& session_id,
                                                   const AttachmentMeta& meta);

  // `not_found` for what the session has not stored; `corrupt` as above.
  Result<StoredAttachment> get(const std::string& session_id, const std::string& id);
  Result<std::unique_ptr<AttachmentReader>> reader(const std::string& session_id,
                                                   const std::string& id);
  Result<AttachmentRef> stat(const std::string& session_id, const std::string& id);
  // What the session has stored, by id.
  Result<std::vector<AttachmentRef>> list(const std::string& session_id);

  Result<void> record_intent(const AttachmentIntent& intent);
  Result<void> commit_refs(const std::string& session_id, const std::vector<std::string>& ids);
  Result<std::vector<ManifestEntry>> list_uncommitted(Timestamp until);
  // The session needs it no more. Its bytes go with a later sweep, when nobody else does.
  Result<bool> forget(const std::string& session_id, const std::string& id);

  // Removes files that nobody has needed since `before`; blobs are sweep_blobs()'s. A put at the
  // same time keeps or writes what it needs.
  Result<AttachmentSweep> sweep(Timestamp before);

 private:
  store::Database& database_;
  Env& env_;
  const AttachmentOptions options_;
};

Value to_value(const AttachmentRef& ref);
Result<AttachmentMeta> attachment_meta_from_value(const Value& value, const std::string& path);

}  // namespace clew::session
