// workflow/planner.hpp: what happens next in a run. Pure: no clock, no chance, no I/O, no locks.
//
// A run is the fold of its events. `decide` answers a stimulus with the events that follow from it
// and the commands to carry out once those events are committed; `apply` takes an event into the
// state. Recovery applies the stored events and decides on `resume`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "clew/base/error.hpp"
#include "clew/base/result.hpp"
#include "clew/base/time.hpp"
#include "clew/workflow/definition.hpp"

namespace clew::workflow {

enum class RunStatus : std::uint8_t {
  pending,
  running,
  waiting,
  completed,
  failed,
  cancelled,
  unknown
};
enum class StepStatus : std::uint8_t {
  pending,
  running,
  waiting,
  completed,
  failed,
  skipped,
  cancelled
};
std::string_view name(RunStatus status);
std::string_view name(StepStatus status);
Result<RunStatus> parse_run_status(std::string_view word);
bool is_terminal(RunStatus status);
bool is_terminal(StepStatus status);

// A fact about a run. Stored as (type, step, data); `data` holds what else the type needs.
//   run.started {input, pins, lock?, events_after?}   run.completed {output}   run.failed {error,
//   step} run.cancelled {reason}      run.unknown {step, item?, error} (the step of run.* is a
//   name; it is absent where the run's output is what failed) step.started {attempt} or, for a
//   for_each, {items: n} step.completed {attempt, output} or, for a for_each, {} (its output is the
//   items' outputs) step.retrying {attempt, error, due_us}   step.failed {attempt?, error}
//   step.interrupted {attempt}  (its process died; the attempt is made again)
//   step.withdrawn {attempt}    (taken back before its handler was entered: it does not count)
//   step.skipped {reason}       step.cancelled {reason}
//   step.waiting {after, due_us?, correlation?}  (events beyond that cursor count; again, with
//                               {after} alone: it has looked so far and found none of its)
//   step.event {cursor, version, event}  (consumed; `event` is what templates see)
//   item.started, item.completed, item.retrying, item.failed, item.interrupted, item.withdrawn,
//   item.cancelled: the same for one element of a for_each, with {item}
struct RunEvent {
  Timestamp at;
  std::string_view type;  // one of the literals above
  int step = -1;          // index; -1 for run.*
  int item = -1;          // index within for_each; -1 otherwise
  Value data;             // an object
};

// One try of a call, or one element of a for_each.
struct CallState {
  StepStatus status = StepStatus::pending;
  int attempts = 0;  // begun
  Value output;
  std::optional<Error> error;  // of the last failed attempt; cleared by success
  Timestamp started;           // of the first attempt
  Timestamp ended;
  Timestamp due;  // of the next attempt, while waiting
};

struct StepState : CallState {
  std::vector<CallState> items;  // of a for_each, once it has started
  Value list;                    // what it iterates over, while it is not ended
  int next_item = 0;             // first item that has not begun
  int open_items = 0;            // running or waiting
  int done_items = 0;            // completed
  int missing = 0;               // dependencies that have not completed
  std::string reason;            // why skipped or cancelled
  bool awaits_event = false;     // `due` is then its deadline, if it has one
  Cursor looked_to = 0;          // no event up to here is the one
  std::string correlation;  // that its event must have, where the definition lets it render one
  Value event;              // that it has consumed
};

struct RunState {
  RunStatus status = RunStatus::pending;
  Value input;
  std::vector<StepState> steps;  // as in the definition
  Value output;
  std::optional<Error> error;
  std::string failed_step;    // the step that ended the run
  std::int64_t last_seq = 0;  // of the last event; kept by whoever stores events
  Timestamp started;
  Timestamp ended;
  Cursor events_after = 0;  // where the log of events stood when the run was started
  int open_steps = 0;       // neither ended nor pending
  int completed_steps = 0;
};

RunState initial_state(const Definition& definition);

// Takes one event into the state. `corrupt` when it cannot follow (an unknown step, an ended run,
// a step that is not where the event says); the state is then as it was. O(1), but for a for_each's
// start, which gets its list by rendering it again, and its end, which gathers the outputs.
Result<void> apply(const Definition& definition, RunState& state, const RunEvent& event);

// --- What asks for a decision ---
struct Start {
  Value input;
  Value pins{};  // step → exact reference
  Value lock{};  // exact reference → digest, of those and of all that they need; null: unknown
  std::optional<Cursor> events_after{};  // given when some step waits for an event
};
struct AttemptFinished {
  int step = -1;
  int item = -1;
  int attempt = 0;
  Result<Value> result;
};
struct RetryDue {  // or the deadline of a wait for an event
  int step = -1;
  int item = -1;
};
struct EventArrived {  // of the step's type and correlation; in the order of cursors
  int step = -1;
  EventPtr event;
};
struct EventsPassed {  // none up to there was the step's
  int step = -1;
  Cursor to = 0;
};
struct EventsLost {  // events that may have been the step's cannot be looked at any more
  int step = -1;
  Error why;
};
struct Withdrawn {  // an attempt whose handler was never entered, and never will be
  int step = -1;
  int item = -1;
  int attempt = 0;
};
struct CancelRequested {
  std::string reason;
};
struct Resume {};  // another process began this; what it was running is interrupted
using Stimulus = std::variant<Start, AttemptFinished, RetryDue, EventArrived, EventsPassed,
                              EventsLost, Withdrawn, CancelRequested, Resume>;

// --- What is to be done once the events are committed ---
struct CallCommand {
  int step = -1;
  int item = -1;
  int attempt = 1;
  Value input;
};
struct WakeCommand {  // decide(RetryDue) at that instant
  int step = -1;
  int item = -1;
  Timestamp due;
};
struct WaitCommand {  // decide(EventArrived) for each event after `after` that is of its type
  int step = -1;
  Cursor after = 0;
  std::string correlation;  // and has this one, where the definition lets it render one
};
struct Decision {
  std::vector<RunEvent> events;
  std::vector<CallCommand> calls;
  std::vector<WakeCommand> wakes;
  std::vector<WaitCommand> waits;
  bool cancel_calls = false;  // everything in flight is no longer wanted
  bool ended = false;         // the last event ends the run
};

// The most elements that a for_each may have.
inline constexpr std::size_t items_max = 1'000'000;

// What the planner must know of each step's capability.
struct StepTraits {
  Effect effect = Effect::idempotent;
  RetryPolicy retry;  // the step's own, else the capability's
};

// Pure. A stimulus that does not fit the state (a late result of an ended run, a wake for a step
// that is not waiting) gives an empty decision. `unit` in [0, 1) is the chance that jitter
// takes: at most one retry follows from a stimulus. The costs of deciding about one item do not
// grow with the number of items. Rules: RULINGS "Graphs" and "Retries"; on_failure is `stop`: after
// a step's final failure nothing new starts, what runs is cancelled, what never began is skipped.
// An interrupted call of a `once` capability ends the run `unknown`, naming the step; so does a
// result with Code::unknown_outcome. A step whose outcome is unknown is `failed` with that error,
// so that in an ended run every step has ended. An expression that errors fails its step. An empty
// for_each completes with []. An event counts for a step if it was published before the deadline of
// the wait; a predicate that is false passes it over. A RetryDue that comes early gives its wake
// again. A withdrawn attempt is due again at once, but only Resume (or RetryDue) asks for it:
// whoever withdrew it is stopping.
Decision decide(const Definition& definition, const RunState& state,
                const std::vector<StepTraits>& traits, const Stimulus& stimulus, Timestamp now,
                double unit = 0.0);

}  // namespace clew::workflow
