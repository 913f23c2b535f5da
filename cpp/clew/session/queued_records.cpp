// Batches and claims as JSON.
#include "clew/session/detail/fields.hpp"
#include "clew/session/queued_work.hpp"

namespace clew::session {
namespace {

using detail::Fields;
using detail::object_of;
using detail::text_or_null;
using detail::Word;

constexpr Word<DeliveryPolicy> deliveries[] = {
    {DeliveryPolicy::earliest_safe_boundary, "earliest_safe_boundary"},
    {DeliveryPolicy::after_current_turn_commit, "after_current_turn_commit"}};
constexpr Word<SlotPolicy> slots[] = {{SlotPolicy::join, "join"},
                                      {SlotPolicy::exclusive, "exclusive"}};
constexpr Word<PayloadKind> payload_kinds[] = {{PayloadKind::turn_input, "turn_input"},
                                               {PayloadKind::process_wake, "process_wake"},
                                               {PayloadKind::session_command, "session_command"}};
constexpr Word<MergeKey::Kind> merge_kinds[] = {
    {MergeKey::Kind::never, "never"},
    {MergeKey::Kind::payload_default, "payload_default"},
    {MergeKey::Kind::group, "group"}};
constexpr Word<ClaimBoundary> boundaries[] = {
    {ClaimBoundary::active_turn_checkpoint, "active_turn_checkpoint"},
    {ClaimBoundary::idle, "idle"}};

Value payload_value(const QueuedPayload& payload) {
  return object_of(
      {{"kind", Value(detail::word_of(payload.kind, payload_kinds))}, {"body", payload.body}});
}

Result<QueuedPayload> payload_from(const Value& value, const std::string& path) {
  QueuedPayload payload;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(payload.kind, in.word("kind", payload_kinds));
  payload.body = in.value("body");
  CLEW_TRY(in.end());
  if (payload.kind == PayloadKind::session_command) {
    constexpr Word<int> commands[] = {{0, "refresh_tool_surface"}, {1, "reset_session"}};
    CLEW_TRY(in.word("body", commands));
  }
  return payload;
}

Value item_value(const QueuedItem& item) {
  return Value::object({{"item_id", item.item_id}, {"payload", payload_value(item.payload)}});
}

Result<QueuedItem> item_from(const Value& value, const std::string& path) {
  QueuedItem item;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(item.item_id, in.id("item_id"));
  CLEW_TRY(item.payload, payload_from(in.value("payload"), in.path_of("payload")));
  CLEW_TRY(in.end());
  return item;
}

Value merge_value(const MergeKey& key) {
  return object_of({{"kind", Value(detail::word_of(key.kind, merge_kinds))},
                    {"group", text_or_null(key.group)}});
}

Result<MergeKey> merge_from(const Value& value, const std::string& path) {
  MergeKey key;
  if (value.is_null()) return key;
  CLEW_TRY(auto in, Fields::of_kind(value, path));
  CLEW_TRY(key.kind, in.word("kind", merge_kinds));
  CLEW_TRY(key.group, in.id_if_given("group"));
  CLEW_TRY(in.end());
  if ((key.kind == MergeKey::Kind::group) == key.group.empty()) {
    return invalid_input(in.path_of("group"), Value(key.group),
                         "the name of a group, and only then");
  }
  return key;
}

// What draft and batch have in common.
template <typename T>
Result<void> read_policies(Fields& in, T& made) {
  CLEW_TRY(made.session_id, in.id("session_id"));
  CLEW_TRY(made.source_key, in.id_if_given("source_key"));
  CLEW_TRY(made.delivery_policy,
           in.word("delivery_policy", deliveries, DeliveryPolicy::earliest_safe_boundary));
  CLEW_TRY(made.slot_policy, in.word("slot_policy", slots, SlotPolicy::exclusive));
  CLEW_TRY(made.merge_key, merge_from(in.value("merge_key"), in.path_of("merge_key")));
  CLEW_TRY(made.available_at, in.instant("available_at", Timestamp{}));
  return {};
}

}  // namespace

Value to_value(const QueuedWorkBatch& batch) {
  std::vector<Value> items;
  for (const auto& each : batch.items) items.push_back(item_value(each));
  return object_of({{"batch_id", batch.batch_id},
                    {"enqueue_seq", batch.enqueue_seq},
                    {"enqueued_at", batch.enqueued_at.us},
                    {"session_id", batch.session_id},
                    {"source_key", text_or_null(batch.source_key)},
                    {"delivery_policy", Value(detail::word_of(batch.delivery_policy, deliveries))},
                    {"slot_policy", Value(detail::word_of(batch.slot_policy, slots))},
                    {"merge_key", merge_value(batch.merge_key)},
                    {"available_at", batch.available_at.us},
                    {"items", Value::array(std::move(items))}});
}

Value to_value(const QueuedWorkClaim& claim) {
  std::vector<Value> batches;
  for (const auto& each : claim.batches) batches.push_back(to_value(each));
  return Value::object({{"session_id", claim.session_id},
                        {"claim_id", claim.claim_id},
                        {"owner_id", claim.owner_id},
                        {"lease_token", claim.lease_token},
                        {"fencing_token", claim.fencing_token},
                        {"claimed_at", claim.claimed_at.us},
                        {"expires_at", claim.expires_at.us},
                        {"batches", Value::array(std::move(batches))}});
}

Value to_value(const QueuedWorkReceipt& receipt) {
  return Value::object({{"batch", to_value(receipt.batch)},
                        {"is_new", receipt.is_new},
                        {"is_done", receipt.is_done}});
}

Result<QueuedWorkDraft> draft_from_value(const Value& value, const std::string& path) {
  QueuedWorkDraft draft;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(read_policies(in, draft));
  CLEW_TRY(draft.payloads, in.list<QueuedPayload>("payloads", payload_from));
  CLEW_TRY(in.end());
  return draft;
}

Result<QueuedWorkBatch> batch_from_value(const Value& value, const std::string& path) {
  QueuedWorkBatch batch;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(batch.batch_id, in.id("batch_id"));
  CLEW_TRY(batch.enqueue_seq, in.integer("enqueue_seq", 1));
  CLEW_TRY(batch.enqueued_at, in.instant("enqueued_at"));
  CLEW_TRY(read_policies(in, batch));
  CLEW_TRY(batch.items, in.list<QueuedItem>("items", item_from));
  CLEW_TRY(in.end());
  return batch;
}

Result<QueuedWorkClaim> claim_from_value(const Value& value, const std::string& path) {
  QueuedWorkClaim claim;
  CLEW_TRY(auto in, Fields::of(value, path));
  CLEW_TRY(claim.session_id, in.id("session_id"));
  CLEW_TRY(claim.claim_id, in.id("claim_id"));
  CLEW_TRY(claim.owner_id, in.id("owner_id"));
  CLEW_TRY(claim.lease_token, in.id("lease_token"));
  CLEW_TRY(claim.fencing_token, in.integer("fencing_token", 1));
  CLEW_TRY(claim.claimed_at, in.instant("claimed_at"));
  CLEW_TRY(claim.expires_at, in.instant("expires_at"));
  CLEW_TRY(claim.batches, in.list<QueuedWorkBatch>("batches", batch_from_value));
  CLEW_TRY(in.end());
  return claim;
}

Result<ClaimBoundary> boundary_from_word(std::string_view word) {
  for (const auto& each : boundaries) {
    if (each.word == word) return each.value;
  }
  return invalid_input("boundary", Value(word), "active_turn_checkpoint or idle");
}

}  // namespace clew::session
