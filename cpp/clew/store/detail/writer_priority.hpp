// store/detail/writer_priority.hpp: letting a thread that commits run as soon as its sync is over.
//
// A commit mostly sleeps in the disk. On a busy machine the kernel lets a thread that wakes wait
// for the end of somebody's time slice, which is many syncs long, unless it asks for short turns.
#pragma once

#include <cstdint>

namespace clew::store::detail {

// The kernel's struct sched_attr, first version.
struct SchedulerAttributes {
  std::uint32_t size = 0;
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // for the normal policy: the slice, on kernels from 6.12
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

// Short turns for the calling thread and, where permitted, a better nice value: for a thread of our
// own. Ignores refusal.
void favour_this_thread();

// Short turns for the calling thread within a scope: for a caller's thread. Confined. Ignores
// refusal; leaves threads alone that have another policy than the normal one.
class ShortTurns {
 public:
  ShortTurns();
  ~ShortTurns();
  ShortTurns(const ShortTurns&) = delete;
  ShortTurns& operator=(const ShortTurns&) = delete;

 private:
  SchedulerAttributes before_;
  bool is_changed_ = false;
};

}  // namespace clew::store::detail
