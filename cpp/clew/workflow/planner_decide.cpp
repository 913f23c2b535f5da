// What follows from a stimulus. Nothing here changes the state: what the events so far will have
// changed is kept in drafts of the few steps that they are about.
#include <map>
#include <utility>

#include "clew/base/check.hpp"
#include "clew/workflow/detail/scope.hpp"
#include "clew/workflow/planner.hpp"

namespace clew::workflow {
namespace {

// A step as it will be once the events so far are applied.
struct Draft {
  StepStatus status = StepStatus::pending;
  int missing = 0;
  Value output;
  Value event;
  Value list;
  int next_item = 0;
  int open_items = 0;
  int done_items = 0;
  int ended_item = -1;  // the one that these events end
  Value ended_output;
};

// A call: a step, or one item of its for_each.
struct Call {
  int step = -1;
  int item = -1;
};

using Members = std::vector<Member>;

// Makes one decision. Confined.
class Decider {
 public:
  Decider(const Definition& definition, const RunState& state,
          const std::vector<StepTraits>& traits, Timestamp now, double unit)
      : definition_(definition),
        state_(state),
        traits_(traits),
        now_(now),
        unit_(unit),
        input_(state.input),
        events_after_(state.events_after),
        completed_(state.completed_steps),
        active_(state.status == RunStatus::running) {}

  Decision decide(const Stimulus& stimulus) {
    std::visit([this](const auto& given) { on(given); }, stimulus);
    while (is_active() && ready_done_ < ready_.size()) start(ready_[ready_done_++]);
    if (is_active() && std::cmp_equal(completed_, definition_.steps.size())) complete_run();
    return std::move(decision_);
  }

 private:
  // --- stimuli ---

  void on(const Start& start) {
    if (state_.status != RunStatus::pending) return;
    Members started = {{"input", start.input}, {"pins", start.pins}};
    if (!start.lock.is_null()) started.push_back({"lock", start.lock});
    if (start.events_after) started.push_back({"events_after", *start.events_after});
    emit("run.started", {}, std::move(started));
    events_after_ = start.events_after.value_or(0);
    input_ = start.input;
    active_ = true;
    queue_pending();
  }

  void on(const AttemptFinished& finished) {
    const Call call{finished.step, finished.item};
    const CallState* current = find(call);
    const bool expected = current != nullptr && current->status == StepStatus::running &&
                          current->attempts == finished.attempt;
    if (!expected) return;
    if (!finished.result) return fail_attempt(call, finished.attempt, finished.result.error());
    if (finished.result->depth() > Value::depth_max) {
      return fail_attempt(
          call, finished.attempt,
          error(Code::execution_failed, "the output nests deeper than {}", Value::depth_max));
    }
    complete_call(call, finished.attempt, *finished.result);
  }

  void on(const RetryDue& due) {
    if (due.item < 0 && awaits_event(due.step)) return on_deadline(due.step);
    const Call call{due.step, due.item};
    const CallState* current = find(call);
    if (current == nullptr || current->status != StepStatus::waiting) return;
    if (now_ < current->due) {
      decision_.wakes.push_back({call.step, call.item, current->due});
    } else {
      begin(call, current->attempts + 1);
    }
  }

  void on_deadline(int index) {
    const auto due = base(index).due;
    if (due == Timestamp{}) return;
    if (now_ < due) {
      decision_.wakes.push_back({index, -1, due});
    } else {
      expire(index);
    }
  }

  void on(const EventArrived& arrived) {
    const int index = arrived.step;
    if (!awaits_event(index) || arrived.event->cursor <= base(index).looked_to) return;
    const auto due = base(index).due;
    if (due != Timestamp{} && arrived.event->time >= due) return expire(index);
    const auto event = detail::event_value(*arrived.event);
    const auto fits = matches(index, event);
    if (!fits) return fail({index, -1}, 0, fits.error());
    if (!*fits) return;
    emit(
        "event", {index, -1},
        {{"cursor", arrived.event->cursor}, {"version", arrived.event->version}, {"event", event}});
    draft(index).event = event;
    begin_step(index);
  }

  void on(const EventsPassed& passed) {
    if (!awaits_event(passed.step) || passed.to <= base(passed.step).looked_to) return;
    emit("waiting", {passed.step, -1}, {{"after", passed.to}});
  }

