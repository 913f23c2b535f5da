#include "clew/exec/detail/shares.hpp"

#include <algorithm>

namespace clew::detail {
namespace {

// What the hand-over of a slot costs is never less, and turns are taken where time stands still.
constexpr std::int64_t task_min_ns = 1000;
constexpr std::int64_t memory = 8;  // tasks that make out what is typical

}  // namespace

Shares::Shares(Clock& clock, int slots)
    : clock_(clock),
      slots_(slots),
      measured_since_ns_(clock.ticks_ns()),
      measured_until_ns_(measured_since_ns_) {}

void Shares::arrive(Share& share) {
  if (active_ <= 2) note_alone();
  const auto forgiven = alone_ns_ - share.alone_ns;
  share.served_ns = std::max(share.served_ns - forgiven, least_ns_);
}

// Until this instant there were not several.
void Shares::note_alone() {
  measured_since_ns_ = clock_.ticks_ns();
  alone_ns_ += measured_since_ns_ - measured_until_ns_;
  measured_until_ns_ = measured_since_ns_;
}

bool Shares::is_behind(const Share& share) const {
  return !is_empty() && &next() != &share && next().served_ns <= share.served_ns;
}

void Shares::charge_in_advance(SlotUse& use) {
  use.charged_ns = use.share->typical_ns;
  charge(*use.share, use.charged_ns);
}

// What it has had so far.
void Shares::count(SlotUse& use) {
  use.had_ns += measured(use);
  if (use.had_ns <= use.charged_ns) return;
  charge(*use.share, use.had_ns - use.charged_ns);
  use.charged_ns = use.had_ns;
}

void Shares::settle(const SlotUse& use) {
  auto& share = *use.share;
  const auto cost_ns = std::max(use.had_ns + measured(use), task_min_ns);
  share.typical_ns =
      share.typical_ns == 0 ? cost_ns : share.typical_ns + (cost_ns - share.typical_ns) / memory;
  charge(share, cost_ns - use.charged_ns);
}

// A use may have begun before there were several tenants, or end after.
std::int64_t Shares::measured(const SlotUse& use) const {
  return std::max<std::int64_t>(now() - std::max(use.since_ns, measured_since_ns_), 0);
}

void Shares::charge(Share& share, std::int64_t slot_time_ns) {
  share.served_ns += slot_time_ns / slots_;
  if (share.heap_index == Standing::nowhere) return;
  standing_.erase(share.heap_index);
  standing_.push({share.served_ns, &share});
}

}  // namespace clew::detail
