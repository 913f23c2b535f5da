#include "clew/testkit/conformance/queued_work.hpp"

#include <atomic>

#include "clew/base/threads.hpp"
#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

namespace {

constexpr auto idle = ClaimBoundary::idle;
constexpr auto checkpoint = ClaimBoundary::active_turn_checkpoint;
constexpr Duration minute = std::chrono::minutes(1);
constexpr Timestamp year_2100{4'102'444'800'000'000};

QueuedWorkDraft joining(QueuedWorkDraft made, const std::string& group) {
  made.slot_policy = SlotPolicy::join;
  made.merge_key = {MergeKey::Kind::group, group};
  return made;
}

QueuedWorkDraft after_turn(QueuedWorkDraft made) {
  made.delivery_policy = DeliveryPolicy::after_current_turn_commit;
  return made;
}

QueuedWorkBatch enqueue(SessionStore& store, const QueuedWorkDraft& made) {
  return must(store.enqueue(made), "enqueue").batch;
}

QueuedWorkClaim claim(SessionStore& store, const std::string& owner, Duration ttl = minute,
                      int max = 10, ClaimBoundary boundary = idle) {
  auto claimed = must(store.claim(boundary, owner, ttl, max), "claim");
  expect(claimed.has_value(), "there is something to claim", owner);
  return *std::move(claimed);
}

void expect_nothing(SessionStore& store, std::string_view rule, ClaimBoundary boundary = idle) {
  const auto claimed = must(store.claim(boundary, "nobody", minute, 10), "claim");
  expect(!claimed.has_value(), rule, claimed ? shown(texts_of(claimed->batches)) : std::string());
}

void complete(SessionStore& store, const QueuedWorkClaim& claimed) {
  must(store.complete(claimed.completion()), "complete");
}

Texts queued(SessionStore& store) { return texts_of(must(store.list_queued(), "list")); }
Texts pending(SessionStore& store) { return texts_of(must(store.list_pending(), "list")); }

}  // namespace

void queued_work_source_keys_are_idempotent_and_list_ordered(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  const auto first = enqueue(store, draft("root", "first", "source:first"));
  const auto again = must(store.enqueue(draft("root", "other text", "source:first")), "again");
  expect(!again.is_new && !again.is_done, "it is known and waits");
  expect(again.batch == first, "the same batch and items, with the original payload");
  const auto second = enqueue(store, draft("root", "second"));
  auto other = world.session("other");
  enqueue(other, draft("other", "elsewhere", "source:first"));
  expect_equal(first.items.at(0).item_id, first.batch_id + ":item:0", "the item's id");
  expect_equal(queued(store), Texts{"first", "second"}, "in the order of enqueueing");
  expect(first.enqueue_seq < second.enqueue_seq, "the numbers rise");
  expect_equal(queued(other), Texts{"elsewhere"}, "keys are the session's own");
}

void queued_work_cancel_removes_only_unclaimed_batches(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  const auto first = enqueue(store, draft("root", "first"));
  const auto cancelled = must(store.cancel_queued(first.batch_id), "cancel");
  expect(cancelled.has_value() && *cancelled == first, "the batch is given");
  expect_equal(queued(store), Texts{}, "and gone");
  const auto second = enqueue(store, draft("root", "second"));
  const auto claimed = claim(store, "a");
  expect_equal(pending(store), Texts{}, "what is claimed is not pending");
  expect_equal(queued(store), Texts{"second"}, "but there");
  expect(!must(store.cancel_queued(second.batch_id), "cancel").has_value(), "nor cancelled");
  must(store.abandon(claimed), "abandon");
  expect_equal(pending(store), Texts{"second"}, "now it is pending");
  expect(must(store.cancel_queued(second.batch_id), "cancel").has_value(), "and can be cancelled");
}

void queued_work_exact_claim_uses_selected_batch_ids(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  const auto first = enqueue(store, draft("root", "first"));
  const auto second = enqueue(store, draft("root", "second"));
  const auto exact = [&](const std::vector<std::string>& ids) {
    return must(store.claim_batches(idle, "a", minute, ids), "claim by id");
  };
  expect(!exact({}).has_value(), "no ids, no claim");
  expect(!exact({second.batch_id}).has_value(), "nothing skips ahead");
  expect(!exact({first.batch_id, second.batch_id}).has_value(),
         "exclusive ones do not go together");
  expect_equal(pending(store), Texts{"first", "second"}, "both wait still");
  const auto claimed = exact({first.batch_id});
  expect(claimed.has_value(), "the first can be claimed");
  expect_equal(texts_of(claimed->batches), Texts{"first"}, "it alone");
  expect_equal(pending(store), Texts{"second"}, "the second waits");
}

void queued_work_claims_respect_boundaries_renewal_and_abandon(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, after_turn(draft("root", "head")));
  enqueue(store, draft("root", "early"));
  expect_nothing(store, "a head that waits for the end of the turn is not passed over", checkpoint);
  const auto head = claim(store, "a");
  expect_equal(texts_of(head.batches), Texts{"head"}, "an idle claim takes only the head");
  const auto early = claim(store, "b", minute, 10, checkpoint);
  expect_equal(texts_of(early.batches), Texts{"early"}, "a claimed head blocks nothing");
  must(store.abandon(head), "abandon");
  const auto again = claim(store, "c");
  expect_equal(texts_of(again.batches), Texts{"head"}, "the head is claimed again");
  expect(again.fencing_token > head.fencing_token, "with a greater fencing token");
  world.advance(std::chrono::seconds(1));
  const auto renewed = must(store.renew(again, minute), "renew");
  expect_equal(renewed.claim_id, again.claim_id, "the same claim");
  expect_equal(renewed.lease_token, again.lease_token, "the same token");
  expect(renewed.batches == again.batches, "the same batches");
  expect(renewed.expires_at > again.expires_at, "a later end");
  expect(must(store.renew(renewed, Duration(0)), "renew shorter").expires_at == renewed.expires_at,
         "never an earlier one");
  expect_refused(store.renew(head, minute), Code::stale_lease, "the abandoned claim is over");
}

