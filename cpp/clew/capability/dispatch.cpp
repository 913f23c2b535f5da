#include "clew/capability/dispatch.hpp"

#include <algorithm>

#include "clew/base/fields.hpp"
#include "clew/capability/detail/dispatch_core.hpp"
#include "clew/capability/detail/trace_ids.hpp"
#include "clew/capability/placement.hpp"

namespace clew {
namespace {

thread_local const InvocationPtr* current_invocation = nullptr;

}  // namespace

InvocationPtr Dispatcher::current() {
  return current_invocation != nullptr ? *current_invocation : nullptr;
}
Dispatcher::Scope::Scope(const InvocationPtr& invocation)
    : before_(std::exchange(current_invocation, &invocation)) {}
Dispatcher::Scope::~Scope() { current_invocation = before_; }

namespace {

// What a refusal says of those that were considered, as a trace has it.
Value listed_candidates(const Error& refusal) {
  const Value* all = refusal.find("candidates");
  if (all == nullptr) return {};
  std::vector<Value> listed;
  if (all->is_array()) {
    const auto kept = std::min(all->items().size(), considered_max);
    listed.assign(all->items().begin(), all->items().begin() + static_cast<std::ptrdiff_t>(kept));
  } else {
    for (const auto& [executor, reason] : all->members()) {
      if (listed.size() == considered_max) break;
      listed.push_back(Value::object({{"executor", Value(executor)},
                                      {"target", Value()},
                                      {"load", Value()},
                                      {"rejected", reason}}));
    }
  }
  return Value::array(std::move(listed));
}

// All calls of a run belong to one trace.
Id trace_of_run(const std::string& run) {
  if (const auto id = Id::parse(run)) return *id;
  const auto digest = digest_of(Value(run));
  return Id::from_bytes({reinterpret_cast<const char*>(digest.data()), sizeof(Id::bytes)});
}

}  // namespace

class DispatcherImpl final : public Dispatcher {
 public:
  explicit DispatcherImpl(DispatcherParts parts)
      : parts_(parts),
        core_(std::make_shared<DispatchCore>(parts.env, parts.traces, parts.timers, parts.keys,
                                             parts.broker)) {
    core_->connectors = &connectors_;
  }

  ~DispatcherImpl() override { stop(false, Timestamp::never()); }

  Outcome execute(Request request) override {
    const auto invocation = admit(std::move(request));
    if (invocation->ended()) return invocation->outcome();
    if (invocation->may_run_here() && run_here(invocation)) return invocation->outcome();
    launch(invocation);
    if (!wait(invocation, invocation->deadline())) invocation->expire();
    return invocation->outcome();
  }

  InvocationPtr submit(Request request, Function<void()> on_ended) override {
    auto invocation = admit(std::move(request));
    if (on_ended) invocation->on_ended(std::move(on_ended));
    if (!invocation->ended()) launch(invocation);
    return invocation;
  }

  InvocationPtr admit(Request request) override {
    auto invocation = std::make_shared<Invocation>(core_);
    Invocation& call = *invocation;
    const bool outsider = !request.parent && !request.tag;
    if (!core_->enter(outsider)) {
      call.end(HopReason::runtime_closed, error(Code::closed, "the runtime is closed"));
      return invocation;
    }
    call.counted_ = true;
    call.traced_ = request.tag == nullptr;  // a step's trace goes into its run's transaction
    set_start(call);
    take_over(call, request);
    auto why = HopReason::none;
    if (auto admitted = check(call, request, why); !admitted) {
      call.end(why, std::move(admitted).error());
    } else {
      watch_cancel(invocation, request.cancel);
    }
    return invocation;
  }

