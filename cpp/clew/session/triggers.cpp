#include "clew/session/triggers.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "clew/session/detail/fields.hpp"
#include "clew/session/head.hpp"

namespace clew::session {
namespace {

using store::Row;
using store::Statement;

constexpr std::string_view handle_prefix = "trigger:";

const Statement insert_subscription_sql(R"sql(
    INSERT INTO trigger_subscriptions (subscription_id, session_id, source_type, source_key, name,
                                       target, draft, enabled, created_us, updated_us)
    VALUES (:id, :session, :type, :key, :name, :target, :draft, 1, :now, :now)
    RETURNING number)sql");
// A filter that is not given is the empty text, or -1, which no row holds.
const Statement list_sql(R"sql(
    SELECT number, subscription_id, draft, enabled, created_us, updated_us, session_id, source_type,
           source_key, target
      FROM trigger_subscriptions
     WHERE number > :after AND (session_id = :session OR :session = '')
       AND (number = :number OR :number = -1) AND (name = :name OR :name = '')
       AND (source_type = :type OR :type = '') AND (source_key = :key OR :key = '')
       AND (target = :target OR :target = '') AND (enabled = :enabled OR :enabled = -1)
     ORDER BY number LIMIT :limit)sql");
const Statement of_source_sql(R"sql(
    SELECT number, subscription_id, draft, enabled, created_us, updated_us, session_id, source_type,
           source_key, target
      FROM trigger_subscriptions
     WHERE source_type = :type AND source_key = :key AND enabled = 1
     ORDER BY number {for_update})sql");
const Statement by_number_sql(R"sql(
    SELECT number, subscription_id, draft, enabled, created_us, updated_us, session_id, source_type,
           source_key, target
      FROM trigger_subscriptions WHERE number = :number)sql");
const Statement cancel_sql(R"sql(
    UPDATE trigger_subscriptions SET enabled = 0, updated_us = :now
     WHERE number = :number AND session_id = :session AND enabled = 1)sql");
const Statement lock_of_session_sql(R"sql(
    SELECT number FROM trigger_subscriptions WHERE session_id = :session
     ORDER BY number {for_update})sql");
const Statement remove_deliveries_sql(R"sql(
    DELETE FROM trigger_deliveries WHERE number IN
      (SELECT number FROM trigger_subscriptions WHERE session_id = :session))sql");
const Statement remove_sql("DELETE FROM trigger_subscriptions WHERE session_id = :session");

const Statement insert_event_sql(R"sql(
    INSERT INTO host_events (occurrence_id, source_type, source_key, idempotency_key, payload,
                             source, occurred_us)
    VALUES (:id, :type, :key, :idempotency, :payload, :source, :now)
    ON CONFLICT (occurrence_id) DO NOTHING)sql");
const Statement find_event_sql(R"sql(
    SELECT occurrence_id, source_type, source_key, idempotency_key, payload, source, occurred_us
      FROM host_events WHERE occurrence_id = :id)sql");
const Statement lock_event_sql(R"sql(
    SELECT occurrence_id, source_type, source_key, idempotency_key, payload, source, occurred_us
      FROM host_events WHERE occurrence_id = :id {for_update})sql");
const Statement insert_delivery_sql(R"sql(
    INSERT INTO trigger_deliveries (occurrence_id, number, process_id, reserved_us, registered_us)
    VALUES (:id, :number, :process, :now, NULL)
    ON CONFLICT (occurrence_id, number) DO NOTHING)sql");
// Also when nobody said so, a process that is registered is: an id that was, never comes back.
const Statement open_sql(R"sql(
    SELECT occurrence_id, number, process_id, reserved_us FROM trigger_deliveries d
     WHERE registered_us IS NULL AND reserved_us <= :until
       AND NOT EXISTS (SELECT 1 FROM processes p WHERE p.id = d.process_id)
     ORDER BY reserved_us, occurrence_id, number LIMIT :limit)sql");
const Statement register_sql(R"sql(
    UPDATE trigger_deliveries SET registered_us = :now
     WHERE process_id = :process AND registered_us IS NULL)sql");
const Statement find_delivery_sql(
    "SELECT number FROM trigger_deliveries WHERE process_id = :process");
const Statement prune_deliveries_sql(R"sql(
    DELETE FROM trigger_deliveries WHERE occurrence_id = :id)sql");
const Statement prunable_sql(R"sql(
    SELECT occurrence_id FROM host_events e
     WHERE occurred_us < :before AND NOT EXISTS
       (SELECT 1 FROM trigger_deliveries d
         WHERE d.occurrence_id = e.occurrence_id AND d.registered_us IS NULL
           AND NOT EXISTS (SELECT 1 FROM processes p WHERE p.id = d.process_id))
     ORDER BY occurred_us, occurrence_id LIMIT :limit {for_update})sql");
// Again under the event's lock: deliveries may have been reserved before it was ours.
const Statement prune_sql(R"sql(
    DELETE FROM host_events WHERE occurrence_id = :id AND NOT EXISTS
       (SELECT 1 FROM trigger_deliveries d
         WHERE d.occurrence_id = :id AND d.registered_us IS NULL
           AND NOT EXISTS (SELECT 1 FROM processes p WHERE p.id = d.process_id)))sql");
const Statement all_events_sql("SELECT occurrence_id FROM host_events ORDER BY occurrence_id");

std::string handle_of(std::int64_t number) { return fmt::format("{}{}", handle_prefix, number); }

// The number of a handle; -2 for text that is none, which no subscription has.
std::int64_t number_of(std::string_view handle) {
  std::int64_t number = -2;
  if (!handle.starts_with(handle_prefix)) return -2;
  const auto digits = handle.substr(handle_prefix.size());
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return handle_of(number) == handle ? number : -2;
}

std::string hash_of(std::vector<Value> parts) {
  return to_hex(digest_of(Value::array(std::move(parts))));
}

Result<TriggerSubscription> decode(const Row& row) {
  const auto read = [&]() -> Result<TriggerSubscription> {
    TriggerSubscription made;
    CLEW_TRY(made.number, store::integer_at(row, 0, 1));
    made.handle = handle_of(made.number);
    CLEW_TRY(made.subscription_id, store::word_at(row, 1));
    CLEW_TRY(const auto value, store::json_at(row, 2));
    auto draft = trigger_draft_from_value(value, "draft");
    if (!draft) return Error(Code::corrupt, draft.error().message());
    made.draft = *std::move(draft);
    CLEW_TRY(const auto enabled, store::integer_at(row, 3, 0, 1));
    made.enabled = enabled == 1;
    CLEW_TRY(made.created_at, store::instant_at(row, 4));
    CLEW_TRY(made.updated_at, store::instant_at(row, 5));
    const std::pair<int, const std::string*> copies[] = {{6, &made.draft.session_id},
                                                         {7, &made.draft.source_type},
                                                         {8, &made.draft.source_key},
                                                         {9, &made.draft.process_name}};
    for (const auto& [column, said] : copies) {
      CLEW_TRY(const auto text, row.text(column));
      if (text != *said) return store::corrupt_column(row, column, "what its draft says");
    }
    return made;
  };
  auto made = read();
  if (made) return made;
  return store::in_row(made.error(), "trigger_subscriptions", store::shown_at(row, 0));
}

store::VisitRow into(std::vector<TriggerSubscription>& all) {
  return [&all](const Row& row) -> Result<void> {
    CLEW_TRY(auto made, decode(row));
    all.push_back(std::move(made));
    return {};
  };
}

Result<HostEvent> decode_event(const Row& row) {
  const auto read = [&]() -> Result<HostEvent> {
    HostEvent event;
    CLEW_TRY(event.occurrence_id, store::word_at(row, 0));
    CLEW_TRY(event.request.source_type, store::word_at(row, 1));
    CLEW_TRY(event.request.source_key, store::word_at(row, 2));
    CLEW_TRY(event.request.idempotency_key, store::word_at(row, 3));
    CLEW_TRY(event.request.payload, store::json_at(row, 4));
    CLEW_TRY(event.request.source, store::json_at(row, 5));
    CLEW_TRY(event.occurred_at, store::instant_at(row, 6));
    return event;
  };
  auto event = read();
  if (event) return event;
  return store::in_row(event.error(), "host_events", store::shown_at(row, 0));
}

Result<std::optional<HostEvent>> read_event(store::Transaction& tx, const Statement& statement,
                                            std::string_view occurrence_id) {
  std::optional<HostEvent> event;
  CLEW_TRY(tx.first(
      statement,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(event, decode_event(row));
        return {};
      },
      occurrence_id));
  return event;
}

Error no_event(std::string_view occurrence_id) {
  return error(Code::not_found, "there is no host event {}", occurrence_id)
      .with("occurrence_id", occurrence_id);
}

Result<void> check_draft(const TriggerDraft& draft) {
  CLEW_TRY(detail::check_id("source_type", draft.source_type));
  CLEW_TRY(detail::check_id("source_key", draft.source_key));
  CLEW_TRY(detail::check_id("process_name", draft.process_name));
  std::set<std::string_view> parameters;
  for (std::size_t i = 0; i < draft.input_template.size(); ++i) {
    const auto& parameter = draft.input_template[i].parameter;
    const auto path = fmt::format("input_template[{}].parameter", i);
    CLEW_TRY(detail::check_id(path, parameter));
    if (!parameters.insert(parameter).second) {
      return invalid_input(path, Value(parameter), "each parameter once");
    }
  }
  return {};
}

}  // namespace

