// testkit/conformance/runtime_persistence.hpp: the laws of a session's state. Each case is a
// function that throws a Failure at the first rule that does not hold.
#pragma once

#include <span>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

void runtime_persistence_reports_declared_durability(const Factory& fresh);
void commit_increments_head_and_round_trips_agent_frames(const Factory& fresh);
void commit_rejects_a_different_session_id(const Factory& fresh);
void load_hydrates_checkpoint_and_usage(const Factory& fresh);
void active_path_read_scope_selects_only_requested_ancestry(const Factory& fresh);
void attachment_manifest_records_intent_and_commit_stamps(const Factory& fresh);
void session_metadata_round_trips(const Factory& fresh);
void tombstone_vacuum_and_gc_are_minimally_consistent(const Factory& fresh);
void final_commit_stamp_is_idempotent_and_conflicts_on_changed_hash(const Factory& fresh);
void runtime_persistence_survives_reopen(const Factory& fresh);

// Beyond the first list.
void first_commit_requires_that_there_is_no_head(const Factory& fresh);
void stamp_with_another_hash_is_refused(const Factory& fresh);
void stamp_hash_excludes_transport_facts(const Factory& fresh);
void ref_without_a_stored_body_is_refused(const Factory& fresh);
void ref_without_body_means_as_before(const Factory& fresh);
void manifest_is_keyed_by_session_and_id(const Factory& fresh);
void damaged_rows_are_corrupt_and_never_skipped(const Factory& fresh);
void blank_ids_and_bad_counters_are_refused(const Factory& fresh);
void graph_mistakes_are_typed_errors(const Factory& fresh);
void racing_commits_on_one_head_apply_once(const Factory& fresh);
void usage_is_merged_and_applied_once(const Factory& fresh);
void deleted_session_never_comes_back(const Factory& fresh);
void collection_keeps_what_any_head_needs(const Factory& fresh);
void oversize_commit_is_refused_before_its_transaction(const Factory& fresh);

std::span<const Case> runtime_persistence_cases();

}  // namespace clew::conformance
