#include "clew/workflow/engine.hpp"

#include <algorithm>

#include "clew/base/fields.hpp"
#include "clew/base/json.hpp"
#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

// Calls of runs that are handed to executors at once; the rest wait here, so that runs alone never
// fill the pool's queue.
constexpr std::int64_t active_calls_max = 4096;
// Digests of definitions that are known to be in the store.
constexpr std::size_t kept_max = 1024;

// The part of a final state that a run's row holds.
std::shared_ptr<const RunState> without_steps(const RunState& state) {
  auto end = std::make_shared<RunState>();
  end->status = state.status;
  end->output = state.output;
  end->error = state.error;
  end->failed_step = state.failed_step;
  end->ended = state.ended;
  return end;
}

Result<void> write_batch(store::Transaction& tx, const EngineParts& parts, std::int64_t number,
                         const store::Lease& lease, const Batch& batch) {
  const store::Resource resource{run_kind, number};
  CLEW_TRY(store::append_owned(tx, resource, lease, number, batch.events));
  for (const auto& trace : batch.traces) CLEW_TRY(parts.traces.insert(tx, trace));
  for (const auto& events : batch.published) CLEW_TRY(parts.broker.append(tx, *events));
  if (batch.end) {
    CLEW_TRY(end_run(tx, number, *batch.end));
    CLEW_TRY(store::close_lease(tx, resource, lease));
  }
  return {};
}

}  // namespace

EngineImpl::EngineImpl(EngineParts parts, EngineOptions options, store::OwnerId owner)
    : parts_(parts),
      options_(std::move(options)),
      jitter_(parts.env.random("workflow.jitter")),
      owner_(owner),
      waits_(parts.broker, parts.env.clock(), !parts.database.is_memory(),
             [this](const LiveRunPtr& run, int step, const Stimulus& stimulus) {
               return tell(run, step, stimulus);
             }),
      composites_(std::make_shared<WorkflowExecutor>(*this, parts.pool)) {}

EngineImpl::~EngineImpl() { stop(false, parts_.env.clock().now()); }

// ---- starting -------------------------------------------------------------------------------

void EngineImpl::start(StartRequest request, Function<void(Result<RunPtr>)> started) {
  // Counted from here, so that stop() either refuses it or waits for its commit.
  committing_.fetch_add(1);
  const auto over = std::unique_ptr<EngineImpl, void (*)(EngineImpl*)>(
      this, [](EngineImpl* engine) { engine->commit_over(); });
  if (stopping_.load()) return started(error(Code::closed, "the runtime is closed"));
  if (auto ready = prepare(request); !ready) return started(std::move(ready).error());
  if (!request.id.empty()) {
    if (find_live(request.id)) return started(same_run(request));
  }
  auto planned = plan_start(request);
  if (!planned) return started(std::move(planned).error());
  const auto& run = *planned;
  std::shared_ptr<Batch> batch;
  {
    const Lock lock(run->mutex_);
    batch = std::make_shared<Batch>(std::exchange(run->next_, {}));
    run->committing_ = true;
  }
  commit_start(run, std::move(batch), std::move(request), std::move(started));
}

// Everything that can refuse a run before anything is written.
Result<void> EngineImpl::prepare(StartRequest& request) {
  if (!request.definition) {
    CLEW_TRY(request.definition, find_definition(request.workflow));
  }
  if (!request.input.is_object()) return invalid_input("input", request.input, "an object");
  if (request.definition->input) {
    CLEW_TRY(request.definition->input->check(request.input, "input"));
  }
  if (request.id.size() > 200) {
    return invalid_input("id", request.id, "at most 200 characters");
  }
  if (request.key.size() > 200) {
    return invalid_input("key", request.key, "at most 200 characters");
  }
  CLEW_TRY(check_text("id", request.id));
  CLEW_TRY(check_text("key", request.key));
  CLEW_TRY(check_workspace(request.workspace));
  if (auto problems = check(*request.definition, request.workspace); !problems.empty()) {
    const auto registry = parts_.registry.snapshot();
    auto code = Code::not_found;
    for (const auto& step : request.definition->steps) {
      if (!step.has_call()) continue;
      const auto found = registry->resolve(step.call, {request.workspace});
      if (found) continue;
      code = found.error().code();
      break;
    }
    Error first(code, fmt::format("{}: {}", problems.front().path, problems.front().message));
    return first.with("path", problems.front().path)
        .with("suggestion", problems.front().suggestion);
  }
  return {};
}