  bool run_here(const InvocationPtr& invocation) override {
    if (invocation->begun_.load(std::memory_order_relaxed)) return false;
    if (invocation->keyed_ && !invocation->claimed_.load(std::memory_order_relaxed)) return false;
    ThreadPool* const own = invocation->executor_->own_slots();
    const auto slot =
        (own != nullptr ? *own : parts_.pool).try_enter(invocation->limit(), invocation->tenant());
    if (!slot || !invocation->executor_->run_here(invocation)) return false;
    core_->inline_calls.fetch_add(1, std::memory_order_relaxed);
    return invocation->ended();
  }

  void launch(const InvocationPtr& invocation) override {
    invocation->launched_.store(true, std::memory_order_relaxed);
    if (invocation->deadline_ != Timestamp::never()) set_timer(invocation);
    if (invocation->parent_) invocation->cancel_token();  // follows its parent from here on
    auto taken = invocation->keyed_ ? parts_.pool.submit(claim_task(invocation))
                                    : invocation->executor_->start(invocation);
    if (!taken) refuse(*invocation, std::move(taken).error());
  }

  bool try_launch(const InvocationPtr& invocation) override {
    const bool is_plain =
        invocation->deadline_ == Timestamp::never() && !invocation->parent_ && !invocation->keyed_;
    if (!is_plain) return false;
    invocation->launched_.store(true, std::memory_order_relaxed);
    if (invocation->executor_->try_start(invocation)) return true;
    invocation->launched_.store(false, std::memory_order_relaxed);
    return false;
  }

  bool wait(const InvocationPtr& invocation, Timestamp until) override {
    if (invocation->ended()) return true;
    if (!parts_.pool.in_slot()) return invocation->park(until);
    if (until == Timestamp::never() && run_here(invocation)) return true;
    parts_.pool.blocking([&] { invocation->park(until); });
    return invocation->ended();
  }

  Connectors& connectors() override { return connectors_; }

  Result<void> add_executor(std::shared_ptr<CapabilityExecutor> executor) override {
    return placement_.add(std::move(executor));
  }

  Result<PlacementReport> explain_placement(const Capability& capability,
                                            const std::string& target) const override {
    return placement_.explain(capability, target);
  }

  void begin_stop() override { core_->closing.store(true, std::memory_order_seq_cst); }

  bool stop(bool drain, Timestamp deadline) override {
    begin_stop();
    if (drain) core_->await_idle(deadline);  // what is in flight may still call
    core_->closed.store(true, std::memory_order_seq_cst);
    const bool idle = drain && core_->await_idle(deadline);
    if (!idle) core_->cancel_all.store(true, std::memory_order_seq_cst);
    core_->stop.cancel("the runtime is closing");  // also for handlers that outlived their deadline
    for (const auto& executor : placement_.executors()) executor->stop();
    return idle || !drain;
  }

  void stop_draining() override { core_->stop_draining(); }

  DispatchStats stats() const override {
    const auto of = [&](CallOutcome kind) {
      return core_->outcomes[static_cast<std::size_t>(kind)].load(std::memory_order_acquire);
    };
    DispatchStats stats;
    stats.success = of(CallOutcome::success);
    stats.failure = of(CallOutcome::failure);
    stats.timeout = of(CallOutcome::timeout);
    stats.cancelled = of(CallOutcome::cancelled);
    stats.rejected = of(CallOutcome::rejected);
    stats.calls = stats.success + stats.failure + stats.timeout + stats.cancelled + stats.rejected;
    stats.in_flight = core_->all_entered() - stats.calls;
    stats.inline_calls = core_->inline_calls.load(std::memory_order_relaxed);
    return stats;
  }

 private:
  // Again when this thread stood still between the two, and others did not.
  void set_start(Invocation& call) {
    constexpr int tries_max = 10;
    for (int i = 0; i < tries_max; ++i) {
      const auto time = parts_.env.clock().read();
      call.record_.id = parts_.env.ids().next_at(time.now);
      call.record_.started = time.now;
      call.admitted_ns_ = time.ticks_ns;
      if (call.record_.id < detail::lowest_id(time.now + detail::id_lag_max)) [[likely]]
        return;
    }
  }

