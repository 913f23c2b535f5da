// wasm/detail/module_cache.hpp: compiled modules in memory.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "clew/base/json.hpp"
#include "clew/base/mutex.hpp"
#include "clew/wasm/detail/engine.hpp"

namespace clew::wasm {

struct CacheStats {
  std::int64_t hits = 0;
  std::int64_t misses = 0;
  std::int64_t evictions = 0;
  std::int64_t kept = 0;
};

// Keeps at most `max` modules by the digest of their binary; the one that came first goes first.
// Belongs to one engine and one ABI, so that neither is part of the key. Thread-safe. A module that
// was evicted lives on in the calls that use it.
class ModuleCache {
 public:
  explicit ModuleCache(std::size_t max) : max_(max) {}

  // Null when it is not there.
  ModulePtr find(const Digest& digest);
  void put(const Digest& digest, ModulePtr module);
  CacheStats stats() const;

 private:
  const std::size_t max_;
  mutable Mutex mutex_;
  std::map<Digest, ModulePtr> modules_ CLEW_GUARDED_BY(mutex_);
  std::deque<Digest> order_ CLEW_GUARDED_BY(mutex_);
  CacheStats stats_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace clew::wasm
