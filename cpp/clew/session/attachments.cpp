#include "clew/session/attachments.hpp"

#include <filesystem>

#include "clew/base/fault.hpp"
#include "clew/session/attachment_files.hpp"
#include "clew/session/detail/attachment_writer.hpp"
#include "clew/session/detail/fields.hpp"
#include "clew/session/detail/files.hpp"
#include "clew/session/head.hpp"

namespace clew::session {
namespace {

using detail::Fields;

FaultPoint sweep_marked("attachment.sweep.marked");

Error not_stored(const std::string& session_id, const std::string& id) {
  return error(Code::not_found, "session {} has stored no attachment {}", session_id, id)
      .with("session_id", session_id)
      .with("attachment_id", id);
}

Error damaged(std::string_view id, std::string_view what) {
  return store::in_row(error(Code::corrupt, "attachment {} {}", id, what), "attachments", id)
      .with("attachment_id", id);
}

Result<AttachmentRef> ref_of(const ManifestEntry& entry) {
  const auto read = [&]() -> Result<AttachmentRef> {
    AttachmentRef ref;
    CLEW_TRY(auto in, Fields::of(entry.meta, "meta"));
    CLEW_TRY(ref.id, in.id("id"));
    CLEW_TRY(ref.byte_len, in.integer("byte_len", 0));
    CLEW_TRY(ref.meta, attachment_meta_from_value(detail::meta_part(entry.meta), "meta"));
    return ref;
  };
  auto ref = read();
  if (ref && ref->id == entry.intent.attachment_id) return ref;
  return damaged(entry.intent.attachment_id,
                 ref ? "has the meta of another" : ref.error().message());
}

class BlobAttachment final : public AttachmentReader {
 public:
  BlobAttachment(AttachmentRef ref, store::BlobReader reader)
      : ref_(std::move(ref)), reader_(std::move(reader)) {}
  const AttachmentRef& ref() const override { return ref_; }
  Result<std::string> next() override { return reader_.next(); }

 private:
  AttachmentRef ref_;
  store::BlobReader reader_;
};

class FileAttachment final : public AttachmentReader {
 public:
  FileAttachment(AttachmentRef ref, detail::Descriptor file, std::string path)
      : ref_(std::move(ref)), file_(std::move(file)), path_(std::move(path)) {}
  const AttachmentRef& ref() const override { return ref_; }
  Result<std::string> next() override {
    CLEW_TRY(auto bytes, detail::read_some(file_, store::blob_part_size, path_));
    hash_.update(bytes);
    if (bytes.empty() && to_hex(hash_.digest()) != ref_.id) {
      return damaged(ref_.id, "has other bytes than its id says").with("path", path_);
    }
    return bytes;
  }

 private:
  AttachmentRef ref_;
  detail::Descriptor file_;
  std::string path_;
  Sha256 hash_;
};

// The names of staged files begin with the time at which they were made.
bool is_stage_before(const std::string& name, Timestamp before) {
  const auto id = Id::parse(name);
  if (!id) return false;
  std::int64_t ms = 0;
  for (int i = 0; i < 6; ++i) ms = ms << 8 | id->bytes[static_cast<std::size_t>(i)];
  return ms < before.us / 1000;
}

}  // namespace

namespace detail {

Value meta_part(const Value& ref) {
  std::vector<Member> members;
  for (const auto* key : {"media_type", "width", "height", "label"}) {
    if (const auto* found = ref.find(key)) members.push_back({key, *found});
  }
  return Value::object(std::move(members));
}

}  // namespace detail

std::string attachment_folder(const store::Database& database) {
  return database.is_memory() ? "" : attachment_folder(database.url());
}

std::string attachment_folder(const std::string& url) {
  const bool is_file = url != ":memory:" && url.find("://") == std::string::npos;
  return is_file ? std::filesystem::absolute(url).lexically_normal().string() + ".attachments" : "";
}

Result<std::unique_ptr<AttachmentWriter>> AttachmentStore::writer(const std::string& session_id,
                                                                  const AttachmentMeta& meta) {
  CLEW_TRY(detail::check_id("session_id", session_id));
  CLEW_TRY(
      attachment_meta_from_value(detail::meta_part(to_value(AttachmentRef{"", 0, meta})), "meta"));
  return detail::make_attachment_writer(database_, env_, options_, session_id, meta);
}

Result<AttachmentRef> AttachmentStore::put(const std::string& session_id, std::string_view bytes,
                                           const AttachmentMeta& meta) {
  CLEW_TRY(const auto made, writer(session_id, meta));
  CLEW_TRY(made->append(bytes));
  return made->finish();
}

Result<std::unique_ptr<AttachmentReader>> AttachmentStore::reader(const std::string& session_id,
                                                                  const std::string& id) {
  std::optional<ManifestEntry> entry;
  std::int64_t generation = 0;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(entry, find_entry(tx, session_id, id));
    CLEW_TRY(generation, present_generation(tx, id));
    return {};
  }));
  if (!entry || entry->place == Place::nowhere) return not_stored(session_id, id);
  CLEW_TRY(auto ref, ref_of(*entry));
  if (entry->place == Place::blob) {
    auto blob = store::BlobReader::open(database_, id);
    if (!blob) {
      return blob.error().code() == Code::not_found ? damaged(id, "has lost its bytes")
                                                    : blob.error();
    }
    return std::make_unique<BlobAttachment>(std::move(ref), *std::move(blob));
  }
  const auto path = options_.folder + "/" + file_name(id, generation);
  CLEW_TRY(auto file, detail::open_file(path));
  if (!file) return damaged(id, "has lost its file").with("path", path);
  return std::make_unique<FileAttachment>(std::move(ref), *std::move(file), path);
}

