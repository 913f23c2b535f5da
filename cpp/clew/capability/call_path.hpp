// capability/call_path.hpp: the way of a call, from its arrival to its outcome. Pure.
//
//   stage     goes on with                          to
//   received  reference_resolved, capability_pinned resolved
//   resolved  request_admitted                      admitted
//   admitted  only_candidate, target_requested, preferred_target, least_load, tie_by_name
//                                                   placed
//   placed    slot_free                             running (on its caller's thread)
//             handed_over                           queued (with its executor)
//   queued    began                                 running
//   running   handler_returned                      settling
//   settling  result_accepted                       success
//
// How it ends otherwise stands in `hop_table`. A stage but the last has one way in, so that the
// reasons tell the whole way.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"

namespace clew {

enum class CallOutcome : std::uint8_t { success, failure, timeout, cancelled, rejected };
std::string_view name(CallOutcome outcome);
// `invalid_input` at the path "outcome" for a word that is none.
Result<CallOutcome> parse_outcome(std::string_view word);

enum class CallStage : std::uint8_t {
  received,  // taken over
  resolved,  // its capability is known
  admitted,  // the request fits the contract
  placed,    // target and executor are chosen
  queued,    // its executor has it
  running,   // its handler was entered
  settling,  // its output is checked; events and an idempotency key's result are committed
  success,   // from here on: the outcomes
  failure,
  timeout,
  cancelled,
  rejected,
};
// The word of a stage; of the last ones that of the outcome.
std::string_view name(CallStage stage);

// Why a call went on. Stored by these numbers, which are never used for anything else.
enum class HopReason : std::uint8_t {
  none = 0,
  reference_resolved = 1,
  capability_pinned = 2,
  runtime_closed = 3,
  nested_too_deep = 4,
  reference_not_resolved = 5,
  request_admitted = 6,
  input_invalid = 7,
  dependency_missing = 8,
  connector_missing = 9,
  request_invalid = 10,
  only_candidate = 11,
  target_requested = 12,
  preferred_target = 13,
  least_load = 14,
  tie_by_name = 15,
  no_eligible_target = 16,
  slot_free = 17,
  handed_over = 18,
  began = 19,
  executor_refused = 20,
  result_replayed = 21,
  key_refused = 22,
  leader_failed = 23,
  cancelled_early = 24,
  deadline_passed = 25,
  handler_returned = 26,
  handler_failed = 27,
  cancel_heeded = 28,
  result_accepted = 29,
  output_invalid = 30,
  commit_failed = 31,
};
std::string_view name(HopReason reason);

struct Hop {
  CallStage from;
  HopReason reason;
  CallStage to;
  friend bool operator==(const Hop&, const Hop&) = default;
};

inline constexpr auto hop_table = [] {
  using enum CallStage;
  using enum HopReason;
  return std::to_array<Hop>({
      {received, reference_resolved, resolved},
      {received, capability_pinned, resolved},  // a step's: its run has chosen
      {received, runtime_closed, rejected},     // leaves no trace
      {received, nested_too_deep, rejected},    // calls within calls
      {received, reference_not_resolved, rejected},
      {resolved, request_admitted, admitted},
      {resolved, input_invalid, rejected},
      {resolved, dependency_missing, rejected},
      {resolved, connector_missing, rejected},
      {resolved, request_invalid, rejected},  // its timeout, its key
      {admitted, only_candidate, placed},
      {admitted, target_requested, placed},  // by the caller
      {admitted, preferred_target, placed},  // by the contract
      {admitted, least_load, placed},
      {admitted, tie_by_name, placed},
      {admitted, no_eligible_target, rejected},
      {placed, slot_free, running},
      {placed, handed_over, queued},
      {placed, cancelled_early, cancelled},
      {placed, deadline_passed, timeout},
      {queued, began, running},
      {queued, executor_refused, rejected},  // a full queue
      {queued, result_replayed, success},    // by its idempotency key
      {queued, key_refused, rejected},       // that belongs to another input
      {queued, leader_failed, failure},      // the call that ran under that key
      {queued, cancelled_early, cancelled},
      {queued, deadline_passed, timeout},
      {running, handler_returned, settling},
      {running, handler_failed, failure},
      {running, cancel_heeded, cancelled},
      {running, deadline_passed, timeout},
      {settling, result_accepted, success},
      {settling, output_invalid, failure},  // not what the contract says
      {settling, commit_failed, failure},   // of its events, or of the key's result
  });
}();

// How far one call has come. A value of one word.
class CallPath {
 public:
  CallStage stage() const { return stage_; }
  // Nothing while it is under way.
  std::optional<CallOutcome> outcome() const;
  // Whether the table has a row for that.
  bool can_take(HopReason reason) const;
  // CLEW_CHECK: can_take().
  void take(HopReason reason);
  // The whole way, in order.
  std::vector<Hop> hops() const;

  // As it is stored: six bits for each reason, the first one lowest.
  std::int64_t packed() const { return static_cast<std::int64_t>(packed_); }
  // Nothing for what the table does not allow.
  static std::optional<CallPath> unpack(std::int64_t packed);

 private:
  static constexpr int bits = 6;

  std::uint64_t packed_ = 0;
  CallStage stage_ = CallStage::received;
  std::uint8_t length_ = 0;
};

}  // namespace clew
