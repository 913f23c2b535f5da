// capability/detail/rare.hpp: what only few calls need.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clew/capability/invocation.hpp"

namespace clew {

// Guarded by the call's mutex.
struct Invocation::Rare {
  std::vector<Function<void()>> callbacks;
  std::optional<CancelSource> cancel;
  CancelSubscription follows;  // the caller's token
  CancelSubscription obeys;    // the parent's token
  TimerId timer = 0;
  std::string reason;
  std::vector<std::shared_ptr<Event>> emitted;
};

}  // namespace clew
