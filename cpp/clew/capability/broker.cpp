#include "clew/capability/broker.hpp"

#include <algorithm>
#include <utility>

#include "clew/base/check.hpp"
#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"
#include "clew/capability/detail/broker_core.hpp"

namespace clew {
namespace detail {

Result<std::vector<EventPtr>> BrokerCore::read(Cursor after, int limit) {
  if (auto events = log.read(after, limit)) return *std::move(events);
  std::vector<EventPtr> events;
  CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(events, read_log(tx, after, limit, options.retention, env.clock().now()));
    return {};
  }));
  return events;
}

Result<EventPtr> BrokerCore::read_at(Cursor cursor) {
  if (const auto events = log.read(cursor - 1, 1); events) {
    const bool is_there = !events->empty() && events->front()->cursor == cursor;
    return is_there ? events->front() : nullptr;
  }
  EventPtr event;
  CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(event, read_log_at(tx, cursor, options.retention, env.clock().now()));
    return {};
  }));
  return event;
}

Result<Cursor> BrokerCore::floor() {
  CLEW_TRY(const auto last, newest());
  CLEW_TRY(const auto oldest, read(0, 1));
  return oldest.empty() ? last : oldest.front()->cursor - 1;
}

Result<Cursor> BrokerCore::newest() {
  if (!database.is_memory()) {
    CLEW_TRY(database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto head, read_event_head(tx));
      log.advance_to(head.last);
      return {};
    }));
  }
  return log.last();
}

EventPtr BrokerCore::advisory(std::string_view type, Cursor cursor, Value data) {
  auto event = std::make_shared<Event>();
  event->cursor = cursor;
  event->id = env.ids().next().to_string();
  event->type = type;
  event->version = "1.0.0";
  event->source = "clew";
  event->time = env.clock().now();
  event->data = std::move(data);
  return event;
}

EventPtr BrokerCore::dropped_event(Cursor from, Cursor to, std::int64_t count, bool is_exact) {
  return advisory(
      backlog_dropped, to,
      Value::object({{"count", count}, {"from", from}, {"to", to}, {"exact", is_exact}}));
}

}  // namespace detail

namespace {

using detail::BrokerCore;

constexpr std::size_t text_max = 1000;

Result<void> check_short(std::string_view path, const std::string& text) {
  if (text.size() <= text_max) return check_text(path, text);
  return invalid_input(path, text, "at most 1000 bytes");
}

class BrokerImpl final : public Broker {
 public:
  BrokerImpl(store::Database& database, Env& env, BrokerOptions options)
      : core_(std::make_shared<BrokerCore>(database, env, std::move(options))) {}
  ~BrokerImpl() override { close(); }

  Result<void> open() {
    CLEW_TRY(core_->catalog.load());
    CLEW_TRY(core_->newest());
    return {};
  }

  EventCatalog& catalog() override { return core_->catalog; }

  Result<std::shared_ptr<Event>> prepare(EventDraft draft) override {
    CLEW_TRY(const auto type, core_->catalog.admit(draft.type));
    if (!type->schema->accepts_everything()) CLEW_TRY(type->schema->check(draft.data, "data"));
    CLEW_TRY(check_short("id", draft.id));
    CLEW_TRY(check_short("subject", draft.subject));
    CLEW_TRY(check_short("key", draft.key));
    CLEW_TRY(check_short("source", draft.source));
    CLEW_TRY(check_short("correlation_id", draft.correlation_id));
    CLEW_TRY(check_short("causation_id", draft.causation_id));
    auto event = std::make_shared<Event>();
    event->time = core_->env.clock().now();
    event->id =
        draft.id.empty() ? core_->env.ids().next_at(event->time).to_string() : std::move(draft.id);
    event->type = type->id;
    event->version = type->version_text;
    event->source = draft.source.empty() ? core_->options.source : draft.source;
    event->subject = std::move(draft.subject);
    event->key = std::move(draft.key);
    event->correlation_id = std::move(draft.correlation_id);
    event->causation_id = std::move(draft.causation_id);
    event->data = std::move(draft.data);
    return event;
  }

  Result<Cursor> publish(EventDraft draft, std::optional<Duration> timeout) override {
    if (timeout && *timeout <= Duration{0}) {
      return invalid_input("timeout", to_string(*timeout), "a duration above zero");
    }
    CLEW_TRY(check_open());
    CLEW_TRY(auto event, prepare(std::move(draft)));
    if (is_memory()) {
      Appended appended{std::move(event), {}};
      core_->log.append({&appended, 1});
      return outcome_of(appended);
    }
    const auto batch = make_batch({std::move(event)});
    batch->is_published = true;
    if (auto written = core_->writer.write(batch, timeout); !written) {
      if (written.error().find("withdrawn") != nullptr) core_->withdrawn.fetch_add(1);
      return written.error();
    }
    return outcome_of(*batch);
  }

  void publish_async(EventDraft draft, Function<void(Result<Cursor>)> done) override {
    if (auto open = check_open(); !open) return done(open.error());
    auto event = prepare(std::move(draft));
    if (!event) return done(event.error());
    auto batch = make_batch({*std::move(event)});
    batch->is_published = true;
    if (is_memory()) {
      core_->log.append(batch->events);
      return done(outcome_of(*batch));
    }
    core_->writer.submit(batch, [this, batch, done = std::move(done)](Result<void> result) mutable {
      done(result ? outcome_of(*batch) : Result<Cursor>(result.error()));
    });
  }

