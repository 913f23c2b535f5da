// Storing attachments; attachments.cpp has the rest.
#include "clew/session/detail/attachment_writer.hpp"

#include "clew/base/fault.hpp"
#include "clew/session/attachment_files.hpp"
#include "clew/session/detail/fields.hpp"
#include "clew/session/detail/files.hpp"
#include "clew/session/head.hpp"

namespace clew::session::detail {
namespace {

FaultPoint after_intent("attachment.intent.after");
FaultPoint before_publish("attachment.publish.before");
FaultPoint after_publish("attachment.publish.after");

class Writer final : public AttachmentWriter {
 public:
  Writer(store::Database& database, Env& env, const AttachmentOptions& options,
         std::string session_id, AttachmentMeta meta)
      : database_(database),
        env_(env),
        options_(options),
        session_id_(std::move(session_id)),
        meta_(std::move(meta)) {}

  Result<void> append(std::string_view bytes) override {
    size_ += static_cast<std::int64_t>(bytes.size());
    if (size_ > options_.size_max) {
      return error(Code::resource_exhausted, "an attachment of {} bytes is larger than {}", size_,
                   options_.size_max)
          .with("size", size_)
          .with("size_max", options_.size_max);
    }
    hash_.update(bytes);
    if (file_) return file_->write(bytes);
    if (blob_) return blob_->append(bytes);
    waiting_ += bytes;
    if (waiting_.size() <= options_.inline_max) return {};
    return spill();
  }

  Result<AttachmentRef> finish() override {
    ref_ = {to_hex(hash_.digest()), size_, meta_};
    if (file_) {
      CLEW_TRY(file_->sync());
    } else if (blob_) {
      CLEW_TRY(staged_, blob_->finish());
    } else {
      staged_ = {ref_.id, size_, std::move(waiting_), {}};
    }
    CLEW_TRY(intend());
    CLEW_TRY(after_intent.hit());
    if (file_) CLEW_TRY(publish());
    CLEW_TRY(place());
    return ref_;
  }

 private:
  // What is too large to be kept in memory goes where it will stay.
  Result<void> spill() {
    if (options_.folder.empty()) {
      blob_.emplace(database_, env_, store::BlobLimits{options_.size_max});
      CLEW_TRY(blob_->append(std::exchange(waiting_, {})));
      return {};
    }
    CLEW_TRY(auto file, StagedFile::create(options_.folder + "/" + std::string(stage_folder),
                                           env_.ids().next().to_string()));
    file_.emplace(std::move(file));
    return file_->write(std::exchange(waiting_, {}));
  }

  Result<void> intend() {
    const auto now = env_.clock().now();
    CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(record_intent(tx, {ref_.id, session_id_, "attachment:" + ref_.id, now}));
      if (file_) {
        CLEW_TRY(claim_, claim_file(tx, ref_.id, now));
      }
      return {};
    }));
    return {};
  }

  Result<void> publish() {
    const auto path = options_.folder + "/" + file_name(ref_.id, claim_.generation);
    CLEW_TRY(before_publish.hit());
    CLEW_TRY(const auto there, file_size(path));
    // What is there with the right size was written whole: by rename.
    if (!claim_.is_present || there != size_) CLEW_TRY(file_->publish(path));
    return after_publish.hit();
  }

  Result<void> place() {
    bool is_kept = false;
    const auto now = env_.clock().now();
    CLEW_TRY(database_.write([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(lock_head(tx, session_id_));
      CLEW_TRY(is_kept, place_in(tx, now));
      return {};
    }));
    if (is_kept) return {};
    return error(Code::conflict, "attachment {} was forgotten while it was stored", ref_.id)
        .with("session_id", session_id_)
        .with("attachment_id", ref_.id);
  }

  // False when the entry is gone; then nothing is stored.
  Result<bool> place_in(store::Transaction& tx, Timestamp now) {
    CLEW_TRY(const auto entry, find_entry(tx, session_id_, ref_.id));
    if (!entry) return false;
    if (file_) {
      CLEW_TRY(const bool is_written, file_written(tx, ref_.id, claim_.generation, now));
      if (!is_written) return false;
    } else {
      CLEW_TRY(store::put_staged(tx, staged_, now));
      CLEW_TRY(store::pin_blob(tx, attachment_holder(session_id_), ref_.id, now));
    }
    if (entry->place != Place::nowhere) {
      CLEW_TRY(const auto meta, attachment_meta_from_value(meta_part(entry->meta), "meta"));
      ref_.meta = meta;  // the first to store it said so
    }
    return place_entry(tx, session_id_, ref_.id, file_ ? Place::file : Place::blob, to_value(ref_));
  }

  store::Database& database_;
  Env& env_;
  const AttachmentOptions& options_;
  const std::string session_id_;
  const AttachmentMeta meta_;
  Sha256 hash_;
  std::int64_t size_ = 0;
  std::string waiting_;
  std::optional<StagedFile> file_;
  std::optional<store::BlobWriter> blob_;
  store::StagedBlob staged_;
  AttachmentRef ref_;
  FileClaim claim_;
};

}  // namespace

std::unique_ptr<AttachmentWriter> make_attachment_writer(store::Database& database, Env& env,
                                                         const AttachmentOptions& options,
                                                         std::string session_id,
                                                         AttachmentMeta meta) {
  return std::make_unique<Writer>(database, env, options, std::move(session_id), std::move(meta));
}

}  // namespace clew::session::detail
