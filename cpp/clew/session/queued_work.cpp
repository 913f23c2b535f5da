#include "clew/session/queued_work.hpp"

#include <algorithm>

#include "clew/session/detail/fields.hpp"
#include "clew/session/head.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;
using store::WorkRow;

constexpr std::string_view queue = "session";
constexpr int page = 64;  // rows looked at in one go
constexpr std::size_t payloads_max = 1024;

const Statement insert_sql(R"sql(
    INSERT INTO queued_batches (session_id, batch_id, batch)
    VALUES (:session, :batch_id, :batch))sql");
const Statement find_sql(
    "SELECT batch FROM queued_batches WHERE session_id = :session AND batch_id = :batch");
const Statement delete_sql(
    "DELETE FROM queued_batches WHERE session_id = :session AND batch_id = :batch");
const Statement clear_sql("DELETE FROM queued_batches WHERE session_id = :session");

store::Lane lane_of(std::string_view session_id) { return {queue, session_id}; }

Error damaged(const Error& why, std::string_view session_id, std::string_view batch_id) {
  return store::in_row(Error(Code::corrupt, why.message()), "queued_batches",
                       fmt::format("{}/{}", session_id, batch_id));
}

Result<QueuedWorkBatch> load_batch(store::Transaction& tx, std::string_view session_id,
                                   const WorkRow& row) {
  std::optional<QueuedWorkBatch> batch;
  CLEW_TRY(tx.first(
      find_sql,
      [&](const Row& found) -> Result<void> {
        const auto value = store::json_at(found, 0);
        if (!value) return damaged(value.error(), session_id, row.id);
        auto made = batch_from_value(*value, "batch");
        if (!made) return damaged(made.error(), session_id, row.id);
        batch = *std::move(made);
        return {};
      },
      session_id, row.id));
  if (batch && batch->batch_id == row.id && batch->enqueue_seq == row.seq) {
    return *std::move(batch);
  }
  return damaged(error(Code::corrupt, "batch {} of the queue is missing, or another", row.id),
                 session_id, row.id);
}

// What a draft says, to tell whether a second one says the same.
std::string digest_of_draft(const QueuedWorkBatch& batch) {
  auto said = batch;
  said.batch_id = "x";
  said.enqueue_seq = 0;
  said.enqueued_at = {};
  for (auto& each : said.items) each.item_id = "x";
  return to_hex(digest_of(to_value(said)));
}

Result<void> check_draft(const QueuedWorkDraft& draft) {
  CLEW_TRY(detail::check_id("session_id", draft.session_id));
  if (!draft.source_key.empty()) CLEW_TRY(detail::check_id("source_key", draft.source_key));
  if (draft.payloads.empty() || draft.payloads.size() > payloads_max) {
    return invalid_input("payloads", Value(static_cast<std::int64_t>(draft.payloads.size())),
                         fmt::format("from 1 to {} payloads", payloads_max));
  }
  return {};
}

QueuedWorkBatch batch_of(const QueuedWorkDraft& draft, const std::string& batch_id, Timestamp now) {
  QueuedWorkBatch batch{batch_id,
                        0,
                        now,
                        draft.session_id,
                        draft.source_key,
                        draft.delivery_policy,
                        draft.slot_policy,
                        draft.merge_key,
                        draft.available_at,
                        {}};
  for (std::size_t i = 0; i < draft.payloads.size(); ++i) {
    batch.items.push_back({fmt::format("{}:item:{}", batch_id, i), draft.payloads[i]});
  }
  return batch;
}

struct Candidate {
  WorkRow row;
  QueuedWorkBatch batch;
};

// What may be claimed together now: empty, the first alone, or a run that joins it. The lane is
// locked.
Result<std::vector<Candidate>> ready_run(store::Transaction& tx, std::string_view session_id,
                                         ClaimBoundary boundary, std::size_t max, Timestamp now) {
  std::vector<Candidate> run;
  int at_once = 4;  // mostly the first will do
  for (std::int64_t after = 0;; at_once = page) {
    CLEW_TRY(const auto rows, store::list_work(tx, lane_of(session_id), after, at_once));
    for (const auto& row : rows) {
      if (!row.is_claimable(now)) continue;
      CLEW_TRY(auto batch, load_batch(tx, session_id, row));
      if (run.empty()) {
        const bool must_wait = boundary == ClaimBoundary::active_turn_checkpoint &&
                               batch.delivery_policy == DeliveryPolicy::after_current_turn_commit;
        if (must_wait) return run;
        const bool is_alone = batch.slot_policy == SlotPolicy::exclusive || max == 1;
        run.push_back({row, std::move(batch)});
        if (is_alone) return run;
        continue;
      }
      const auto& first = run.front().batch;
      if (batch.slot_policy != SlotPolicy::join || batch.delivery_policy != first.delivery_policy ||
          !batch.merge_key.merges_with(first.merge_key)) {
        return run;
      }
      run.push_back({row, std::move(batch)});
      if (run.size() == max) return run;
    }
    if (std::cmp_less(rows.size(), at_once)) return run;
    after = rows.back().seq;
  }
}