  Result<void> publish_all(std::vector<std::shared_ptr<Event>> events) override {
    CLEW_TRY(check_open());
    const auto batch = make_batch(std::move(events));
    if (is_memory()) {
      committed(*batch);
      return {};
    }
    CLEW_TRY(core_->writer.write(batch, std::nullopt));
    count(*batch);
    return {};
  }

  EventBatchPtr make_batch(std::vector<std::shared_ptr<Event>> events) override {
    auto batch = std::make_shared<EventBatch>();
    for (auto& event : events) {
      auto text = is_memory() ? std::string() : to_json(event->data);
      batch->events.push_back({std::move(event), std::move(text)});
    }
    return batch;
  }

  Result<void> append(store::Transaction& tx, EventBatch& batch) override {
    return is_memory() ? Result<void>() : core_->writer.append(tx, batch);
  }

  void committed(EventBatch& batch) override {
    if (is_memory()) {
      core_->log.append(batch.events);
    } else {
      std::vector<Appended*> events;
      for (auto& appended : batch.events) events.push_back(&appended);
      core_->writer.announce(events);
    }
    count(batch);
  }

  Result<SubscriptionPtr> subscribe(SubscribeOptions options) override {
    CLEW_TRY(core_->check_readable());
    CLEW_TRY(auto pattern, EventPattern::parse(options.pattern, "pattern"));
    if (options.queue_max < 0) {
      return invalid_input("queue_max", options.queue_max, "at least 1");
    }
    if (options.ack_timeout <= Duration{0}) {
      return invalid_input("ack_timeout", to_string(options.ack_timeout), "a duration above zero");
    }
    CLEW_TRY(check_short("group", options.group));
    CLEW_TRY(const auto position, first_position(options));
    if (options.group.empty()) {
      return detail::make_subscription(core_, std::move(options), std::move(pattern), position);
    }
    return detail::join_group(core_, std::move(options), std::move(pattern), position);
  }

  Result<Cursor> newest() override { return core_->newest(); }
  const EventRetention& retention() const override { return core_->options.retention; }

  Result<void> flush() override {
    if (!is_memory()) return {};
    detail::EventHead head;
    const auto events = core_->log.all(head);
    CLEW_TRY(core_->database.write(
        [&](store::Transaction& tx) { return detail::mirror_log(tx, events, head); }));
    return {};
  }

  Result<void> check(const store::ReportRow& report) override {
    CLEW_TRY(flush());
    return core_->database.read(
        [&report](store::Transaction& tx) { return detail::check_log(tx, report); });
  }

  BrokerStats stats() const override {
    return {.published = core_->published.load(),
            .duplicates = core_->duplicates.load(),
            .delivered = core_->delivered.load(),
            .redelivered = core_->redelivered.load(),
            .dropped = core_->dropped.load(),
            .warnings = core_->warnings.load(),
            .withdrawn = core_->withdrawn.load(),
            .subscriptions = core_->subscriptions.load(),
            .last = core_->log.last()};
  }

  void stop_reading() override {
    core_->reads_stopped.store(true);
    core_->log.stop_waits();
  }

  void close() override {
    stop_reading();
    const auto members = core_->members.with([](auto& all) { return std::exchange(all, {}); });
    for (const auto& each : members) {
      if (const auto member = each.lock()) member->cancel();
    }
    if (core_->closed.exchange(true)) return;
    core_->writer.stop();
    core_->log.stop();
  }

 private:
  bool is_memory() const { return core_->database.is_memory(); }

  Result<void> check_open() const {
    if (core_->closed.load()) return error(Code::closed, "the runtime is closed");
    return {};
  }

  void count(const EventBatch& batch) {
    for (const auto& appended : batch.events) {
      auto& counter = appended.is_duplicate ? core_->duplicates : core_->published;
      counter.fetch_add(1, std::memory_order_relaxed);
    }
  }

  Result<Cursor> outcome_of(const EventBatch& batch) {
    if (batch.rejected) return *batch.rejected;
    return outcome_of(batch.events.front());
  }
  Result<Cursor> outcome_of(const Appended& appended) {
    auto& counter = appended.is_duplicate ? core_->duplicates : core_->published;
    counter.fetch_add(1, std::memory_order_relaxed);
    if (appended.refused) return *appended.refused;
    return appended.cursor;
  }

  // Where a new reader begins.
  Result<Cursor> first_position(const SubscribeOptions& options) {
    if (options.start == StartAt::start) return core_->floor();
    CLEW_TRY(const auto newest, core_->newest());
    if (options.start == StartAt::now) return newest;
    if (options.after < 0 || options.after > newest) {
      return invalid_input("from_", options.after,
                           fmt::format("a cursor from 0 to {}, the newest", newest))
          .with("newest", newest);
    }
    return options.after;
  }

  const std::shared_ptr<BrokerCore> core_;
};

}  // namespace

Result<void> check_event_log(store::Transaction& tx, const store::ReportRow& report) {
  return detail::check_log(tx, report);
}

Result<std::unique_ptr<Broker>> open_broker(store::Database& database, Env& env,
                                            BrokerOptions options) {
  CLEW_CHECK(options.retention.count_max > 0);
  CLEW_CHECK(options.retention.age_max.count() > 0);
  auto broker = std::make_unique<BrokerImpl>(database, env, std::move(options));
  CLEW_TRY(broker->open());
  return std::unique_ptr<Broker>(std::move(broker));
}

}  // namespace clew
