// A run in a test: gives stimuli to the planner, applies what it answers, and keeps what a real
// engine would keep.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/workflow/planner.hpp"

namespace clew::workflow {

inline Value json(std::string_view text) { return parse_json(text).value(); }

inline DefinitionPtr definition_of(std::string_view steps) {
  auto loaded = load_text(fmt::format("workflow: w\nversion: 1.0.0\n{}", steps));
  if (loaded.definition == nullptr) {
    ADD_FAILURE() << to_error(loaded.problems).to_string() << "\n" << steps;
  }
  return loaded.definition;
}

// Everything in a call's state, so that two states can be compared.
inline std::string show(const CallState& call) {
  return fmt::format("{} x{} out={} err={} {}-{} due {}", name(call.status), call.attempts,
                     to_json(call.output), call.error ? call.error->to_string() : "",
                     call.started.us, call.ended.us, call.due.us);
}
inline std::string show(const RunState& state) {
  auto text = fmt::format(
      "{} in={} out={} err={} by {} {}-{} open {} done {}\n", name(state.status),
      to_json(state.input), to_json(state.output), state.error ? state.error->to_string() : "",
      state.failed_step, state.started.us, state.ended.us, state.open_steps, state.completed_steps);
  for (const auto& step : state.steps) {
    text += fmt::format(
        "{} list={} next {} open {} done {} missing {} why '{}' awaits {} after {} of '{}' got "
        "{}\n",
        show(step), to_json(step.list), step.next_item, step.open_items, step.done_items,
        step.missing, step.reason, step.awaits_event, step.looked_to, step.correlation,
        to_json(step.event));
    for (const auto& item : step.items) text += "  " + show(item) + "\n";
  }
  return text;
}

// A row of the tables as (subject, from, event, to).
using Row = std::tuple<std::string, std::string, std::string, std::string>;

class World {
 public:
  explicit World(DefinitionPtr given, RetryPolicy retry = {}, Effect effect = Effect::idempotent)
      : definition(std::move(given)),
        state(initial_state(*definition)),
        traits(definition->steps.size(), StepTraits{effect, retry}) {
    for (std::size_t i = 0; i < traits.size(); ++i) {
      if (definition->steps[i].retry) traits[i].retry = *definition->steps[i].retry;
    }
  }

  // Decides and applies; returns the decision.
  Decision give(const Stimulus& stimulus) {
    auto decision = decide(*definition, state, traits, stimulus, now);
    for (const auto& event : decision.events) take(event);
    return decision;
  }
  Decision start(std::string_view input = "{}") { return give(Start{json(input), Value()}); }
  Decision complete(std::string_view step, std::string_view output, int item = -1,
                    int attempt = 1) {
    return give(AttemptFinished{index(step), item, attempt, json(output)});
  }
  Decision fail(std::string_view step, Code code, int item = -1, int attempt = 1) {
    return give(AttemptFinished{index(step), item, attempt, Error(code, "went wrong")});
  }

  int index(std::string_view step) const { return definition->find(step); }
  const StepState& step(std::string_view name) const {
    return state.steps[static_cast<std::size_t>(index(name))];
  }

  // "step.started a", "item.failed a[2]", "run.completed"
  static std::string show(const Definition& definition, const RunEvent& event) {
    std::string text(event.type);
    if (event.step >= 0) text += " " + definition.steps[static_cast<std::size_t>(event.step)].name;
    if (event.item >= 0) text += fmt::format("[{}]", event.item);
    return text;
  }
  std::vector<std::string> shown(const Decision& decision) const {
    std::vector<std::string> all;
    for (const auto& event : decision.events) all.push_back(show(*definition, event));
    return all;
  }
  // "a", "a[2]", each with "#attempt" beyond the first
  std::vector<std::string> called(const Decision& decision) const {
    std::vector<std::string> all;
    for (const auto& call : decision.calls) {
      auto text = definition->steps[static_cast<std::size_t>(call.step)].name;
      if (call.item >= 0) text += fmt::format("[{}]", call.item);
      if (call.attempt > 1) text += fmt::format("#{}", call.attempt);
      all.push_back(text);
    }
    return all;
  }

  DefinitionPtr definition;
  RunState state;
  std::vector<StepTraits> traits;
  Timestamp now{1'000};
  std::vector<RunEvent> history;
  std::set<Row> rows;  // of the tables that were taken

 private:
  void take(const RunEvent& event) {
    const auto dot = event.type.find('.');
    const std::string subject(event.type.substr(0, dot));
    const std::string word(event.type.substr(dot + 1));
    const auto from = status_of(event, subject);
    const auto applied = apply(*definition, state, event);
    ASSERT_TRUE(applied) << applied.error().to_string();
    rows.emplace(subject, from, word, status_of(event, subject));
    history.push_back(event);
  }

  std::string status_of(const RunEvent& event, const std::string& subject) const {
    if (subject == "run") return std::string(name(state.status));
    const auto& own = state.steps.at(static_cast<std::size_t>(event.step));
    if (subject == "step") return std::string(name(own.status));
    return std::string(name(own.items.at(static_cast<std::size_t>(event.item)).status));
  }
};

inline bool is_empty(const Decision& decision) {
  return decision.events.empty() && decision.calls.empty() && decision.wakes.empty() &&
         decision.waits.empty() && !decision.cancel_calls && !decision.ended;
}

}  // namespace clew::workflow
