#include "clew/workflow/detail/composite.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

class WorkflowHandler final : public Handler {
 public:
  explicit WorkflowHandler(DefinitionPtr definition) : definition_(std::move(definition)) {}
  std::string_view kind() const override { return "workflow"; }
  std::string fingerprint() const override { return "workflow:" + definition_->digest; }
  const DefinitionPtr& definition() const { return definition_; }

 private:
  const DefinitionPtr definition_;
};

// What the run of a step's call is called. Ids have a bound; what names of steps make longer keeps
// its beginning, for readers, and a digest.
std::string id_of(const StepTag& tag) {
  constexpr std::size_t length_max = 200;
  constexpr std::size_t kept = 120;
  auto id = fmt::format("{}/{}", tag.run, tag.step);
  if (tag.item >= 0) id += fmt::format("/{}", tag.item);
  id += fmt::format("#{}", tag.attempt);
  if (id.size() <= length_max) return id;
  return fmt::format("{}~{}", id.substr(0, kept), to_hex(sha256(id)));
}

// The step within which a call was made, if there is one.
const StepTag* step_above(const Invocation& call) {
  for (const Invocation* at = &call; at != nullptr; at = at->parent()) {
    if (at->tag() != nullptr) return at->tag();
  }
  return nullptr;
}

Error closed() { return {Code::closed, "the runtime is closed"}; }

}  // namespace

std::shared_ptr<const Handler> make_workflow_handler(DefinitionPtr definition) {
  return std::make_shared<WorkflowHandler>(std::move(definition));
}

const Definition* workflow_of(const Capability& capability) {
  const auto* handler = dynamic_cast<const WorkflowHandler*>(capability.handler.get());
  return handler != nullptr ? handler->definition().get() : nullptr;
}

Result<void> WorkflowExecutor::start(const InvocationPtr& invocation) {
  if (!invocation->begin()) return {};
  auto request = request_of(*invocation);
  if (!request) {
    invocation->finish(request.error());
    return {};
  }
  {
    const Lock lock(mutex_);
    active_[invocation.get()].call = invocation;
    if (invocation->tag() == nullptr) ++bare_;
  }
  auto id = request->id;
  engine_.start(*std::move(request), [this, invocation, id = std::move(id)](Result<RunPtr> run) {
    started(invocation, id, std::move(run));
  });
  return {};
}

// `conflict` naming the way when the call is within one of the same capability.
Result<StartRequest> WorkflowExecutor::request_of(const Invocation& call) {
  const Capability& capability = *call.capability();
  StartRequest request;
  request.definition = static_cast<const WorkflowHandler&>(*capability.handler).definition();
  request.input = call.input();
  request.workspace = capability.workspace;
  request.priority = call.task(nullptr).priority;
  if (call.tag() != nullptr) request.id = id_of(*call.tag());
  if (const auto* step = step_above(call)) request.above = engine_.way_to(step->run);
  const auto name = capability.reference();
  const bool is_within = std::ranges::find(request.above, name) != request.above.end();
  request.above.push_back(name);
  if (!is_within) return request;
  const auto way = fmt::format("{}", fmt::join(request.above, " -> "));
  return error(Code::conflict, "{} reaches itself: {}", name, way)
      .with("reason", "workflow_cycle")
      .with("cycle", way);
}

void WorkflowExecutor::started(const InvocationPtr& call, const std::string& id,
                               Result<RunPtr> run) {
  if (!run && run.error().code() != Code::closed && !id.empty()) {
    // Whatever speaks against it now: when this attempt was made before, it goes on.
    if (auto met = engine_.find(id)) run = std::move(met);
  }
  if (!run) return end(call, run.error());
  const auto token = call->cancel_token();
  CancelSubscription obeys(token, [this, weak = std::weak_ptr(call), run = (*run)->id(), token] {
    if (const auto told = weak.lock()) cancel_run(*told, run, token.reason());
  });
  {
    const Lock lock(mutex_);
    const auto found = active_.find(call.get());
    if (found != active_.end()) std::swap(found->second.obeys, obeys);
  }
  (*run)->on_ended([this, call, run = *run] { end(call, run->result()); });
}

void WorkflowExecutor::end(const InvocationPtr& call, Result<Value> result) {
  Active ended;
  {
    const Lock lock(mutex_);
    const auto found = active_.find(call.get());
    if (found == active_.end()) return;
    ended = std::move(found->second);
    active_.erase(found);
    if (call->tag() == nullptr) --bare_;
  }
  idle_.notify_all();
  if (call->tag() != nullptr || !call->commits_at_end()) {
    call->finish(std::move(result));
    return;
  }
  // Its end is a commit of its own, which this thread, that of the commits perhaps, must not await.
  auto shared = std::make_shared<Result<Value>>(std::move(result));
  Task task{[call, shared](Turn) { call->finish(std::move(*shared)); }};
  task.unbounded = true;
  if (auto taken = pool_.submit(std::move(task)); !taken) call->finish(taken.error());
}

// A run goes on when the run above it has only changed hands: its new owner meets it again.
void WorkflowExecutor::cancel_run(const Invocation& call, const std::string& run,
                                  const std::string& reason) {
  if (call.tag() != nullptr && !engine_.find_live(call.tag()->run)) return;
  const auto live = engine_.find_live(run);
  if (live)
    engine_.stimulate(live, CancelRequested{reason.empty() ? "its call has ended" : reason});
}

void WorkflowExecutor::drain(Timestamp deadline) {
  Lock lock(mutex_);
  while (bare_ > 0 && !draining_stopped_) {
    if (engine_.parts().env.clock().wait_until(idle_, lock, deadline)) return;
  }
}

void WorkflowExecutor::stop_draining() {
  {
    const Lock lock(mutex_);
    draining_stopped_ = true;
  }
  idle_.notify_all();
}

void WorkflowExecutor::end_all() {
  std::map<const Invocation*, Active> all;
  {
    const Lock lock(mutex_);
    all.swap(active_);
    bare_ = 0;
  }
  idle_.notify_all();
  for (auto& [key, active] : all) {
    active.obeys = {};
    active.call->finish(closed());
  }
}

}  // namespace clew::workflow
