#include "clew/store/work_queue.hpp"

#include <algorithm>

namespace clew::store {
namespace {

// work_lanes: the head of a lane, whose row is locked by whoever changes the lane.
// work_sources: done_us is NULL while the work stands in its lane.
constexpr const char* tables_sql = R"sql(
CREATE TABLE work_lanes (
  queue TEXT NOT NULL,
  lane TEXT NOT NULL,
  last_seq {integer} NOT NULL,
  PRIMARY KEY (queue, lane)
) {clustered};

CREATE TABLE work_rows (
  queue TEXT NOT NULL,
  lane TEXT NOT NULL,
  seq {integer} NOT NULL,
  id TEXT NOT NULL,
  source_key TEXT NOT NULL,
  enqueued_us {integer} NOT NULL,
  due_us {integer} NOT NULL,
  claim_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  token TEXT NOT NULL,
  fencing {integer} NOT NULL,
  expires_us {integer} NOT NULL,
  PRIMARY KEY (queue, lane, seq)
) {clustered};
CREATE UNIQUE INDEX work_rows_id ON work_rows (queue, lane, id);
CREATE INDEX work_rows_claimed ON work_rows (queue, expires_us) WHERE claim_id <> '';

CREATE TABLE work_sources (
  queue TEXT NOT NULL,
  lane TEXT NOT NULL,
  source_key TEXT NOT NULL,
  seq {integer} NOT NULL,
  id TEXT NOT NULL,
  digest TEXT NOT NULL,
  done_us {integer},
  PRIMARY KEY (queue, lane, source_key)
) {clustered};
CREATE INDEX work_sources_done ON work_sources (queue, done_us) WHERE done_us IS NOT NULL;
)sql";

const Statement make_lane_sql(R"sql(
    INSERT INTO work_lanes (queue, lane, last_seq) VALUES (:queue, :lane, 0)
    ON CONFLICT (queue, lane) DO NOTHING)sql");
const Statement lock_sql(
    "SELECT last_seq FROM work_lanes WHERE queue = :queue AND lane = :lane {for_update}");
const Statement advance_sql(
    "UPDATE work_lanes SET last_seq = :seq WHERE queue = :queue AND lane = :lane");
const Statement insert_sql(R"sql(
    INSERT INTO work_rows (queue, lane, seq, id, source_key, enqueued_us, due_us, claim_id, owner,
                           token, fencing, expires_us)
    VALUES (:queue, :lane, :seq, :id, :source, :now, :due, '', '', '', 0, 0)
    ON CONFLICT (queue, lane, id) DO NOTHING)sql");
const Statement find_source_sql(R"sql(
    SELECT seq, id, digest, done_us FROM work_sources
     WHERE queue = :queue AND lane = :lane AND source_key = :source)sql");
const Statement insert_source_sql(R"sql(
    INSERT INTO work_sources (queue, lane, source_key, seq, id, digest, done_us)
    VALUES (:queue, :lane, :source, :seq, :id, :digest, NULL))sql");
const Statement source_done_sql(R"sql(
    UPDATE work_sources SET done_us = :now
     WHERE queue = :queue AND lane = :lane AND source_key = :source)sql");
const Statement list_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us
      FROM work_rows WHERE queue = :queue AND lane = :lane AND seq > :after
     ORDER BY seq LIMIT :limit)sql");
const Statement find_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us
      FROM work_rows WHERE queue = :queue AND lane = :lane AND id = :id)sql");
const Statement find_seq_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us
      FROM work_rows WHERE queue = :queue AND lane = :lane AND seq = :seq)sql");
// Not by lane: then a planner would read the whole lane, which may be long. That no claim is '' is
// said for the index of those that are.
const Statement of_claim_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us,
           queue, lane
      FROM work_rows WHERE claim_id <> '' AND claim_id = :claim AND token = :token
     ORDER BY seq)sql");
const Statement claim_sql(R"sql(
    UPDATE work_rows SET claim_id = :claim, owner = :owner, token = :token, fencing = fencing + 1,
                         expires_us = :expires
     WHERE queue = :queue AND lane = :lane AND seq = :seq AND id = :id AND claim_id = :seen
       AND fencing = :fencing)sql");
const Statement renew_sql(R"sql(
    UPDATE work_rows SET expires_us = :expires
     WHERE queue = :queue AND lane = :lane AND seq = :seq)sql");
