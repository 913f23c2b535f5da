#include "clew/workflow/engine.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

// Calls of runs that are handed to executors at once; the rest wait here, so that runs alone never
// fill the pool's queue.
constexpr std::int64_t active_calls_max = 4096;

std::string_view word(store::Durability durability) {
  return durability == store::Durability::relaxed ? "relaxed" : "sync";
}

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
  CLEW_TRY(store::check_lease(tx, resource, lease));
  for (const auto& event : batch.events) CLEW_TRY(store::append_event(tx, number, event));
  for (const auto& trace : batch.traces) CLEW_TRY(parts.traces.insert(tx, trace));
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
      owner_(owner) {}

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
    if (auto run = find_live(request.id)) {
      return started(same_run(request.id, *request.definition, request.input));
    }
  }
  auto planned = plan_start(request, Value());
  if (!planned) return started(std::move(planned).error());
  const auto& run = *planned;
  std::shared_ptr<Batch> batch;
  {
    const Lock lock(run->mutex_);
    batch = std::make_shared<Batch>(std::exchange(run->next_, {}));
    run->committing_ = true;
  }
  commit_start(run, std::move(batch), std::move(request.input), std::move(started));
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
  if (auto problems = check(*request.definition); !problems.empty()) {
    const auto registry = parts_.registry.snapshot();
    auto code = Code::not_found;
    for (const auto& step : request.definition->steps) {
      const auto found = registry->resolve(step.call);
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

Result<LiveRunPtr> EngineImpl::plan_start(StartRequest& request, Value) {
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
  row.info.priority = request.priority;
  row.info.created = now;
  auto run = std::make_shared<LiveRun>(*this, std::move(row), request.definition, store::Lease{});

  std::vector<Member> pins;
  const auto registry = parts_.registry.snapshot();
  for (const auto& step : request.definition->steps) {
    CLEW_TRY(auto capability, registry->resolve(step.call));
    pins.push_back({step.name, Value(fmt::format("{}@{}", capability->contract.id,
                                                 capability->version_text))});
    run->traits_.push_back(
        {capability->contract.effect, step.retry.value_or(capability->contract.retry)});
    run->capabilities_.push_back(std::move(capability));
  }
  const Lock lock(run->mutex_);
  auto decision = decide(*run->definition_, run->state_, run->traits_,
                         Start{request.input, Value::object(std::move(pins))}, now);
  gather(*run, std::move(decision), run->next_);
  return run;
}

void EngineImpl::commit_start(const LiveRunPtr& run, std::shared_ptr<Batch> batch, Value input,
                              Function<void(Result<RunPtr>)> started) {
  const auto& info = run->row_.info;
  std::vector<Value> tags(info.tags.begin(), info.tags.end());
  struct Plan {
    std::string input;
    std::string tags;
    bool keep = false;
    std::optional<std::int64_t> number;  // none: there is a run of that id
    store::Lease lease;
  };
  auto plan = std::make_shared<Plan>();
  plan->input = to_json(input);
  plan->tags = to_json(Value::array(std::move(tags)));
  {
    const Lock lock(mutex_);
    plan->keep = !kept_definitions_.contains(run->row_.digest);
  }
  auto apply = [this, run, batch, plan](store::Transaction& tx) -> Result<void> {
    const auto& row = run->row_;
    CLEW_TRY(plan->number,
             insert_run(tx, {row.info.id, run->definition_.get(), plan->input, plan->tags,
                             row.info.priority, row.durability, row.info.created}));
    if (!plan->number) return {};
    if (plan->keep) CLEW_TRY(keep_definition(tx, *run->definition_));
    CLEW_TRY(plan->lease, store::make_lease(tx, {run_kind, *plan->number}, owner_.load()));
    return write_batch(tx, parts_, *plan->number, plan->lease, *batch);
  };
  auto done = [this, run, batch, plan, input = std::move(input),
               started = std::move(started)](Result<store::CommitInfo> result) mutable {
    if (!result || !plan->number) {
      started(result ? same_run(run->id(), *run->definition_, input)
                     : Result<RunPtr>(result.error()));
      return commit_over();
    }
    run->row_.number = *plan->number;
    run->lease_ = plan->lease;
    {
      const Lock lock(mutex_);
      kept_definitions_.insert(run->row_.digest);
      live_.emplace(run->id(), run);
    }
    started_.fetch_add(1, std::memory_order_relaxed);
    started(RunPtr(run));
    committed(run, batch, {});
  };
  store::Write write{std::move(apply), std::move(done), run->row_.durability};
  committing_.fetch_add(1);
  parts_.database.submit(std::move(write));
}

Result<RunPtr> EngineImpl::same_run(const std::string& id, const Definition& definition,
                                    const Value& input) {
  CLEW_TRY(auto run, find(id));
  CLEW_TRY(const auto info, run->info());
  const auto differs = [&](std::string_view path, const Value& stored, const Value& given) {
    return error(Code::conflict, "run \"{}\" was started with other content: {} is {}, not {}", id,
                 path, preview(stored), preview(given))
        .with("run", id)
        .with("path", path)
        .with("stored", stored)
        .with("given", given);
  };
  if (run->definition()->digest != definition.digest) {
    const auto at = first_difference(run->definition()->document, definition.document);
    return differs(at.path.empty() ? "workflow" : "workflow." + at.path, at.left, at.right);
  }
  if (const auto at = first_difference(info.input, input); at.found) {
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
  into.cancel_calls = into.cancel_calls || decision.cancel_calls;
  if (decision.ended) into.end = without_steps(run.state_);
}

void EngineImpl::stimulate(const LiveRunPtr& run, const Stimulus& stimulus,
                           const TraceRecord* trace, Acknowledge acknowledge) {
  const auto now = parts_.env.clock().now();
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
      gather(*run, decide(*run->definition_, run->state_, run->traits_, stimulus, now), run->next_);
      if (const auto* finished = std::get_if<AttemptFinished>(&stimulus);
          finished != nullptr && !finished->result && is_terminal(run->state_.status)) {
        run->cause_ = finished->result.error().cause();
      }
      if (trace != nullptr) run->next_.traces.push_back(*trace);
      if (acknowledge) run->next_.acknowledge.push_back(std::move(acknowledge));
    }
  }
  if (refused) {
    if (trace != nullptr) parts_.traces.record(*trace);  // too late for the run, not for the books
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
  store::Write write{[this, run, batch](store::Transaction& tx) {
                       return write_batch(tx, parts_, run->row_.number, run->lease_, *batch);
                     },
                     [this, run, batch](Result<store::CommitInfo> result) {
                       committed(run, batch,
                                 result ? Result<void>() : Result<void>(result.error()));
                     },
                     run->row_.durability};
  // With nothing else in flight nobody is coming to share the sync, so this thread does it.
  if (active_calls_.load(std::memory_order_relaxed) == 0) {
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
        callbacks = std::move(run->callbacks_);
      }
    }
    run->changed_.notify_all();
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
  thread_local bool launching = false;
  if (std::exchange(launching, true)) return;
  const auto reset =
      std::unique_ptr<bool, void (*)(bool*)>(&launching, [](bool* on) { *on = false; });
  for (;;) {
    std::pair<LiveRunPtr, CallCommand> next;
    {
      const Lock lock(mutex_);
      if (ready_.empty() || active_calls_.load() >= active_calls_max) return;
      next = std::move(ready_.front());
      ready_.pop_front();
      active_calls_.fetch_add(1);
    }
    launch(next.first, std::move(next.second));
  }
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
  request.idempotency_key = command.item < 0
                                ? fmt::format("{}/{}", run->id(), step.name)
                                : fmt::format("{}/{}/{}", run->id(), step.name, command.item);
  request.tag =
      std::make_shared<const StepTag>(StepTag{run->id(), step.name, command.item, command.attempt});
  const auto call = parts_.dispatcher.admit(std::move(request));
  bool wanted = true;
  {
    const Lock lock(run->mutex_);
    wanted = !is_terminal(run->state_.status) && !run->gone_;
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
  } else {
    TraceRecord trace = call->trace();
    take_digests(trace);  // here, so that the writer's thread has only rows to write
    stimulate(run, AttemptFinished{command.step, command.item, command.attempt, outcome.result},
              &trace);
  }
  commit_over();
  launch_ready();
}

void EngineImpl::wake_at(const LiveRunPtr& run, const WakeCommand& wake) {
  parts_.timers.at(wake.due, [this, weak = std::weak_ptr(run), wake] {
    const auto waiting = weak.lock();
    if (waiting && !stopping_.load()) stimulate(waiting, RetryDue{wake.step, wake.item});
  });
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
    run->committing_ = false;
    for (const auto& [key, call] : run->in_flight_) calls.push_back(call);
    callbacks = std::move(run->callbacks_);
    acknowledge = std::move(run->next_.acknowledge);
    traces = std::move(run->next_.traces);
    run->next_ = {};
  }
  for (auto& trace : traces) parts_.traces.record(std::move(trace));
  lost_.fetch_add(1, std::memory_order_relaxed);
  {
    const Lock lock(mutex_);
    last_error_ = fmt::format("run {}: {}", run->id(), why.to_string());
  }
  run->changed_.notify_all();
  for (const auto& call : calls) call->cancel("its run went to another owner");
  for (auto& each : acknowledge) each(why);
  for (auto& callback : callbacks) callback();
}

