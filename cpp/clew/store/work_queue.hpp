// store/work_queue.hpp: work that waits in lanes, and the one way in which it is claimed.
//
// A queue (one word for each user of this file) has lanes; a lane's rows are numbered densely in
// the order in which they came. What a row is about stands elsewhere, under the row's id. Every
// function that changes a lane locks it first, so changes of one lane come one after the other,
// whichever process makes them; lanes do not wait for each other. A caller that locks more takes
// its own locks before the lane's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::store {

// The tables work_lanes, work_rows and work_sources.
Migration work_queue_migration(int version);
// The index by which a claim's rows are found, however many others the lane has.
Migration work_claims_migration(int version);

// Borrows its words for the call.
struct Lane {
  std::string_view queue;  // who uses it: "session"
  std::string_view name;
};

// A row. Claimed while claim_id is not empty; the claim is live while now < expires_at. From then
// on anyone may take it, and until someone does it is still its owner's.
struct WorkRow {
  std::int64_t seq = 0;    // dense from 1 within its lane, never used again
  std::string id;          // unique within its lane
  std::string source_key;  // empty: none
  Timestamp enqueued_at;
  Timestamp due_at;  // claimable from then on
  std::string claim_id;
  std::string owner;
  std::string token;
  std::int64_t fencing = 0;  // rises with each claim, across release and expiry
  Timestamp expires_at;

  bool is_claimed() const { return !claim_id.empty(); }
  bool is_live(Timestamp now) const { return is_claimed() && now < expires_at; }
  bool is_claimable(Timestamp now) const { return due_at <= now && !is_live(now); }
};

struct NewWork {
  std::string id;
  // Work that may be told of twice has the same key each time; the second time finds the first.
  std::string source_key;
  std::string digest;  // of its content, to tell whether the second time says the same
  Timestamp due_at;
};

// What became of it. Under a known source key nothing is enqueued, also after the work is done,
// until forget_sources().
struct Enqueued {
  std::int64_t seq = 0;
  std::string id;  // the first one's, where the key is known
  bool is_new = true;
  bool is_done = false;         // it was completed or cancelled before
  bool is_same_content = true;  // by digest
};
// `conflict` when the lane has a row of that id already.
Result<Enqueued> enqueue_work(Transaction& tx, Lane lane, const NewWork& work, Timestamp now);

// Makes later changes of the lane wait until the transaction ends. Functions below do it
// themselves.
Result<void> lock_lane(Transaction& tx, Lane lane);

// Rows after `after` in their order, at most `limit`.
Result<std::vector<WorkRow>> list_work(Transaction& tx, Lane lane, std::int64_t after, int limit);
Result<std::optional<WorkRow>> find_work(Transaction& tx, Lane lane, std::string_view id);

struct ClaimTerms {
  std::string claim_id;  // of this claim alone
  std::string owner;
  std::string token;  // what only its owner knows
  Timestamp now;
  Timestamp expires_at;  // already over when not after `now`: then anyone may take it at once
};
// Rows that were claimed together. A value.
struct WorkClaim {
  std::string claim_id;
  std::string owner;
  std::string token;
  std::int64_t fencing = 0;  // of the first row
  Timestamp claimed_at;
  Timestamp expires_at;
  std::vector<WorkRow> rows;  // in the lane's order
};
// Claims all of `seqs`, or none: `conflict` naming the first that is not there, not due, or in a
// live claim. Errors: `invalid_input` for no rows or blank words.
Result<WorkClaim> claim_rows(Transaction& tx, Lane lane, std::span<const std::int64_t> seqs,
                             const ClaimTerms& terms);
// The same of rows that were read since lock_lane().
Result<WorkClaim> claim_found(Transaction& tx, Lane lane, std::vector<WorkRow> rows,
                              const ClaimTerms& terms);

// What a claim's owner shows to change it: all of the rows that it claimed.
struct HeldClaim {
  std::string claim_id;
  std::string token;
  std::vector<std::string> ids;
};
HeldClaim held(const WorkClaim& claim);

// All three need that the claim still holds its rows, expired or not. Errors: `stale_lease` naming
// the claim when it lost any of them, `conflict` when it holds more than are named: a claim is
// changed whole. A refused change leaves everything as it was.
//
// The claim lives until `expires_at`, and not shorter than before: until when.
Result<Timestamp> renew_claim(Transaction& tx, Lane lane, const HeldClaim& claim,
                              Timestamp expires_at);
// The work is done: the rows are gone, their source keys stay known.
Result<void> complete_claim(Transaction& tx, Lane lane, const HeldClaim& claim, Timestamp now);
// The work is given back, due as before or at `due_at`.
Result<void> abandon_claim(Transaction& tx, Lane lane, const HeldClaim& claim,
                           std::optional<Timestamp> due_at = {});

// Takes a row out that no live claim holds: the row, or nothing when there is none. Its source key
// stays known.
Result<std::optional<WorkRow>> cancel_work(Transaction& tx, Lane lane, std::string_view id,
                                           Timestamp now);

// Whether anything of the lane is claimable. Locks nothing: who finds nothing need not wait for
// those who change the lane.
Result<bool> has_claimable_work(Transaction& tx, Lane lane, Timestamp now);
// Lanes of a queue in which something is claimable, by name after `after`, at most `limit`.
Result<std::vector<std::string>> claimable_lanes(Transaction& tx, std::string_view queue,
                                                 Timestamp now, std::string_view after, int limit);
struct LapsedWork {
  std::string lane;
  WorkRow row;
};
// Rows of a queue whose claim is over at `now` and that nobody has taken, longest first.
Result<std::vector<LapsedWork>> lapsed_work(Transaction& tx, std::string_view queue, Timestamp now,
                                            int limit);

// Removes the rows and source keys of a lane. Its numbers are not used again.
Result<void> clear_lane(Transaction& tx, Lane lane);
// Forgets the source keys of work that was done before `before`, at most `limit`: how many.
Result<std::int64_t> forget_sources(Transaction& tx, std::string_view queue, Timestamp before,
                                    int limit = INT32_MAX);

// Reads every row, and reports those that cannot be.
Result<void> check_work(Transaction& tx, const ReportRow& report);

}  // namespace clew::store