  void on(const EventsLost& lost) {
    if (awaits_event(lost.step)) fail({lost.step, -1}, 0, lost.why);
  }

  void on(const Withdrawn& withdrawn) {
    const Call call{withdrawn.step, withdrawn.item};
    const CallState* current = find(call);
    if (current == nullptr || current->status != StepStatus::running ||
        current->attempts != withdrawn.attempt) {
      return;
    }
    emit("withdrawn", call, {{"attempt", withdrawn.attempt}});
  }

  void on(const CancelRequested& cancel) {
    if (is_terminal(state_.status)) return;
    cancel_open_steps(cancel.reason);
    end_pending_steps("step.cancelled", cancel.reason);
    emit("run.cancelled", {}, {{"reason", cancel.reason}});
    end();
  }

  void on(const Resume&) {
    if (!active_ || end_if_interrupted_once()) return;
    const int count = static_cast<int>(definition_.steps.size());
    for (int index = 0; index < count && is_active(); ++index) resume_step(index);
    queue_pending();
  }

  // --- resuming ---

  // An interrupted call that must not be repeated: nobody knows whether it happened.
  bool end_if_interrupted_once() {
    for (std::size_t i = 0; i < state_.steps.size(); ++i) {
      if (traits_[i].effect != Effect::once) continue;
      const int step = static_cast<int>(i);
      for_each_call(step, [&](Call call, const CallState& current) {
        if (current.status != StepStatus::running || !is_active()) return;
        const auto unknown =
            error(Code::unknown_outcome,
                  "its process ended during attempt {}; whether it took effect is unknown",
                  current.attempts);
        fail(call, current.attempts, unknown);
      });
      if (!is_active()) return true;
    }
    return false;
  }

  void resume_step(int index) {
    const StepState& step = base(index);
    if (step.awaits_event) return await(index, step.looked_to, step.due, step.correlation);
    const bool has_begun = step.attempts > 0 || step.status != StepStatus::waiting;
    if (definition(index).on_event && !has_begun) return begin_step(index);
    for_each_call(index, [&](Call call, const CallState& current) {
      if (!is_active()) return;
      if (current.status == StepStatus::waiting) {
        decision_.wakes.push_back({call.step, call.item, current.due});
      } else if (current.status == StepStatus::running) {
        emit("interrupted", call, {{"attempt", current.attempts}});
        request(call, current.attempts);
      }
    });
    const bool is_list = definition(index).for_each != nullptr;
    if (is_list && is_active() && base(index).status == StepStatus::running) advance_list(index);
  }

  // Visits the calls of a step that has begun: itself, or the items of its for_each.
  template <typename Visit>
  void for_each_call(int index, Visit visit) const {
    const StepState& step = base(index);
    if (definition(index).for_each == nullptr) return visit(Call{index, -1}, step);
    for (int item = 0; item < step.next_item; ++item) {
      visit(Call{index, item}, step.items[static_cast<std::size_t>(item)]);
    }
  }

  // Lets every step begin that waits for nothing.
  void queue_pending() {
    for (int index = 0; std::cmp_less(index, definition_.steps.size()); ++index) {
      const StepState& step = base(index);
      if (step.status == StepStatus::pending && step.missing == 0) ready_.push_back(index);
    }
  }

  // --- going on ---

  void start(int index) {
    if (!definition(index).on_event) return begin_step(index);
    Members waiting = {{"after", events_after_}};
    Timestamp due;
    if (const auto& timeout = definition(index).on_event->timeout) {
      due = now_ + *timeout;
      waiting.push_back({"due_us", due.us});
    }
    const auto correlation = render_correlation(index);
    if (!correlation) return fail({index, -1}, 0, correlation.error());
    if (!correlation->empty()) waiting.push_back({"correlation", *correlation});
    emit("waiting", {index, -1}, std::move(waiting));
    draft(index).status = StepStatus::waiting;
    await(index, events_after_, due, *correlation);
  }

  void await(int index, Cursor after, Timestamp due, const std::string& correlation) {
    decision_.waits.push_back({index, after, correlation});
    if (due != Timestamp{}) decision_.wakes.push_back({index, -1, due});
  }

