#include "clew/exec/detail/slots_held.hpp"

#include "clew/base/check.hpp"

namespace clew::detail {
namespace {

constexpr int pools_max = 16;
// Trivial, so that it costs no guard and lives as long as its thread.
thread_local constinit SlotHeld entries[pools_max];

}  // namespace

SlotHeld* find_held(const void* pool) {
  for (auto& entry : entries) {
    if (entry.pool == pool) return &entry;
  }
  return nullptr;
}

SlotHeld& add_held(const void* pool) {
  auto* unused = find_held(nullptr);
  CLEW_CHECK(unused != nullptr);
  *unused = {pool, 1, 0};
  return *unused;
}

}  // namespace clew::detail
