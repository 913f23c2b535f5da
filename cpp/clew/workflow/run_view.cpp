#include <algorithm>

#include "clew/workflow/detail/live_run.hpp"

namespace clew::workflow {
namespace {

std::optional<Timestamp> known(Timestamp at) {
  return at.us != 0 ? std::optional(at) : std::nullopt;
}

}  // namespace

std::string describe_wait(const Step& step, const StepState& state) {
  const EventEdge& edge = *step.on_event;
  auto text = "event " + edge.type_text;
  switch (edge.correlated) {
    case EventEdge::Correlation::run:
      text += " of this run";
      break;
    case EventEdge::Correlation::any:
      break;
    case EventEdge::Correlation::given:
      text += fmt::format(" with correlation \"{}\"", state.correlation);
      break;
  }
  return text;
}

std::string describe_waits(const Definition& definition, const RunState& state) {
  std::string first;
  if (!definition.awaits_events || state.status != RunStatus::running) return first;
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    const StepState& step = state.steps[i];
    if (step.status == StepStatus::running) return {};
    if (!step.awaits_event || !first.empty()) continue;
    first = fmt::format("step {} waits for {}", definition.steps[i].name,
                        describe_wait(definition.steps[i], step));
  }
  return first;
}

std::vector<StepInfo> step_infos(const Definition& definition, const RunState& state) {
  std::vector<StepInfo> infos;
  infos.reserve(state.steps.size());
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    const StepState& step = state.steps[i];
    StepInfo info;
    info.id = definition.steps[i].name;
    info.status = step.status;
    info.attempts = step.attempts;
    info.output = step.output;
    info.error = step.error;
    info.started = known(step.started);
    info.ended = known(step.ended);
    info.reason = step.reason;
    if (step.awaits_event) info.reason = "waits for " + describe_wait(definition.steps[i], step);
    if (definition.steps[i].for_each != nullptr && step.status != StepStatus::pending &&
        step.status != StepStatus::skipped && !step.awaits_event) {
      info.items = static_cast<int>(step.items.size());
      info.items_done = step.done_items;
      for (const auto& item : step.items) info.attempts += item.attempts;
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

void count_steps(const Definition& definition, const RunState& state, RunInfo& info) {
  info.steps_done = 0;
  info.steps_total = 0;
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    const StepState& step = state.steps[i];
    if (definition.steps[i].for_each != nullptr && !step.items.empty()) {
      info.steps_done += step.done_items;
      info.steps_total += static_cast<int>(step.items.size());
    } else {
      info.steps_done += is_terminal(step.status) ? 1 : 0;
      info.steps_total += 1;
    }
  }
}

Result<Value> result_of(const std::string& run, RunStatus status, const Value& output,
                        const std::optional<Error>& error, const std::string& failed_step,
                        const std::shared_ptr<const ErrorCause>& cause) {
  const auto fail = [&](Code code, std::string message) {
    Error failure(code, std::move(message));
    failure = failure.with("run", run);
    if (!failed_step.empty()) failure = failure.with("step", failed_step);
    if (error) {
      failure = failure.with("code", name(error->code()));
      for (const auto& [key, value] : error->context()) failure = failure.with(key, value);
    }
    return cause != nullptr ? failure.with_cause(cause) : failure;
  };
  const std::string why = error ? error->message() : std::string("no reason was given");
  const std::string where =
      failed_step.empty() ? std::string("run") : fmt::format("step \"{}\"", failed_step);
  switch (status) {
    case RunStatus::completed:
      return output;
    case RunStatus::failed:
      return fail(Code::execution_failed, fmt::format("{} failed: {}", where, why));
    case RunStatus::cancelled:
      return fail(Code::cancelled, fmt::format("run was cancelled: {}", why));
    case RunStatus::unknown:
      return fail(Code::unknown_outcome,
                  fmt::format("{} may or may not have taken effect: {}", where, why));
    case RunStatus::pending:
    case RunStatus::running:
    case RunStatus::waiting:
      break;
  }
  return fail(Code::timeout, fmt::format("run {} has not ended", run));
}

}  // namespace clew::workflow
