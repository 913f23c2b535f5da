#include "clew/testkit/conformance/process_support.hpp"

namespace clew::conformance {

Value json(std::string_view text) { return must(parse_json(text), "read JSON"); }

process::EventType event_type(std::string_view document) {
  return must(process::EventType::from_value(json(document), "event_type"), "an event type");
}

process::EventType plain(const std::string& name) { return {.name = name, .semantics = {}}; }

process::EventType waking(const std::string& name) {
  return wake(name, R"({"when": {"present": "/wake_input"}, "input": {"pointer": "/wake_input"}})");
}

process::EventType wake(const std::string& name, std::string_view wake_document) {
  auto made = plain(name);
  made.semantics =
      must(process::Semantics::from_value(Value::object({{"wake", json(wake_document)}}), "wake"),
           "the semantics of a wake");
  return made;
}

process::Registration registration(const std::string& id, std::vector<process::EventType> types) {
  process::Registration made;
  made.id = id;
  made.input = json(R"({"type": "external", "metadata": null})");
  made.event_types = std::move(types);
  return must(process::Registration::from_value(made.to_value(), "registration"), "register");
}

Result<process::AppendResult> append(process::Processes& registry, const std::string& id,
                                     const std::string& type, std::string_view payload,
                                     const AppendOptions& options) {
  process::AppendRequest request;
  request.event_type = type;
  request.payload = json(payload);
  request.replay_key = options.key;
  request.wake_target_scope = options.target;
  request.lease_token = options.lease_token;
  request.authority = options.authority;
  return registry.append_event(id, request);
}

std::vector<std::int64_t> sequences(process::Processes& registry, const std::string& id) {
  std::vector<std::int64_t> list;
  for (const auto& event : must(registry.events_after(id, 0, 10'000), "events")) {
    list.push_back(event.sequence);
  }
  return list;
}

std::string status_of(process::Processes& registry, const std::string& id) {
  const auto record = must(registry.get_process(id), "get");
  return record ? std::string(process::name(record->status)) : "absent";
}

Registry::Registry(const Factory& fresh)
    : storage(fresh()),
      env(make_seeded_env(clock, 1)),
      database(must(storage.open(), "open")),
      processes(*database, *env) {}

Reopened::Reopened(const Factory& fresh)
    : storage(fresh()),
      env(make_seeded_env(clock, 1)),
      first(must(storage.open(), "open")),
      second(must(storage.open(), "open again")),
      open(std::make_unique<process::Processes>(*first, *env)),
      reopen(std::make_unique<process::Processes>(*second, *env)) {}

}  // namespace clew::conformance
