#include "clew/workflow/detail/live_run.hpp"

#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {

LiveRun::LiveRun(EngineImpl& engine, RunRow row, DefinitionPtr definition, store::Lease lease)
    : engine_(engine),
      row_(std::move(row)),
      definition_(std::move(definition)),
      lease_(lease),
      way_({fmt::format("{}@{}", definition_->name, definition_->version_text)}),
      state_(initial_state(*definition_)) {}

// Asks whoever has the run now, when this object does not any more: another process, or this one
// again after a failure that has passed. Null while it has it, and when nobody goes on with it.
Result<RunPtr> LiveRun::elsewhere() {
  bool is_ours = false;
  {
    const Lock lock(mutex_);
    if (!gone_ || gone_->code() == Code::closed) return RunPtr();
    is_ours = gone_->code() != Code::stale_lease;
  }
  if (!is_ours) return engine_.find(id());
  if (auto again = engine_.find_live(id())) return RunPtr(std::move(again));
  auto stored = engine_.find(id());
  if (!stored) return RunPtr();
  const auto status = (*stored)->status();
  return status && is_terminal(*status) ? std::move(stored).value() : RunPtr();
}

std::optional<bool> LiveRun::known_end() const {
  const auto fate = fate_.load(std::memory_order_acquire);
  if (fate == Fate::gone) return std::nullopt;
  return fate == Fate::ended;
}

Result<RunInfo> LiveRun::info() {
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->info();
  const Lock lock(mutex_);
  RunInfo info = row_.info;
  if (end_committed_) {  // an end that is not committed has not happened
    info.status = state_.status;
    info.output = state_.output;
    info.error = state_.error;
    info.failed_step = state_.failed_step;
    info.ended = state_.ended;
  } else {
    info.waiting_for = waiting_for_.empty() ? describe_waits(*definition_, state_) : waiting_for_;
    info.status = info.waiting_for.empty() ? RunStatus::running : RunStatus::waiting;
  }
  count_steps(*definition_, state_, info);
  return info;
}

Result<RunStatus> LiveRun::status() {
  CLEW_TRY(const auto info, this->info());
  return info.status;
}

Result<std::vector<StepInfo>> LiveRun::steps() {
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->steps();
  {
    const Lock lock(mutex_);
    if (committed_seq_ == state_.last_seq) return step_infos(*definition_, state_);
  }
  // The memory is ahead of the disk. What is not committed may yet be lost, so it is not shown.
  if (engine_.closed()) return error(Code::closed, "the runtime is closed");
  std::vector<StepInfo> infos;
  CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto loaded, load_state(tx, *definition_, row_.number));
    infos = step_infos(*definition_, loaded.state);
    return {};
  }));
  return infos;
}

Result<std::vector<EventInfo>> LiveRun::events(std::int64_t after, int limit) {
  if (engine_.closed()) return error(Code::closed, "the runtime is closed");
  std::vector<EventInfo> events;
  CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(events, read_event_infos(tx, *definition_, row_.number, after, limit));
    return {};
  }));
  return events;
}

Result<void> LiveRun::wait_events(std::int64_t after, Timestamp until) {
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->wait_events(after, until);
  Lock lock(mutex_);
  while (committed_seq_ <= after && !settled()) {
    if (engine_.parts().env.clock().wait_until(changed_, lock, until)) break;
  }
  return {};
}

Result<bool> LiveRun::wait(Timestamp until) {
  {
    Lock lock(mutex_);
    while (!settled()) {
      if (engine_.closed()) return error(Code::closed, "the runtime is closed");
      if (engine_.parts().env.clock().wait_until(over_, lock, until)) break;
    }
    if (!gone_) return end_committed_;
  }
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->wait(until);
  const Lock lock(mutex_);
  return *gone_;
}

void LiveRun::on_ended(Function<void()> callback) {
  {
    const Lock lock(mutex_);
    if (!settled()) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  const auto other = elsewhere();
  if (other && *other) return (*other)->on_ended(std::move(callback));
  callback();
}

Result<Value> LiveRun::result() {
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->result();
  const Lock lock(mutex_);
  if (gone_) return *gone_;
  const auto status = end_committed_ ? state_.status : RunStatus::running;
  return result_of(row_.info.id, status, state_.output, state_.error, state_.failed_step, cause_);
}

Result<void> LiveRun::cancel(std::string reason) {
  CLEW_TRY(const auto other, elsewhere());
  if (other) return other->cancel(std::move(reason));
  struct Answer {
    Mutex mutex;
    Condition given;
    std::optional<Result<void>> result CLEW_GUARDED_BY(mutex);
  };
  const auto answer = std::make_shared<Answer>();
  engine_.stimulate(shared_from_this(), CancelRequested{std::move(reason)}, nullptr,
                    [answer](Result<void> result) {
                      {
                        const Lock lock(answer->mutex);
                        answer->result = std::move(result);
                      }
                      answer->given.notify_all();
                    });
  Lock lock(answer->mutex);
  while (!answer->result) answer->given.wait(lock);
  return *answer->result;
}

}  // namespace clew::workflow
