#include "clew/capability/call_path.hpp"

#include "clew/base/check.hpp"

namespace clew {
namespace {

constexpr std::array<std::string_view, 5> outcome_words = {"success", "failure", "timeout",
                                                           "cancelled", "rejected"};
constexpr std::array<std::string_view, 7> stage_words = {
    "received", "resolved", "admitted", "placed", "queued", "running", "settling"};
constexpr std::array<std::string_view, 32> reason_words = {"",
                                                           "reference_resolved",
                                                           "capability_pinned",
                                                           "runtime_closed",
                                                           "nested_too_deep",
                                                           "reference_not_resolved",
                                                           "request_admitted",
                                                           "input_invalid",
                                                           "dependency_missing",
                                                           "connector_missing",
                                                           "request_invalid",
                                                           "only_candidate",
                                                           "target_requested",
                                                           "preferred_target",
                                                           "least_load",
                                                           "tie_by_name",
                                                           "no_eligible_target",
                                                           "slot_free",
                                                           "handed_over",
                                                           "began",
                                                           "executor_refused",
                                                           "result_replayed",
                                                           "key_refused",
                                                           "leader_failed",
                                                           "cancelled_early",
                                                           "deadline_passed",
                                                           "handler_returned",
                                                           "handler_failed",
                                                           "cancel_heeded",
                                                           "result_accepted",
                                                           "output_invalid",
                                                           "commit_failed"};

constexpr std::size_t stages = stage_words.size();
constexpr std::size_t reasons = reason_words.size();

constexpr std::size_t index(auto word) { return static_cast<std::size_t>(word); }

// Where a reason leads from a stage; `received`, to which nothing leads: nowhere.
constexpr auto next = [] {
  std::array<std::array<CallStage, reasons>, stages> made{};
  for (const auto& hop : hop_table) made[index(hop.from)][index(hop.reason)] = hop.to;
  return made;
}();

}  // namespace

std::string_view name(CallOutcome outcome) { return outcome_words[index(outcome)]; }

Result<CallOutcome> parse_outcome(std::string_view word) {
  for (std::size_t i = 0; i < outcome_words.size(); ++i) {
    if (word == outcome_words[i]) return static_cast<CallOutcome>(i);
  }
  return invalid_input("outcome", Value(word), "success, failure, timeout, cancelled or rejected");
}

std::string_view name(CallStage stage) {
  const auto place = index(stage);
  return place < stages ? stage_words[place] : outcome_words[place - stages];
}

std::string_view name(HopReason reason) { return reason_words[index(reason)]; }

bool CallPath::can_take(HopReason reason) const {
  return index(stage_) < stages && next[index(stage_)][index(reason)] != CallStage::received;
}

std::optional<CallOutcome> CallPath::outcome() const {
  if (index(stage_) < stages) return std::nullopt;
  return static_cast<CallOutcome>(index(stage_) - stages);
}

void CallPath::take(HopReason reason) {
  CLEW_CHECK(can_take(reason));
  stage_ = next[index(stage_)][index(reason)];
  packed_ |= std::uint64_t{index(reason)} << (bits * length_);
  ++length_;
}

std::vector<Hop> CallPath::hops() const {
  std::vector<Hop> way;
  auto from = CallStage::received;
  for (auto left = packed_; left != 0; left >>= bits) {
    const auto reason = static_cast<HopReason>(left & ((1U << bits) - 1));
    const auto to = next[index(from)][index(reason)];
    way.push_back({from, reason, to});
    from = to;
  }
  return way;
}

std::optional<CallPath> CallPath::unpack(std::int64_t packed) {
  CallPath path;
  for (auto left = static_cast<std::uint64_t>(packed); left != 0; left >>= bits) {
    const auto reason = left & ((1U << bits) - 1);
    if (reason >= reasons || !path.can_take(static_cast<HopReason>(reason))) return std::nullopt;
    path.take(static_cast<HopReason>(reason));
  }
  return path;
}

}  // namespace clew
