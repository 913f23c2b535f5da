// wasm/detail/memories.hpp: the linear memories of guests: reserved once, used again and again.
#pragma once

#include <memory>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/wasm/detail/wasmtime_api.hpp"

namespace clew::wasm {

// What one call may have of memory, and what came of it. Confined to the call's thread.
struct MemoryBudget {
  std::size_t bytes_max = 0;
  bool refused = false;  // the guest asked for more
};

// Gives wasmtime the memories of new instances. Its own allocator would do too, but it answers a
// refused growth with -1 to the guest and tells nobody else; here the call learns of it.
// Thread-safe; outlives every memory.
class Memories {
 public:
  static constexpr std::size_t kept_max = 32;  // reservations kept for later calls

  explicit Memories(const wt::Api& api);
  ~Memories();
  Memories(const Memories&) = delete;
  Memories& operator=(const Memories&) = delete;

  wt::MemoryCreator creator();

  // The budget of the instance that this thread makes in the scope.
  class Scope {
   public:
    explicit Scope(MemoryBudget& budget);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    MemoryBudget* before_;
  };

 private:
  struct Region;
  wt::Failure* make(std::size_t minimum, wt::LinearMemory* made);
  wt::Failure* grow(Region& region, std::size_t size) const;
  void give_back(std::unique_ptr<Region> region);
  std::unique_ptr<Region> take();

  const wt::Api& api_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Region>> kept_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace clew::wasm
