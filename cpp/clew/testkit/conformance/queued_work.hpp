// testkit/conformance/queued_work.hpp: the laws of a session's queue.
#pragma once

#include <span>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

void queued_work_source_keys_are_idempotent_and_list_ordered(const Factory& fresh);
void queued_work_cancel_removes_only_unclaimed_batches(const Factory& fresh);
void queued_work_exact_claim_uses_selected_batch_ids(const Factory& fresh);
void queued_work_claims_respect_boundaries_renewal_and_abandon(const Factory& fresh);
void queued_work_respects_availability_limits_exclusivity_reclaim_and_sessions(
    const Factory& fresh);
void queued_work_join_groups_by_delivery_policy_and_merge_key(const Factory& fresh);
void queued_work_completion_is_lease_guarded(const Factory& fresh);
void queue_completion_and_turn_commit_stamp_are_atomic(const Factory& fresh);
void queued_wake_delivery_is_source_key_idempotent_and_claimed_once(const Factory& fresh);

// Beyond the first list.
void merge_key_never_merges_with_nothing(const Factory& fresh);
void join_run_is_not_broken_by_another_session(const Factory& fresh);
void two_completions_of_which_one_is_stale_change_nothing(const Factory& fresh);
void expired_claim_works_until_it_is_stolen(const Factory& fresh);
void source_key_outlives_its_batch_until_retention(const Factory& fresh);
void strict_source_key_refuses_other_content(const Factory& fresh);
void claim_reaches_rows_beyond_the_look_ahead(const Factory& fresh);
void racing_claims_have_one_owner(const Factory& fresh);
void bad_drafts_name_their_path(const Factory& fresh);

std::span<const Case> queued_work_cases();

}  // namespace clew::conformance
