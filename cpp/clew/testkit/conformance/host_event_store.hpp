// testkit/conformance/host_event_store.hpp: the laws of host events and triggers.
#pragma once

#include <span>

#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

void host_event_store_reports_declared_tier(const Factory& fresh);
void host_event_source_key_is_stable(const Factory& fresh);
void host_event_store_registers_lists_and_cancels(const Factory& fresh);
void host_event_store_records_and_reserves_idempotently(const Factory& fresh);
void host_event_store_survives_reopen(const Factory& fresh);

// Beyond the first list.
void handles_are_listed_in_the_order_of_creation(const Factory& fresh);
void reserved_delivery_is_found_until_it_is_registered(const Factory& fresh);
void idempotency_key_is_the_sources_own(const Factory& fresh);
void racing_reservations_give_each_delivery_once(const Factory& fresh);
void deleted_session_has_no_triggers(const Factory& fresh);
void old_host_events_are_pruned_once_delivered(const Factory& fresh);

std::span<const Case> host_event_store_cases();

}  // namespace clew::conformance