const Statement abandon_sql(R"sql(
    UPDATE work_rows SET claim_id = '', owner = '', token = '', expires_us = 0, due_us = :due
     WHERE queue = :queue AND lane = :lane AND seq = :seq)sql");
const Statement delete_sql(
    "DELETE FROM work_rows WHERE queue = :queue AND lane = :lane AND seq = :seq");
const Statement clear_rows_sql("DELETE FROM work_rows WHERE queue = :queue AND lane = :lane");
const Statement clear_sources_sql("DELETE FROM work_sources WHERE queue = :queue AND lane = :lane");
const Statement forget_sql(R"sql(
    DELETE FROM work_sources WHERE (queue, lane, source_key) IN (
      SELECT queue, lane, source_key FROM work_sources WHERE queue = :queue AND done_us < :before
       ORDER BY done_us, lane, source_key LIMIT :limit))sql");
const Statement has_claimable_sql(R"sql(
    SELECT 1 FROM work_rows
     WHERE queue = :queue AND lane = :lane AND due_us <= :now
       AND (claim_id = '' OR expires_us <= :now)
     LIMIT 1)sql");
const Statement lanes_sql(R"sql(
    SELECT DISTINCT lane FROM work_rows
     WHERE queue = :queue AND lane > :after AND due_us <= :now
       AND (claim_id = '' OR expires_us <= :now)
     ORDER BY lane LIMIT :limit)sql");
const Statement lapsed_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us,
           lane
      FROM work_rows WHERE queue = :queue AND claim_id <> '' AND expires_us <= :now
     ORDER BY expires_us, lane, seq LIMIT :limit)sql");
const Statement all_rows_sql(R"sql(
    SELECT seq, id, source_key, enqueued_us, due_us, claim_id, owner, token, fencing, expires_us,
           r.queue, r.lane, l.last_seq
      FROM work_rows r LEFT JOIN work_lanes l ON l.queue = r.queue AND l.lane = r.lane
     ORDER BY r.queue, r.lane, seq)sql");
const Statement all_sources_sql(R"sql(
    SELECT s.seq, s.id, s.done_us, r.seq, s.queue, s.lane, s.source_key
      FROM work_sources s LEFT JOIN work_rows r
        ON r.queue = s.queue AND r.lane = s.lane AND r.seq = s.seq
     ORDER BY s.queue, s.lane, s.source_key)sql");

Result<WorkRow> decode(const Row& row) {
  WorkRow work;
  CLEW_TRY(work.seq, integer_at(row, 0, 1));
  CLEW_TRY(work.id, word_at(row, 1));
  CLEW_TRY(work.source_key, row.text(2));
  CLEW_TRY(work.enqueued_at, instant_at(row, 3));
  CLEW_TRY(work.due_at.us, integer_at(row, 4, 0));
  CLEW_TRY(work.claim_id, row.text(5));
  CLEW_TRY(work.owner, row.text(6));
  CLEW_TRY(work.token, row.text(7));
  CLEW_TRY(work.fencing, integer_at(row, 8, work.is_claimed() ? 1 : 0));
  CLEW_TRY(work.expires_at.us, integer_at(row, 9, 0));
  if (work.is_claimed() && work.token.empty()) return corrupt_column(row, 7, "the claim's token");
  return work;
}

Result<WorkRow> row_of(const Row& row, Lane lane) {
  auto work = decode(row);
  if (work) return work;
  return in_row(work.error(), "work_rows",
                fmt::format("{}/{}/{}", lane.queue, lane.name, shown_at(row, 0)));
}

VisitRow into(std::vector<WorkRow>& rows, Lane lane) {
  return [&rows, lane](const Row& row) -> Result<void> {
    CLEW_TRY(auto work, row_of(row, lane));
    rows.push_back(std::move(work));
    return {};
  };
}

Error about(const Error& why, Lane lane) {
  return why.with("queue", lane.queue).with("lane", lane.name);
}

// Locks the lane, if it is there: the number of its last row.
Result<std::optional<std::int64_t>> find_head(Transaction& tx, Lane lane) {
  std::optional<std::int64_t> last;
  CLEW_TRY(tx.first(
      lock_sql,
      [&](const Row& row) -> Result<void> {
        const auto number = integer_at(row, 0, 0, INT64_MAX - 1);
        if (!number) {
          return in_row(number.error(), "work_lanes", fmt::format("{}/{}", lane.queue, lane.name));
        }
        last = *number;
        return {};
      },
      lane.queue, lane.name));
  return last;
}

