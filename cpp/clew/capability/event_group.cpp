// Members of a group share a position and claim what they read. Both are rows, in memory too, so
// that members may live in several processes and come back after a restart:
//
//   claim       position moves over the event       event_claims: member, delivery, due
//   ack         the claim of that delivery ends
//   redeliver   a claim that is due goes to whoever asks first, with delivery + 1
//   cancel      a member's claims are due at once
#include <algorithm>
#include <utility>

#include "clew/capability/detail/broker_core.hpp"

namespace clew::detail {
namespace {

constexpr int page = 256;  // events read at once

class GroupMember final : public Subscription {
 public:
  GroupMember(BrokerCorePtr core, SubscribeOptions options, EventPattern pattern)
      : core_(std::move(core)),
        options_(std::move(options)),
        pattern_(std::move(pattern)),
        member_(core_->env.ids().next().to_string()) {
    core_->subscriptions.fetch_add(1);
  }
  ~GroupMember() override { cancel(); }

  Result<std::vector<Delivery>> take(int max) override {
    for (;;) {
      CLEW_TRY(check_open());
      const auto wakes = core_->log.wakes();
      CLEW_TRY(auto plan, look(max));
      if (plan.is_idle()) {
        seen_.with([&](Seen& seen) { seen = {plan.group.position, wakes, plan.next_due}; });
        return std::vector<Delivery>();
      }
      CLEW_TRY(const bool is_ours, claim(plan));
      if (!is_ours) continue;  // another member was first
      auto deliveries = deliver(plan);
      if (!deliveries.empty()) return deliveries;
    }
  }

  bool wait(Timestamp until, Clock& clock) override {
    if (is_over()) return true;
    const auto seen = seen_.with([](const Seen& all) { return all; });
    auto& own = core_->env.clock();
    const auto first = &clock == &own ? std::min(until, seen.due) : until;
    const EventLog::Sleep sleep{seen.position, over_, seen.wakes, seen.due};
    return core_->log.wait(sleep, first, clock) || own.now() >= seen.due;
  }

  Result<std::vector<Delivery>> poll(int max, Timestamp until) override {
    for (;;) {
      CLEW_TRY(auto events, take(max));
      if (!events.empty() || !wait(until, core_->env.clock())) return events;
    }
  }

  void on_ready(Function<void()> ready) override {
    if (is_over()) return ready();
    const auto seen = seen_.with([](const Seen& all) { return all; });
    core_->log.on_ready({seen.position, over_, seen.wakes, seen.due}, std::move(ready));
  }

  Result<void> ack(Cursor cursor, std::int64_t attempt) override {
    if (attempt == 0) return {};  // an advisory
    if (core_->closed.load()) return error(Code::closed, "the runtime is closed");
    const auto apply = [group = options_.group, cursor,
                        attempt](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(const bool ended, end_claim(tx, group, cursor, attempt));
      if (ended) return {};
      CLEW_TRY(const auto other, find_claim(tx, group, cursor));
      if (!other) return {};  // acknowledged before
      return error(Code::stale_lease,
                   "event {} was delivered to the group \"{}\" again: delivery {} is over", cursor,
                   group, attempt)
          .with("cursor", cursor)
          .with("group", group)
          .with("delivery", other->delivery);
    };
    CLEW_TRY(core_->database.write(apply, core_->options.durability));
    return {};
  }

  void cancel() override {
    if (over_->exchange(true)) return;
    core_->subscriptions.fetch_sub(1);
    if (core_->closed.load()) return;
    const auto now = core_->env.clock().now();
    const auto release = [group = options_.group, member = member_,
                          now](store::Transaction& tx) -> Result<void> {
      return release_claims(tx, group, member, now);
    };
    // When this fails the claims fall due in their time.
    (void)core_->database.write(release, store::Durability::relaxed);
    core_->log.wake();
  }
  bool cancelled() const override { return over_->load(); }
  Cursor cursor() const override {
    return seen_.with([](const Seen& seen) { return seen.position; });
  }
  const SubscribeOptions& options() const override { return options_; }

 private:
  // What a read found, and what it wants to claim.
  struct Plan {
    EventGroup group;
    Timestamp now;
    Timestamp due;                            // of new claims
    Timestamp next_due = Timestamp::never();  // of those that others hold
    std::vector<EventClaim> again;            // to be renewed
    std::vector<EventPtr> again_events;       // null: gone
    std::vector<EventPtr> fresh;
    Cursor position = 0;  // after the claim
    Cursor gap_from = 0;  // gone before anybody read it; 0: nothing
    Cursor gap_to = 0;
    bool is_idle() const { return again.empty() && position == group.position; }
  };
  struct Seen {
    Cursor position = 0;
    std::uint64_t wakes = 0;
    Timestamp due = Timestamp::never();
  };

  bool is_over() const { return over_->load() || core_->reads_stopped.load(); }
  Result<void> check_open() const {
    CLEW_TRY(core_->check_readable());
    if (over_->load()) return error(Code::closed, "the subscription was cancelled");
    return {};
  }

  bool wants(const Event& event) const {
    return (options_.subject.empty() || options_.subject == event.subject) &&
           pattern_.matches(event.type, event.version);
  }