Result<LiveRunPtr> EngineImpl::plan_start(StartRequest& request) {
  const auto now = parts_.env.clock().now();
  RunRow row;
  row.digest = request.definition->digest;
  row.durability = request.durability.value_or(options_.durability);
  row.info.id = request.id.empty() ? parts_.env.ids().next().to_string() : request.id;
  row.info.workflow = request.definition->name;
  row.info.version = request.definition->version_text;
  row.info.status = RunStatus::running;
  row.info.input = request.input;
  row.info.tags = request.tags;
  row.info.key = request.key;
  row.info.workspace = request.workspace;
  row.info.priority = request.priority;
  row.info.created = now;
  auto run = std::make_shared<LiveRun>(*this, std::move(row), request.definition, store::Lease{});

  run->way_.insert(run->way_.begin(), request.above.begin(), request.above.end());

  Start start{request.input};
  CLEW_TRY(pin(*run, start));
  if (run->definition_->awaits_events) {
    CLEW_TRY(start.events_after, parts_.broker.newest());
  }
  const Lock lock(run->mutex_);
  auto decision = decide(*run->definition_, run->state_, run->traits_, start, now);
  gather(*run, std::move(decision), run->next_);
  return run;
}

// Settles which capabilities the run will call, and with which content.
Result<void> EngineImpl::pin(LiveRun& run, Start& start) {
  std::vector<Member> pins;
  std::map<std::string, std::string> lock;
  const auto registry = parts_.registry.snapshot();
  for (const auto& step : run.definition_->steps) {
    CapabilityPtr capability;
    if (step.has_call()) {
      CLEW_TRY(capability, registry->resolve(step.call, {run.row_.info.workspace}));
      pins.push_back({step.name, Value(capability->reference())});
      lock[capability->reference()] = lock_digest(*capability);
      CLEW_TRY(const auto needed, registry->dependencies(*capability));
      for (const auto& each : needed) lock[each->reference()] = lock_digest(*each);
    }
    run.traits_.push_back(traits_of(step, capability.get()));
    run.capabilities_.push_back(std::move(capability));
  }
  std::vector<Member> locked;
  for (auto& [reference, digest] : lock) locked.push_back({reference, Value(digest)});
  start.pins = Value::object(std::move(pins));
  start.lock = Value::object(std::move(locked));
  return {};
}

void EngineImpl::commit_start(const LiveRunPtr& run, std::shared_ptr<Batch> batch,
                              StartRequest request, Function<void(Result<RunPtr>)> started) {
  const auto& info = run->row_.info;
  std::vector<Value> tags(info.tags.begin(), info.tags.end());
  struct Plan {
    std::string input;
    std::string tags;
    bool keep = false;
    std::optional<std::int64_t> number;  // none: there is a run of that id or key
    store::Lease lease;
  };
  auto plan = std::make_shared<Plan>();
  plan->input = to_json(request.input);
  plan->tags = to_json(Value::array(std::move(tags)));
  {
    const Lock lock(mutex_);
    plan->keep = !kept_definitions_.contains(run->row_.digest);
  }
  auto apply = [this, run, batch, plan](store::Transaction& tx) -> Result<void> {
    const auto& row = run->row_;
    CLEW_TRY(plan->number, insert_run(tx, {row.info.id, run->definition_.get(), plan->input,
                                           plan->tags, row.info.priority, row.durability,
                                           row.info.created, row.info.key, row.info.workspace}));
    if (!plan->number) return {};
    if (plan->keep) CLEW_TRY(keep_definition(tx, *run->definition_));
    CLEW_TRY(plan->lease, store::make_lease(tx, {run_kind, *plan->number}, owner_.load()));
    return write_batch(tx, parts_, *plan->number, plan->lease, *batch);
  };
  auto done = [this, run, batch, plan, request = std::move(request),
               started = std::move(started)](Result<store::CommitInfo> result) mutable {
    if (!result && plan->number && result.error().code() == Code::unknown_outcome) {
      adopt_later(plan->lease);
    }
    if (!result || !plan->number) {
      started(result ? same_run(request) : Result<RunPtr>(result.error()));
      return commit_over();
    }
    run->row_.number = *plan->number;
    run->lease_ = plan->lease;
    {
      const Lock lock(mutex_);
      if (kept_definitions_.size() >= kept_max) kept_definitions_.clear();
      kept_definitions_.insert(run->row_.digest);
      live_.emplace(run->id(), run);
    }
    started_.fetch_add(1, std::memory_order_relaxed);
    started(RunPtr(run));
    committed(run, batch, {});
  };
  const auto durability = durability_of(*run, *batch);
  store::Write write{std::move(apply), std::move(done), durability};
  committing_.fetch_add(1);
  parts_.database.submit(std::move(write));
}

