// How a group forms. While one group is being committed, what arrives queues up; the writer thread
// then takes all of it (at most group_max) as the next group, so groups grow with the load by
// themselves. A caller that finds nothing queued and nobody at work commits on its own thread: a
// lone writer pays for no hand-off. Such a caller would split the group of several writers that
// have just been woken together, so after a group of more than one nobody leads, and the writer
// waits a few microseconds for as many as last time.
#include "clew/store/detail/commit_queue.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <memory>

#include "clew/store/detail/patience.hpp"
#include "clew/store/detail/unlocked.hpp"
#include "clew/store/detail/writer_priority.hpp"

namespace clew::store::detail {
namespace {

// A sync takes 150 µs or more; waking a thread some 20.
constexpr std::int64_t gather_ns_max = 40'000;
constexpr Duration sync_pause = std::chrono::milliseconds(200);  // after one that has failed
constexpr int gather_spins_max = 2000;  // ends the wait under a clock that stands still

void spin_once() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Where a blocked write() waits for its completion.
class Waiter {
 public:
  void set(Result<CommitInfo> outcome) {
    {
      const Lock lock(mutex_);
      outcome_ = std::move(outcome);
    }
    set_.notify_one();  // whom this wakes finds the lock free
  }
  Result<CommitInfo> wait() {
    Lock lock(mutex_);
    while (!outcome_) set_.wait(lock);
    return *std::move(outcome_);
  }