  // The request's parts move into the call; what it inherits from the call above it is added.
  static void take_over(Invocation& call, Request& request) {
    call.record_.reference = std::move(request.reference);
    call.record_.capability = std::move(request.capability);
    call.record_.versions = std::move(request.considered);
    call.record_.tag = std::move(request.tag);
    call.record_.correlation_id = std::move(request.correlation_id);
    call.idempotency_key_ = std::move(request.idempotency_key);
    call.input_ = std::move(request.input);
    call.priority_ = request.priority;
    call.unbounded_ = request.unbounded;
    call.parent_ = std::move(request.parent);
    if (const Invocation* above = call.parent_.get()) {
      call.depth_ = static_cast<std::uint16_t>(above->depth_ + 1);
      call.record_.parent = above->record_.id;
      call.deadline_ = above->deadline_;
      if (call.record_.correlation_id.empty()) {
        call.record_.correlation_id = above->record_.correlation_id;
      }
      call.record_.context = {above->record_.context.trace, {}, above->record_.context.flags};
      if (above->record_.context.trace.is_nil()) call.record_.context.trace = above->record_.id;
    }
    if (call.record_.tag) call.record_.context.trace = trace_of_run(call.record_.tag->run);
    if (request.context) call.record_.context = *request.context;
  }

  // Everything that can refuse a call before anybody runs it; `why` says what did.
  Result<void> check(Invocation& call, const Request& request, HopReason& why) {
    TraceRecord& record = call.record_;
    why = HopReason::nested_too_deep;
    if (call.depth_ > Invocation::depth_max) {
      return error(Code::resource_exhausted, "calls are nested deeper than {}",
                   Invocation::depth_max);
    }
    why = HopReason::reference_not_resolved;
    if (record.capability) {
      record.path.take(record.tag ? HopReason::capability_pinned : HopReason::reference_resolved);
    } else {
      CLEW_TRY(resolve(call, request));
      record.path.take(HopReason::reference_resolved);
    }
    const Capability& capability = *record.capability;
    call.tenant_ =
        capability.tenant == 0 && call.parent_ ? call.parent_->tenant_ : capability.tenant;
    why = HopReason::input_invalid;
    if (!call.input_.is_object()) {
      return invalid_input("input", call.input_, "an object of arguments");
    }
    if (!capability.inputs->accepts_everything()) {
      CLEW_TRY(capability.inputs->check(call.input_, "input"));
    }
    why = HopReason::dependency_missing;
    if (!capability.contract.dependencies.empty()) {
      CLEW_TRY(parts_.registry.snapshot()->dependencies(capability));
    }
    why = HopReason::connector_missing;
    if (!capability.contract.connectors.empty()) {
      CLEW_TRY(connectors_.check(capability.contract));
    }
    why = HopReason::request_invalid;
    CLEW_TRY(set_deadline(call, request, capability.contract));
    CLEW_TRY(set_key(call));
    record.path.take(HopReason::request_admitted);
    why = HopReason::no_eligible_target;
    auto chosen = placement_.choose(capability, request.target);
    if (!chosen) {
      record.executors = listed_candidates(chosen.error());
      return std::move(chosen).error();
    }
    call.executor_ = std::move(chosen->executor);
    record.target = std::move(chosen->target);
    record.executor = call.executor_->name();
    record.executors = std::move(chosen->considered);
    record.path.take(chosen->reason);
    return {};
  }

  Result<void> resolve(Invocation& call, const Request& request) const {
    const auto snapshot = parts_.registry.snapshot();
    auto found = snapshot->lookup(call.record_.reference, view_of(call, request));
    if (!found) {
      call.record_.versions = listed_candidates(found.error());
      return std::move(found).error();
    }
    call.record_.capability = std::move(found->capability);
    call.record_.versions = std::move(found->considered);
    return {};
  }

