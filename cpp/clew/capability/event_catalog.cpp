#include "clew/capability/event_catalog.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"
#include "clew/capability/detail/event_rows.hpp"

namespace clew {
namespace {

using enum EventLifecycle;

struct Move {
  EventLifecycle from;
  EventLifecycle to;
};
constexpr Move moves[] = {{draft, active},   {active, deprecated},  {deprecated, active},
                          {active, retired}, {deprecated, retired}, {draft, retired}};

bool may_move(EventLifecycle from, EventLifecycle to) {
  return from == to || std::ranges::any_of(moves, [&](const Move& move) {
           return move.from == from && move.to == to;
         });
}

std::string text_of(const EventType& type) { return type.id + "@" + type.version_text; }

Value version_list(const std::vector<EventTypePtr>& versions) {
  std::vector<Value> texts;
  for (const auto& type : versions) texts.emplace_back(type->version_text);
  return Value::array(std::move(texts));
}

Error not_found(const EventTypes& types, const std::string& id) {
  std::vector<std::string_view> ids;
  for (const auto& entry : types.by_id) ids.push_back(entry.first);
  const auto near = nearest(id, ids);
  auto found = error(Code::not_found, "no event \"{}\" is defined{}", id,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
  found = found.with("event", id);
  return near.empty() ? found : found.with("suggestion", Value(near));
}

void add(EventTypes& types, const EventTypePtr& type) {
  auto& versions = types.by_id[type->id];
  std::erase_if(versions, [&](const auto& other) { return other->version == type->version; });
  versions.insert(std::ranges::find_if(
                      versions, [&](const auto& other) { return other->version < type->version; }),
                  type);
  types.by_text[text_of(*type)] = type;
}

Result<void> same_content(const EventType& stored, const EventType& given) {
  const auto document = [](const EventType& type) {
    return Value::object({{"schema", type.schema->document()},
                          {"lifecycle", name(type.lifecycle)},
                          {"summary", type.summary}});
  };
  const auto at = first_difference(document(stored), document(given));
  if (!at.found) return {};
  return error(Code::conflict, "{} is defined with other content: {} is {}, not {}",
               text_of(stored), at.path, preview(at.left), preview(at.right))
      .with("event", text_of(stored))
      .with("path", at.path)
      .with("defined", at.left)
      .with("given", at.right);
}

}  // namespace

Result<EventTypePtr> EventTypes::resolve(const std::string& reference) const {
  if (const auto exact = by_text.find(reference); exact != by_text.end()) return exact->second;
  CLEW_TRY(const auto parsed, Reference::parse(reference, "type"));
  const auto found = by_id.find(parsed.id);
  if (found == by_id.end()) return not_found(*this, parsed.id);
  std::vector<EventTypePtr> fitting;
  for (const auto& type : found->second) {
    const bool fits = parsed.kind == Reference::Kind::bare ||
                      (parsed.kind == Reference::Kind::exact ? type->version == parsed.version
                                                             : parsed.range.matches(type->version));
    if (fits) fitting.push_back(type);
  }
  if (fitting.empty()) {
    return error(Code::not_found, "no version of the event \"{}\" satisfies {}: there is {}",
                 parsed.id, reference.substr(parsed.id.size() + 1),
                 to_json(version_list(found->second)))
        .with("event", parsed.id)
        .with("versions", version_list(found->second));
  }
  std::vector<EventTypePtr> eligible;
  std::ranges::copy_if(fitting, std::back_inserter(eligible),
                       [](const auto& type) { return type->lifecycle == active; });
  if (eligible.empty()) eligible = fitting;
  if (parsed.kind != Reference::Kind::bare || eligible.size() == 1) return eligible.front();
  return error(Code::ambiguous, "the event \"{}\" has {} versions: name one, or a range", parsed.id,
               eligible.size())
      .with("event", parsed.id)
      .with("versions", version_list(eligible));
}

EventCatalog::EventCatalog(store::Database& database, Env& env)
    : database_(database), env_(env), current_(std::make_shared<const EventTypes>()) {}

Result<void> EventCatalog::load() {
  const Lock lock(writers_);
  auto next = std::make_shared<EventTypes>();
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    *next = {};
    return detail::each_event_type(tx, [&](EventTypePtr type) { add(*next, type); });
  }));
  current_.publish(std::move(next));
  return {};
}