// Locks the lane: the number of its last row.
Result<std::int64_t> head_of(Transaction& tx, Lane lane) {
  CLEW_TRY(auto last, find_head(tx, lane));
  if (last) return *last;
  CLEW_TRY(tx.post(make_lane_sql, lane.queue, lane.name));
  CLEW_TRY(last, find_head(tx, lane));  // another may have made it, and advanced it, meanwhile
  CLEW_CHECK(last.has_value());
  return *last;
}

struct Source {
  std::int64_t seq = 0;
  std::string id;
  std::string digest;
  bool is_done = false;
};

Result<std::optional<Source>> find_source(Transaction& tx, Lane lane, std::string_view key) {
  std::optional<Source> source;
  CLEW_TRY(tx.first(
      find_source_sql,
      [&](const Row& row) -> Result<void> {
        Source found;
        const auto seq = integer_at(row, 0, 1);
        if (!seq) {
          return in_row(seq.error(), "work_sources",
                        fmt::format("{}/{}/{}", lane.queue, lane.name, key));
        }
        found.seq = *seq;
        CLEW_TRY(found.id, word_at(row, 1));
        CLEW_TRY(found.digest, row.text(2));
        found.is_done = !row.is_null(3);
        source = std::move(found);
        return {};
      },
      lane.queue, lane.name, key));
  return source;
}

// The rows that the claim holds, exactly those it names. The lane is locked.
Result<std::vector<WorkRow>> rows_of(Transaction& tx, Lane lane, const HeldClaim& claim) {
  CLEW_TRY(head_of(tx, lane));
  std::vector<WorkRow> rows;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto queue, row.text(10));
    CLEW_TRY(const auto name, row.text(11));
    return queue == lane.queue && name == lane.name ? into(rows, lane)(row) : Result<void>();
  };
  CLEW_TRY(tx.each(of_claim_sql, take, claim.claim_id, claim.token));
  auto named = claim.ids;
  std::ranges::sort(named);
  std::size_t kept = 0;
  for (const auto& id : named) {
    if (std::ranges::find(rows, id, &WorkRow::id) != rows.end()) ++kept;
  }
  if (claim.claim_id.empty() || named.empty() || kept != named.size()) {
    return about(
        error(Code::stale_lease, "claim {} does not hold its rows any more", claim.claim_id)
            .with("claim_id", claim.claim_id)
            .with("held", static_cast<std::int64_t>(kept))
            .with("named", static_cast<std::int64_t>(named.size())),
        lane);
  }
  if (kept != rows.size() || std::ranges::adjacent_find(named) != named.end()) {
    return about(error(Code::conflict, "claim {} holds {} rows, and is changed whole, not {} of it",
                       claim.claim_id, rows.size(), named.size())
                     .with("claim_id", claim.claim_id),
                 lane);
  }
  return rows;
}

// The row is gone, its key stays known.
Result<void> remove_row(Transaction& tx, Lane lane, const WorkRow& row, Timestamp now) {
  CLEW_TRY(tx.post(delete_sql, lane.queue, lane.name, row.seq));
  if (row.source_key.empty()) return {};
  CLEW_TRY(const auto marked, tx.run(source_done_sql, now, lane.queue, lane.name, row.source_key));
  if (marked == 1) return {};
  return in_row(error(Code::corrupt, "row {} has a source key that is not known", row.seq),
                "work_sources", fmt::format("{}/{}/{}", lane.queue, lane.name, row.source_key));
}

Result<void> check_terms(std::span<const WorkRow> rows, const ClaimTerms& terms) {
  if (rows.empty()) return invalid_input("seqs", Value::array({}), "at least one row");
  if (terms.claim_id.empty()) return invalid_input("claim_id", terms.claim_id, "a word");
  if (terms.owner.empty()) return invalid_input("owner", terms.owner, "a word");
  if (terms.token.empty()) return invalid_input("token", terms.token, "a word");
  return {};
}

}  // namespace

Migration work_queue_migration(int version) { return {version, "work_queue", tables_sql}; }

Migration work_claims_migration(int version) {
  return {version, "work_claims",
          "CREATE INDEX work_rows_of_claim ON work_rows (claim_id) WHERE claim_id <> '';"};
}