// The run that was started by the same request before: of that id, else of that key.
Result<RunPtr> EngineImpl::same_run(const StartRequest& request) {
  auto found = request.id.empty() ? Result<RunPtr>(RunPtr()) : find(request.id);
  if (!found && found.error().code() != Code::not_found) return found;
  if (!found || !*found) {
    CLEW_TRY(found, find_by_key(request));
  }
  const RunPtr& run = *found;
  CLEW_TRY(const auto info, run->info());
  if (info.workspace != request.workspace) {  // and more of it is nobody's business here
    return error(Code::conflict, "another workspace has a run \"{}\"", request.id)
        .with("run", request.id)
        .with("path", "id");
  }
  const auto differs = [&](std::string_view path, const Value& stored, const Value& given) {
    return error(Code::conflict, "run \"{}\" was started with other content: {} is {}, not {}",
                 run->id(), path, preview(stored), preview(given))
        .with("run", run->id())
        .with("path", path)
        .with("stored", stored)
        .with("given", given);
  };
  if (!request.id.empty() && request.id != run->id()) return differs("id", run->id(), request.id);
  if (!request.key.empty() && request.key != info.key) {
    return differs("key", info.key.empty() ? Value() : Value(info.key), request.key);
  }
  const Definition& definition = *request.definition;
  if (run->definition()->digest != definition.digest) {
    const auto at = first_difference(run->definition()->document, definition.document);
    return differs(at.path.empty() ? "workflow" : "workflow." + at.path, at.left, at.right);
  }
  if (const auto at = first_difference(info.input, request.input); at.found) {
    return differs(at.path.empty() ? "input" : "input." + at.path, at.left, at.right);
  }
  return run;
}

// ---- deciding and committing ----------------------------------------------------------------

// Applies a decision to the state and adds what follows from it to `into`.
void EngineImpl::gather(LiveRun& run, Decision decision, Batch& into) {
  if (stopping_.load()) {
    // Nothing new begins: what would have is decided again by whoever goes on with the run.
    decision.calls.clear();
    const auto begins = std::ranges::find_if(decision.events, [](const RunEvent& event) {
      return event.type == "step.started" || event.type == "item.started";
    });
    if (begins != decision.events.end()) {
      decision.events.erase(begins, decision.events.end());
      decision.cancel_calls = false;
      decision.ended = false;
    }
  }
  for (const auto& event : decision.events) {
    auto applied = apply(*run.definition_, run.state_, event);
    CLEW_CHECK(applied.has_value());
    into.events.push_back(to_stream_event(*run.definition_, event, ++run.state_.last_seq));
  }
  std::ranges::move(decision.calls, std::back_inserter(into.calls));
  std::ranges::move(decision.wakes, std::back_inserter(into.wakes));
  std::ranges::move(decision.waits, std::back_inserter(into.waits));
  into.cancel_calls = into.cancel_calls || decision.cancel_calls;
  if (decision.ended) into.end = without_steps(run.state_);
}

// The intent of what may happen only once must outlive even a power cut.
store::Durability EngineImpl::durability_of(const LiveRun& run, const Batch& batch) {
  const bool begins_once = std::ranges::any_of(batch.calls, [&](const CallCommand& call) {
    return run.traits_[static_cast<std::size_t>(call.step)].effect == Effect::once;
  });
  return begins_once ? store::Durability::sync : run.row_.durability;
}

