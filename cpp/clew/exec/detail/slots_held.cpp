#include "clew/exec/detail/slots_held.hpp"

#include <iterator>

#include "clew/base/check.hpp"

namespace clew::detail {
namespace {

// Trivial, so that it costs no guard and lives as long as its thread.
struct AllHeld {
  SlotHeld entries[16];
  int used = 0;  // entries beyond have never been used
};
thread_local constinit AllHeld all;

}  // namespace

SlotHeld* find_held(const void* pool) {
  for (int i = 0; i < all.used; ++i) {
    if (all.entries[i].pool == pool) return &all.entries[i];
  }
  return nullptr;
}

SlotHeld& add_held(const void* pool) {
  auto* unused = find_held(nullptr);
  if (unused == nullptr) {
    CLEW_CHECK(all.used < static_cast<int>(std::size(all.entries)));
    unused = &all.entries[all.used++];
  }
  unused->pool = pool;
  return *unused;
}

}  // namespace clew::detail
