// exec/service.hpp: starting and stopping what owns threads (base/threads.hpp).
#pragma once

#include <cstdint>
#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/time.hpp"

namespace clew {

// How a service ends: `drain` finishes what was accepted, `cancel` drops what has not begun.
enum class StopMode : std::uint8_t { drain, cancel };

// Something that runs between start() and stop(). Thread-safe. Stopping is idempotent, and a
// service never starts twice. Threads belong to a service: it names and joins them; none is
// detached. The order in which services stop is decided in one place, the composition root.
class Service {
 public:
  virtual ~Service() = default;
  virtual std::string_view service_name() const = 0;
  // Error `closed` after stop().
  virtual Result<void> start() = 0;
  // Refuses new work at once, ends the old as `mode` says, joins the threads. Blocks, at most until
  // `deadline` by the service's clock; after that what is still queued is dropped and what is still
  // running is waited for (a thread cannot be killed). True when the deadline was kept.
  virtual bool stop(StopMode mode, Timestamp deadline) = 0;
};

}  // namespace clew