Result<void> lock_lane(Transaction& tx, Lane lane) {
  CLEW_TRY(head_of(tx, lane));
  return {};
}

Result<Enqueued> enqueue_work(Transaction& tx, Lane lane, const NewWork& work, Timestamp now) {
  if (work.id.empty()) return invalid_input("id", work.id, "a word");
  CLEW_TRY(const auto last, head_of(tx, lane));
  if (!work.source_key.empty()) {
    CLEW_TRY(auto known, find_source(tx, lane, work.source_key));
    if (known) {
      return Enqueued{known->seq, std::move(known->id), false, known->is_done,
                      known->digest == work.digest};
    }
  }
  const auto seq = last + 1;
  CLEW_TRY(const auto inserted, tx.run(insert_sql, lane.queue, lane.name, seq, work.id,
                                       work.source_key, now, work.due_at));
  if (inserted == 0) {
    return about(error(Code::conflict, "there is a row {} already", work.id).with("id", work.id),
                 lane);
  }
  if (!work.source_key.empty()) {
    CLEW_TRY(tx.post(insert_source_sql, lane.queue, lane.name, work.source_key, seq, work.id,
                     work.digest));
  }
  CLEW_TRY(tx.post(advance_sql, seq, lane.queue, lane.name));
  return Enqueued{seq, work.id};
}

Result<std::vector<WorkRow>> list_work(Transaction& tx, Lane lane, std::int64_t after, int limit) {
  std::vector<WorkRow> rows;
  CLEW_TRY(tx.each(list_sql, into(rows, lane), lane.queue, lane.name, after, limit));
  return rows;
}

Result<std::optional<WorkRow>> find_work(Transaction& tx, Lane lane, std::string_view id) {
  std::vector<WorkRow> rows;
  CLEW_TRY(tx.each(find_sql, into(rows, lane), lane.queue, lane.name, id));
  if (rows.empty()) return std::optional<WorkRow>();
  return std::optional<WorkRow>(std::move(rows.front()));
}

Result<WorkClaim> claim_rows(Transaction& tx, Lane lane, std::span<const std::int64_t> seqs,
                             const ClaimTerms& terms) {
  CLEW_TRY(head_of(tx, lane));
  std::vector<std::int64_t> wanted(seqs.begin(), seqs.end());
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::vector<WorkRow> rows;
  for (const auto seq : wanted) {
    CLEW_TRY(tx.each(find_seq_sql, into(rows, lane), lane.queue, lane.name, seq));
    if (rows.empty() || rows.back().seq != seq) {
      return about(error(Code::conflict, "row {} is gone", seq).with("seq", seq), lane);
    }
  }
  return claim_found(tx, lane, std::move(rows), terms);
}

Result<WorkClaim> claim_found(Transaction& tx, Lane lane, std::vector<WorkRow> rows,
                              const ClaimTerms& terms) {
  CLEW_TRY(check_terms(rows, terms));
  for (const auto& row : rows) {
    if (row.is_claimable(terms.now)) continue;
    const auto* why = row.is_live(terms.now) ? "is claimed" : "is not due yet";
    return about(error(Code::conflict, "row {} {}", row.seq, why).with("seq", row.seq), lane);
  }
  for (auto& row : rows) {
    CLEW_TRY(const auto claimed,
             tx.run(claim_sql, terms.claim_id, terms.owner, terms.token, terms.expires_at,
                    lane.queue, lane.name, row.seq, row.id, row.claim_id, row.fencing));
    if (claimed != 1) {
      return about(error(Code::conflict, "row {} is another by now", row.seq).with("seq", row.seq),
                   lane);
    }
    row.claim_id = terms.claim_id;
    row.owner = terms.owner;
    row.token = terms.token;
    row.expires_at = terms.expires_at;
    ++row.fencing;
  }
  const auto fencing = rows.front().fencing;
  return WorkClaim{terms.claim_id, terms.owner,      terms.token,    fencing,
                   terms.now,      terms.expires_at, std::move(rows)};
}

HeldClaim held(const WorkClaim& claim) {
  HeldClaim made{claim.claim_id, claim.token, {}};
  for (const auto& row : claim.rows) made.ids.push_back(row.id);
  return made;
}