std::string source_key_for(std::string_view source_type, const Value& source) {
  return fmt::format("source:{}:sha256:{}", source_type, hash_of({source_type, source}));
}

std::string delivery_process_id(std::string_view occurrence_id, std::string_view subscription_id) {
  return "process:host-event:" + hash_of({occurrence_id, subscription_id});
}

Result<TriggerSubscription> subscribe_trigger(store::Transaction& tx, const TriggerDraft& draft,
                                              const std::string& subscription_id, Timestamp now) {
  CLEW_TRY(check_draft(draft));
  CLEW_TRY(lock_head(tx, draft.session_id));
  TriggerSubscription made{0, subscription_id, "", draft, true, now, now};
  CLEW_TRY(tx.first(
      insert_subscription_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(made.number, row.integer(0));
        return {};
      },
      subscription_id, draft.session_id, draft.source_type, draft.source_key, draft.name,
      draft.process_name, to_json(to_value(draft)), now));
  made.handle = handle_of(made.number);
  return made;
}

Result<std::vector<TriggerSubscription>> list_triggers(store::Transaction& tx,
                                                       const TriggerFilter& filter,
                                                       std::int64_t after, int limit) {
  std::vector<TriggerSubscription> all;
  const auto text = [](const std::optional<std::string>& given) { return given.value_or(""); };
  const auto number = filter.handle ? number_of(*filter.handle) : -1;
  const auto enabled = filter.enabled ? static_cast<int>(*filter.enabled) : -1;
  CLEW_TRY(tx.each(list_sql, into(all), after, text(filter.session_id), number, text(filter.name),
                   text(filter.source_type), text(filter.source_key), text(filter.target), enabled,
                   limit));
  return all;
}