void EngineImpl::stimulate(const LiveRunPtr& run, const Stimulus& stimulus,
                           const TraceRecord* trace, Acknowledge acknowledge,
                           EventBatchPtr emitted) {
  const auto now = parts_.env.clock().now();
  const auto* finished = std::get_if<AttemptFinished>(&stimulus);
  const bool failed = finished != nullptr && !finished->result;
  const double unit = failed ? jitter_.unit() : 0.0;  // only a failure may be followed by a retry
  std::optional<Error> refused;
  {
    const Lock lock(run->mutex_);
    if (run->gone_) {
      refused = *run->gone_;
    } else if (is_terminal(run->state_.status)) {
      refused =
          error(Code::conflict, "run \"{}\" has ended as {}", run->id(), name(run->state_.status))
              .with("status", name(run->state_.status));
    } else {
      auto decision = decide(*run->definition_, run->state_, run->traits_, stimulus, now, unit);
      // An attempt whose end is no news any more has emitted nothing.
      const bool counts = emitted && std::ranges::any_of(decision.events, [](const auto& event) {
                            return event.type == "step.completed" || event.type == "item.completed";
                          });
      gather(*run, std::move(decision), run->next_);
      if (counts) run->next_.published.push_back(std::move(emitted));
      if (failed && is_terminal(run->state_.status)) {
        run->cause_ = finished->result.error().cause();
      }
      if (trace != nullptr) run->next_.traces.push_back(*trace);
      if (acknowledge) run->next_.acknowledge.push_back(std::move(acknowledge));
    }
  }
  if (refused) {
    if (trace != nullptr) parts_.traces.record(*trace);  // too late for the run, not for the books
    // NOLINTNEXTLINE(bugprone-use-after-move): moved only when nothing refused it
    if (acknowledge) acknowledge(std::move(*refused));
    return;
  }
  pump(run);
}

// Commits what has gathered, unless a commit of this run is under way: that one's end pumps again.
void EngineImpl::pump(const LiveRunPtr& run) {
  std::shared_ptr<Batch> batch;
  {
    const Lock lock(run->mutex_);
    if (run->committing_ || run->next_.empty()) return;
    batch = std::make_shared<Batch>(std::exchange(run->next_, {}));
    run->committing_ = true;
  }
  committing_.fetch_add(1);
  if (!batch->writes()) return committed(run, batch, {});
  store::Write write{[this, run, batch](store::Transaction& tx) {
                       return write_batch(tx, parts_, run->row_.number, run->lease_, *batch);
                     },
                     [this, run, batch](Result<store::CommitInfo> result) {
                       committed(run, batch,
                                 result ? Result<void>() : Result<void>(result.error()));
                     },
                     durability_of(*run, *batch)};
  // With nothing else in flight nobody is coming to share the sync, so this thread does it, unless
  // others' timers wait for it.
  const bool may_block = !parts_.timers.on_timer_thread() && !EventWaits::on_own_thread();
  if (active_calls_.load(std::memory_order_relaxed) == 0 && may_block) {
    parts_.database.submit_or_commit(std::move(write));
  } else {
    parts_.database.submit(std::move(write));
  }
}

void EngineImpl::committed(const LiveRunPtr& run, const std::shared_ptr<Batch>& batch,
                           Result<void> result) {
  if (!result) {
    for (auto& acknowledge : batch->acknowledge) acknowledge(result.error());
    for (const auto& trace : batch->traces) parts_.traces.record(trace);
    lose(run, result.error());
  } else {
    std::vector<Function<void()>> callbacks;
    {
      const Lock lock(run->mutex_);
      run->committing_ = false;
      if (!batch->events.empty()) run->committed_seq_ = batch->events.back().seq;
      if (batch->end) {
        run->end_committed_ = true;
        run->fate_.store(LiveRun::Fate::ended, std::memory_order_release);
        callbacks = std::move(run->callbacks_);
      }
    }
    for (const auto& events : batch->published) parts_.broker.committed(*events);
    run->changed_.notify_all();
    if (batch->end) run->over_.notify_all();
    for (auto& acknowledge : batch->acknowledge) acknowledge({});
    carry_out(run, *batch);
    if (batch->end) {
      forget(run);
      ended_.fetch_add(1, std::memory_order_relaxed);
      for (auto& callback : callbacks) callback();
    }
    pump(run);
  }
  commit_over();
}

