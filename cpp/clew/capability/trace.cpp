#include "clew/capability/trace.hpp"

#include <utility>

namespace clew {

std::string_view name(CallOutcome outcome) {
  switch (outcome) {
    case CallOutcome::success:
      return "success";
    case CallOutcome::failure:
      return "failure";
    case CallOutcome::timeout:
      return "timeout";
    case CallOutcome::cancelled:
      return "cancelled";
    case CallOutcome::rejected:
      return "rejected";
  }
  check_failed("outcome is one of its enumerators", {});
}

Result<CallOutcome> parse_outcome(std::string_view word) {
  using enum CallOutcome;
  for (const auto outcome : {success, failure, timeout, cancelled, rejected}) {
    if (word == name(outcome)) return outcome;
  }
  return invalid_input("outcome", Value(word), "success, failure, timeout, cancelled or rejected");
}

void take_digests(TraceRecord& record) {
  if (record.digests) return;
  auto digests = std::make_shared<TraceDigests>();
  digests->input = digest_of(record.input);
  if (record.has_output) digests->output = digest_of(record.output);
  record.digests = std::move(digests);
  record.input = Value();
  record.output = Value();
}

}  // namespace clew
