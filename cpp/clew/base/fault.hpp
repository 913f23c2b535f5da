// base/fault.hpp: named places at which a test can make the world go wrong.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/function.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/result.hpp"

namespace clew {

// A place in the code that can be told to fail or to kill the process. Define one as a static
// object at namespace scope and call `hit()` where it stands. Costs one relaxed load when off.
// Thread-safe.
//
// In a child process the environment variable CLEW_FAULT arms points from outside:
//   CLEW_FAULT="store.commit.before=kill@3"     SIGKILL to itself at the third hit
//   CLEW_FAULT="store.commit.after=error@1"     Code::unavailable (retryable) at the first hit
// several separated by commas; "@1" may be left out. The other hits of that point pass.
class FaultPoint {
 public:
  // Registers the point. CLEW_CHECK: the name is dotted words of a-z, 0-9, '_', '-', used once.
  explicit FaultPoint(const char* name);
  ~FaultPoint();
  FaultPoint(const FaultPoint&) = delete;
  FaultPoint& operator=(const FaultPoint&) = delete;

  // Ok when off. Otherwise does what was armed.
  Result<void> hit() {
    if (!armed_.load(std::memory_order_relaxed)) [[likely]]
      return {};
    return hit_armed();
  }
  std::string_view name() const { return name_; }

  // Runs `action` at each later hit, until disarmed; its error becomes that of hit(). Threads that
  // hit at the same time run it at the same time, outside every lock.
  void arm(Function<Result<void>()> action);
  // A hit that has begun may still run the action.
  void disarm();

 private:
  Result<void> hit_armed();
  const char* name_;
  std::atomic<bool> armed_{false};
  Mutex mutex_;
  std::shared_ptr<Function<Result<void>()>> action_ CLEW_GUARDED_BY(mutex_);
};

// All points linked into this program, by name, sorted.
std::vector<std::string> fault_points();
// The point of that name, or nullptr.
FaultPoint* find_fault_point(std::string_view name);
// Arms what `spec` says, in the form of CLEW_FAULT; empty arms nothing. Error `invalid_input`
// naming what is wrong in it; then nothing was armed.
Result<void> arm_faults(std::string_view spec);
// Arms what CLEW_FAULT says; called once by the composition root, which ends on an error.
Result<void> arm_faults_from_environment();

}  // namespace clew