void queued_work_respects_availability_limits_exclusivity_reclaim_and_sessions(
    const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto other = world.session("other");
  auto future = draft("root", "future");
  future.available_at = year_2100;
  enqueue(store, future);
  enqueue(store, draft("root", "alone"));
  enqueue(store, joining(draft("root", "join"), "root"));
  enqueue(other, draft("other", "elsewhere"));
  expect_equal(texts_of(claim(store, "a").batches), Texts{"alone"},
               "what is not due is passed over; an exclusive one goes alone");
  expect_equal(texts_of(claim(store, "b").batches), Texts{"join"}, "then the next");
  expect_equal(pending(other), Texts{"elsewhere"}, "the other session is untouched");

  auto third = world.session("third");
  enqueue(third, draft("third", "again"));
  const auto brief = claim(third, "a", Duration(0));
  const auto taken = claim(third, "b");
  expect(taken.fencing_token > brief.fencing_token, "a claim of no duration is anyone's at once");
  complete(third, taken);
  for (const auto* text : {"1", "2", "3"}) {
    enqueue(third, joining(draft("third", text), "limited"));
  }
  expect(!must(third.claim(idle, "a", minute, 0), "claim").has_value(), "none when none may be");
  expect_equal(texts_of(claim(third, "a", minute, 2).batches), Texts{"1", "2"}, "at most two");
  expect_equal(texts_of(claim(third, "b", minute, 2).batches), Texts{"3"}, "then the third");
}

void queued_work_join_groups_by_delivery_policy_and_merge_key(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, joining(draft("root", "a1"), "a"));
  enqueue(store, joining(draft("root", "a2"), "a"));
  enqueue(store, joining(draft("root", "b"), "b"));
  enqueue(store, after_turn(joining(draft("root", "a3"), "a")));
  for (const auto& wanted : {Texts{"a1", "a2"}, Texts{"b"}, Texts{"a3"}}) {
    const auto claimed = claim(store, "a");
    expect_equal(texts_of(claimed.batches), wanted, "only equal neighbours join");
    complete(store, claimed);
  }
}