  Result<std::string> render_correlation(int index) {
    const EventEdge& edge = *definition(index).on_event;
    if (edge.correlation == nullptr) return std::string();
    CLEW_TRY(const auto given,
             detail::render(*edge.correlation, rendering(definition(index).dependencies)));
    if (given.is_string() && !given.as_string().empty()) return std::string(given.as_string());
    return invalid_input(fmt::format("steps.{}.on_event.correlation", definition(index).name),
                         given, "a text that is not empty");
  }

  Result<bool> matches(int index, const Value& event) {
    const Step& step = definition(index);
    if (step.on_event->where == nullptr) return true;
    auto with = rendering(step.dependencies);
    with.event = &event;
    CLEW_TRY(const auto answer, detail::render(*step.on_event->where, with));
    if (answer.is_bool()) return answer.as_bool();
    return invalid_input(fmt::format("steps.{}.on_event.where", step.name), answer,
                         "true or false");
  }

  // Nothing that the step waits for is left.
  void begin_step(int index) {
    if (!definition(index).has_call()) {
      emit("completed", {index, -1}, {});
      draft(index).output = draft(index).event;
      return complete_step(index);
    }
    if (definition(index).for_each == nullptr) return begin({index, -1}, 1);
    auto with = rendering(definition(index).dependencies);
    if (definition(index).on_event) with.event = &draft(index).event;
    auto list = detail::render_list(definition(index), with);
    if (!list) return fail({index, -1}, 0, list.error());
    emit("started", {index, -1}, {{"items", static_cast<std::int64_t>(list->size())}});
    Draft& step = draft(index);
    step.status = StepStatus::running;
    step.list = std::move(list).value();
    advance_list(index);
  }

  // Begins as many items as may run, and completes the step when none is left.
  void advance_list(int index) {
    Draft& step = draft(index);
    const int items = static_cast<int>(step.list.size());
    while (is_active() && step.open_items < definition(index).concurrency &&
           step.next_item < items) {
      ++step.open_items;
      begin({index, step.next_item++}, 1);
    }
    if (!is_active() || step.done_items < items) return;
    emit("completed", {index, -1}, {});
    step.output = gather_outputs(index, step);
    complete_step(index);
  }

  Value gather_outputs(int index, const Draft& step) const {
    std::vector<Value> outputs;
    outputs.reserve(step.list.size());
    for (const auto& item : base(index).items) outputs.push_back(item.output);
    if (step.ended_item >= 0)
      outputs[static_cast<std::size_t>(step.ended_item)] = step.ended_output;
    return Value::array(std::move(outputs));
  }

  // Begins an attempt. Without an input for it, the first one never begins.
  void begin(Call call, int attempt) {
    if (attempt > 1) emit("started", call, {{"attempt", attempt}});
    auto input = render_input(call);
    if (!input) return fail(call, attempt > 1 ? attempt : 0, input.error());
    if (attempt == 1) emit("started", call, {{"attempt", attempt}});
    if (call.item < 0) draft(call.step).status = StepStatus::running;
    decision_.calls.push_back({call.step, call.item, attempt, std::move(input).value()});
  }

  // Asks once more for an attempt that has begun.
  void request(Call call, int attempt) {
    auto input = render_input(call);
    if (!input) return fail(call, attempt, input.error());
    decision_.calls.push_back({call.step, call.item, attempt, std::move(input).value()});
  }

  void complete_call(Call call, int attempt, const Value& output) {
    emit("completed", call, {{"attempt", attempt}, {"output", output}});
    Draft& step = draft(call.step);
    if (call.item < 0) {
      step.output = output;
      return complete_step(call.step);
    }
    --step.open_items;
    ++step.done_items;
    step.ended_item = call.item;
    step.ended_output = output;
    advance_list(call.step);
  }

  void complete_step(int index) {
    draft(index).status = StepStatus::completed;
    ++completed_;
    for (const int dependent : definition(index).dependents) {
      if (--draft(dependent).missing == 0) ready_.push_back(dependent);
    }
  }

  void complete_run() {
    Value output;
    if (definition_.output != nullptr) {
      const auto steps = detail::steps_in(definition_, *definition_.output);
      auto rendered = detail::render(*definition_.output, rendering(steps));
      if (!rendered) {
        emit("run.failed", {}, {{"error", rendered.error().to_value()}});
        return end();
      }
      output = std::move(rendered).value();
    }
    emit("run.completed", {}, {{"output", std::move(output)}});
    active_ = false;
    decision_.ended = true;
  }