 private:
  Mutex mutex_;
  Condition set_;
  std::optional<Result<CommitInfo>> outcome_ CLEW_GUARDED_BY(mutex_);
};

Error closed() { return Error(Code::closed, "the database was closed"); }

Result<CommitInfo> outcome_of(const Pending& pending) {
  if (pending.error) return *pending.error;
  return pending.info;
}

}  // namespace

CommitQueue::CommitQueue(std::unique_ptr<Session> session, const DatabaseOptions& options,
                         bool is_memory, Clock& clock)
    : options_(options),
      is_memory_(is_memory),
      clock_(clock),
      session_(std::move(session)),
      runner_(*session_, this, is_memory, clock) {}

CommitQueue::~CommitQueue() = default;

void CommitQueue::start() {
  threads_.start("clew-writer", [this] { run_writer(); });
}

// Callers.

void CommitQueue::submit(Write write) {
  CLEW_CHECK(write.apply && write.done);
  const auto* scope = ThreadScope::find(this);
  CLEW_CHECK(scope == nullptr || scope->doing() == Doing::completion);
  Pending pending{std::move(write), clock_.ticks_ns(), {}, {}};
  std::optional<Error> refused;
  {
    Lock lock(mutex_);
    // A completion runs where the queue is emptied: it must not wait for that.
    while (scope == nullptr && static_cast<int>(queue_.size()) >= options_.queue_max &&
           !refusal()) {
      room_.wait(lock);
    }
    refused = refusal();
    if (!refused) push(std::move(pending));
  }
  if (!refused) return;
  // NOLINTNEXTLINE(bugprone-use-after-move): moved only when nothing refused it
  pending.error = std::move(refused);
  complete(std::span(&pending, 1), nullptr);
}

Result<CommitInfo> CommitQueue::write(Apply apply, Durability durability) {
  CLEW_CHECK(ThreadScope::find(this) == nullptr);  // it would wait for itself
  Pending pending{Write{std::move(apply), {}, durability}, clock_.ticks_ns(), {}, {}};
  CLEW_CHECK(pending.write.apply);
  {
    Lock lock(mutex_);
    if (auto refused = refusal()) return *refused;
    if (may_lead()) {
      lead(lock, pending);
      return outcome_of(pending);
    }
  }
  const auto waiter = std::make_shared<Waiter>();  // the writer may still hold it when we go on
  pending.write.done = [waiter](Result<CommitInfo> outcome) { waiter->set(std::move(outcome)); };
  submit(std::move(pending.write));
  return waiter->wait();
}

void CommitQueue::submit_or_commit(Write write) {
  CLEW_CHECK(write.apply && write.done);
  if (ThreadScope::find(this) == nullptr) {
    Lock lock(mutex_);
    if (!refusal() && may_lead()) {
      Pending pending{std::move(write), clock_.ticks_ns(), {}, {}};
      lead(lock, pending);
      return;
    }
  }
  submit(std::move(write));
}

Result<void> CommitQueue::exclusively(Function<Result<void>(Session&)> use, GoOn& go_on) {
  const auto* scope = ThreadScope::find(this);
  CLEW_CHECK(scope == nullptr || scope->doing() == Doing::completion);
  // Completions run within the turn of their group, which is then done with the session.
  const bool has_turn = scope != nullptr && scope->session() != nullptr;
  Lock lock(mutex_);
  if (phase_ == Phase::closed) return closed();
  if (!has_turn) CLEW_TRY(take_turn(lock, go_on));
  Result<void> done;
  std::exception_ptr thrown;
  if (phase_ == Phase::closed) {
    done = closed();
  } else {
    const Unlocked meanwhile(mutex_);
    try {
      done = use(*session_);
    } catch (...) {
      thrown = std::current_exception();  // the turn must end first
    }
  }
  if (!has_turn) end_turn();
  if (thrown) std::rethrow_exception(thrown);
  return done;
}

Result<void> CommitQueue::await_durable(CommitNumber number, Timestamp deadline) {
  CLEW_CHECK(ThreadScope::find(this) == nullptr);
  Lock lock(mutex_);
  bool is_over = false;
  while (durable_up_to() < number) {
    if (failed_) return *failed_;
    if (phase_ == Phase::closed) return closed();
    if (is_over) {
      return error(Code::timeout, "commit {} is not durable yet, but {} is", number,
                   durable_up_to());
    }
    if (written_up_to() >= number) {  // somebody needs it now: no use waiting for the window's end
      is_sync_wanted_ = true;
      work_.notify_one();
    }
    is_over = clock_.wait_until(synced_, lock, deadline);
  }
  return {};
}

DatabaseStats CommitQueue::stats() const {
  const Lock lock(mutex_);
  auto now = stats_;
  now.queued = static_cast<int>(queue_.size());
  return now;
}

// Turns.

bool CommitQueue::may_lead() const {
  return queue_.empty() && serving_ == next_ticket_ && last_group_ <= 1;
}

void CommitQueue::take_turn(Lock& lock) {
  const auto ticket = next_ticket_++;
  while (serving_ != ticket) turn_.wait(lock);
}

Result<void> CommitQueue::take_turn(Lock& lock, GoOn& go_on) {
  const auto ticket = next_ticket_++;
  while (serving_ != ticket) {
    auto waited = wait_a_while(turn_, lock, mutex_, go_on);
    if (waited) continue;
    if (serving_ == ticket) {
      end_turn();
    } else {
      given_up_.insert(ticket);
    }
    return waited;
  }
  return {};
}

void CommitQueue::end_turn() {
  ++serving_;
  while (given_up_.erase(serving_) != 0) ++serving_;
  if (serving_ != next_ticket_) {
    turn_.notify_all();
  } else if (phase_ != Phase::open) {
    idle_.notify_all();
  }
}

// Commits one write on the calling thread.
void CommitQueue::lead(Lock& lock, Pending& pending) {
  take_turn(lock);  // at once: may_lead() said so
  const bool had_unsynced = sync_due_.has_value();
  std::optional<ShortTurns> short_turns;
  if (!is_memory_ && pending.write.durability == Durability::sync) short_turns.emplace();
  commit_group(std::span(&pending, 1));
  short_turns.reset();
  if (pending.write.done) {
    const Unlocked meanwhile(mutex_);
    complete(std::span(&pending, 1), session_.get());
  }
  is_maintenance_due_ = runner_.is_maintenance_due();
  // The writer thread does what nobody waits for, in time.
  if (is_maintenance_due_ || (sync_due_ && !had_unsynced)) work_.notify_one();
  end_turn();
}

void CommitQueue::commit_group(std::span<Pending> group) {
  if (is_sync_due()) group.front().write.durability = Durability::sync;  // covers the earlier too
  GroupReport report;
  {
    const Unlocked meanwhile(mutex_);
    report = runner_.run(group);
  }
  record(report);
}

// The writer thread.

void CommitQueue::run_writer() {
  favour_this_thread();
  Lock lock(mutex_);
  for (;;) {
    while (!has_work()) {
      if (sync_due_) {
        (void)clock_.wait_until(work_, lock, *sync_due_);
      } else {
        work_.wait(lock);
      }
    }
    if (phase_ == Phase::stopping && queue_.empty()) return;
    const auto expected = std::min(last_group_, options_.group_max);
    if (phase_ == Phase::open && static_cast<int>(queue_.size()) < expected && !queue_.empty()) {
      const Unlocked meanwhile(mutex_);
      gather(expected);
    }
    take_turn(lock);
    commit_some();
    settle();
    end_turn();
  }
}

bool CommitQueue::has_work() {
  return !queue_.empty() || phase_ == Phase::stopping || is_maintenance_due_ || is_sync_due();
}

bool CommitQueue::is_sync_due() {
  if (!sync_due_ || failed_) return false;
  return is_sync_wanted_ || clock_.now() >= *sync_due_;
}

// Waits for the writers of the last group to come back, without sleeping: that would take longer.
void CommitQueue::gather(int expected) {
  if (is_memory_) return;
  const auto until_ns = clock_.ticks_ns() + gather_ns_max;
  for (int spins = 0; spins < gather_spins_max; ++spins) {
    if (queued_.load(std::memory_order_relaxed) >= expected || clock_.ticks_ns() >= until_ns)
      return;
    spin_once();
  }
}

void CommitQueue::commit_some() {
  if (queue_.empty()) return;
  auto group = pop(options_.group_max);
  last_group_ = static_cast<int>(group.size());
  commit_group(group);
  {
    const Unlocked meanwhile(mutex_);
    complete(group, session_.get());
    group.clear();  // destroys what the writes captured
  }
  is_maintenance_due_ = runner_.is_maintenance_due();
}

// What nobody waits for: the late sync of relaxed commits, moving the log into the file.
void CommitQueue::settle() {
  if (is_sync_due()) run_alone(&GroupRunner::sync);
  if (is_maintenance_due_) run_alone(&GroupRunner::maintain);
  is_maintenance_due_ = false;
}

void CommitQueue::run_alone(GroupReport (GroupRunner::*work)()) {
  GroupReport report;
  {
    const Unlocked meanwhile(mutex_);
    report = (runner_.*work)();
  }
  record(report);
}

void CommitQueue::record(const GroupReport& report) {
  stats_.commits += report.commits;
  stats_.writes += report.acknowledged;
  stats_.refused += report.refused;
  stats_.syncs += report.syncs;
  stats_.reruns += report.reruns;
  stats_.group_largest = std::max(stats_.group_largest, report.largest);
  if (report.written != 0) written_.store(report.written, std::memory_order_release);
  if (report.durable != 0) {
    durable_.store(report.durable, std::memory_order_release);
    sync_due_.reset();
    is_sync_wanted_ = false;
    synced_.notify_all();
  }
  if (report.written > report.durable && !sync_due_) {
    sync_due_ = clock_.now() + options_.relaxed_window;
  }
  if (report.is_sync_missed) {  // tried again in a while
    sync_due_ = clock_.now() + std::max<Duration>(options_.relaxed_window, sync_pause);
    is_sync_wanted_ = false;
  }
  if (report.broken && !failed_) {
    const auto& why = *report.broken;
    failed_ = Error(Code::unavailable,
                    fmt::format("the database failed and must be opened again: {}", why.message()))
                  .with("failure", why.to_string());
    sync_due_.reset();
    synced_.notify_all();
    room_.notify_all();
  }
}

// Whatever a completion throws ends the process: nobody could hear it, and the others' completions
// must not be lost silently.
void CommitQueue::complete(std::span<Pending> group, Session* session) noexcept {
  const ThreadScope scope(this, Doing::completion, session);
  for (auto& pending : group) pending.write.done(outcome_of(pending));
}

// The queue.

std::optional<Error> CommitQueue::refusal() const {
  if (phase_ != Phase::open) return closed();
  if (options_.read_only) {
    return Error(Code::unsupported, "the database was opened read-only");
  }
  return failed_;
}

void CommitQueue::push(Pending pending) {
  queue_.push_back(std::move(pending));
  queued_.store(static_cast<int>(queue_.size()), std::memory_order_relaxed);
  work_.notify_one();
}

std::vector<Pending> CommitQueue::pop(int most) {
  const auto count = std::min(queue_.size(), static_cast<std::size_t>(std::max(most, 1)));
  std::vector<Pending> group;
  group.reserve(count);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  std::move(queue_.begin(), end, std::back_inserter(group));
  queue_.erase(queue_.begin(), end);
  queued_.store(static_cast<int>(queue_.size()), std::memory_order_relaxed);
  room_.notify_all();
  return group;
}

// Closing: drain, stop the thread, sync; the connection only when no reader is left.

bool CommitQueue::close(Timestamp deadline) {
  CLEW_CHECK(ThreadScope::find(this) == nullptr);
  Lock lock(mutex_);
  if (phase_ != Phase::open) {  // another thread closes, or has closed
    while (phase_ != Phase::closed) idle_.wait(lock);
    return true;
  }
  phase_ = Phase::draining;
  room_.notify_all();
  work_.notify_all();
  bool is_late = false;
  while (!is_late && (!queue_.empty() || serving_ != next_ticket_)) {
    is_late = clock_.wait_until(idle_, lock, deadline);
  }
  auto dropped = pop(static_cast<int>(queue_.size()));
  phase_ = Phase::stopping;
  work_.notify_all();
  if (is_late) session_->abandon_waits();
  {
    const Unlocked meanwhile(mutex_);
    threads_.join();
    for (auto& pending : dropped) pending.error = closed();
    complete(dropped, nullptr);
  }
  take_turn(lock);
  if (durable_up_to() < written_up_to() && !failed_) run_alone(&GroupRunner::sync);
  phase_ = Phase::closed;
  end_turn();
  synced_.notify_all();
  idle_.notify_all();
  return !is_late;
}

void CommitQueue::disconnect() {
  Lock lock(mutex_);
  take_turn(lock);
  CLEW_CHECK(phase_ == Phase::closed);
  {
    const Unlocked meanwhile(mutex_);
    session_.reset();
  }
  end_turn();
}

}  // namespace clew::store::detail