void queued_work_completion_is_lease_guarded(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, joining(draft("root", "1"), "g"));
  enqueue(store, joining(draft("root", "2"), "g"));
  const auto claimed = claim(store, "a");
  auto commit = first_commit("root");
  const auto refuse = [&](const QueuedWorkCompletion& shown, std::string_view rule) {
    commit.completed_queue_claims = {shown};
    const auto refused = expect_no_trace<CommitResult>(
        world, [&] { return store.commit(commit); }, Code::stale_lease, rule);
    expect_equal(told(refused, "claim_id").as_string(), shown.claim_id, "it names the claim");
  };
  auto stale = claimed.completion();
  stale.lease_token += ":stale";
  refuse(stale, "a wrong token");
  auto part = claimed.completion();
  part.batch_ids.pop_back();
  refuse(part, "a part of a claim");
  part.batch_ids.clear();
  refuse(part, "nothing of a claim");
  expect_equal(queued(store), Texts{"1", "2"}, "both remain");
  commit.completed_queue_claims = {claimed.completion()};
  must(store.commit(commit), "commit");
  expect_equal(queued(store), Texts{}, "the queue is empty");
}

void queue_completion_and_turn_commit_stamp_are_atomic(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, draft("root", "text"));
  const auto claimed = claim(store, "a");
  auto commit = first_commit("root");
  commit.checkpoint.turn_index = 41;
  commit.completed_queue_claims = {claimed.completion()};
  commit.completed_queue_claims[0].lease_token += ":stale";
  stamp(commit, "turn");
  expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::stale_lease, "a stale completion");
  expect(!must(store.load(), "load").has_value(), "no session came of it");
  expect_equal(queued(store), Texts{"text"}, "the batch is kept");
  commit.completed_queue_claims = {claimed.completion()};
  const auto first = must(store.commit(commit), "commit with the same stamp");
  expect(must(store.load(), "load").has_value(), "the session is there");
  expect_equal(queued(store), Texts{}, "the queue is empty");
  expect(must(store.commit(commit), "the spent completion again") == first,
         "the stamp is looked at before the claims");
}

void queued_wake_delivery_is_source_key_idempotent_and_claimed_once(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  const auto wake =
      Value::object({{"wake_id", "wake:abc"}, {"target_session_id", "root"}, {"input", "done"}});
  const auto made = must(wake_draft(wake), "make the draft");
  must(store.enqueue(made), "enqueue");
  expect(!must(store.enqueue(made), "enqueue again").is_new, "a wake is enqueued once");
  auto same = Value::object({{"wake_id", "wake:abc"},
                             {"target_session_id", "root"},
                             {"sequence", 8},
                             {"input", "done again"}});
  expect(!must(store.enqueue(must(wake_draft(same), "make it")), "enqueue").is_new,
         "wakes that count as one are one");
  const auto claimed = claim(store, "a");
  expect_equal(claimed.batches.size(), 1U, "one batch");
  expect_equal(claimed.batches[0].items.size(), 1U, "one item");
  const auto& payload = claimed.batches[0].items[0].payload;
  expect(payload.kind == PayloadKind::process_wake && payload.body == wake, "the wake itself");
  auto commit = first_commit("root");
  commit.completed_queue_claims = {claimed.completion()};
  must(store.commit(commit), "commit");
  expect_equal(must(store.list_queued(), "list").size(), 0U, "nothing is left");
}

void merge_key_never_merges_with_nothing(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  for (const auto* text : {"1", "2"}) {
    auto made = draft("root", text);
    made.slot_policy = SlotPolicy::join;
    enqueue(store, made);
  }
  for (const auto* text : {"3", "4"}) {
    auto made = draft("root", text);
    made.slot_policy = SlotPolicy::join;
    made.merge_key.kind = MergeKey::Kind::payload_default;
    enqueue(store, made);
  }
  for (const auto& wanted : {Texts{"1"}, Texts{"2"}, Texts{"3", "4"}}) {
    expect_equal(texts_of(claim(store, "a").batches), wanted, "`never` is not equal to itself");
  }
}

