#include "clew/workflow/detail/event_waits.hpp"

#include <algorithm>
#include <utility>

namespace clew::workflow {
namespace {

constexpr int page = 256;  // events read at once
constexpr Duration retry_after = std::chrono::seconds(1);
thread_local bool is_own_thread = false;

// No type holds a line break.
std::string key_of(const std::string& type, const std::string& correlation) {
  return correlation.empty() ? type : type + '\n' + correlation;
}

}  // namespace

EventWaits::EventWaits(Broker& broker, Clock& clock, bool is_durable, Tell tell)
    : broker_(broker), clock_(clock), is_durable_(is_durable), tell_(std::move(tell)) {}

void EventWaits::add(EventWait wait) { push({.kind = Order::Kind::add, .wait = std::move(wait)}); }

void EventWaits::expire(const LiveRunPtr& run, int step) {
  EventWait wait;
  wait.step = step;
  push({.kind = Order::Kind::expire, .wait = std::move(wait), .run = run});
}

void EventWaits::drop(const LiveRunPtr& run) { push({.kind = Order::Kind::drop, .run = run}); }

bool EventWaits::on_own_thread() { return is_own_thread; }

void EventWaits::push(Order order) {
  {
    const Lock lock(thread_mutex_);
    if (is_stopped_) return;
    if (!std::exchange(is_started_, true)) thread_.start("clew-waits", [this] { work(); });
  }
  bool is_first = false;
  {
    const Lock lock(inbox_->mutex);
    is_first = inbox_->orders.empty();
    inbox_->orders.push_back(std::move(order));
  }
  if (is_first) inbox_->filled.notify_all();  // else it has been told
}

void EventWaits::stop() {
  {
    const Lock lock(thread_mutex_);
    if (std::exchange(is_stopped_, true) || !is_started_) return;
  }
  {
    const Lock lock(inbox_->mutex);
    inbox_->is_stopped = true;
  }
  inbox_->filled.notify_all();
  thread_.join();  // nobody starts another one
}

// ---- the thread

void EventWaits::work() {
  is_own_thread = true;
  while (await_work()) {
    auto done = handle();
    if (!done && !done.error().retryable() && done.error().code() != Code::closed) {
      give_up(done.error());
      done = {};
    }
    again_ = Timestamp::never();
    if (done) {
      arm();
    } else if (done.error().code() == Code::closed) {
      log_ = nullptr;  // nothing is read any more, and stop() is on its way
    } else {
      again_ = clock_.now() + retry_after;
    }
  }
  if (log_) log_->cancel();
  log_ = nullptr;
  pending_.clear();
  expired_.clear();
  by_key_.clear();
  by_run_.clear();
}

// False: it is over.
bool EventWaits::await_work() {
  const auto due = std::min(note_due_, again_);
  Lock lock(inbox_->mutex);
  while (!inbox_->is_stopped && inbox_->orders.empty() && !inbox_->has_news) {
    if (clock_.wait_until(inbox_->filled, lock, due)) break;
  }
  std::ranges::move(inbox_->orders, std::back_inserter(pending_));
  inbox_->orders.clear();
  if (std::exchange(inbox_->has_news, false)) is_armed_ = false;
  return !inbox_->is_stopped;
}

// Errors leave what is not done for the next time.
Result<void> EventWaits::handle() {
  for (; !pending_.empty(); pending_.pop_front()) {
    Order& order = pending_.front();
    switch (order.kind) {
      case Order::Kind::add:
        CLEW_TRY(begin(std::make_shared<EventWait>(order.wait)));
        break;
      case Order::Kind::expire:
        expired_.push_back(std::move(order));
        break;
      case Order::Kind::drop:
        forget_run(order.run);
        break;
    }
  }
  CLEW_TRY(follow());
  for (const auto& order : std::exchange(expired_, {})) {
    tell_(order.run, order.wait.step, RetryDue{order.wait.step, -1});
  }
  note_passed();
  return {};
}

Result<void> EventWaits::begin(const WaitPtr& wait) {
  if (!log_) {
    CLEW_TRY(log_, broker_.subscribe({.pattern = ">", .start = StartAt::now}));
    noted_ = log_->cursor();
    is_armed_ = false;
  }
  CLEW_TRY(const bool still_waits, catch_up(*wait, log_->cursor()));
  if (still_waits) keep(wait);
  return {};
}

// Shows a wait what it has not seen of the events up to `to`. False: it waits no more.
Result<bool> EventWaits::catch_up(EventWait& wait, Cursor to) {
  if (wait.looked_to >= to) return true;
  CLEW_TRY(const auto own,
           broker_.subscribe(
               {.pattern = wait.type.text(), .start = StartAt::cursor, .after = wait.looked_to}));
  while (own->cursor() < to) {
    const auto taken = own->take(page);
    if (!taken && taken.error().code() == Code::not_found) {
      return show_lost(wait, own->cursor());
    }
    if (!taken) return taken.error();
    for (const auto& [event, attempt] : *taken) {
      if (event->type == backlog_dropped) return show_lost(wait, event->cursor);
      const bool fits = wait.correlation.empty() || event->correlation_id == wait.correlation;
      if (event->type == wait.type_id && fits && !show(wait, event)) return false;
    }
    wait.looked_to = own->cursor();
    if (note_due_ == Timestamp::never() && is_durable_) {
      note_due_ = clock_.now() + broker_.retention().age_max / 4;
    }
  }
  return true;
}

bool EventWaits::show(EventWait& wait, const EventPtr& event) {
  const auto run = wait.run.lock();
  return run && tell_(run, wait.step, EventArrived{wait.step, event});
}

// What lies between is gone. It may have been what the step waits for: better no answer than none
// for ever.
bool EventWaits::show_lost(EventWait& wait, Cursor to) {
  const auto run = wait.run.lock();
  if (!run) return false;
  const auto why =
      error(Code::not_found,
            "the events after cursor {} up to {} are not retained any more: the event {} that it "
            "waits for may have been among them",
            wait.looked_to, to, wait.type.text())
          .with("event", wait.type.text())
          .with("after", wait.looked_to)
          .with("oldest", to);
  return tell_(run, wait.step, EventsLost{wait.step, why});
}

Result<void> EventWaits::follow() {
  while (log_) {
    CLEW_TRY(const auto taken, log_->take(page));
    if (taken.empty()) return {};
    for (const auto& [event, attempt] : taken) {
      if (event->type == backlog_dropped) {
        show_gap(*event);
      } else {
        show_all(event);
      }
    }
  }
  return {};
}

std::vector<EventWaits::WaitPtr> EventWaits::all_waits() const {
  std::vector<WaitPtr> waits;
  for (const auto& [key, some] : by_key_) {
    for (const auto& [number, wait] : some) waits.push_back(wait);
  }
  return waits;
}

// The log cannot be read: nobody is left waiting for what will not come.
void EventWaits::give_up(const Error& why) {
  auto waits = all_waits();
  for (auto& order : std::exchange(pending_, {})) {
    if (order.kind == Order::Kind::add) {
      waits.push_back(std::make_shared<EventWait>(std::move(order.wait)));
    }
  }
  for (const auto& wait : waits) {
    if (const auto run = wait->run.lock()) tell_(run, wait->step, EventsLost{wait->step, why});
    forget(wait);
  }
}

void EventWaits::show_all(const EventPtr& event) {
  if (is_durable_ && note_due_ == Timestamp::never()) {
    note_due_ = clock_.now() + broker_.retention().age_max / 4;
  }
  const auto show_key = [&](const std::string& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    std::vector<WaitPtr> over;
    for (const auto& [number, wait] : found->second) {
      const bool fits =
          event->cursor > wait->looked_to && wait->type.matches(event->type, event->version);
      if (fits && !show(*wait, event)) over.push_back(wait);
    }
    for (const auto& wait : over) forget(wait);
  };
  show_key(event->type);
  if (!event->correlation_id.empty()) show_key(key_of(event->type, event->correlation_id));
}

void EventWaits::show_gap(const Event& gap) {
  for (const auto& wait : all_waits()) {
    if (gap.cursor > wait->looked_to && !show_lost(*wait, gap.cursor)) forget(wait);
  }
}

// Before retention takes what was passed over, each run notes that it has seen it.
void EventWaits::note_passed() {
  if (!is_durable_ || !log_) return;
  const auto now = clock_.now();
  const auto passed = log_->cursor();
  if (now < note_due_ && passed - noted_ < broker_.retention().count_max / 4) return;
  for (const auto& wait : all_waits()) {
    wait->looked_to = std::max(wait->looked_to, passed);
    const auto run = wait->run.lock();
    if (!run || !tell_(run, wait->step, EventsPassed{wait->step, passed})) forget(wait);
  }
  noted_ = passed;
  note_due_ = Timestamp::never();
}

void EventWaits::keep(const WaitPtr& wait) {
  wait->number = ++last_number_;
  by_key_[key_of(wait->type_id, wait->correlation)].emplace(wait->number, wait);
  by_run_[wait->run].emplace(wait->number, wait);
}

void EventWaits::forget(const WaitPtr& wait) {
  const auto erase_from = [&wait](auto& waits, const auto& key) {
    const auto found = waits.find(key);
    if (found == waits.end()) return;
    found->second.erase(wait->number);
    if (found->second.empty()) waits.erase(found);
  };
  erase_from(by_key_, key_of(wait->type_id, wait->correlation));
  erase_from(by_run_, wait->run);
}

void EventWaits::forget_run(const LiveRunPtr& run) {
  const auto found = by_run_.find(run);
  if (found == by_run_.end()) return;
  const auto waits = found->second;
  for (const auto& [number, wait] : waits) forget(wait);
}

// Has the log ring when there is more; while nobody waits, it is not read at all.
void EventWaits::arm() {
  if (!log_) return;
  if (by_run_.empty() && pending_.empty()) {
    log_->cancel();
    log_ = nullptr;
    note_due_ = Timestamp::never();
    return;
  }
  if (std::exchange(is_armed_, true)) return;
  log_->on_ready([inbox = inbox_] {
    {
      const Lock lock(inbox->mutex);
      inbox->has_news = true;
    }
    inbox->filled.notify_all();
  });
}

}  // namespace clew::workflow