  // --- failing ---

  void fail_attempt(Call call, int attempt, const Error& error) {
    const auto& traits = traits_[static_cast<std::size_t>(call.step)];
    if (error.code() == Code::timeout && traits.effect == Effect::once) {
      return fail(call, attempt,
                  Error(Code::unknown_outcome,
                        fmt::format("{}; whether it took effect is unknown", error.message()))
                      .with("cause", error.to_value()));
    }
    if (attempt < traits.retry.attempts && is_retried_by_default(error)) {
      return retry(call, attempt, error);
    }
    fail(call, attempt, error);
  }

  void retry(Call call, int attempt, const Error& error) {
    const int next = attempt + 1;
    const auto delay = traits_[static_cast<std::size_t>(call.step)].retry.delay_before(next, unit_);
    const Timestamp due = now_ + delay;
    emit("retrying", call, {{"attempt", attempt}, {"error", error.to_value()}, {"due_us", due.us}});
    if (delay <= Duration(0)) {
      begin(call, next);
    } else {
      decision_.wakes.push_back({call.step, call.item, due});
    }
  }

  // No event has come in time.
  void expire(int index) {
    const Step& step = definition(index);
    fail({index, -1}, 0,
         error(Code::timeout, "no event {} has come within {}", step.on_event->type_text,
               to_string(*step.on_event->timeout))
             .with("path", fmt::format("steps.{}.on_event", step.name)));
  }

  // The call has failed for good, and so has the run. `attempt` is 0 when none had begun.
  void fail(Call call, int attempt, const Error& error) {
    const auto& step = definition(call.step);
    const bool unknown = error.code() == Code::unknown_outcome;
    const auto reason = unknown ? fmt::format("the outcome of step '{}' is unknown", step.name)
                                : fmt::format("step '{}' failed", step.name);
    Members failed;
    if (attempt > 0) failed.push_back({"attempt", attempt});
    failed.push_back({"error", error.to_value()});
    emit("failed", call, std::move(failed));
    if (call.item >= 0) {
      cancel_items(call.step, call.item, reason);
      emit("failed", {call.step, -1}, {{"error", error.with("item", call.item).to_value()}});
    }
    draft(call.step).status = StepStatus::failed;
    cancel_open_steps(reason);
    end_pending_steps("step.skipped", reason);
    Members ended = {{"error", error.to_value()}, {"step", step.name}};
    if (unknown && call.item >= 0) ended.push_back({"item", call.item});
    emit(unknown ? "run.unknown" : "run.failed", {}, std::move(ended));
    end();
  }

  void cancel_open_steps(const std::string& reason) {
    for (int index = 0; std::cmp_less(index, definition_.steps.size()); ++index) {
      const auto status = status_of(index);
      if (status != StepStatus::running && status != StepStatus::waiting) continue;
      if (definition(index).for_each != nullptr) cancel_items(index, -1, reason);
      emit("cancelled", {index, -1}, {{"reason", reason}});
    }
  }

  // Those in flight, but for `except`.
  void cancel_items(int index, int except, const std::string& reason) {
    const StepState& step = base(index);
    const Draft& drafted = draft(index);
    for (int item = 0; item < drafted.next_item; ++item) {
      if (item == except || item == drafted.ended_item) continue;
      const bool is_new = item >= step.next_item;
      if (is_new || !is_terminal(step.items[static_cast<std::size_t>(item)].status)) {
        emit("cancelled", {index, item}, {{"reason", reason}});
      }
    }
  }

  void end_pending_steps(std::string_view type, const std::string& reason) {
    for (int index = 0; std::cmp_less(index, definition_.steps.size()); ++index) {
      if (status_of(index) != StepStatus::pending) continue;
      decision_.events.push_back({now_, type, index, -1, Value::object({{"reason", reason}})});
    }
  }

  // The run ends and nothing that was begun is wanted any more.
  void end() {
    active_ = false;
    decision_.calls.clear();
    decision_.wakes.clear();
    decision_.waits.clear();
    decision_.cancel_calls = true;
    decision_.ended = true;
  }