Result<Timestamp> renew_claim(Transaction& tx, Lane lane, const HeldClaim& claim,
                              Timestamp expires_at) {
  CLEW_TRY(const auto rows, rows_of(tx, lane, claim));
  const auto until = std::max(expires_at, rows.front().expires_at);
  for (const auto& row : rows) {
    CLEW_TRY(tx.post(renew_sql, until, lane.queue, lane.name, row.seq));
  }
  return until;
}

Result<void> complete_claim(Transaction& tx, Lane lane, const HeldClaim& claim, Timestamp now) {
  CLEW_TRY(const auto rows, rows_of(tx, lane, claim));
  for (const auto& row : rows) CLEW_TRY(remove_row(tx, lane, row, now));
  return {};
}

Result<void> abandon_claim(Transaction& tx, Lane lane, const HeldClaim& claim,
                           std::optional<Timestamp> due_at) {
  CLEW_TRY(const auto rows, rows_of(tx, lane, claim));
  for (const auto& row : rows) {
    CLEW_TRY(tx.post(abandon_sql, due_at.value_or(row.due_at), lane.queue, lane.name, row.seq));
  }
  return {};
}

Result<std::optional<WorkRow>> cancel_work(Transaction& tx, Lane lane, std::string_view id,
                                           Timestamp now) {
  CLEW_TRY(head_of(tx, lane));
  CLEW_TRY(auto row, find_work(tx, lane, id));
  if (!row || row->is_live(now)) return std::optional<WorkRow>();
  CLEW_TRY(remove_row(tx, lane, *row, now));
  return row;
}

Result<bool> has_claimable_work(Transaction& tx, Lane lane, Timestamp now) {
  return tx.first(
      has_claimable_sql, [](const Row&) -> Result<void> { return {}; }, lane.queue, lane.name, now);
}

Result<std::vector<std::string>> claimable_lanes(Transaction& tx, std::string_view queue,
                                                 Timestamp now, std::string_view after, int limit) {
  std::vector<std::string> lanes;
  CLEW_TRY(tx.each(
      lanes_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(const auto lane, row.text(0));
        lanes.emplace_back(lane);
        return {};
      },
      queue, after, now, limit));
  return lanes;
}

Result<std::vector<LapsedWork>> lapsed_work(Transaction& tx, std::string_view queue, Timestamp now,
                                            int limit) {
  std::vector<LapsedWork> all;
  CLEW_TRY(tx.each(
      lapsed_sql,
      [&](const Row& row) -> Result<void> {
        LapsedWork each;
        CLEW_TRY(each.lane, row.text(10));
        CLEW_TRY(each.row, row_of(row, {queue, each.lane}));
        all.push_back(std::move(each));
        return {};
      },
      queue, now, limit));
  return all;
}

Result<void> clear_lane(Transaction& tx, Lane lane) {
  CLEW_TRY(head_of(tx, lane));
  CLEW_TRY(tx.post(clear_rows_sql, lane.queue, lane.name));
  CLEW_TRY(tx.post(clear_sources_sql, lane.queue, lane.name));
  return {};
}

Result<std::int64_t> forget_sources(Transaction& tx, std::string_view queue, Timestamp before,
                                    int limit) {
  return tx.run(forget_sql, queue, before, limit);
}

Result<void> check_work(Transaction& tx, const ReportRow& report) {
  CLEW_TRY(tx.each(all_rows_sql, [&report](const Row& row) -> Result<void> {
    Result<void> sound;
    const auto work = decode(row);
    if (!work) sound = work.error();
    if (const auto last = integer_at(row, 12, work ? work->seq : 0); sound && !last) {
      sound = last.error();
    }
    if (!sound) {
      report(
          in_row(sound.error(), "work_rows",
                 fmt::format("{}/{}/{}", shown_at(row, 10), shown_at(row, 11), shown_at(row, 0))));
    }
    return {};
  }));
  return tx.each(all_sources_sql, [&report](const Row& row) -> Result<void> {
    Result<void> sound;
    if (const auto seq = integer_at(row, 0, 1); !seq) sound = seq.error();
    if (sound && row.is_null(2) == row.is_null(3)) {
      sound = error(Code::corrupt, "work is known as done and stands in its lane, or neither");
    }
    if (!sound) {
      report(in_row(sound.error(), "work_sources",
                    fmt::format("{}/{}/{}", shown_at(row, 4), shown_at(row, 5), shown_at(row, 6))));
    }
    return {};
  });
}

}  // namespace clew::store