void EngineImpl::commit_over() {
  if (committing_.fetch_sub(1) == 1 && stopping_.load()) {
    {
      const Lock lock(mutex_);
    }
    idle_.notify_all();
  }
}

// ---- doing what was decided -----------------------------------------------------------------

void EngineImpl::carry_out(const LiveRunPtr& run, Batch& batch) {
  if (batch.cancel_calls) {
    std::vector<InvocationPtr> calls;
    {
      const Lock lock(run->mutex_);
      for (const auto& [key, call] : run->in_flight_) calls.push_back(call);
    }
    for (const auto& call : calls) call->cancel("its run has ended");
  }
  for (const auto& wait : batch.waits) await_event(run, wait);
  for (const auto& wake : batch.wakes) wake_at(run, wake);
  if (batch.calls.empty()) return;
  {
    const Lock lock(mutex_);
    for (auto& command : batch.calls) ready_.emplace_back(run, std::move(command));
  }
  launch_ready();
}

void EngineImpl::launch_ready() {
  // A call that ends at once comes back here: the loop below goes on instead of nesting.
  thread_local const EngineImpl* launching = nullptr;  // another runtime's may call from within
  if (launching == this) return;
  struct Restore {
    const EngineImpl* outer;
    ~Restore() { launching = outer; }
  } const restore{std::exchange(launching, this)};
  for (;;) {
    std::pair<LiveRunPtr, CallCommand> next;
    const bool withdraws = withdraws_.load();
    {
      const Lock lock(mutex_);
      const bool full = !withdraws && active_calls_.load() >= active_calls_max;
      if (ready_.empty() || full) return;
      next = std::move(ready_.front());
      ready_.pop_front();
      if (!withdraws) active_calls_.fetch_add(1);
      committing_.fetch_add(1);
    }
    if (withdraws) {
      withdraw(next.first, next.second);
    } else {
      launch(next.first, std::move(next.second));
    }
    commit_over();
  }
}

// Takes back an attempt that is in the log although its handler was never entered: whoever goes on
// with the run makes it as if for the first time.
void EngineImpl::withdraw(const LiveRunPtr& run, const CallCommand& command) {
  stimulate(run, Withdrawn{command.step, command.item, command.attempt});
}

void EngineImpl::launch(const LiveRunPtr& run, CallCommand command) {
  const auto& step = run->definition_->steps[static_cast<std::size_t>(command.step)];
  Request request;
  request.capability = run->capabilities_[static_cast<std::size_t>(command.step)];
  request.input = std::move(command.input);
  request.timeout = step.timeout;
  request.priority = run->row_.info.priority;
  request.unbounded = true;
  // The same for every attempt: an idempotent effect may recognise its repetition by it.
  request.idempotency_key = run->id() + '/' + step.name;
  if (command.item >= 0) request.idempotency_key += '/' + std::to_string(command.item);
  request.tag =
      std::make_shared<const StepTag>(StepTag{run->id(), step.name, command.item, command.attempt});
  const auto call = parts_.dispatcher.admit(std::move(request));
  bool wanted = true;
  {
    const Lock lock(run->mutex_);
    wanted = !is_terminal(run->state_.status) && !run->gone_ && !withdraws_.load();
    run->in_flight_[{command.step, command.item}] = call;
  }
  command.input = Value();
  if (!wanted) call->cancel("its run has ended");
  call->on_ended(
      [this, run, command = std::move(command), call] { call_ended(run, command, call); });
  if (!call->ended()) parts_.dispatcher.launch(call);
}

