// The words of what stands in store/: leases, requests, due times, messages, events, blobs, work.
#include "clew/base/json.hpp"
#include "clew/store/blob.hpp"
#include "clew/store/due.hpp"
#include "clew/store/idempotency.hpp"
#include "clew/store/outbox.hpp"
#include "clew/store/stream.hpp"
#include "clew/store/timed_lease.hpp"
#include "clew/testkit/differential/steps.hpp"

namespace clew::differential {
namespace {

constexpr std::string_view kind = "test";
using Answer = Result<std::string>;

std::string shown(const store::TimedLease& lease) {
  return fmt::format("{} {} fence {} from {} to {}", lease.owner, lease.token, lease.fence,
                     lease.claimed_at.us, lease.expires_at.us);
}

// Leases: which thing, owner, token, how long.
Answer lease_claim(Stage& stage, Transaction& tx, Numbers n) {
  const auto thing = word("thing", n[0]);
  const auto owner = word("owner", n[1]);
  const auto token = n[2] == 0 ? "" : word("token", n[2]);
  CLEW_TRY(const auto lease,
           store::claim_timed_lease(tx, {kind, thing}, {owner, token, stage.now, Duration(n[3])}));
  return shown(lease);
}
Answer lease_renew(Stage& stage, Transaction& tx, Numbers n) {
  const auto thing = word("thing", n[0]);
  CLEW_TRY(const auto lease, store::renew_timed_lease(tx, {kind, thing}, word("token", n[1]),
                                                      stage.now, Duration(n[2])));
  return shown(lease);
}
Answer lease_check(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(store::check_timed_lease(tx, {kind, word("thing", n[0])}, word("token", n[1])));
  return "ok";
}
Answer lease_release(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const bool done,
           store::release_timed_lease(tx, {kind, word("thing", n[0])}, word("token", n[1])));
  return yes_or_no(done);
}
Answer lease_end(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const bool done,
           store::end_timed_lease(tx, {kind, word("thing", n[0])}, word("token", n[1])));
  return yes_or_no(done);
}
Answer lease_find(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto found, store::find_timed_lease(tx, {kind, word("thing", n[0])}));
  return found ? shown(*found) : "nothing";
}
Answer lease_purge(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const int gone,
           store::purge_timed_leases(tx, kind, Timestamp{stage.now.us - n[0]}, n[1]));
  return fmt::format("{}", gone);
}

// Requests: which scope, key, content.
Answer request(Stage& stage, Transaction& tx, Numbers n) {
  const auto scope = word("scope", n[0]);
  const auto name = n[1] == 0 ? "" : word("key", n[1]);
  const auto content = Value::object({{"n", n[2]}});
  CLEW_TRY(const auto found, store::find_request(tx, {kind, scope, name}, content));
  if (found) return "again " + to_json(*found);
  CLEW_TRY(
      store::remember_request(tx, {kind, scope, name}, content, Value(stage.now.us), stage.now));
  return "new";
}
Answer request_forget(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, store::forget_requests(tx, kind, word("scope", n[0])));
  return fmt::format("{}", gone);
}
Answer request_purge(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, store::purge_requests(tx, kind, Timestamp{stage.now.us - n[0]}, n[1]));
  return fmt::format("{}", gone);
}

// Due times: which thing, how far from now.
Answer due_set(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(store::set_due(tx, kind, word("thing", n[0]), stage.now + Duration(n[1] - 20)));
  return "ok";
}
Answer due_clear(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const bool done, store::clear_due(tx, kind, word("thing", n[0])));
  return yes_or_no(done);
}
Answer due_list(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto things, store::due_things(tx, kind, stage.now, n[0]));
  std::string text;
  for (const auto& each : things) text += fmt::format("{}@{} ", each.id, each.due.us);
  CLEW_TRY(const auto next, store::next_due(tx, kind));
  return text + "next " + (next ? fmt::format("{}", next->us) : "never");
}

// Messages: which key; the how manieth of those that are due.
Answer message_put(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto id, store::put_message(tx, kind, word("key", n[0]), Value(n[1]), stage.now));
  return fmt::format("{}", id);
}
Answer message_list(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto due, store::due_messages(tx, kind, stage.now, n[0]));
  std::string text;
  for (const auto& each : due) {
    text += fmt::format("{} {} {} {} \"{}\"; ", each.id, each.key, to_json(each.data),
                        each.attempts, each.problem);
  }
  CLEW_TRY(const auto next, store::next_message_due(tx, kind));
  return text + fmt::format("next {}", next.us);
}
Answer message_deliver(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto due, store::due_messages(tx, kind, stage.now, 100));
  if (due.empty()) return "nothing";
  const auto& message = due[static_cast<std::size_t>(n[0]) % due.size()];
  if (n[1] > 0) {
    CLEW_TRY(store::defer_message(tx, message, "later", stage.now + Duration(n[1])));
    return fmt::format("put off {}", message.id);
  }
  CLEW_TRY(const bool done, store::remove_message(tx, message.id));
  return fmt::format("{} {}", message.id, yes_or_no(done));
}
Answer message_drop(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, store::drop_messages(tx, kind, word("key", n[0])));
  return fmt::format("{}", gone);
}