Result<StoredAttachment> AttachmentStore::get(const std::string& session_id,
                                              const std::string& id) {
  CLEW_TRY(const auto parts, reader(session_id, id));
  StoredAttachment stored{parts->ref(), {}};
  for (;;) {
    CLEW_TRY(const auto part, parts->next());
    if (part.empty()) break;
    stored.bytes += part;
  }
  if (static_cast<std::int64_t>(stored.bytes.size()) == stored.ref.byte_len) return stored;
  return damaged(id, "has another size than its meta says");
}

Result<AttachmentRef> AttachmentStore::stat(const std::string& session_id, const std::string& id) {
  std::optional<ManifestEntry> entry;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(entry, find_entry(tx, session_id, id));
    return {};
  }));
  if (!entry || entry->place == Place::nowhere) return not_stored(session_id, id);
  return ref_of(*entry);
}

Result<std::vector<AttachmentRef>> AttachmentStore::list(const std::string& session_id) {
  std::vector<ManifestEntry> entries;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(entries, list_entries(tx, session_id));
    return {};
  }));
  std::vector<AttachmentRef> refs;
  for (const auto& entry : entries) {
    if (entry.place == Place::nowhere) continue;
    CLEW_TRY(refs.emplace_back(), ref_of(entry));
  }
  return refs;
}

Result<void> AttachmentStore::record_intent(const AttachmentIntent& intent) {
  CLEW_TRY(
      database_.write([&](store::Transaction& tx) { return session::record_intent(tx, intent); }));
  return {};
}

Result<void> AttachmentStore::commit_refs(const std::string& session_id,
                                          const std::vector<std::string>& ids) {
  const auto now = env_.clock().now();
  CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(lock_head(tx, session_id));
    return session::commit_refs(tx, session_id, ids, now);
  }));
  return {};
}

Result<std::vector<ManifestEntry>> AttachmentStore::list_uncommitted(Timestamp until) {
  std::vector<ManifestEntry> entries;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(entries, session::list_uncommitted(tx, until));
    return {};
  }));
  return entries;
}

Result<bool> AttachmentStore::forget(const std::string& session_id, const std::string& id) {
  bool was_there = false;
  CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(was_there, forget_entry(tx, session_id, id));
    return {};
  }));
  return was_there;
}

Result<AttachmentSweep> AttachmentStore::sweep(Timestamp before) {
  AttachmentSweep report;
  if (options_.folder.empty()) return report;
  std::vector<DoomedFile> doomed;
  CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(doomed, doom_files(tx, before));
    return {};
  }));
  CLEW_TRY(sweep_marked.hit());
  for (const auto& each : doomed) {
    for (std::int64_t generation = 1; generation <= each.generation; ++generation) {
      CLEW_TRY(
          detail::remove_file(options_.folder + "/" + file_name(each.attachment_id, generation)));
    }
    CLEW_TRY(database_.write([&](store::Transaction& tx) { return file_removed(tx, each); }));
    ++report.deleted_files;
  }
  const auto stages = options_.folder + "/" + std::string(detail::stage_folder);
  std::error_code ignored;  // no folder, no stages
  for (const auto& each : std::filesystem::directory_iterator(stages, ignored)) {
    if (!is_stage_before(each.path().filename().string(), before)) continue;
    CLEW_TRY(detail::remove_file(each.path().string()));
    ++report.deleted_stages;
  }
  return report;
}

Value to_value(const AttachmentRef& ref) {
  const auto number = [](const std::optional<std::int64_t>& given) {
    return given ? Value(*given) : Value();
  };
  return detail::object_of({{"id", ref.id},
                            {"byte_len", ref.byte_len},
                            {"media_type", ref.meta.media_type},
                            {"width", number(ref.meta.width)},
                            {"height", number(ref.meta.height)},
                            {"label", detail::text_or_null(ref.meta.label)}});
}

Result<AttachmentMeta> attachment_meta_from_value(const Value& value, const std::string& path) {
  AttachmentMeta meta;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(meta.media_type, in.id("media_type"));
  if (in.has("width")) {
    CLEW_TRY(meta.width, in.integer("width", 0));
  }
  if (in.has("height")) {
    CLEW_TRY(meta.height, in.integer("height", 0));
  }
  CLEW_TRY(meta.label, in.text("label"));
  CLEW_TRY(in.end());
  return meta;
}

}  // namespace clew::session