void EngineImpl::forget(const LiveRunPtr& run) {
  const Lock lock(mutex_);
  if (const auto live = live_.find(run->id()); live != live_.end() && live->second == run) {
    live_.erase(live);
  }
  if (const auto waits = unbound_.find(run->id());
      waits != unbound_.end() && waits->second.first == run) {
    unbound_.erase(waits);
  }
}

// ---- looking --------------------------------------------------------------------------------

LiveRunPtr EngineImpl::find_live(const std::string& id) {
  const Lock lock(mutex_);
  const auto found = live_.find(id);
  return found != live_.end() ? found->second : nullptr;
}

Result<RunPtr> EngineImpl::find(const std::string& id) {
  if (auto run = find_live(id)) return RunPtr(run);
  std::optional<RunRow> row;
  DefinitionPtr definition;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(row, find_run(tx, id));
    if (!row) return {};
    CLEW_TRY(definition, load_definition(tx, row->digest));
    return {};
  }));
  if (!row) return error(Code::not_found, "there is no run \"{}\"", id).with("run", id);
  return make_stored_run(*this, std::move(*row), std::move(definition));
}

Result<RunPage> EngineImpl::list(const RunQuery& query) {
  if (query.limit < 1 || query.limit > 10'000) {
    return invalid_input("limit", query.limit, "an integer from 1 to 10000");
  }
  std::vector<RunRow> rows;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(rows, list_runs(tx, query));
    return {};
  }));
  RunPage page;
  if (rows.size() > static_cast<std::size_t>(query.limit)) {
    rows.resize(static_cast<std::size_t>(query.limit));
    page.next_cursor = fmt::format("{}", rows.back().number);
  }
  for (auto& row : rows) {
    if (auto live = find_live(row.info.id)) {
      if (auto info = live->info()) row.info = std::move(info).value();
    }
    page.runs.push_back(std::move(row.info));
  }
  return page;
}