Result<bool> cancel_trigger(store::Transaction& tx, std::string_view session_id,
                            std::string_view handle, Timestamp now) {
  CLEW_TRY(const auto cancelled, tx.run(cancel_sql, now, number_of(handle), session_id));
  return cancelled == 1;
}

Result<void> remove_subscriptions(store::Transaction& tx, std::string_view session_id) {
  // Whoever reserves for one of them holds it: once all are ours, we see what was reserved.
  CLEW_TRY(tx.each(lock_of_session_sql, [](const Row&) -> Result<void> { return {}; }, session_id));
  CLEW_TRY(tx.post(remove_deliveries_sql, session_id));
  CLEW_TRY(tx.post(remove_sql, session_id));
  return {};
}

Result<HostEvent> record_host_event(store::Transaction& tx, const HostEventRequest& request,
                                    Timestamp now) {
  CLEW_TRY(detail::check_id("source_type", request.source_type));
  CLEW_TRY(detail::check_id("source_key", request.source_key));
  CLEW_TRY(detail::check_id("idempotency_key", request.idempotency_key));
  HostEvent event{
      "host_event:" + hash_of({request.source_type, request.source_key, request.idempotency_key}),
      request, now};
  const auto source = to_json(request.source);
  CLEW_TRY(const auto added,
           tx.run(insert_event_sql, event.occurrence_id, request.source_type, request.source_key,
                  request.idempotency_key, to_json(request.payload), source, now));
  if (added == 1) return event;
  CLEW_TRY(auto known, find_host_event(tx, event.occurrence_id));
  if (!known) return no_event(event.occurrence_id);
  const auto said = [](const HostEventRequest& each) {
    return Value::object({{"payload", each.payload}, {"source", each.source}});
  };
  const auto difference = first_difference(said(known->request), said(request));
  if (!difference.found) return *std::move(known);
  return error(Code::conflict, "the key {} stands for another event: {} was {}, not {}",
               request.idempotency_key, difference.path, preview(difference.left),
               preview(difference.right))
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right)
      .with("idempotency_key", request.idempotency_key);
}

Result<std::optional<HostEvent>> find_host_event(store::Transaction& tx,
                                                 std::string_view occurrence_id) {
  return read_event(tx, find_event_sql, occurrence_id);
}

