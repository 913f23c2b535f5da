#include "clew/workflow/planner.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/workflow/detail/scope.hpp"
#include "clew/workflow/detail/transitions.hpp"

namespace clew::workflow {
namespace {

using detail::CallTransition;
using detail::RunTransition;
using detail::Subject;

constexpr std::array<RunTransition, 6> run_table = {{
    // from               type             to
    {RunStatus::pending, "run.started", RunStatus::running},
    {RunStatus::pending, "run.cancelled", RunStatus::cancelled},
    {RunStatus::running, "run.completed", RunStatus::completed},
    {RunStatus::running, "run.failed", RunStatus::failed},
    {RunStatus::running, "run.cancelled", RunStatus::cancelled},
    {RunStatus::running, "run.unknown", RunStatus::unknown},
}};

constexpr std::array<CallTransition, 27> call_table = {{
    // of           from                 event          to
    {Subject::step, StepStatus::pending, "started", StepStatus::running},
    {Subject::step, StepStatus::pending, "failed", StepStatus::failed},  // no input for it
    {Subject::step, StepStatus::pending, "skipped", StepStatus::skipped},
    {Subject::step, StepStatus::pending, "cancelled", StepStatus::cancelled},
    {Subject::step, StepStatus::pending, "waiting", StepStatus::waiting},
    {Subject::step, StepStatus::waiting, "waiting", StepStatus::waiting},
    {Subject::step, StepStatus::waiting, "event", StepStatus::waiting},
    {Subject::step, StepStatus::waiting, "completed", StepStatus::completed},  // by its event alone
    {Subject::step, StepStatus::waiting, "failed", StepStatus::failed},        // without an event
    {Subject::step, StepStatus::running, "completed", StepStatus::completed},
    {Subject::step, StepStatus::running, "retrying", StepStatus::waiting},
    {Subject::step, StepStatus::running, "failed", StepStatus::failed},
    {Subject::step, StepStatus::running, "interrupted", StepStatus::running},
    {Subject::step, StepStatus::running, "withdrawn", StepStatus::waiting},
    {Subject::step, StepStatus::running, "cancelled", StepStatus::cancelled},
    {Subject::step, StepStatus::waiting, "started", StepStatus::running},
    {Subject::step, StepStatus::waiting, "cancelled", StepStatus::cancelled},
    {Subject::item, StepStatus::pending, "started", StepStatus::running},
    {Subject::item, StepStatus::pending, "failed", StepStatus::failed},  // no input for it
    {Subject::item, StepStatus::running, "completed", StepStatus::completed},
    {Subject::item, StepStatus::running, "retrying", StepStatus::waiting},
    {Subject::item, StepStatus::running, "failed", StepStatus::failed},
    {Subject::item, StepStatus::running, "interrupted", StepStatus::running},
    {Subject::item, StepStatus::running, "withdrawn", StepStatus::waiting},
    {Subject::item, StepStatus::running, "cancelled", StepStatus::cancelled},
    {Subject::item, StepStatus::waiting, "started", StepStatus::running},
    {Subject::item, StepStatus::waiting, "cancelled", StepStatus::cancelled},
}};

constexpr std::array<std::pair<RunStatus, std::string_view>, 7> run_words = {{
    {RunStatus::pending, "pending"},
    {RunStatus::running, "running"},
    {RunStatus::waiting, "waiting"},
    {RunStatus::completed, "completed"},
    {RunStatus::failed, "failed"},
    {RunStatus::cancelled, "cancelled"},
    {RunStatus::unknown, "unknown"},
}};

Error cannot_follow(const RunEvent& event, std::string_view why) {
  return error(Code::corrupt, "{} cannot follow: {}", event.type, why)
      .with("event", event.type)
      .with("step", event.step)
      .with("item", event.item);
}

// Takes one event into a state. What it refuses it refuses before it changes anything. Confined.
class Fold {
 public:
  Fold(const Definition& definition, RunState& state, const RunEvent& event)
      : definition_(definition), state_(state), event_(event) {}