// Events: which stream, its next number or one beside it, how many.
Answer event_append(Stage& stage, Transaction& tx, Numbers n) {
  const auto stream = store::stream_of(store::StreamKind::run, 1000 + n[0]);
  CLEW_TRY(const auto last, store::last_sequence(tx, stream));
  std::vector<store::StreamEvent> events;
  for (int i = 0; i < n[2]; ++i) {
    const auto off = n[1] == 1 ? 1 : 0;
    events.push_back({last + 1 + i + off, stage.now, "test.event", "", fmt::format("{}", i)});
  }
  if (n[1] == 2 && !events.empty()) events.back().seq = last;
  CLEW_TRY(store::append_events(tx, stream, events));
  return fmt::format("after {}", last);
}
Answer event_read(Stage&, Transaction& tx, Numbers n) {
  const auto stream = store::stream_of(store::StreamKind::run, 1000 + n[0]);
  CLEW_TRY(const auto events, store::read_events(tx, stream, n[1], n[2]));
  std::string text;
  for (const auto& each : events) text += fmt::format("{}:{}@{} ", each.seq, each.data, each.at.us);
  return text;
}
Answer event_remove(Stage&, Transaction& tx, Numbers n) {
  const auto stream = store::stream_of(store::StreamKind::run, 1000 + n[0]);
  CLEW_TRY(const auto gone, store::remove_stream(tx, stream));
  return fmt::format("{}", gone);
}

// Blobs: which content; small ones and such as have parts.
std::string content(int number) {
  const std::size_t size = number == 0 ? 0 : number % 4 == 3 ? 300'000 : 10;
  return std::string(size, static_cast<char>('a' + number % 26));
}
Answer blob_put(Stage& stage, Transaction& tx, Numbers n) {
  return store::put_blob(tx, content(n[0]), stage.now, {.size_max = n[1] == 1 ? 5 : 1'000'000});
}
Answer blob_get(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto bytes, store::get_blob(tx, store::blob_id(content(n[0]))));
  return bytes ? fmt::format("{} bytes", bytes->size()) : "nothing";
}
Answer blob_pin(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(store::pin_blob(tx, word("holder", n[1]), store::blob_id(content(n[0])), stage.now));
  return "ok";
}
Answer blob_unpin(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(store::unpin_blobs(tx, word("holder", n[0])));
  return "ok";
}
Answer blob_sweep(Stage& stage, Transaction& tx, Numbers n) {
  const std::vector<std::string> roots{store::blob_id(content(n[1]))};
  CLEW_TRY(const auto swept, store::sweep_blobs(tx, roots, Timestamp{stage.now.us - n[0]}));
  return fmt::format("roots {} retained {} deleted {} of {} bytes missing {}", swept.roots,
                     swept.retained, swept.deleted, swept.deleted_bytes, swept.missing.size());
}