  // --- looking ---

  bool is_active() const { return active_; }
  const Step& definition(int index) const {
    return definition_.steps[static_cast<std::size_t>(index)];
  }
  const StepState& base(int index) const { return state_.steps[static_cast<std::size_t>(index)]; }

  bool awaits_event(int index) const {
    return active_ && index >= 0 && std::cmp_less(index, state_.steps.size()) &&
           base(index).awaits_event;
  }

  // The call, if the run is active and has begun it.
  const CallState* find(Call call) const {
    if (!active_ || call.step < 0 || std::cmp_greater_equal(call.step, state_.steps.size())) {
      return nullptr;
    }
    const StepState& step = base(call.step);
    const bool is_list = definition(call.step).for_each != nullptr;
    if (!is_list) return call.item < 0 ? &step : nullptr;
    if (call.item < 0 || call.item >= step.next_item) return nullptr;
    return &step.items[static_cast<std::size_t>(call.item)];
  }

  StepStatus status_of(int index) const {
    const auto found = drafts_.find(index);
    return found != drafts_.end() ? found->second.status : base(index).status;
  }

  Draft& draft(int index) {
    const auto found = drafts_.find(index);
    if (found != drafts_.end()) return found->second;
    const StepState& step = base(index);
    Draft made;
    made.status = step.status;
    made.missing = step.missing;
    made.output = step.output;
    made.event = step.event;
    made.list = step.list;
    made.next_item = step.next_item;
    made.open_items = step.open_items;
    made.done_items = step.done_items;
    return drafts_.emplace(index, std::move(made)).first->second;
  }

  detail::Rendering rendering(const std::vector<int>& steps) const {
    const auto output_of = [this](int index) {
      const auto found = drafts_.find(index);
      return found != drafts_.end() ? found->second.output : base(index).output;
    };
    return {definition_, input_, steps, output_of};
  }

  Result<Value> render_input(Call call) {
    const Step& step = definition(call.step);
    auto with = rendering(step.dependencies);
    if (step.on_event) with.event = &draft(call.step).event;
    if (call.item >= 0) {
      with.as = step.as;
      with.element = &draft(call.step).list.items()[static_cast<std::size_t>(call.item)];
    }
    return detail::render(*step.with, with);
  }

  // A type with a dot is the run's; the others are made the step's or the item's.
  void emit(std::string_view type, Call call, Members data) {
    if (call.item >= 0) data.insert(data.begin(), {"item", call.item});
    decision_.events.push_back(
        {now_, full_type(type, call), call.step, call.item, Value::object(std::move(data))});
  }

  static std::string_view full_type(std::string_view word, Call call) {
    struct Types {
      std::string_view word, step, item;
    };
    static constexpr Types types[] = {
        {"started", "step.started", "item.started"},
        {"completed", "step.completed", "item.completed"},
        {"retrying", "step.retrying", "item.retrying"},
        {"failed", "step.failed", "item.failed"},
        {"interrupted", "step.interrupted", "item.interrupted"},
        {"withdrawn", "step.withdrawn", "item.withdrawn"},
        {"cancelled", "step.cancelled", "item.cancelled"},
        {"waiting", "step.waiting", ""},
        {"event", "step.event", ""},
    };
    for (const auto& row : types) {
      if (row.word == word) return call.item >= 0 ? row.item : row.step;
    }
    return word;
  }

  const Definition& definition_;
  const RunState& state_;
  const std::vector<StepTraits>& traits_;
  const Timestamp now_;
  const double unit_;

  Decision decision_;
  Value input_;                  // of the run
  Cursor events_after_;          // the same
  std::map<int, Draft> drafts_;  // by step
  std::vector<int> ready_;       // steps that may begin, in order
  std::size_t ready_done_ = 0;
  int completed_;  // steps
  bool active_;    // the run has started and not ended
};

}  // namespace

Decision decide(const Definition& definition, const RunState& state,
                const std::vector<StepTraits>& traits, const Stimulus& stimulus, Timestamp now,
                double unit) {
  CLEW_CHECK(traits.size() == definition.steps.size());
  CLEW_CHECK(state.steps.size() == definition.steps.size());
  return Decider(definition, state, traits, now, unit).decide(stimulus);
}

}  // namespace clew::workflow