void EventCatalog::publish(const EventTypePtr& type) {
  const Lock lock(writers_);
  auto next = std::make_shared<EventTypes>(*current_.load());
  add(*next, type);
  current_.publish(std::move(next));
}

Result<EventTypePtr> EventCatalog::define(const EventDefinition& definition) {
  CLEW_TRY(auto reference, Reference::parse(definition.type, "type"));
  if (reference.kind != Reference::Kind::exact) {
    return invalid_input("type", definition.type, "an exact version, such as text.counted@1.0.0");
  }
  if (reference.id == "clew" || reference.id.starts_with("clew.")) {
    return invalid_input("type", definition.type, "an id that does not begin with clew");
  }
  auto type = std::make_shared<EventType>();
  type->id = reference.id;
  type->version = reference.version;
  type->version_text = reference.version.to_string();
  type->lifecycle = definition.lifecycle;
  type->summary = definition.summary;
  CLEW_TRY(type->schema, Schema::compile(definition.schema, "schema"));
  type->defined = env_.clock().now();
  auto kept = std::make_shared<EventTypePtr>();  // what is in the store in the end
  const Lock changes(changes_);
  CLEW_TRY(database_.write([type, kept](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const bool is_new, detail::insert_event_type(tx, *type));
    *kept = type;
    if (is_new) return {};
    CLEW_TRY(*kept, detail::find_event_type(tx, type->id, type->version_text));
    if (!*kept) return error(Code::corrupt, "{} is gone", text_of(*type));
    return same_content(**kept, *type);
  }));
  publish(*kept);
  return *kept;
}

Result<EventTypePtr> EventCatalog::set_lifecycle(const std::string& type,
                                                 EventLifecycle lifecycle) {
  CLEW_TRY(const auto found, find(type));
  auto kept = std::make_shared<EventTypePtr>();
  const Lock changes(changes_);
  CLEW_TRY(database_.write([found, lifecycle, kept](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto stored, detail::lock_event_type(tx, found->id, found->version_text));
    if (!stored) return error(Code::not_found, "no event \"{}\" is defined", text_of(*found));
    if (!may_move(stored->lifecycle, lifecycle)) {
      return error(Code::conflict, "{} is {} and cannot become {}", text_of(*stored),
                   name(stored->lifecycle), name(lifecycle))
          .with("event", text_of(*stored))
          .with("lifecycle", name(stored->lifecycle));
    }
    auto changed = std::make_shared<EventType>(*stored);
    changed->lifecycle = lifecycle;
    *kept = changed;
    return detail::update_event_lifecycle(tx, *changed);
  }));
  publish(*kept);
  return *kept;
}

Result<EventTypePtr> EventCatalog::find(const std::string& reference) {
  auto found = snapshot()->resolve(reference);
  if (found || found.error().code() != Code::not_found || database_.is_memory()) return found;
  CLEW_TRY(load());
  return snapshot()->resolve(reference);
}

Result<EventTypePtr> EventCatalog::admit(const std::string& reference) {
  CLEW_TRY(auto type, find(reference));
  if (type->lifecycle != active && !database_.is_memory()) {
    CLEW_TRY(load());  // another process may have moved it on
    CLEW_TRY(type, snapshot()->resolve(reference));
  }
  if (type->lifecycle == active) return type;
  return detail::not_active(text_of(*type), type->lifecycle);
}

namespace detail {

Error not_active(const std::string& type, std::optional<EventLifecycle> lifecycle) {
  const auto word = lifecycle ? name(*lifecycle) : "gone";
  return error(Code::rejected, "{} is {}: only active events may be published", type, word)
      .with("event", type)
      .with("lifecycle", word);
}

}  // namespace detail

}  // namespace clew
