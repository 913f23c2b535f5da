// workflow/definition.hpp: a workflow as its author wrote it, checked.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/schema.hpp"
#include "clew/base/semver.hpp"
#include "clew/base/time.hpp"
#include "clew/capability/contract.hpp"
#include "clew/capability/event.hpp"
#include "clew/expr/expr.hpp"

namespace clew::workflow {

// Something wrong in a definition. All problems are reported together.
struct Problem {
  std::string path;        // "steps.measure.retry.attempts"
  int line = 0;            // from 1; 0 when the definition did not come from text
  std::string message;     // what is wrong and what was expected, with the value
  std::string suggestion;  // such as a near name; may be empty
};

// What a step waits for once its dependencies have completed: the first event since the run's start
// that fits. Each step consumes an event of its own.
struct EventEdge {
  enum class Correlation : std::uint8_t { run, any, given };
  std::string type_text;  // as written
  std::string type_id;
  EventPattern type;                                  // a bare id takes every version
  std::shared_ptr<const expr::Template> where;        // renders to a boolean; null: every event
  Correlation correlated = Correlation::run;          // only events of this run; all; or
  std::shared_ptr<const expr::Template> correlation;  // of `given`: what this renders to
  std::optional<Duration> timeout;                    // from the moment when it begins to wait
};

// One step. `after` and every step that its templates mention are its dependencies.
struct Step {
  std::string name;  // [a-z][a-z0-9_-]*, at most 64 characters
  Reference call;
  std::string call_text;              // as written; empty: its output is its event
  std::optional<EventEdge> on_event;  // the event is `event` in `with`, `for_each` and `where`
  std::shared_ptr<const expr::Template> with;      // renders to the input object
  std::vector<int> dependencies;                   // indexes of steps, ascending
  std::vector<int> dependents;                     // the same the other way round
  std::shared_ptr<const expr::Template> for_each;  // renders to the list; null: a single call
  std::string as = "item";                         // the name of an element in `with`
  int concurrency = 64;                            // calls of this for_each in flight, 1 to 10,000
  std::optional<RetryPolicy> retry;                // absent: the capability's own
  std::optional<Duration> timeout;                 // per attempt, queue included
  int line = 0;

  bool has_call() const { return !call_text.empty(); }
};

// A checked workflow. Immutable, shared.
struct Definition {
  std::string name;  // "library.index"
  Version version;
  std::string version_text;
  std::string description;
  std::shared_ptr<const Schema> input;           // null: any object
  std::vector<Step> steps;                       // in the author's order
  std::shared_ptr<const expr::Template> output;  // null: the output is null
  Value document;                                // what it was made from, as data
  std::string digest;                            // hex SHA-256 of the canonical document

  std::vector<int> by_name;    // indexes of steps, ordered by their names
  bool awaits_events = false;  // some step does

  // Index of the step of that name, or -1. Searches `by_name`.
  int find(std::string_view step) const;
};
using DefinitionPtr = std::shared_ptr<const Definition>;

struct Loaded {
  DefinitionPtr definition;       // null when there are problems
  std::vector<Problem> problems;  // ordered by line, then path; at most 100
};

// From YAML or JSON text: problems carry lines. Syntax errors are problems too. At most 10,000
// steps. The keys of a document: workflow, version, description, input, steps, output; of a step:
// call, with, for_each, as, concurrency, after, on_event, retry, timeout; of on_event, which may be
// the type alone: type, where, correlation, timeout. Any other key is a problem.
Loaded load_text(std::string_view text);
// From data, such as a Python dict.
Loaded load_value(const Value& document);
// As one error: `invalid_input` whose message is the first problem and whose context lists all
// under "problems" (path, line, message, suggestion each). CLEW_CHECK: there is one.
Error to_error(const std::vector<Problem>& problems);

}  // namespace clew::workflow
