// capability/detail/event_ids.hpp: which cursor an id has, for a log in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "clew/capability/event.hpp"

namespace clew::detail {

// Hashes of ids and the cursors of their events; whoever looks compares the ids themselves. One
// touch of memory for each operation, where a table of nodes has three. External: the caller locks.
class EventIds {
 public:
  // The cursor under that hash of which `is_it` says so; 0: none.
  template <typename IsIt>
  Cursor find(std::uint64_t hash, IsIt is_it) const {
    for (auto at = place(hash); slots_[at].cursor != 0; at = next(at)) {
      if (slots_[at].hash == hash && is_it(slots_[at].cursor)) return slots_[at].cursor;
    }
    return 0;
  }

  void insert(std::uint64_t hash, Cursor cursor) {
    if (2 * ++count_ > slots_.size()) grow();
    put({hash, cursor});
  }

  // It is there.
  void erase(std::uint64_t hash, Cursor cursor) {
    auto gap = place(hash);
    while (slots_[gap].cursor != cursor) gap = next(gap);
    --count_;
    // What lies behind the gap and would not be found across it moves into it.
    for (auto at = next(gap); slots_[at].cursor != 0; at = next(at)) {
      const auto home = place(slots_[at].hash);
      if (distance(home, at) < distance(gap, at)) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = {};
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    Cursor cursor = 0;  // 0: free
  };

  std::size_t place(std::uint64_t hash) const { return hash & (slots_.size() - 1); }
  std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }
  std::size_t distance(std::size_t from, std::size_t to) const {
    return (to - from) & (slots_.size() - 1);
  }
  void put(Slot slot) {
    auto at = place(slot.hash);
    while (slots_[at].cursor != 0) at = next(at);
    slots_[at] = slot;
  }
  void grow() {
    const auto before = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    for (const auto& slot : before) {
      if (slot.cursor != 0) put(slot);
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(64);  // always a power of two, half empty
  std::size_t count_ = 0;
};

}  // namespace clew::detail