Result<std::vector<TriggerDelivery>> reserve_deliveries(store::Transaction& tx,
                                                        std::string_view occurrence_id,
                                                        Timestamp now) {
  CLEW_TRY(const auto event, read_event(tx, lock_event_sql, occurrence_id));
  if (!event) return no_event(occurrence_id);
  std::vector<TriggerSubscription> wanted;
  CLEW_TRY(
      tx.each(of_source_sql, into(wanted), event->request.source_type, event->request.source_key));
  std::vector<TriggerDelivery> deliveries;
  for (auto& each : wanted) {
    auto process = delivery_process_id(occurrence_id, each.subscription_id);
    CLEW_TRY(const auto added,
             tx.run(insert_delivery_sql, occurrence_id, each.number, process, now));
    if (added == 1) deliveries.push_back({*event, std::move(each), std::move(process), now});
  }
  return deliveries;
}

Result<std::vector<TriggerDelivery>> unregistered_deliveries(store::Transaction& tx,
                                                             Timestamp until, int limit) {
  struct Open {
    std::string occurrence_id;
    std::int64_t number = 0;
    std::string process_id;
    Timestamp reserved_at;
  };
  std::vector<Open> open;
  CLEW_TRY(tx.each(
      open_sql,
      [&](const Row& row) -> Result<void> {
        Open each;
        CLEW_TRY(each.occurrence_id, store::word_at(row, 0));
        CLEW_TRY(each.number, row.integer(1));
        CLEW_TRY(each.process_id, store::word_at(row, 2));
        CLEW_TRY(each.reserved_at, store::instant_at(row, 3));
        open.push_back(std::move(each));
        return {};
      },
      until, limit));
  std::vector<TriggerDelivery> deliveries;
  for (auto& each : open) {
    CLEW_TRY(auto event, find_host_event(tx, each.occurrence_id));
    std::vector<TriggerSubscription> subscription;
    CLEW_TRY(tx.each(by_number_sql, into(subscription), each.number));
    if (!event || subscription.empty() ||
        each.process_id !=
            delivery_process_id(each.occurrence_id, subscription.front().subscription_id)) {
      return store::in_row(error(Code::corrupt, "a delivery is of no event or subscription"),
                           "trigger_deliveries",
                           fmt::format("{}/{}", each.occurrence_id, each.number));
    }
    deliveries.push_back({*std::move(event), std::move(subscription.front()),
                          std::move(each.process_id), each.reserved_at});
  }
  return deliveries;
}

Result<bool> mark_registered(store::Transaction& tx, std::string_view process_id, Timestamp now) {
  CLEW_TRY(const auto marked, tx.run(register_sql, now, process_id));
  if (marked == 1) return true;
  CLEW_TRY(const bool known,
           tx.first(find_delivery_sql, [](const Row&) -> Result<void> { return {}; }, process_id));
  if (known) return false;
  return error(Code::not_found, "no delivery is reserved for process {}", process_id)
      .with("process_id", process_id);
}

Result<std::int64_t> prune_host_events(store::Transaction& tx, Timestamp before, int limit) {
  std::vector<std::string> old;
  CLEW_TRY(tx.each(
      prunable_sql,
      [&](const Row& row) -> Result<void> {
        CLEW_TRY(old.emplace_back(), store::word_at(row, 0));
        return {};
      },
      before, limit));
  std::vector<std::vector<store::Arg>> each;
  for (const auto& id : old) each.push_back({id});
  CLEW_TRY(const auto pruned, tx.run_each(prune_sql, each));
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (pruned[i] == 1) CLEW_TRY(tx.post(prune_deliveries_sql, old[i]));
  }
  return std::ranges::count(pruned, 1);
}

Result<void> check_triggers(store::Transaction& tx, const store::ReportRow& report) {
  const auto look = [&](const auto& read) -> Result<void> {
    if (!read && read.error().code() != Code::corrupt) return read.error();
    if (!read) report(read.error());
    return {};
  };
  CLEW_TRY(look(list_triggers(tx, {}, 0, INT32_MAX)));
  CLEW_TRY(look(unregistered_deliveries(tx, Timestamp::never(), INT32_MAX)));
  std::vector<std::string> events;
  CLEW_TRY(tx.each(all_events_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(events.emplace_back(), store::word_at(row, 0));
    return {};
  }));
  for (const auto& id : events) CLEW_TRY(look(find_host_event(tx, id)));
  return {};
}

}  // namespace clew::session