  // A call sees what the call above it sees, unless it says otherwise.
  static View view_of(const Invocation& call, const Request& request) {
    const Invocation* above = call.parent_.get();
    if (!request.workspace.empty() || above == nullptr || !above->capability()) {
      return {request.workspace};
    }
    return {above->capability()->workspace};
  }

  // A step's key is only for its handler: the run sees to it that the step happens once.
  Result<void> set_key(Invocation& call) const {
    constexpr std::size_t key_max = 200;
    if (call.idempotency_key_.empty() || call.tag() != nullptr) return {};
    if (call.idempotency_key_.size() > key_max) {
      return invalid_input("idempotency_key", Value(call.idempotency_key_),
                           fmt::format("at most {} characters", key_max));
    }
    CLEW_TRY(check_text("idempotency_key", call.idempotency_key_));
    call.keyed_ = core_->keys != nullptr;
    if (call.keyed_) call.may_run_here_ = false;
    return {};
  }

  static Result<void> set_deadline(Invocation& call, const Request& request,
                                   const Contract& contract) {
    const auto shorten = [&](Timestamp to) {
      if (to < call.deadline_) call.deadline_ = to;
      call.may_run_here_ = false;
    };
    if (request.timeout) {
      if (*request.timeout <= Duration{0}) {
        return invalid_input("timeout", Value(static_cast<double>(request.timeout->count()) / 1e6),
                             "seconds above zero");
      }
      shorten(call.record_.started + *request.timeout);
    }
    if (contract.timeout) shorten(call.record_.started + *contract.timeout);
    if (request.deadline != Timestamp::never()) shorten(request.deadline);
    return {};
  }

  // Whose key it is to be found out on a thread that may wait for the disk.
  Task claim_task(const InvocationPtr& invocation) {
    return {[this, invocation](Turn turn) {
              if (turn == Turn::run) {
                claim(invocation);
              } else {
                invocation->cancel("the runtime is closing");
              }
            },
            invocation->priority_,
            invocation->tenant_,
            KeyLimit{},
            invocation->unbounded_,
            false};
  }
  void claim(const InvocationPtr& invocation) {
    const auto again = [this, invocation] {
      if (invocation->ended()) return;
      if (auto taken = parts_.pool.submit(claim_task(invocation)); !taken) {
        refuse(*invocation, std::move(taken).error());
      }
    };
    if (invocation->ended() || !core_->keys->claim(invocation, again)) return;
    invocation->claimed_.store(true, std::memory_order_seq_cst);
    if (invocation->ended()) {  // meanwhile; then it never begins
      core_->keys->let_go(*invocation);
      return;
    }
    auto taken = invocation->executor_->start(invocation);
    if (!taken) refuse(*invocation, std::move(taken).error());
  }

  void watch_cancel(const InvocationPtr& invocation, const CancelToken& token) {
    if (!token.can_be_cancelled()) return;
    invocation->may_run_here_ = false;
    invocation->keep_subscription(
        CancelSubscription(token, [weak = std::weak_ptr(invocation), token] {
          if (const auto call = weak.lock()) call->cancel(token.reason());
        }));
  }

  void set_timer(const InvocationPtr& invocation) {
    invocation->keep_timer(
        parts_.timers.at(invocation->deadline_, [weak = std::weak_ptr(invocation)] {
          if (const auto call = weak.lock(); call && !call->ended()) call->try_expire();
        }));
  }

  static void refuse(Invocation& call, Error why) {
    if (call.begun_.exchange(true, std::memory_order_acq_rel)) return;
    call.end(HopReason::executor_refused, std::move(why));
  }

  DispatcherParts parts_;
  std::shared_ptr<DispatchCore> core_;
  Placement placement_;
  Connectors connectors_{*this};
};

std::unique_ptr<Dispatcher> make_dispatcher(DispatcherParts parts) {
  return std::make_unique<DispatcherImpl>(parts);
}

}  // namespace clew