Result<std::optional<QueuedWorkClaim>> claim_run(store::Transaction& tx,
                                                 std::string_view session_id,
                                                 std::vector<Candidate> run,
                                                 const QueuedWorkTerms& terms) {
  if (run.empty()) return std::optional<QueuedWorkClaim>();
  std::vector<WorkRow> rows;
  for (auto& each : run) rows.push_back(std::move(each.row));
  CLEW_TRY(const auto claimed,
           store::claim_found(tx, lane_of(session_id), std::move(rows),
                              {terms.claim_id, terms.owner_id, terms.lease_token, terms.now,
                               terms.now + terms.ttl}));
  QueuedWorkClaim claim{
      std::string(session_id), claimed.claim_id,   claimed.owner,      claimed.token,
      claimed.fencing,         claimed.claimed_at, claimed.expires_at, {}};
  for (auto& each : run) claim.batches.push_back(std::move(each.batch));
  return std::optional(std::move(claim));
}

constexpr Duration ttl_max = std::chrono::hours(24 * 366);

Result<void> check_ttl(Duration ttl) {
  if (ttl.count() >= 0 && ttl <= ttl_max) return {};
  return invalid_input("ttl", Value(to_string(ttl)), "a duration from 0 to a year");
}

Result<void> check_terms(const QueuedWorkTerms& terms) {
  CLEW_TRY(detail::check_id("owner_id", terms.owner_id));
  return check_ttl(terms.ttl);
}

store::HeldClaim held_of(const QueuedWorkCompletion& claim) {
  return {claim.claim_id, claim.lease_token, claim.batch_ids};
}

// What a claim may not do any more is one error to its owner, whatever it has lost.
Error expired(const Error& why, const QueuedWorkCompletion& claim) {
  if (why.code() != Code::stale_lease && why.code() != Code::conflict) return why;
  return error(Code::stale_lease,
               "claim {} on the queue of session {} does not hold just these {} "
               "batches",
               claim.claim_id, claim.session_id, claim.batch_ids.size())
      .with("session_id", claim.session_id)
      .with("claim_id", claim.claim_id)
      .with("why", why.message());
}

}  // namespace

QueuedWorkCompletion QueuedWorkClaim::completion() const {
  QueuedWorkCompletion made{session_id, claim_id, lease_token, {}};
  for (const auto& each : batches) made.batch_ids.push_back(each.batch_id);
  return made;
}

Result<QueuedWorkDraft> wake_draft(const Value& wake) {
  QueuedWorkDraft draft;
  CLEW_TRY(auto in, detail::Fields::of(wake, "wake"));
  CLEW_TRY(draft.session_id, in.id("target_session_id"));
  CLEW_TRY(draft.source_key, in.id("wake_id"));
  draft.payloads.push_back({PayloadKind::process_wake, wake});
  return draft;
}

Result<QueuedWorkReceipt> enqueue_batch(store::Transaction& tx, const QueuedWorkDraft& draft,
                                        const std::string& batch_id, Timestamp now, bool strict) {
  CLEW_TRY(check_draft(draft));
  const auto lane = lane_of(draft.session_id);
  auto batch = batch_of(draft, batch_id, now);
  const auto digest = draft.source_key.empty() ? std::string() : digest_of_draft(batch);
  CLEW_TRY(
      const auto enqueued,
      store::enqueue_work(tx, lane, {batch_id, draft.source_key, digest, draft.available_at}, now));
  // Only now that the lane is locked, as it is while its session is deleted.
  CLEW_TRY(check_not_deleted(tx, draft.session_id));
  batch.enqueue_seq = enqueued.seq;
  if (enqueued.is_new) {
    CLEW_TRY(tx.post(insert_sql, draft.session_id, batch_id, to_json(to_value(batch))));
    return QueuedWorkReceipt{std::move(batch)};
  }
  if (strict && !enqueued.is_same_content) {
    return error(Code::conflict, "source key {} stands for another batch: {}", draft.source_key,
                 enqueued.id)
        .with("source_key", draft.source_key)
        .with("batch_id", enqueued.id);
  }
  QueuedWorkReceipt receipt{{}, false, enqueued.is_done};
  if (enqueued.is_done) {
    receipt.batch.batch_id = enqueued.id;
    receipt.batch.enqueue_seq = enqueued.seq;
    receipt.batch.session_id = draft.session_id;
    receipt.batch.source_key = draft.source_key;
    return receipt;
  }
  WorkRow row;
  row.id = enqueued.id;
  row.seq = enqueued.seq;
  CLEW_TRY(receipt.batch, load_batch(tx, draft.session_id, row));
  return receipt;
}