  Result<Plan> look(int max) {
    Plan plan;
    plan.now = core_->env.clock().now();
    plan.due = plan.now + options_.ack_timeout;
    CLEW_TRY(core_->database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto group, find_group(tx, options_.group));
      if (!group) return error(Code::corrupt, "the group \"{}\" is gone", options_.group);
      plan.group = *group;
      CLEW_TRY(plan.again, due_claims(tx, options_.group, plan.now, max));
      CLEW_TRY(plan.next_due, clew::detail::next_due(tx, options_.group));
      return {};
    }));
    for (auto& claim : plan.again) {
      CLEW_TRY(auto event, core_->read_at(claim.cursor));
      plan.again_events.push_back(std::move(event));
      ++claim.delivery;
      claim.due = plan.due;
    }
    CLEW_TRY(find_fresh(plan, max - static_cast<int>(plan.again.size())));
    return plan;
  }

  Result<void> find_fresh(Plan& plan, int room) {
    plan.position = plan.group.position;
    CLEW_TRY(const auto last, core_->newest());
    while (plan.position < last && static_cast<int>(plan.fresh.size()) < room) {
      CLEW_TRY(const auto events, core_->read(plan.position, page));
      const auto first = events.empty() ? last + 1 : events.front()->cursor;
      if (first > plan.position + 1) {  // it is told of in one more event
        if (plan.gap_from != 0 || !plan.fresh.empty()) break;
        plan.gap_from = plan.position + 1;
        plan.gap_to = plan.position = first - 1;
        --room;
      }
      for (const auto& event : events) {
        if (static_cast<int>(plan.fresh.size()) == room) break;
        plan.position = event->cursor;
        if (wants(*event)) plan.fresh.push_back(event);
      }
    }
    return {};
  }

  // False when another member has changed what the plan stands on: nothing is claimed then.
  Result<bool> claim(const Plan& plan) {
    auto is_ours = std::make_shared<bool>(false);
    const auto apply = [&plan, is_ours, member = member_](store::Transaction& tx) -> Result<void> {
      *is_ours = false;
      const auto& name = plan.group.name;
      CLEW_TRY(const bool moved, move_group(tx, name, plan.group.position, plan.position));
      if (!moved) return {};
      for (std::size_t i = 0; i < plan.again.size(); ++i) {
        const auto& claim = plan.again[i];
        CLEW_TRY(const bool renewed, plan.again_events[i] != nullptr
                                         ? renew_claim(tx, name, member, claim, plan.now)
                                         : end_claim(tx, name, claim.cursor, claim.delivery - 1));
        if (!renewed) return lost_race();
      }
      for (const auto& event : plan.fresh) {
        CLEW_TRY(insert_claim(tx, name, member, {event->cursor, 1, plan.due}));
      }
      *is_ours = true;
      return {};
    };
    // A claim that a power cut takes back is delivered again, like any that is not acknowledged.
    const auto written = core_->database.write(apply, store::Durability::relaxed);
    if (!written && written.error().code() != Code::conflict) return written.error();
    return written && *is_ours;
  }

  // Undoes what the claim has done so far.
  static Error lost_race() { return {Code::conflict, "another member was first"}; }

  std::vector<Delivery> deliver(const Plan& plan) {
    std::vector<Delivery> out;
    const auto drop = [&](Cursor from, Cursor to) {
      out.push_back({core_->dropped_event(from, to, to - from + 1, false)});
      core_->dropped.fetch_add(to - from + 1, std::memory_order_relaxed);
    };
    for (std::size_t i = 0; i < plan.again.size(); ++i) {
      if (plan.again_events[i] == nullptr) {
        drop(plan.again[i].cursor, plan.again[i].cursor);
        continue;
      }
      out.push_back({plan.again_events[i], plan.again[i].delivery});
      core_->redelivered.fetch_add(1, std::memory_order_relaxed);
    }
    if (plan.gap_from != 0) drop(plan.gap_from, plan.gap_to);
    for (const auto& event : plan.fresh) out.push_back({event, 1});
    core_->delivered.fetch_add(static_cast<std::int64_t>(out.size()), std::memory_order_relaxed);
    seen_.with([&](Seen& seen) { seen.position = plan.position; });
    return out;
  }

  const BrokerCorePtr core_;
  const SubscribeOptions options_;
  const EventPattern pattern_;
  const std::string member_;
  const std::shared_ptr<std::atomic<bool>> over_ = std::make_shared<std::atomic<bool>>(false);
  Guarded<Seen> seen_;
};

}  // namespace

Result<SubscriptionPtr> join_group(BrokerCorePtr core, SubscribeOptions options,
                                   EventPattern pattern, Cursor position) {
  const EventGroup wanted{options.group, options.pattern, options.subject, position};
  CLEW_TRY(core->database.write(
      [wanted](store::Transaction& tx) -> Result<void> {
        CLEW_TRY(const bool is_new, insert_group(tx, wanted));
        if (is_new) return {};
        CLEW_TRY(const auto group, find_group(tx, wanted.name));
        if (!group) return error(Code::corrupt, "the group \"{}\" is gone", wanted.name);
        if (group->pattern == wanted.pattern && group->subject == wanted.subject) return {};
        return error(Code::conflict, "the group \"{}\" reads {}{}{}, not {}{}{}", wanted.name,
                     group->pattern, group->subject.empty() ? "" : " of ", group->subject,
                     wanted.pattern, wanted.subject.empty() ? "" : " of ", wanted.subject)
            .with("group", wanted.name)
            .with("pattern", group->pattern)
            .with("subject", group->subject);
      },
      core->options.durability));
  auto member = std::make_shared<GroupMember>(core, std::move(options), std::move(pattern));
  core->members.with([&](auto& members) {
    std::erase_if(members, [](const auto& other) { return other.expired(); });
    members.push_back(member);
  });
  return SubscriptionPtr(std::move(member));
}

}  // namespace clew::detail
