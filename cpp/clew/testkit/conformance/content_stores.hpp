// testkit/conformance/content_stores.hpp: the laws of attachments and of program modules.
#pragma once

#include <span>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

void attachment_put_get_round_trips_bytes_and_meta(const Factory& fresh);
void attachment_is_content_addressed(const Factory& fresh);
void attachment_get_unknown_is_not_found(const Factory& fresh);
void attachment_reports_declared_persistence(const Factory& fresh);
void attachment_store_survives_reopen(const Factory& fresh);
// Beyond the first list.
void attachment_intent_comes_first(const Factory& fresh);
void attachment_of_any_size_streams(const Factory& fresh);
void attachment_damage_is_corrupt(const Factory& fresh);
void attachment_files_stay_while_anyone_needs_them(const Factory& fresh);
void attachment_delete_races_a_put_safely(const Factory& fresh);
void attachment_too_large_leaves_nothing(const Factory& fresh);

void artifact_put_get_round_trips(const Factory& fresh);
void artifact_get_unknown_is_none(const Factory& fresh);
void artifact_reports_declared_tier(const Factory& fresh);
void lashlang_artifact_store_survives_reopen(const Factory& fresh);
void module_artifact_rejects_corrupted_store_bytes(const Factory& fresh);
// Beyond the first list.
void module_refs_tell_what_counts(const Factory& fresh);
void artifact_is_kept_by_the_collection(const Factory& fresh);

std::span<const Case> attachment_store_cases();
std::span<const Case> artifact_store_cases();

}  // namespace clew::conformance
