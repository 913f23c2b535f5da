// capability/connectors.hpp: resources that the host owns, such as a database, and the one way to
// them.
//
// A capability names the connectors that it needs in its contract, and reaches no other. A request
// to one is a call within the call: it has its deadline, is cancelled with it, and leaves a trace
// of its own ("connector.db", version, outcome, duration), whose parent is the call's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/contract.hpp"
#include "clew/capability/invocation.hpp"

namespace clew {

class Dispatcher;

// Refuses what must not cross between a capability and a connector: members whose name says that
// they are secret or tell of the host's places, private keys, URLs with a password, absolute paths.
// `invalid_input` with the path of what was found and the reason "forbidden"; never its value.
Result<void> check_crossing(const Value& value, std::string_view path);

// The connectors of one runtime. Thread-safe.
class Connectors {
 public:
  explicit Connectors(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  // `handler` is called with {"request": …}; its output is the response. `conflict` when that
  // version is bound already, `invalid_input` for a name that could be no id.
  Result<void> add(const std::string& name, Version version, std::shared_ptr<const Handler> handler,
                   std::optional<Duration> timeout = std::nullopt);

  // Whether all that a contract needs is bound. `not_found` (reason "unbound"), or `conflict`
  // (reason "incompatible") when no bound version is in the range.
  Result<void> check(const Contract& contract) const;

  // Sends a request on behalf of `call`, at most until `deadline` and the call's own. Blocks.
  // `invalid_input` with the reason "undeclared" for what its contract does not name, or
  // "forbidden", also for the response (check_crossing); those of check(); what the connector
  // failed with.
  Result<Value> invoke(Invocation& call, const std::string& name, Value request,
                       Timestamp deadline = Timestamp::never());

  void clear();

 private:
  Result<CapabilityPtr> find(const Requirement& needed) const;

  Dispatcher& dispatcher_;
  mutable Mutex mutex_;
  // By name; the highest version first.
  std::map<std::string, std::vector<CapabilityPtr>, std::less<>> bound_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace clew
