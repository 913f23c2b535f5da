#include "clew/capability/trace.hpp"

#include <utility>

namespace clew {

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