void EngineImpl::call_ended(const LiveRunPtr& run, const CallCommand& command,
                            const InvocationPtr& call) {
  committing_.fetch_add(1);  // until its result is handed over, stop() must wait for it
  {
    const Lock lock(run->mutex_);
    run->in_flight_.erase({command.step, command.item});
  }
  active_calls_.fetch_sub(1);
  const Outcome& outcome = call->outcome();
  const bool withdrawn =
      stopping_.load() && !outcome.result &&
      (outcome.result.error().code() == Code::closed || outcome.kind == CallOutcome::cancelled);
  if (withdrawn) {
    // Not a failure of the step: whoever goes on with the run makes the call again.
    parts_.traces.record(call->trace());
    if (!call->entered()) withdraw(run, command);
  } else {
    TraceRecord trace = call->trace();
    take_digests(trace);  // here, so that the writer's thread has only rows to write
    EventBatchPtr emitted;
    if (auto events = call->take_emitted(); outcome.result && !events.empty()) {
      emitted = parts_.broker.make_batch(std::move(events));
    }
    stimulate(run, AttemptFinished{command.step, command.item, command.attempt, outcome.result},
              &trace, nullptr, std::move(emitted));
  }
  commit_over();
  launch_ready();
}

void EngineImpl::wake_at(const LiveRunPtr& run, const WakeCommand& wake) {
  parts_.timers.at(wake.due, [this, weak = std::weak_ptr(run), wake] {
    const auto waiting = weak.lock();
    if (!waiting || stopping_.load()) return;
    bool is_deadline = false;
    {
      const Lock lock(waiting->mutex_);
      const auto& step = waiting->state_.steps[static_cast<std::size_t>(wake.step)];
      is_deadline = wake.item < 0 && step.awaits_event;
    }
    if (is_deadline) {
      waits_.expire(waiting, wake.step);  // events that came in time are told first
    } else {
      stimulate(waiting, RetryDue{wake.step, wake.item});
    }
  });
}

void EngineImpl::await_event(const LiveRunPtr& run, const WaitCommand& wait) {
  const EventEdge& edge = *run->definition_->steps[static_cast<std::size_t>(wait.step)].on_event;
  const bool is_own = edge.correlated == EventEdge::Correlation::run;
  waits_.add(
      {run, wait.step, edge.type, edge.type_id, is_own ? run->id() : wait.correlation, wait.after});
}

// Whether the step still waits for an event afterwards.
bool EngineImpl::tell(const LiveRunPtr& run, int step, const Stimulus& stimulus) {
  stimulate(run, stimulus);
  const Lock lock(run->mutex_);
  return !run->gone_ && run->state_.steps[static_cast<std::size_t>(step)].awaits_event;
}

// This process cannot go on with the run: another owner has it, or it could not be committed.
void EngineImpl::lose(const LiveRunPtr& run, Error why) {
  std::vector<InvocationPtr> calls;
  std::vector<Function<void()>> callbacks;
  std::vector<Acknowledge> acknowledge;
  std::vector<TraceRecord> traces;
  forget(run);  // first: who looks for the run elsewhere must not find this one
  {
    const Lock lock(run->mutex_);
    run->gone_ = why;
    run->fate_.store(LiveRun::Fate::gone, std::memory_order_release);
    run->committing_ = false;
    for (const auto& [key, call] : run->in_flight_) calls.push_back(call);
    callbacks = std::exchange(run->callbacks_, {});
    acknowledge = std::move(run->next_.acknowledge);
    traces = std::move(run->next_.traces);
    run->next_ = {};
  }
  for (auto& trace : traces) parts_.traces.record(std::move(trace));
  lost_.fetch_add(1, std::memory_order_relaxed);
  {
    const Lock lock(mutex_);
    last_error_ = fmt::format("run {}: {}", run->id(), why.to_string());
    const bool is_ours = why.code() != Code::stale_lease && why.code() != Code::closed;
    if (is_ours) orphans_.push_back({run->lease_, run});
  }
  run->changed_.notify_all();
  run->over_.notify_all();
  for (const auto& call : calls) call->cancel("its run went to another owner");
  for (auto& each : acknowledge) each(why);
  for (auto& callback : callbacks) {
    if (why.code() == Code::stale_lease) {
      watch(run->row_.number, std::move(callback));
    } else {
      callback();
    }
  }
}

void EngineImpl::forget(const LiveRunPtr& run) {
  if (run->definition_->awaits_events) waits_.drop(run);
  const Lock lock(mutex_);
  if (const auto live = live_.find(run->id()); live != live_.end() && live->second == run) {
    live_.erase(live);
  }
  if (const auto waits = unbound_.find(run->id());
      waits != unbound_.end() && waits->second.run == run) {
    unbound_.erase(waits);
  }
}

}  // namespace clew::workflow
