// capability/event_catalog.hpp: which events may be published.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/snapshot.hpp"
#include "clew/capability/event.hpp"
#include "clew/store/store.hpp"

namespace clew {

// What define() takes. A value.
struct EventDefinition {
  std::string type;  // exact: "text.counted@1.0.0"
  Value schema = Value(true);
  EventLifecycle lifecycle = EventLifecycle::active;
  std::string summary{};
};

// One state of the catalog. Immutable.
struct EventTypes {
  // id → versions, highest first
  std::map<std::string, std::vector<EventTypePtr>, std::less<>> by_id;
  std::map<std::string, EventTypePtr, std::less<>> by_text;  // "id@1.0.0"

  // The type that a reference means, whatever its lifecycle: of several versions the highest that
  // fits and is active, else the highest that fits. Errors: `invalid_input` for what is no
  // reference, `not_found` naming near ids or the versions there are, `ambiguous` for a bare id of
  // which several versions are active (or none is, and there are several).
  Result<EventTypePtr> resolve(const std::string& reference) const;
};

// The types of events, kept in the store: defined once, there after a restart and for every
// process. Thread-safe. Readers take a snapshot and wait for nobody.
class EventCatalog {
 public:
  EventCatalog(store::Database& database, Env& env);  // both borrowed, both outlive it

  // Reads what is in the store. Blocks. `corrupt` names the row.
  Result<void> load();

  // Adds a type; the same content again is fine. Durable when it returns. Blocks. Errors:
  // `invalid_input` for a reference that is not exact, for a schema that is none, and for ids under
  // "clew."; `conflict` naming the first difference when the version stands for something else.
  Result<EventTypePtr> define(const EventDefinition& definition);

  // Moves a type on: draft → active ⇄ deprecated → retired (active → retired too). The same again
  // is fine. `conflict` for any other move, `not_found`. Blocks.
  Result<EventTypePtr> set_lifecycle(const std::string& type, EventLifecycle lifecycle);

  // resolve(), and when nothing is found, again with what other processes have defined meanwhile.
  Result<EventTypePtr> find(const std::string& reference);
  std::shared_ptr<const EventTypes> snapshot() const { return current_.load(); }

  // The type to publish under: as find(), and `rejected` unless it is active, with its `lifecycle`
  // in the context.
  Result<EventTypePtr> admit(const std::string& reference);

 private:
  void publish(const EventTypePtr& type);

  store::Database& database_;
  Env& env_;
  Mutex changes_;  // held from a change in the store until it is in `current_`, so that none is
                   // undone
  Mutex writers_;
  Snapshot<EventTypes> current_;
};

namespace detail {
// The refusal to publish an event of a type that is not active.
Error not_active(const std::string& type, std::optional<EventLifecycle> lifecycle);
}  // namespace detail

}  // namespace clew
