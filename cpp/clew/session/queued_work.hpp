// session/queued_work.hpp: what waits to enter a session, in batches, and how a runner claims it.
// Built on store/work_queue.hpp: a session's batches are a lane.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/session/records.hpp"
#include "clew/store/work_queue.hpp"

namespace clew::session {

// When a batch may enter: at a checkpoint inside a running turn, or only between turns.
enum class DeliveryPolicy : std::uint8_t { earliest_safe_boundary, after_current_turn_commit };
// Whether a batch may be claimed together with its neighbours.
enum class SlotPolicy : std::uint8_t { join, exclusive };
enum class PayloadKind : std::uint8_t { turn_input, process_wake, session_command };
enum class ClaimBoundary : std::uint8_t { active_turn_checkpoint, idle };

// Neighbours join when their keys are equal; `never` is equal to nothing, itself included.
struct MergeKey {
  enum class Kind : std::uint8_t { never, payload_default, group };
  Kind kind = Kind::never;
  std::string group;
  bool merges_with(const MergeKey& other) const {
    return kind != Kind::never && kind == other.kind && group == other.group;
  }
  friend bool operator==(const MergeKey&, const MergeKey&) = default;
};

struct QueuedPayload {
  PayloadKind kind = PayloadKind::turn_input;
  Value body;  // of a command: "refresh_tool_surface" or "reset_session"
  friend bool operator==(const QueuedPayload&, const QueuedPayload&) = default;
};

struct QueuedWorkDraft {
  std::string session_id;
  std::string source_key;  // empty: none
  DeliveryPolicy delivery_policy = DeliveryPolicy::earliest_safe_boundary;
  SlotPolicy slot_policy = SlotPolicy::exclusive;
  MergeKey merge_key;
  Timestamp available_at;
  std::vector<QueuedPayload> payloads;
};

struct QueuedItem {
  std::string item_id;  // "<batch>:item:<index>"
  QueuedPayload payload;
  friend bool operator==(const QueuedItem&, const QueuedItem&) = default;
};

struct QueuedWorkBatch {
  std::string batch_id;
  std::int64_t enqueue_seq = 0;  // rises strictly within the session
  Timestamp enqueued_at;
  std::string session_id;
  std::string source_key;
  DeliveryPolicy delivery_policy = DeliveryPolicy::earliest_safe_boundary;
  SlotPolicy slot_policy = SlotPolicy::exclusive;
  MergeKey merge_key;
  Timestamp available_at;
  std::vector<QueuedItem> items;
  friend bool operator==(const QueuedWorkBatch&, const QueuedWorkBatch&) = default;
};

// What became of a draft. Once the batch of its source key is done, `batch` has its ids alone.
struct QueuedWorkReceipt {
  QueuedWorkBatch batch;
  bool is_new = true;
  bool is_done = false;
};

struct QueuedWorkClaim {
  std::string session_id;
  std::string claim_id;
  std::string owner_id;
  std::string lease_token;
  std::int64_t fencing_token = 0;
  Timestamp claimed_at;
  Timestamp expires_at;
  std::vector<QueuedWorkBatch> batches;  // in the order of the queue
  QueuedWorkCompletion completion() const;
};

// How a claim is made. Its id and token are new ones.
struct QueuedWorkTerms {
  std::string claim_id;
  std::string owner_id;
  std::string lease_token;
  Timestamp now;
  Duration ttl{0};  // up to a year; 0: over at once, so that anyone may take it
};

// The draft of a process's wake, {wake_id, target_session_id, …}. Its source key is the wake's id,
// so that wakes which count as one are delivered once.
Result<QueuedWorkDraft> wake_draft(const Value& wake);

// Enqueues a batch under `batch_id`. Under a known source key nothing is enqueued: the first batch
// is what the receipt has, with its own payloads, also when it is done. `strict`: `conflict` when
// the draft says something else than the first did. `conflict` for a deleted session;
// `invalid_input` with the path of what is wrong in the draft.
Result<QueuedWorkReceipt> enqueue_batch(store::Transaction& tx, const QueuedWorkDraft& draft,
                                        const std::string& batch_id, Timestamp now,
                                        bool strict = false);
// All batches in their order; those that no live claim holds.
Result<std::vector<QueuedWorkBatch>> list_batches(store::Transaction& tx,
                                                  std::string_view session_id);
Result<std::vector<QueuedWorkBatch>> list_pending_batches(store::Transaction& tx,
                                                          std::string_view session_id,
                                                          Timestamp now);
// Takes out a batch that no live claim holds; nothing when there is none.
Result<std::optional<QueuedWorkBatch>> cancel_batch(store::Transaction& tx,
                                                    std::string_view session_id,
                                                    std::string_view batch_id, Timestamp now);

// Claims what may enter now: the first batch that is due and free, and with it those after it that
// join it, at most `max`. Nothing when there is none, or when the first must wait for the end of
// the turn: it is not passed over. Batches that are not due, or claimed by others, are.
Result<std::optional<QueuedWorkClaim>> claim_ready(store::Transaction& tx,
                                                   std::string_view session_id,
                                                   ClaimBoundary boundary, int max,
                                                   const QueuedWorkTerms& terms);
// The same for exactly these batches: nothing when claim_ready() would not give just them.
Result<std::optional<QueuedWorkClaim>> claim_batches(store::Transaction& tx,
                                                     std::string_view session_id,
                                                     ClaimBoundary boundary,
                                                     std::span<const std::string> batch_ids,
                                                     const QueuedWorkTerms& terms);
// These need that the claim still holds its batches, whether it is over or not, and name all of
// them: `stale_lease` otherwise, and nothing changes.
Result<QueuedWorkClaim> renew_batches(store::Transaction& tx, QueuedWorkClaim claim, Timestamp now,
                                      Duration ttl);
Result<void> abandon_batches(store::Transaction& tx, const QueuedWorkCompletion& claim);
Result<void> complete_batches(store::Transaction& tx, const QueuedWorkCompletion& claim,
                              Timestamp now);
// Of all sessions: forgets the source keys of what was done before `before`, at most `limit`.
Result<std::int64_t> forget_batch_sources(store::Transaction& tx, Timestamp before,
                                          int limit = INT32_MAX);
// Removes a session's batches.
Result<void> clear_batches(store::Transaction& tx, std::string_view session_id);

Value to_value(const QueuedWorkBatch& batch);
Value to_value(const QueuedWorkClaim& claim);
Value to_value(const QueuedWorkReceipt& receipt);
Result<QueuedWorkDraft> draft_from_value(const Value& value, const std::string& path);
Result<QueuedWorkBatch> batch_from_value(const Value& value, const std::string& path);
Result<QueuedWorkClaim> claim_from_value(const Value& value, const std::string& path);
Result<ClaimBoundary> boundary_from_word(std::string_view word);

}  // namespace clew::session