// Work: which lane, row; under which slot the program keeps the claim.
std::string shown(const store::WorkRow& row) {
  return fmt::format("{}:{} due {} claim {} {} fence {} until {}", row.seq, row.id, row.due_at.us,
                     row.claim_id, row.owner, row.fencing, row.expires_at.us);
}
Answer work_enqueue(Stage& stage, Transaction& tx, Numbers n) {
  const auto lane = word("lane", n[0]);
  store::NewWork work{word("row", n[1]), n[2] == 0 ? "" : word("source", n[2]), word("sum", n[3]),
                      stage.now + Duration(n[4])};
  CLEW_TRY(const auto done, store::enqueue_work(tx, {kind, lane}, work, stage.now));
  return fmt::format("{}:{} new {} done {} same {}", done.seq, done.id, done.is_new, done.is_done,
                     done.is_same_content);
}
Answer work_list(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto rows, store::list_work(tx, {kind, word("lane", n[0])}, n[1], n[2]));
  std::string text;
  for (const auto& row : rows) text += shown(row) + "; ";
  return text;
}
Answer work_claim(Stage& stage, Transaction& tx, Numbers n) {
  const auto lane = word("lane", n[0]);
  // Those that stand there from the n[1]-th on, or one that does not.
  CLEW_TRY(const auto rows, store::list_work(tx, {kind, lane}, 0, n[1] + n[2] + 1));
  std::vector<std::int64_t> seqs;
  for (auto at = static_cast<std::size_t>(n[1]); at < rows.size(); ++at)
    seqs.push_back(rows[at].seq);
  if (seqs.empty()) seqs.push_back(n[1] + 1);
  const store::ClaimTerms terms{word("claim", n[3]), word("owner", n[3]), word("token", n[3]),
                                stage.now, stage.now + Duration(n[4])};
  CLEW_TRY(auto claim, store::claim_rows(tx, {kind, lane}, seqs, terms));
  std::string text = fmt::format("fence {}: ", claim.fencing);
  for (const auto& row : claim.rows) text += shown(row) + "; ";
  stage.claims[10 * n[0] + n[3]] = std::move(claim);
  return text;
}
std::optional<store::HeldClaim> held_in(Stage& stage, Numbers n) {
  const auto found = stage.claims.find(10 * n[0] + n[1]);
  if (found == stage.claims.end()) return {};
  return store::held(found->second);
}
Answer work_renew(Stage& stage, Transaction& tx, Numbers n) {
  const auto claim = held_in(stage, n);
  if (!claim) return "no claim";
  CLEW_TRY(const auto until,
           store::renew_claim(tx, {kind, word("lane", n[0])}, *claim, stage.now + Duration(n[2])));
  return fmt::format("until {}", until.us);
}
Answer work_complete(Stage& stage, Transaction& tx, Numbers n) {
  const auto claim = held_in(stage, n);
  if (!claim) return "no claim";
  CLEW_TRY(store::complete_claim(tx, {kind, word("lane", n[0])}, *claim, stage.now));
  return "done";
}
Answer work_abandon(Stage& stage, Transaction& tx, Numbers n) {
  const auto claim = held_in(stage, n);
  if (!claim) return "no claim";
  std::optional<Timestamp> due;
  if (n[2] > 0) due = stage.now + Duration(n[2]);
  CLEW_TRY(store::abandon_claim(tx, {kind, word("lane", n[0])}, *claim, due));
  return "given back";
}
Answer work_cancel(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto row,
           store::cancel_work(tx, {kind, word("lane", n[0])}, word("row", n[1]), stage.now));
  return row ? shown(*row) : "nothing";
}
Answer work_look(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto lanes, store::claimable_lanes(tx, kind, stage.now, "", n[0]));
  CLEW_TRY(const auto lapsed, store::lapsed_work(tx, kind, stage.now, n[0]));
  std::string text = "claimable";
  for (const auto& lane : lanes) text += " " + lane;
  text += ", lapsed";
  for (const auto& each : lapsed) text += " " + each.lane + " " + shown(each.row);
  return text;
}
Answer work_clear(Stage&, Transaction& tx, Numbers n) {
  CLEW_TRY(store::clear_lane(tx, {kind, word("lane", n[0])}));
  return "ok";
}
Answer work_forget(Stage& stage, Transaction& tx, Numbers n) {
  CLEW_TRY(const auto gone, store::forget_sources(tx, kind, Timestamp{stage.now.us - n[0]}));
  return fmt::format("{}", gone);
}

}  // namespace

std::vector<Verb> store_verbs() {
  return {{"lease_claim", {3, 3, 4, 40}, lease_claim},
          {"lease_renew", {3, 4, 60}, lease_renew},
          {"lease_check", {3, 4}, lease_check},
          {"lease_release", {3, 4}, lease_release},
          {"lease_end", {6, 4}, lease_end},
          {"lease_find", {3}, lease_find},
          {"lease_purge", {30, 4}, lease_purge},
          {"request", {2, 5, 2}, request},
          {"request_forget", {9}, request_forget},
          {"request_purge", {60, 3}, request_purge},
          {"due_set", {6, 60}, due_set},
          {"due_clear", {6}, due_clear},
          {"due_list", {5}, due_list},
          {"message_put", {3, 9}, message_put},
          {"message_list", {5}, message_list},
          {"message_deliver", {4, 20}, message_deliver},
          {"message_drop", {9}, message_drop},
          {"event_append", {3, 5, 4}, event_append},
          {"event_read", {3, 4, 5}, event_read},
          {"event_remove", {30}, event_remove},
          {"blob_put", {8, 4}, blob_put},
          {"blob_get", {8}, blob_get},
          {"blob_pin", {8, 3}, blob_pin},
          {"blob_unpin", {9}, blob_unpin},
          {"blob_sweep", {1500, 8}, blob_sweep},
          {"work_enqueue", {2, 30, 4, 2, 8}, work_enqueue},
          {"work_list", {2, 3, 6}, work_list},
          {"work_claim", {2, 3, 2, 3, 40}, work_claim},
          {"work_renew", {2, 3, 60}, work_renew},
          {"work_complete", {2, 3}, work_complete},
          {"work_abandon", {2, 3, 20}, work_abandon},
          {"work_cancel", {2, 30}, work_cancel},
          {"work_look", {4}, work_look},
          {"work_clear", {40}, work_clear},
          {"work_forget", {60}, work_forget}};
}

}  // namespace clew::differential
