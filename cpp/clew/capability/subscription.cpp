// A subscription is a position in the log. A read computes its answer and the next position from
// the last one without any lock, and takes effect unless somebody else has read meanwhile.
#include <algorithm>
#include <deque>
#include <utility>

#include "clew/capability/detail/broker_core.hpp"

namespace clew::detail {
namespace {

constexpr int page = 256;  // events read at once

class OwnPosition final : public Subscription {
 public:
  OwnPosition(BrokerCorePtr core, SubscribeOptions options, EventPattern pattern, Cursor position)
      : core_(std::move(core)),
        options_(std::move(options)),
        pattern_(std::move(pattern)),
        bound_(options_.queue_max > 0 ? options_.queue_max : core_->options.retention.count_max),
        state_({.position = position,
                .is_new = options_.start == StartAt::cursor,
                .is_armed = options_.start == StartAt::now}) {
    core_->subscriptions.fetch_add(1);
  }
  ~OwnPosition() override { cancel(); }

  Result<std::vector<Delivery>> take(int max) override {
    for (;;) {
      CLEW_TRY(check_open());
      const auto before = state_.with([](const State& state) { return state; });
      Answer answer{before};
      CLEW_TRY(gather(answer, max));
      const bool is_ours = state_.with([&](State& state) {
        if (state.reads != before.reads) return false;
        state = answer.state;
        ++state.reads;
        return true;
      });
      if (!is_ours) continue;
      if (answer.expired) return *answer.expired;
      core_->dropped.fetch_add(answer.dropped, std::memory_order_relaxed);
      core_->warnings.fetch_add(answer.warnings, std::memory_order_relaxed);
      core_->delivered.fetch_add(static_cast<std::int64_t>(answer.out.size()),
                                 std::memory_order_relaxed);
      return std::move(answer.out);
    }
  }

  bool wait(Timestamp until, Clock& clock) override {
    if (is_over()) return true;
    return core_->log.wait({.after = cursor(), .over = over_}, until, clock);
  }

  Result<std::vector<Delivery>> poll(int max, Timestamp until) override {
    for (;;) {
      CLEW_TRY(auto events, take(max));
      if (!events.empty() || !wait(until, core_->env.clock())) return events;
    }
  }

  void on_ready(Function<void()> ready) override {
    if (is_over()) return ready();
    core_->log.on_ready({.after = cursor(), .over = over_}, std::move(ready));
  }

  Result<void> ack(Cursor, std::int64_t) override {
    return error(Code::invalid_input, "only events of a group are acknowledged")
        .with("path", "group");
  }

  void cancel() override {
    if (over_->exchange(true)) return;
    core_->subscriptions.fetch_sub(1);
    core_->log.wake();
  }
  bool cancelled() const override { return over_->load(); }
  Cursor cursor() const override {
    return state_.with([](const State& state) { return state.position; });
  }
  const SubscribeOptions& options() const override { return options_; }

 private:
  struct State {
    Cursor position = 0;
    bool is_new = false;    // its first cursor was not read from yet
    bool is_armed = false;  // it was less than half its bound behind since it was warned
    std::uint64_t reads = 0;
  };
  // What a read gives, and the state that it leads to.
  struct Answer {
    State state;
    std::vector<Delivery> out{};
    std::int64_t dropped = 0;
    std::int64_t warnings = 0;
    std::optional<Error> expired{};
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

  Result<void> gather(Answer& answer, int max) {
    State& state = answer.state;
    auto last = core_->log.last();
    if (state.position >= last) {  // unless another process has published
      CLEW_TRY(last, core_->newest());
    }
    CLEW_TRY(mind_bound(answer, last));
    while (answer.out.size() < static_cast<std::size_t>(max) && state.position < last) {
      CLEW_TRY(const auto events, core_->read(state.position, page));
      const auto first = events.empty() ? last + 1 : events.front()->cursor;
      if (first > state.position + 1 && !pass_over(answer, first - 1)) return {};
      state.is_new = false;
      for (const auto& event : events) {
        if (answer.out.size() == static_cast<std::size_t>(max)) break;
        state.position = event->cursor;
        if (wants(*event)) answer.out.push_back({event});
      }
    }
    if (state.position >= last) state.is_new = false;
    if (last - state.position <= bound_ / 2) state.is_armed = true;
    return {};
  }

