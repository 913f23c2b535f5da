// capability/detail/broker_core.hpp: what a broker and its subscriptions share.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "clew/capability/detail/event_log.hpp"
#include "clew/capability/detail/event_writer.hpp"

namespace clew::detail {

// Thread-safe. Its borrowed parts outlive the broker; a subscription that outlives that is told so
// by `closed` and touches them no more.
struct BrokerCore {
  BrokerCore(store::Database& database_, Env& env_, BrokerOptions options_)
      : database(database_),
        env(env_),
        options(std::move(options_)),
        catalog(database_, env_),
        log(database_, env_.clock(), options.retention),
        writer(database_, env_.clock(), log, options.retention, options.durability) {}

  store::Database& database;
  Env& env;
  const BrokerOptions options;
  EventCatalog catalog;
  EventLog log;
  EventWriter writer;

  std::atomic<bool> reads_stopped{false};
  std::atomic<bool> closed{false};
  std::atomic<std::int64_t> published{0};
  std::atomic<std::int64_t> duplicates{0};
  std::atomic<std::int64_t> delivered{0};
  std::atomic<std::int64_t> redelivered{0};
  std::atomic<std::int64_t> dropped{0};
  std::atomic<std::int64_t> warnings{0};
  std::atomic<std::int64_t> withdrawn{0};
  std::atomic<std::int64_t> subscriptions{0};

  Guarded<std::vector<std::weak_ptr<Subscription>>> members;  // of groups

  Result<void> check_readable() const {
    if (reads_stopped.load(std::memory_order_acquire)) {
      return error(Code::closed, "the runtime is closed");
    }
    return {};
  }

  // Events after `after`, from memory or the file. The first one may lie further on: what was
  // between is gone.
  Result<std::vector<EventPtr>> read(Cursor after, int limit);
  // Null when it is gone.
  Result<EventPtr> read_at(Cursor cursor);
  // The cursor after which everything is retained.
  Result<Cursor> floor();
  // The newest cursor, other processes' events included.
  Result<Cursor> newest();

  // An event that stands in one subscription's stream and nowhere else.
  EventPtr advisory(std::string_view type, Cursor cursor, Value data);
  EventPtr dropped_event(Cursor from, Cursor to, std::int64_t count, bool is_exact);
};
using BrokerCorePtr = std::shared_ptr<BrokerCore>;

// `pattern` is the one of `options`.
SubscriptionPtr make_subscription(BrokerCorePtr core, SubscribeOptions options,
                                  EventPattern pattern, Cursor position);
// Makes the group when there is none of that name.
Result<SubscriptionPtr> join_group(BrokerCorePtr core, SubscribeOptions options,
                                   EventPattern pattern, Cursor position);

}  // namespace clew::detail