namespace {

Result<std::vector<QueuedWorkBatch>> list_where(store::Transaction& tx, std::string_view session_id,
                                                const std::function<bool(const WorkRow&)>& wanted) {
  std::vector<QueuedWorkBatch> batches;
  for (std::int64_t after = 0;;) {
    CLEW_TRY(const auto rows, store::list_work(tx, lane_of(session_id), after, page));
    for (const auto& row : rows) {
      if (!wanted(row)) continue;
      CLEW_TRY(batches.emplace_back(), load_batch(tx, session_id, row));
    }
    if (rows.size() < page) return batches;
    after = rows.back().seq;
  }
}

}  // namespace

Result<std::vector<QueuedWorkBatch>> list_batches(store::Transaction& tx,
                                                  std::string_view session_id) {
  return list_where(tx, session_id, [](const WorkRow&) { return true; });
}

Result<std::vector<QueuedWorkBatch>> list_pending_batches(store::Transaction& tx,
                                                          std::string_view session_id,
                                                          Timestamp now) {
  return list_where(tx, session_id, [now](const WorkRow& row) { return !row.is_live(now); });
}

Result<std::optional<QueuedWorkBatch>> cancel_batch(store::Transaction& tx,
                                                    std::string_view session_id,
                                                    std::string_view batch_id, Timestamp now) {
  CLEW_TRY(const auto row, store::cancel_work(tx, lane_of(session_id), batch_id, now));
  if (!row) return std::optional<QueuedWorkBatch>();
  CLEW_TRY(auto batch, load_batch(tx, session_id, *row));
  CLEW_TRY(tx.post(delete_sql, session_id, batch_id));
  return std::optional(std::move(batch));
}

Result<std::optional<QueuedWorkClaim>> claim_ready(store::Transaction& tx,
                                                   std::string_view session_id,
                                                   ClaimBoundary boundary, int max,
                                                   const QueuedWorkTerms& terms) {
  CLEW_TRY(check_terms(terms));
  if (max <= 0) return std::optional<QueuedWorkClaim>();
  CLEW_TRY(const bool is_worth_it, store::has_claimable_work(tx, lane_of(session_id), terms.now));
  if (!is_worth_it) return std::optional<QueuedWorkClaim>();
  CLEW_TRY(store::lock_lane(tx, lane_of(session_id)));
  CLEW_TRY(auto run, ready_run(tx, session_id, boundary, static_cast<std::size_t>(max), terms.now));
  return claim_run(tx, session_id, std::move(run), terms);
}

Result<std::optional<QueuedWorkClaim>> claim_batches(store::Transaction& tx,
                                                     std::string_view session_id,
                                                     ClaimBoundary boundary,
                                                     std::span<const std::string> batch_ids,
                                                     const QueuedWorkTerms& terms) {
  CLEW_TRY(check_terms(terms));
  if (batch_ids.empty()) return std::optional<QueuedWorkClaim>();
  CLEW_TRY(store::lock_lane(tx, lane_of(session_id)));
  CLEW_TRY(auto run, ready_run(tx, session_id, boundary, batch_ids.size(), terms.now));
  const bool are_just_these =
      run.size() == batch_ids.size() && std::ranges::all_of(run, [&](const Candidate& each) {
        return std::ranges::find(batch_ids, each.row.id) != batch_ids.end();
      });
  if (!are_just_these) return std::optional<QueuedWorkClaim>();
  return claim_run(tx, session_id, std::move(run), terms);
}

Result<QueuedWorkClaim> renew_batches(store::Transaction& tx, QueuedWorkClaim claim, Timestamp now,
                                      Duration ttl) {
  CLEW_TRY(check_ttl(ttl));
  const auto shown = claim.completion();
  auto until = store::renew_claim(tx, lane_of(claim.session_id), held_of(shown), now + ttl);
  if (!until) return expired(until.error(), shown);
  claim.expires_at = *until;
  return claim;
}

Result<void> abandon_batches(store::Transaction& tx, const QueuedWorkCompletion& claim) {
  const auto done = store::abandon_claim(tx, lane_of(claim.session_id), held_of(claim));
  return done ? done : Result<void>(expired(done.error(), claim));
}

Result<void> complete_batches(store::Transaction& tx, const QueuedWorkCompletion& claim,
                              Timestamp now) {
  const auto done = store::complete_claim(tx, lane_of(claim.session_id), held_of(claim), now);
  if (!done) return expired(done.error(), claim);
  for (const auto& id : claim.batch_ids) CLEW_TRY(tx.post(delete_sql, claim.session_id, id));
  return {};
}

Result<std::int64_t> forget_batch_sources(store::Transaction& tx, Timestamp before, int limit) {
  return store::forget_sources(tx, queue, before, limit);
}

Result<void> clear_batches(store::Transaction& tx, std::string_view session_id) {
  CLEW_TRY(store::clear_lane(tx, lane_of(session_id)));
  CLEW_TRY(tx.post(clear_sql, session_id));
  return {};
}

}  // namespace clew::session