void join_run_is_not_broken_by_another_session(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto other = world.session("other");
  enqueue(store, joining(draft("root", "1"), "g"));
  enqueue(other, joining(draft("other", "x"), "g"));
  enqueue(store, joining(draft("root", "2"), "g"));
  expect_equal(texts_of(claim(store, "a").batches), Texts{"1", "2"},
               "neighbours are those of the session");
  expect_equal(pending(other), Texts{"x"}, "the other's is untouched");
}

void two_completions_of_which_one_is_stale_change_nothing(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, draft("root", "1"));
  enqueue(store, draft("root", "2"));
  const auto first = claim(store, "a");
  const auto second = claim(store, "a");
  auto commit = first_commit("root");
  commit.completed_queue_claims = {first.completion(), second.completion()};
  commit.completed_queue_claims[1].lease_token += ":stale";
  const auto refused = expect_no_trace<CommitResult>(
      world, [&] { return store.commit(commit); }, Code::stale_lease, "the second is stale");
  expect_equal(told(refused, "path").as_string(), "completed_queue_claims[1]", "it says which");
  commit.completed_queue_claims[1] = second.completion();
  must(store.commit(commit), "both");
  expect_equal(queued(store), Texts{}, "both are done");
}

void expired_claim_works_until_it_is_stolen(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, draft("root", "1"));
  const auto a = claim(store, "a");
  world.advance(minute - Duration(1));
  expect_nothing(store, "the instant before its end it is live");
  world.advance(Duration(1));
  expect_equal(pending(store), Texts{"1"}, "in its last instant it is over");
  const auto renewed = must(store.renew(a, minute), "its owner may renew it still");
  expect_nothing(store, "then it is live again");
  world.advance(minute);
  const auto b = claim(store, "b");
  expect(b.fencing_token > a.fencing_token, "the thief has a greater token");
  expect_refused(store.renew(renewed, minute), Code::stale_lease, "now it is lost");
  expect_refused(store.complete(a.completion()), Code::stale_lease, "for completing too");
  world.advance(minute + minute);
  must(store.complete(b.completion()), "overdue and not stolen, it can be completed");
}

void source_key_outlives_its_batch_until_retention(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  const auto first = enqueue(store, draft("root", "1", "key"));
  complete(store, claim(store, "a"));
  const auto late = must(store.enqueue(draft("root", "1", "key")), "a late replay");
  expect(!late.is_new && late.is_done, "the work is known to be done");
  expect_equal(late.batch.batch_id, first.batch_id, "under the first id");
  expect_equal(queued(store), Texts{}, "nothing is enqueued");
  const auto forget = [&](Timestamp before) {
    return must(in_write<std::int64_t>(
                    *world.database,
                    [&](store::Transaction& tx) { return forget_batch_sources(tx, before); }),
                "forget");
  };
  expect_equal(forget(world.now()), 0, "not before its time");
  world.advance(Duration(1));
  expect_equal(forget(world.now()), 1, "then it is forgotten");
  expect(must(store.enqueue(draft("root", "1", "key")), "anew").is_new, "and the key is free");
  expect_equal(forget(year_2100), 0, "the key of what waits is never forgotten");
}

void strict_source_key_refuses_other_content(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  enqueue(store, draft("root", "1", "key"));
  expect(!must(store.enqueue(draft("root", "1", "key"), true), "the same").is_new,
         "the same is fine");
  expect_no_trace<QueuedWorkReceipt>(
      world, [&] { return store.enqueue(draft("root", "2", "key"), true); }, Code::conflict,
      "another payload under a known key");
  complete(store, claim(store, "a"));
  expect_refused(store.enqueue(draft("root", "2", "key"), true), Code::conflict,
                 "also when it is done");
}

