#include "clew/testkit/conformance/host_event_store.hpp"

#include <atomic>

#include "clew/base/threads.hpp"
#include "clew/session/trigger_store.hpp"
#include "clew/testkit/conformance/session_world.hpp"

namespace clew::conformance {

using namespace session;

namespace {

const Value blue = Value::object({{"button", "Blue"}});
constexpr auto pressed = "ui.button.pressed";

TriggerDraft trigger(const std::string& session_id) {
  TriggerDraft made;
  made.session_id = session_id;
  made.source_type = pressed;
  made.source_key = source_key_for(pressed, blue);
  made.source = blue;
  made.event_type = "Pressed";
  made.module_ref = "module";
  made.required_surface_ref = "surface";
  made.process_ref = "process";
  made.process_name = "on_press";
  made.input_template = {{"event", true, {}}, {"color", false, "blue"}};
  return made;
}

HostEventRequest press(const std::string& key) {
  return {pressed, source_key_for(pressed, blue), Value::object({{"clicks", 1}}), key, blue};
}

}  // namespace

void host_event_store_reports_declared_tier(const Factory& fresh) {
  World world(fresh);
  expect_equal(!world.database->is_memory(), world.storage.is_durable,
               "host events are as durable as their database");
}

void host_event_source_key_is_stable(const Factory&) {
  const auto key = source_key_for(pressed, blue);
  expect_equal(key, source_key_for(pressed, Value::object({{"button", "Blue"}})), "the same key");
  expect(!key.empty() && key.starts_with("source:ui.button.pressed:sha256:"), "it names its type");
  expect(key != source_key_for("ui.button.released", blue), "the type counts");
  expect(key != source_key_for(pressed, Value::object({{"button", "Red"}})), "the source counts");
}

void host_event_store_registers_lists_and_cancels(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  const auto a = must(store.subscribe(trigger("session-a")), "subscribe a");
  const auto b = must(store.subscribe(trigger("session-b")), "subscribe b");
  expect(!a.subscription_id.empty() && a.subscription_id != b.subscription_id, "ids of their own");
  expect(a.handle != b.handle, "handles of their own");
  const auto of_a = must(store.list({.session_id = "session-a"}), "list");
  expect(of_a.size() == 1 && of_a[0] == a, "one of session a, as it was made");
  TriggerFilter on_source;
  on_source.source_type = pressed;
  on_source.source_key = source_key_for(pressed, blue);
  on_source.enabled = true;
  expect_equal(must(store.list(on_source), "list").size(), 2U, "two on the source");
  expect(!must(store.cancel("session-b", a.handle), "cancel"), "not by another session");
  expect(must(store.cancel("session-a", a.handle), "cancel"), "but by its own");
  expect(!must(store.cancel("session-a", a.handle), "cancel"), "once");
  const auto after = must(store.list({.session_id = "session-a"}), "list");
  expect(after.size() == 1 && !after[0].enabled, "it stays listed, and is not enabled");
  expect_equal(must(store.list(on_source), "list").size(), 1U, "one is left on the source");
  expect_equal(must(store.list({.handle = b.handle}), "list").size(), 1U, "found by handle");
  expect_equal(must(store.list({.handle = "trigger:01"}), "list").size(), 0U, "no such handle");
  expect_equal(must(store.list({.target = "on_press"}), "list").size(), 2U, "found by target");
  auto bad = trigger("session-a");
  bad.source_key = " ";
  expect_no_trace<TriggerSubscription>(
      world, [&] { return store.subscribe(bad); }, Code::invalid_input, "a blank source");
  bad = trigger("session-a");
  bad.input_template.push_back({"event", true, {}});
  expect_no_trace<TriggerSubscription>(
      world, [&] { return store.subscribe(bad); }, Code::invalid_input, "a parameter twice");
}

void host_event_store_records_and_reserves_idempotently(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  const auto subscription = must(store.subscribe(trigger("root")), "subscribe");
  const auto event = must(store.record(press("button-blue-1")), "record");
  expect_equal(event.request.source_type, pressed, "its type");
  expect_equal(event.request.source_key, source_key_for(pressed, blue), "its key");
  const auto first = must(store.reserve(event.occurrence_id), "reserve");
  expect_equal(first.size(), 1U, "one delivery");
  expect_equal(first[0].subscription.handle, subscription.handle, "of that subscription");
  expect_equal(first[0].occurrence.occurrence_id, event.occurrence_id, "and that occurrence");
  expect_equal(first[0].process_id,
               delivery_process_id(event.occurrence_id, subscription.subscription_id),
               "its process is always the same");
  expect_equal(must(store.reserve(event.occurrence_id), "reserve again").size(), 0U, "once ever");
  world.advance(std::chrono::seconds(1));
  const auto again = must(store.record(press("button-blue-1")), "record again");
  expect_equal(again.occurrence_id, event.occurrence_id, "the same occurrence");
  expect(again.occurred_at == event.occurred_at, "at its first time");
  expect_equal(must(store.reserve(again.occurrence_id), "reserve").size(), 0U, "nothing new");
  must(store.cancel("root", subscription.handle), "cancel");
  const auto second = must(store.record(press("button-blue-2")), "record another");
  expect_equal(must(store.reserve(second.occurrence_id), "reserve").size(), 0U, "nobody listens");
  expect_refused(store.reserve("host_event:none"), Code::not_found, "an unknown occurrence");
  for (const int blank : {0, 1, 2}) {
    auto bad = press("key");
    (blank == 0 ? bad.source_type : blank == 1 ? bad.source_key : bad.idempotency_key) = " ";
    expect_no_trace<HostEvent>(
        world, [&] { return store.record(bad); }, Code::invalid_input, "a blank word");
  }
}

void host_event_store_survives_reopen(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  must(store.subscribe(trigger("root")), "subscribe");
  const auto event = must(store.record(press("1")), "record");
  must(store.reserve(event.occurrence_id), "reserve");
  const auto second = world.open();
  TriggerStore again(*second, *world.env);
  expect_equal(must(again.list(), "list").size(), 1U, "the subscription");
  expect_equal(must(again.record(press("1")), "replay").occurrence_id, event.occurrence_id,
               "the same occurrence");
  expect_equal(must(again.reserve(event.occurrence_id), "reserve").size(), 0U, "reserved before");
  const auto fresh_event = must(again.record(press("2")), "record");
  expect_equal(must(again.reserve(fresh_event.occurrence_id), "reserve").size(), 1U, "the new one");
}

void handles_are_listed_in_the_order_of_creation(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  std::vector<std::string> made;
  for (int i = 0; i < 12; ++i) {
    made.push_back(must(store.subscribe(trigger(i % 2 == 0 ? "z" : "a")), "subscribe").handle);
  }
  std::vector<std::string> listed;
  for (const auto& each : must(store.list(), "list")) listed.push_back(each.handle);
  expect_equal(listed, made, "the tenth comes after the second");
  const auto page = must(store.list({}, must(store.list(), "list")[1].number, 3), "a page");
  expect_equal(page.size(), 3U, "as many as wanted");
  expect_equal(page[0].handle, made[2], "from there on");
}

void reserved_delivery_is_found_until_it_is_registered(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  const auto one = must(store.subscribe(trigger("a")), "subscribe");
  must(store.subscribe(trigger("b")), "subscribe");
  const auto reserved = must(store.record_and_reserve(press("1")), "record and reserve");
  expect_equal(reserved.size(), 2U, "two deliveries");
  expect_equal(must(store.unregistered({world.now().us - 1}), "look").size(), 0U, "none so old");
  const auto lost = must(store.unregistered(world.now()), "look");
  expect_equal(lost.size(), 2U, "what a crash may have lost is found");
  expect_equal(lost[0].process_id, reserved[0].process_id, "the same deliveries");
  expect(must(store.mark_registered(reserved[1].process_id), "register"), "one is registered");
  expect(!must(store.mark_registered(reserved[1].process_id), "again"), "once");
  must(store.cancel("a", one.handle), "cancel the other's subscription");
  const auto left = must(store.unregistered(world.now()), "look");
  expect_equal(left.size(), 1U, "it was promised all the same");
  expect_equal(left[0].process_id, reserved[0].process_id, "the one that is not registered");
  expect_refused(store.mark_registered("process:none"), Code::not_found, "never reserved");
}

void idempotency_key_is_the_sources_own(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  const auto first = must(store.record(press("1")), "record");
  auto other = press("1");
  other.source_key = "another";
  expect(must(store.record(other), "another source").occurrence_id != first.occurrence_id,
         "another source has keys of its own");
  auto changed = press("1");
  changed.payload = Value::object({{"clicks", 2}});
  const auto refused = expect_no_trace<HostEvent>(
      world, [&] { return store.record(changed); }, Code::conflict, "another payload");
  expect_equal(told(refused, "path").as_string(), "payload.clicks",
               "the first difference is named");
  changed = press("1");
  changed.source = Value();
  expect_equal(expect_refused(store.record(changed), Code::conflict, "another source value")
                   .find("path")
                   ->as_string(),
               "source", "the first difference is named");
}

void racing_reservations_give_each_delivery_once(const Factory& fresh) {
  World world(fresh);
  const auto other = world.storage.is_durable ? world.open() : nullptr;
  TriggerStore store(*world.database, *world.env);
  for (int i = 0; i < 3; ++i) must(store.subscribe(trigger("root")), "subscribe");
  const auto event = must(store.record(press("1")), "record");
  std::atomic<int> given{0};
  std::atomic<int> failed{0};
  {
    Threads threads;
    for (int i = 0; i < 16; ++i) {
      threads.start("reserves", [&, i] {
        TriggerStore mine(other && i % 2 == 1 ? *other : *world.database, *world.env);
        const auto reserved = mine.reserve(event.occurrence_id);
        if (!reserved) ++failed;
        if (reserved) given += static_cast<int>(reserved->size());
      });
    }
    threads.join();
  }
  expect_equal(failed.load(), 0, "nobody fails");
  expect_equal(given.load(), 3, "each delivery is given once");
}

void deleted_session_has_no_triggers(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  must(store.subscribe(trigger("root")), "subscribe");
  must(store.record_and_reserve(press("1")), "reserve");
  must(world.session("root").remove(), "delete");
  expect_equal(must(store.list(), "list").size(), 0U, "none is left");
  expect_equal(must(store.unregistered(world.now()), "look").size(), 0U, "nor a delivery");
  expect_no_trace<TriggerSubscription>(
      world, [&] { return store.subscribe(trigger("root")); }, Code::conflict, "nor a new one");
}

void old_host_events_are_pruned_once_delivered(const Factory& fresh) {
  World world(fresh);
  TriggerStore store(*world.database, *world.env);
  must(store.subscribe(trigger("root")), "subscribe");
  const auto reserved = must(store.record_and_reserve(press("1")), "reserve");
  auto unheard = press("2");
  unheard.source_key = "nobody listens";
  must(store.record(unheard), "record");
  world.advance(std::chrono::hours(1));
  expect_equal(must(store.prune(world.now()), "prune"), 1, "what nobody hears of goes at once");
  expect_equal(must(store.unregistered(world.now()), "look").size(), 1U, "what is owed stays");
  must(store.mark_registered(reserved[0].process_id), "register");
  expect_equal(must(store.prune(world.now()), "prune"), 1, "then it goes too");
}

std::span<const Case> host_event_store_cases() {
  static constexpr Case cases[] = {
#define CLEW_CASE(function) {#function, function}
      CLEW_CASE(host_event_store_reports_declared_tier),
      CLEW_CASE(host_event_source_key_is_stable),
      CLEW_CASE(host_event_store_registers_lists_and_cancels),
      CLEW_CASE(host_event_store_records_and_reserves_idempotently),
      {"host_event_store_survives_reopen", host_event_store_survives_reopen, Needs::reopen},
      CLEW_CASE(handles_are_listed_in_the_order_of_creation),
      CLEW_CASE(reserved_delivery_is_found_until_it_is_registered),
      CLEW_CASE(idempotency_key_is_the_sources_own),
      CLEW_CASE(racing_reservations_give_each_delivery_once),
      CLEW_CASE(deleted_session_has_no_triggers),
      CLEW_CASE(old_host_events_are_pruned_once_delivered),
#undef CLEW_CASE
  };
  return cases;
}

}  // namespace clew::conformance
