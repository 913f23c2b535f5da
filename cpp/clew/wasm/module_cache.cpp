#include "clew/wasm/detail/module_cache.hpp"

#include <vector>

namespace clew::wasm {

ModulePtr ModuleCache::find(const Digest& digest) {
  const Lock lock(mutex_);
  const auto found = modules_.find(digest);
  if (found == modules_.end()) {
    ++stats_.misses;
    return nullptr;
  }
  ++stats_.hits;
  return found->second;
}

void ModuleCache::put(const Digest& digest, ModulePtr module) {
  std::vector<ModulePtr> gone;  // released outside the lock
  const Lock lock(mutex_);
  const auto [place, added] = modules_.try_emplace(digest, module);
  if (!added) {
    gone.push_back(std::exchange(place->second, std::move(module)));
    return;
  }
  order_.push_back(digest);
  while (order_.size() > max_) {
    const auto oldest = modules_.find(order_.front());
    gone.push_back(std::move(oldest->second));
    modules_.erase(oldest);
    order_.pop_front();
    ++stats_.evictions;
  }
}

CacheStats ModuleCache::stats() const {
  const Lock lock(mutex_);
  auto stats = stats_;
  stats.kept = static_cast<std::int64_t>(modules_.size());
  return stats;
}

}  // namespace clew::wasm