Result<DefinitionPtr> EngineImpl::load_definition(store::Transaction& tx,
                                                  const std::string& digest) {
  {
    const Lock lock(mutex_);
    if (const auto kept = definitions_.find(digest); kept != definitions_.end()) {
      return kept->second;
    }
  }
  CLEW_TRY(const auto text, find_document(tx, digest));
  if (!text) return error(Code::corrupt, "workflow {} of a run is not kept", digest);
  CLEW_TRY(const auto document, parse_json(*text, {.depth_max = Value::depth_limit}));
  auto loaded = load_value(document);
  if (!loaded.definition) {
    return error(Code::corrupt, "workflow {} of a run is not valid: {}", digest,
                 to_error(loaded.problems).message());
  }
  const Lock lock(mutex_);
  return definitions_.emplace(digest, loaded.definition).first->second;
}

Result<void> EngineImpl::publish(DefinitionPtr definition) {
  const auto now = parts_.env.clock().now();
  CLEW_TRY(parts_.database.write([definition, now](store::Transaction& tx) {
    return publish_definition(tx, *definition, now);
  }));
  return {};
}

Result<DefinitionPtr> EngineImpl::find_definition(const std::string& text) {
  CLEW_TRY(const auto reference, Reference::parse(text, "workflow"));
  DefinitionPtr found;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto versions, published_versions(tx, reference.id));
    std::optional<Version> best;
    std::string digest;
    int eligible = 0;
    for (const auto& published : versions) {
      CLEW_TRY(auto version, Version::parse(published.version));
      const bool fits =
          reference.kind == Reference::Kind::bare ||
          (reference.kind == Reference::Kind::exact ? version == reference.version
                                                    : reference.range.matches(version));
      if (!fits) continue;
      ++eligible;
      if (!best || *best < version) {
        best = std::move(version);
        digest = published.digest;
      }
    }
    if (!best) {
      return error(Code::not_found, "no workflow \"{}\" is published", text).with("workflow", text);
    }
    if (reference.kind == Reference::Kind::bare && eligible > 1) {
      return error(Code::ambiguous, "\"{}\" has {} versions: name one, or a range", text, eligible);
    }
    CLEW_TRY(found, load_definition(tx, digest));
    return {};
  }));
  return found;
}

std::vector<Problem> EngineImpl::check(const Definition& definition) {
  const auto registry = parts_.registry.snapshot();
  std::vector<Problem> problems;
  for (const auto& step : definition.steps) {
    if (const auto found = registry->resolve(step.call); !found) {
      const Value* suggestion = found.error().find("suggestion");
      problems.push_back({fmt::format("steps.{}.call", step.name), step.line,
                          found.error().message(),
                          suggestion != nullptr ? std::string(suggestion->as_string()) : ""});
    }
  }
  return problems;
}

Result<std::vector<std::pair<std::string, std::string>>> EngineImpl::verify() {
  std::vector<std::pair<std::string, std::string>> violations;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(violations, verify_runs(tx));
    return {};
  }));
  return violations;
}

Value EngineImpl::stats() {
  const Lock lock(mutex_);
  std::vector<Member> members = {
      {"started", Value(started_.load())},
      {"adopted", Value(adopted_.load())},
      {"ended", Value(ended_.load())},
      {"lost", Value(lost_.load())},
      {"live", Value(static_cast<std::int64_t>(live_.size()))},
      {"waiting_for_handlers", Value(static_cast<std::int64_t>(unbound_.size()))},
      {"calls_in_flight", Value(active_calls_.load())},
      {"calls_ready", Value(static_cast<std::int64_t>(ready_.size()))},
      {"durability", Value(word(options_.durability))}};
  if (!last_error_.empty()) members.push_back({"last_error", Value(last_error_)});
  return Value::object(std::move(members));
}

}  // namespace clew::workflow
