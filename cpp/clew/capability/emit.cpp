// What a call emits, from the handler's word to the commit.
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "clew/capability/detail/dispatch_core.hpp"
#include "clew/capability/detail/rare.hpp"

namespace clew {
namespace {

constexpr std::size_t emitted_max = 10'000;  // of one call

// Whether what a contract declares covers what a handler names. When it names no version but the
// contract does, the contract's is meant: `meant` is the reference to publish under.
bool covers(const std::string& declared, const Reference& wanted, const std::string& text,
            std::string& meant) {
  const auto parsed = Reference::parse(declared);
  if (!parsed || parsed->id != wanted.id) return false;
  using enum Reference::Kind;
  if (parsed->kind == bare || declared == text) {
    meant = text;
    return true;
  }
  if (wanted.kind == bare) {
    meant = declared;
    return true;
  }
  if (wanted.kind == range) return false;
  meant = text;
  return parsed->kind == exact ? parsed->version == wanted.version
                               : parsed->range.matches(wanted.version);
}

Result<std::string> declared_event(const Contract& contract, const std::string& text) {
  CLEW_TRY(const auto wanted, Reference::parse(text, "event"));
  std::string meant;
  const bool is_declared = std::ranges::any_of(
      contract.emits, [&](const auto& declared) { return covers(declared, wanted, text, meant); });
  if (is_declared) return meant;
  return invalid_input(
      "event", text,
      contract.emits.empty()
          ? fmt::format("an event that {} declares in emits; it declares none", contract.id)
          : fmt::format("one of what {} declares in emits: {}", contract.id,
                        fmt::join(contract.emits, ", ")));
}

}  // namespace

Result<void> Invocation::emit(EventDraft draft) {
  if (core_->broker == nullptr) return error(Code::unsupported, "there is no broker to emit to");
  CLEW_TRY(draft.type, declared_event(capability()->contract, draft.type));
  if (draft.correlation_id.empty()) draft.correlation_id = correlation_id();
  for (const Invocation* call = this; draft.correlation_id.empty() && call != nullptr;
       call = call->parent()) {
    if (call->tag() != nullptr) draft.correlation_id = call->tag()->run;
  }
  if (draft.causation_id.empty()) draft.causation_id = id().to_string();
  CLEW_TRY(auto event, core_->broker->prepare(std::move(draft)));
  std::vector<std::shared_ptr<Event>> events;
  events.push_back(std::move(event));
  return adopt(events);
}

bool Invocation::is_within_step() const {
  for (const Invocation* call = this; call != nullptr; call = call->parent()) {
    if (call->tag() != nullptr) return true;
  }
  return false;
}

Result<void> Invocation::adopt(std::vector<std::shared_ptr<Event>>& events) {
  const Lock lock(mutex_);
  const auto is_over = [this] {
    return emits_over_.load(std::memory_order_seq_cst) ||
           ending_.load(std::memory_order_acquire) == Ending::taken;
  };
  const auto too_late = [] {
    return error(Code::conflict, "the call has ended: what it emits now nobody would publish");
  };
  if (is_over()) return too_late();
  auto& emitted = rare().emitted;
  if (emitted.size() + events.size() > emitted_max) {
    return error(Code::resource_exhausted, "a call emits at most {} events", emitted_max);
  }
  // Told before the second look: either we see that emits are over, or who ends them sees these.
  has_emitted_.store(true, std::memory_order_seq_cst);
  if (is_over()) return too_late();
  std::ranges::move(events, std::back_inserter(emitted));
  return {};
}

std::vector<std::shared_ptr<Event>> Invocation::take_emitted() {
  if (!has_emitted_.load(std::memory_order_seq_cst)) return {};
  const Lock lock(mutex_);
  return rare_ ? std::exchange(rare_->emitted, {}) : std::vector<std::shared_ptr<Event>>();
}

// What a key keeps happened once, and so did its events: one commit has both.
Result<void> Invocation::settle_key(const Result<Value>& result) {
  if (!result || tag() != nullptr || !has_emitted_.load(std::memory_order_seq_cst)) {
    return core_->keys->settle(*this, result);
  }
  Broker& broker = *core_->broker;
  const auto batch = broker.make_batch(take_emitted());
  bool written = false;
  CLEW_TRY(core_->keys->settle(*this, result, [&](store::Transaction& tx) -> Result<void> {
    written = true;
    return broker.append(tx, *batch);
  }));
  if (written) broker.committed(*batch);
  return {};
}

// The call has succeeded. Once its events are on their way it can end in no other way: neither
// deadline nor cancellation comes between.
bool Invocation::finish_with_events(Value output) {
  if (!claim_end()) return false;
  if (tag() != nullptr) {  // its run commits them
    complete(HopReason::result_accepted, std::move(output));
    return true;
  }
  auto events = take_emitted();
  if (events.empty()) {  // with its key
    complete(HopReason::result_accepted, std::move(output));
    return true;
  }
  // Within a step they must not outrun it: a step that is made again would publish them again.
  const auto published = parent_ && is_within_step()
                             ? parent_->adopt(events)
                             : core_->broker->publish_all(std::move(events));
  if (published) {
    complete(HopReason::result_accepted, std::move(output));
  } else {
    complete(HopReason::commit_failed, published.error());
  }
  return true;
}

}  // namespace clew
