// exec/detail/shares.hpp: whose turn it is among tenants.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "clew/base/time.hpp"
#include "clew/exec/detail/indexed_heap.hpp"

namespace clew::detail {

// What one tenant has had. Virtual time is slot time over the number of slots: a tenant with the
// whole pool for a second has had a second of it.
struct Share {
  std::uint32_t tenant = 0;
  std::int64_t served_ns = 0;   // virtual time; what it did not ask for when it could counts as had
  std::int64_t typical_ns = 0;  // slot time of a task of late; charged in advance
  std::int64_t alone_ns = 0;    // Shares' own when it was last here
  std::size_t members = 0;      // its tasks, queued and in slots; 0: it is idle
  std::uint32_t heap_index = UINT32_MAX;
};

// One task's stay in a slot.
struct SlotUse {
  Share* share = nullptr;
  std::int64_t since_ns = 0;
  std::int64_t had_ns = 0;      // before `since_ns`
  std::int64_t charged_ns = 0;  // of its slot time
};

// Start-time fair queueing: of the tenants that have a task that may run, the one that was served
// least is next. A task is charged what such tasks took of late when it begins, so that tenants
// share the slots meanwhile, and what it really took when it ends. Who was idle starts from where
// the others are, so it saves nothing up; what it had too much is forgiven as time goes by.
//
// Slot time is measured only while there are several tenants: one alone never looks at the clock.
// Nothing here depends on how many tenants there are but the order of those that stand in it: its
// changes cost the logarithm of their number. External: its owner locks, and keeps each Share
// where it is while it has members.
class Shares {
 public:
  Shares(Clock& clock, int slots);

  // A task of the tenant has come; the task is over, also one that was never in a slot.
  void join(Share& share) {
    if (share.members++ > 0) return;
    if (++active_ == 1 && share.served_ns <= least_ns_) {
      share.served_ns = least_ns_;
    } else {
      arrive(share);
    }
  }
  void leave(Share& share) {
    if (--share.members > 0) return;
    share.alone_ns = alone_ns_;
    if (--active_ == 1) measured_until_ns_ = clock_.ticks_ns();
  }

  // The tenant has, or has no longer, a queued task that may run.
  void stand(Share& share) {
    share.served_ns = std::max(share.served_ns, least_ns_);
    standing_.push({share.served_ns, &share});
  }
  void step_aside(Share& share) { standing_.erase(share.heap_index); }
  bool is_empty() const { return standing_.empty(); }
  Share& next() const { return *standing_.top().share; }
  // Tenants that have members.
  std::size_t active() const { return active_; }
  // Whether another tenant stands before this one.
  bool is_behind(const Share& share) const;

  // A task that has joined takes a slot; lends it; has it again; gives it up, and leaves.
  SlotUse begin(Share& share) {
    least_ns_ = std::max(least_ns_, share.served_ns);
    SlotUse use{&share, now()};
    if (measures()) charge_in_advance(use);
    return use;
  }
  void pause(SlotUse& use) {
    if (!was_alone(use)) count(use);
  }
  void resume(SlotUse& use) { use.since_ns = now(); }
  void end(SlotUse& use) {
    if (!was_alone(use)) settle(use);
    leave(*use.share);
  }

 private:
  struct Stand {
    std::int64_t served_ns = 0;
    Share* share = nullptr;
  };
  struct StandsBefore {
    bool operator()(const Stand& a, const Stand& b) const {
      return a.served_ns != b.served_ns ? a.served_ns < b.served_ns
                                        : a.share->tenant < b.share->tenant;
    }
  };
  struct NoteIndex {
    void operator()(const Stand& stand, std::uint32_t index) const {
      stand.share->heap_index = index;
    }
  };
  using Standing = IndexedHeap<Stand, StandsBefore, NoteIndex>;

  bool measures() const { return active_ > 1; }
  std::int64_t now() const { return measures() ? clock_.ticks_ns() : measured_until_ns_; }
  // Whether its tenant has been the only one since it began.
  bool was_alone(const SlotUse& use) const {
    return !measures() && use.since_ns == measured_until_ns_ && use.charged_ns == 0;
  }
  void arrive(Share& share);
  void note_alone();
  void charge_in_advance(SlotUse& use);
  void count(SlotUse& use);
  void settle(const SlotUse& use);
  std::int64_t measured(const SlotUse& use) const;
  void charge(Share& share, std::int64_t slot_time_ns);

  Clock& clock_;
  const int slots_;
  Standing standing_;
  std::int64_t least_ns_ = 0;  // what who begins now has been served at least
  std::size_t active_ = 0;
  // The last time in which there were several; it has no end yet while there are.
  std::int64_t measured_since_ns_;
  std::int64_t measured_until_ns_;
  std::int64_t alone_ns_ = 0;  // all time without several
};

}  // namespace clew::detail
