// exec/detail/slots_held.hpp: in which pools' slots the calling thread is.
#pragma once

#include "clew/exec/detail/shares.hpp"

namespace clew::detail {

// What the calling thread has of one pool. Confined to its thread.
struct SlotHeld {
  const void* pool = nullptr;  // nullptr: this entry is unused
  int depth = 0;               // pieces of work that share the slot; 0: it has none now
  int lent = 0;                // calls of blocking() that have lent it out
  SlotUse use{};               // of the slot, while it has it
};

// The entry of `pool`, or nullptr. Stays where it is until it is dropped.
SlotHeld* find_held(const void* pool);
// Adds an entry. CLEW_CHECK: a thread is in the slots of at most 16 pools.
SlotHeld& add_held(const void* pool);
inline void drop_held(SlotHeld& held) { held = {}; }

}  // namespace clew::detail