  // Retention has removed what lies up to `to`. False: this read is over with an error.
  bool pass_over(Answer& answer, Cursor to) {
    State& state = answer.state;
    const auto from = std::exchange(state.position, to) + 1;
    if (std::exchange(state.is_new, false)) {
      answer.expired =
          error(Code::not_found,
                "the events after cursor {} are gone: the oldest that can be used is {}", from - 1,
                to)
              .with("cursor", from - 1)
              .with("oldest", to);
      return false;
    }
    const auto count = to - from + 1;
    answer.out.push_back({core_->dropped_event(from, to, count, false)});
    answer.dropped += count;
    return true;
  }

  // Passes over what is more than `queue_max`, and warns of what soon will be.
  Result<void> mind_bound(Answer& answer, Cursor last) {
    State& state = answer.state;
    const auto warns_at = (bound_ * 4 + 4) / 5;
    if (last - state.position < warns_at || state.is_new) return {};
    auto behind = last - state.position;
    if (options_.queue_max > 0) {
      CLEW_TRY(behind, drop_excess(answer, last));
    }
    const bool is_full = answer.dropped > 0 || behind > bound_;
    if (behind < warns_at || !state.is_armed) return {};
    state.is_armed = false;
    if (is_full) return {};  // what has come already needs no warning
    answer.out.push_back({core_->advisory(backlog_warning, state.position,
                                          Value::object({{"behind", behind}, {"bound", bound_}}))});
    ++answer.warnings;
    return {};
  }

  // How many events for this subscription are left.
  Result<std::int64_t> drop_excess(Answer& answer, Cursor last) {
    std::deque<Cursor> kept;
    Cursor dropped_to = 0;
    Cursor dropped_from = 0;
    std::int64_t count = 0;
    for (auto at = answer.state.position; at < last;) {
      CLEW_TRY(const auto events, core_->read(at, page));
      if (events.empty()) break;
      for (const auto& event : events) {
        at = event->cursor;
        if (!wants(*event)) continue;
        kept.push_back(at);
        if (static_cast<std::int64_t>(kept.size()) <= options_.queue_max) continue;
        dropped_to = kept.front();
        if (count++ == 0) dropped_from = dropped_to;
        kept.pop_front();
      }
    }
    if (count == 0) return static_cast<std::int64_t>(kept.size());
    // What retention has taken before those is told first, and as such.
    CLEW_TRY(const auto oldest, core_->read(answer.state.position, 1));
    if (!oldest.empty() && oldest.front()->cursor > answer.state.position + 1) {
      (void)pass_over(answer, oldest.front()->cursor - 1);
    }
    answer.state.position = dropped_to;
    answer.out.push_back({core_->dropped_event(dropped_from, dropped_to, count, true)});
    answer.dropped += count;
    return static_cast<std::int64_t>(kept.size());
  }

  const BrokerCorePtr core_;
  const SubscribeOptions options_;
  const EventPattern pattern_;
  const std::int64_t bound_;
  const std::shared_ptr<std::atomic<bool>> over_ = std::make_shared<std::atomic<bool>>(false);
  Guarded<State> state_;
};

}  // namespace

SubscriptionPtr make_subscription(BrokerCorePtr core, SubscribeOptions options,
                                  EventPattern pattern, Cursor position) {
  return std::make_shared<OwnPosition>(std::move(core), std::move(options), std::move(pattern),
                                       position);
}

}  // namespace clew::detail