void claim_reaches_rows_beyond_the_look_ahead(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  for (int i = 0; i < 150; ++i) {
    auto made = draft("root", fmt::format("future {}", i));
    made.available_at = year_2100;
    enqueue(store, made);
  }
  for (int i = 0; i < 70; ++i) {
    enqueue(store, joining(draft("root", fmt::format("{}", i)), "g"));
  }
  expect_equal(claim(store, "a", minute, 100).batches.size(), 70U, "all that join, in one claim");
  expect_equal(must(store.list_queued(), "list").size(), 220U, "the list has them all");
}

void racing_claims_have_one_owner(const Factory& fresh) {
  World world(fresh);
  const auto other = world.storage.is_durable ? world.open() : nullptr;
  auto store = world.session("root");
  enqueue(store, draft("root", "1"));
  std::atomic<int> won{0};
  std::atomic<int> none{0};
  {
    Threads threads;
    for (int i = 0; i < 64; ++i) {
      threads.start("claims", [&, i] {
        auto mine = world.session(other && i % 2 == 1 ? *other : *world.database, "root");
        const auto claimed = mine.claim(idle, fmt::format("owner-{}", i), minute, 10);
        if (claimed && *claimed) ++won;
        if (claimed && !*claimed) ++none;
      });
    }
    threads.join();
  }
  expect_equal(won.load(), 1, "one wins");
  expect_equal(none.load(), 63, "the others get nothing");
}

void bad_drafts_name_their_path(const Factory& fresh) {
  World world(fresh);
  auto store = world.session("root");
  auto empty = draft("root", "1");
  empty.payloads.clear();
  const auto refused = expect_no_trace<QueuedWorkReceipt>(
      world, [&] { return store.enqueue(empty); }, Code::invalid_input, "no payload");
  expect_equal(told(refused, "path").as_string(), "payloads", "it names the path");
  expect_refused(store.enqueue(draft("other", "1")), Code::conflict, "another session's");
  expect_refused(store.enqueue(draft("root", "1", " ")), Code::invalid_input, "a blank key");
  expect_refused(store.claim(idle, " ", minute, 1), Code::invalid_input, "a blank owner");
  expect_refused(store.claim(idle, "a", Duration(-1), 1), Code::invalid_input, "a negative ttl");
  expect_refused(wake_draft(Value::object({{"wake_id", "w"}})), Code::invalid_input,
                 "a wake without a target");
}

std::span<const Case> queued_work_cases() {
  static constexpr Case cases[] = {
#define CLEW_CASE(function) {#function, function}
      CLEW_CASE(queued_work_source_keys_are_idempotent_and_list_ordered),
      CLEW_CASE(queued_work_cancel_removes_only_unclaimed_batches),
      CLEW_CASE(queued_work_exact_claim_uses_selected_batch_ids),
      CLEW_CASE(queued_work_claims_respect_boundaries_renewal_and_abandon),
      CLEW_CASE(queued_work_respects_availability_limits_exclusivity_reclaim_and_sessions),
      CLEW_CASE(queued_work_join_groups_by_delivery_policy_and_merge_key),
      CLEW_CASE(queued_work_completion_is_lease_guarded),
      CLEW_CASE(queue_completion_and_turn_commit_stamp_are_atomic),
      CLEW_CASE(queued_wake_delivery_is_source_key_idempotent_and_claimed_once),
      CLEW_CASE(merge_key_never_merges_with_nothing),
      CLEW_CASE(join_run_is_not_broken_by_another_session),
      CLEW_CASE(two_completions_of_which_one_is_stale_change_nothing),
      CLEW_CASE(expired_claim_works_until_it_is_stolen),
      CLEW_CASE(source_key_outlives_its_batch_until_retention),
      CLEW_CASE(strict_source_key_refuses_other_content),
      CLEW_CASE(claim_reaches_rows_beyond_the_look_ahead),
      CLEW_CASE(racing_claims_have_one_owner),
      CLEW_CASE(bad_drafts_name_their_path),
#undef CLEW_CASE
  };
  return cases;
}

}  // namespace clew::conformance