  Result<void> run() {
    if (!event_.data.is_object()) return refuse("its data is no object");
    const auto dot = event_.type.find('.');
    const auto subject = event_.type.substr(0, dot);
    if (subject == "run") return fold_run();
    word_ = dot == std::string_view::npos ? "" : event_.type.substr(dot + 1);
    if (event_.step < 0 || std::cmp_greater_equal(event_.step, state_.steps.size())) {
      return refuse("there is no such step");
    }
    // Only a cancellation may come before the start.
    const bool open = state_.status == RunStatus::running ||
                      (state_.status == RunStatus::pending && word_ == "cancelled");
    if (!open) return refuse(fmt::format("the run is {}", name(state_.status)));
    if (subject == "step") return fold_step();
    if (subject == "item") return fold_item();
    return refuse("there is no such type");
  }

 private:
  Error refuse(std::string_view why) const { return cannot_follow(event_, why); }

  const Value* find(std::string_view key) const { return event_.data.find(key); }
  Result<const Value*> need(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr) return refuse(fmt::format("its data lacks \"{}\"", key));
    return value;
  }
  Result<int> need_int(std::string_view key) const {
    CLEW_TRY(const Value* value, need(key));
    if (!value->is_int() || !std::in_range<int>(value->as_int())) {
      return refuse(fmt::format("\"{}\" is {}", key, preview(*value)));
    }
    return static_cast<int>(value->as_int());
  }
  Result<Cursor> need_cursor(std::string_view key) const {
    CLEW_TRY(const Value* value, need(key));
    if (value->is_int() && value->as_int() >= 0) return value->as_int();
    return refuse(fmt::format("\"{}\" is {}", key, preview(*value)));
  }
  std::string text(std::string_view key) const {
    const Value* value = find(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
  }

  Result<void> fold_run() {
    const auto row = std::ranges::find_if(run_table, [&](const RunTransition& transition) {
      return transition.from == state_.status && transition.type == event_.type;
    });
    if (row == run_table.end()) return refuse(fmt::format("the run is {}", name(state_.status)));
    if (row->to == RunStatus::running) {
      CLEW_TRY(const Value* input, need("input"));
      if (find("events_after") != nullptr) {
        CLEW_TRY(state_.events_after, need_cursor("events_after"));
      }
      state_.input = *input;
      state_.started = event_.at;
    } else {
      CLEW_TRY(end_run(row->to));
    }
    state_.status = row->to;
    return {};
  }

  Result<void> end_run(RunStatus to) {
    if (state_.open_steps != 0) return refuse(fmt::format("{} steps are open", state_.open_steps));
    if (to == RunStatus::completed) {
      if (std::cmp_not_equal(state_.completed_steps, state_.steps.size())) {
        return refuse("not all steps have completed");
      }
      CLEW_TRY(const Value* output, need("output"));
      state_.output = *output;
    } else if (to == RunStatus::cancelled) {
      state_.error = Error(Code::cancelled, text("reason"));
    } else {
      CLEW_TRY(const Value* error, need("error"));
      state_.error = Error::from_value(*error);
      state_.failed_step = text("step");
    }
    state_.ended = event_.at;
    return {};
  }

  // The status that the event leads to.
  Result<StepStatus> next_status(Subject subject, StepStatus from) const {
    for (const auto& row : call_table) {
      if (row.subject == subject && row.from == from && row.event == word_) return row.to;
    }
    return refuse(
        fmt::format("the {} is {}", subject == Subject::step ? "step" : "item", name(from)));
  }

  Result<void> fold_step() {
    StepState& step = state_.steps[static_cast<std::size_t>(event_.step)];
    CLEW_TRY(const auto to, next_status(Subject::step, step.status));
    if (is_terminal(to) && step.open_items != 0) {
      return refuse(fmt::format("{} items are open", step.open_items));
    }
    const auto from = step.status;
    const Step& defined = definition_.steps[static_cast<std::size_t>(event_.step)];
    CLEW_TRY(check_wait(defined, step));
    const bool is_list = defined.for_each != nullptr;
    if (to == StepStatus::waiting && word_ == "waiting") {
      CLEW_TRY(fold_wait(step));
    } else if (word_ == "event") {
      CLEW_TRY(fold_event(step));
    } else if (!defined.has_call() && to == StepStatus::completed) {
      step.output = step.event;
      step.ended = event_.at;
      step.status = to;
    } else if (is_list && to == StepStatus::running) {
      CLEW_TRY(start_list(step));
    } else if (is_list && to == StepStatus::completed) {
      CLEW_TRY(complete_list(step));
    } else {
      CLEW_TRY(fold_call(step, to));
    }
    if (is_terminal(to)) {
      step.list = Value();
      step.awaits_event = false;
    }
    if (to == StepStatus::skipped || to == StepStatus::cancelled) step.reason = text("reason");
    count_step(from, to);
    return {};
  }

  // An event follows only where it is awaited, and a call only where none is.
  Result<void> check_wait(const Step& defined, const StepState& step) const {
    const bool waits = word_ == "waiting" || word_ == "event";
    if (waits && !defined.on_event) return refuse("the step waits for no event");
    const bool is_first = word_ == "waiting" && step.status == StepStatus::pending;
    if (waits && !is_first && !step.awaits_event) return refuse("the step has its event");
    const bool begins = word_ == "started" || word_ == "completed";
    const bool lacks = defined.on_event && step.event.is_null() && begins;
    if (lacks) return refuse("the step lacks its event");
    const bool needs_call = word_ == "completed" && step.status == StepStatus::waiting;
    if (needs_call && defined.has_call()) return refuse("its call has not begun");
    return {};
  }

  Result<void> fold_wait(StepState& step) {
    CLEW_TRY(const auto after, need_cursor("after"));
    if (after < step.looked_to) {
      return refuse(fmt::format("it has looked as far as {} already", step.looked_to));
    }
    if (step.status == StepStatus::pending) {
      if (const Value* due = find("due_us"); due != nullptr) {
        if (!due->is_int()) return refuse(fmt::format("\"due_us\" is {}", preview(*due)));
        step.due = {due->as_int()};
      }
      step.correlation = text("correlation");
      step.awaits_event = true;
      step.status = StepStatus::waiting;
    }
    step.looked_to = after;
    return {};
  }

  Result<void> fold_event(StepState& step) {
    CLEW_TRY(const auto cursor, need_cursor("cursor"));
    CLEW_TRY(const Value* event, need("event"));
    if (!event->is_object()) return refuse(fmt::format("\"event\" is {}", preview(*event)));
    if (cursor <= step.looked_to) return refuse("it has passed that event over");
    step.looked_to = cursor;
    step.event = *event;
    step.awaits_event = false;
    step.due = event_.at;  // it may begin now
    return {};
  }

  void count_step(StepStatus from, StepStatus to) {
    if (from == StepStatus::pending && !is_terminal(to)) ++state_.open_steps;
    if (from != StepStatus::pending && is_terminal(to)) --state_.open_steps;
    if (to != StepStatus::completed) return;
    ++state_.completed_steps;
    for (const int dependent :
         definition_.steps[static_cast<std::size_t>(event_.step)].dependents) {
      --state_.steps[static_cast<std::size_t>(dependent)].missing;
    }
  }

  // The list itself is not stored: what it is made from is.
  Result<void> start_list(StepState& step) {
    CLEW_TRY(const int items, need_int("items"));
    const Step& defined = definition_.steps[static_cast<std::size_t>(event_.step)];
    const auto output_of = [this](int index) {
      return state_.steps[static_cast<std::size_t>(index)].output;
    };
    auto list = detail::render_list(defined, {definition_,
                                              state_.input,
                                              defined.dependencies,
                                              output_of,
                                              {},
                                              nullptr,
                                              defined.on_event ? &step.event : nullptr});
    if (!list) return refuse(list.error().message());
    if (std::cmp_not_equal(items, list->size())) {
      return refuse(fmt::format("its list has {} elements", list->size()));
    }
    step.items.resize(list->size());
    step.list = std::move(list).value();
    step.attempts = 1;
    step.started = event_.at;
    step.due = {};
    step.status = StepStatus::running;
    return {};
  }

  Result<void> complete_list(StepState& step) {
    if (std::cmp_not_equal(step.done_items, step.items.size())) {
      return refuse(
          fmt::format("{} of {} items have completed", step.done_items, step.items.size()));
    }
    std::vector<Value> outputs;
    outputs.reserve(step.items.size());
    for (const auto& item : step.items) outputs.push_back(item.output);
    step.output = Value::array(std::move(outputs));
    step.ended = event_.at;
    step.status = StepStatus::completed;
    return {};
  }

  Result<void> fold_item() {
    StepState& step = state_.steps[static_cast<std::size_t>(event_.step)];
    if (step.status != StepStatus::running) {
      return refuse(fmt::format("its step is {}", name(step.status)));
    }
    if (event_.item < 0 || std::cmp_greater_equal(event_.item, step.items.size())) {
      return refuse("there is no such item");
    }
    CallState& item = step.items[static_cast<std::size_t>(event_.item)];
    const auto from = item.status;
    CLEW_TRY(const auto to, next_status(Subject::item, from));
    const bool is_new = from == StepStatus::pending;
    if (is_new && event_.item != step.next_item) {
      return refuse(fmt::format("the next item is {}", step.next_item));
    }
    CLEW_TRY(fold_call(item, to));
    if (is_new) ++step.next_item;
    if (is_new && !is_terminal(to)) ++step.open_items;
    if (!is_new && is_terminal(to)) --step.open_items;
    if (to == StepStatus::completed) ++step.done_items;
    return {};
  }

  // What steps and items have in common.
  Result<void> fold_call(CallState& call, StepStatus to) {
    const bool starts = word_ == "started";
    const bool withdrawn = word_ == "withdrawn";
    if (starts || withdrawn || find("attempt") != nullptr || to == StepStatus::completed ||
        word_ == "retrying") {
      CLEW_TRY(const int attempt, need_int("attempt"));
      if (attempt != call.attempts + (starts ? 1 : 0)) {
        return refuse(fmt::format("attempt {} after {}", attempt, call.attempts));
      }
    }
    if (starts) {
      if (call.attempts++ == 0) call.started = event_.at;
      call.due = {};
    } else if (withdrawn) {
      --call.attempts;
      call.due = event_.at;
    } else if (to == StepStatus::completed) {
      CLEW_TRY(const Value* output, need("output"));
      call.output = *output;
      call.error.reset();
    } else if (to == StepStatus::failed || to == StepStatus::waiting) {
      CLEW_TRY(const Value* error, need("error"));
      if (to == StepStatus::waiting) {
        CLEW_TRY(const Value* due, need("due_us"));
        if (!due->is_int()) return refuse(fmt::format("\"due_us\" is {}", preview(*due)));
        call.due = {due->as_int()};
      }
      call.error = Error::from_value(*error);
    }
    if (is_terminal(to)) call.ended = event_.at;
    call.status = to;
    return {};
  }

  const Definition& definition_;
  RunState& state_;
  const RunEvent& event_;
  std::string_view word_;  // the second word of the event's type
};

}  // namespace

std::span<const RunTransition> detail::run_transitions() { return run_table; }
std::span<const CallTransition> detail::call_transitions() { return call_table; }

std::string_view name(RunStatus status) {
  return std::ranges::find(run_words, status, [](const auto& word) { return word.first; })->second;
}

std::string_view name(StepStatus status) {
  switch (status) {
    case StepStatus::pending:
      return "pending";
    case StepStatus::running:
      return "running";
    case StepStatus::waiting:
      return "waiting";
    case StepStatus::completed:
      return "completed";
    case StepStatus::failed:
      return "failed";
    case StepStatus::skipped:
      return "skipped";
    case StepStatus::cancelled:
      return "cancelled";
  }
  return "pending";
}

Result<RunStatus> parse_run_status(std::string_view word) {
  for (const auto& [status, own] : run_words) {
    if (own == word) return status;
  }
  return invalid_input("status", word,
                       "pending, running, waiting, completed, failed, cancelled or unknown");
}

bool is_terminal(RunStatus status) { return status >= RunStatus::completed; }
bool is_terminal(StepStatus status) { return status >= StepStatus::completed; }

RunState initial_state(const Definition& definition) {
  RunState state;
  state.steps.resize(definition.steps.size());
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    state.steps[i].missing = static_cast<int>(definition.steps[i].dependencies.size());
  }
  return state;
}

Result<void> apply(const Definition& definition, RunState& state, const RunEvent& event) {
  return Fold(definition, state, event).run();
}

}  // namespace clew::workflow
