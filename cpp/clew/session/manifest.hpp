// session/manifest.hpp: which attachments a session wants stored, has, and refers to. The bytes are
// attachments.hpp's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/session/records.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

struct AttachmentIntent {
  std::string attachment_id;
  std::string session_id;
  std::string canonical_uri;
  Timestamp intent_at;
  friend bool operator==(const AttachmentIntent&, const AttachmentIntent&) = default;
};

// Where the bytes are.
enum class Place : std::uint8_t { nowhere, blob, file };

struct ManifestEntry {
  AttachmentIntent intent;
  std::optional<Timestamp> committed_at;  // when a commit first referred to it
  Place place = Place::nowhere;
  Value meta;  // of what is stored
};

// Says that the session is about to store an attachment. The first says it for good: a second one
// changes nothing. Entries are by session and id, so that equal bytes in two sessions are two
// entries. `conflict` for a deleted session.
Result<void> record_intent(store::Transaction& tx, const AttachmentIntent& intent);
// A commit refers to these: stamps them, unless they are. `not_found` naming the first of which the
// session has no entry. Needs the session's head locked.
Result<void> commit_refs(store::Transaction& tx, std::string_view session_id,
                         std::span<const std::string> ids, Timestamp now);
// Entries that no commit has referred to, whose intent is not after `until`, earliest first.
Result<std::vector<ManifestEntry>> list_uncommitted(store::Transaction& tx, Timestamp until,
                                                    int limit = 1000);
Result<std::optional<ManifestEntry>> find_entry(store::Transaction& tx, std::string_view session_id,
                                                std::string_view attachment_id);
// All of a session, by id.
Result<std::vector<ManifestEntry>> list_entries(store::Transaction& tx,
                                                std::string_view session_id);
// The bytes of an entry are stored now. False when the entry was forgotten meanwhile.
Result<bool> place_entry(store::Transaction& tx, std::string_view session_id,
                         std::string_view attachment_id, Place place, const Value& meta);
// The session needs the attachment no more; its bytes go when nobody does. False: there was none.
Result<bool> forget_entry(store::Transaction& tx, std::string_view session_id,
                          std::string_view attachment_id);
Result<void> forget_entries(store::Transaction& tx, std::string_view session_id);

// Who pins the blobs of a session's attachments.
std::string attachment_holder(std::string_view session_id);

Value to_value(const ManifestEntry& entry);

}  // namespace clew::session
