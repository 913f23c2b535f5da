#include "clew/wasm/detail/memories.hpp"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "clew/wasm/limits.hpp"

namespace clew::wasm {
namespace {

constexpr std::size_t reserved_bytes = Limits::memory_bytes_max;
// Up to here zeros are written, beyond it pages are given back: what costs less.
constexpr std::size_t zeroed_max = 128U << 10U;

thread_local MemoryBudget* current_budget = nullptr;

}  // namespace

// Address space of the largest memory there may be, of which the first `open` bytes can be used.
struct Memories::Region {
  Region(Memories* owner_, std::uint8_t* base_) : owner(owner_), base(base_) {}
  ~Region() { ::munmap(base, reserved_bytes); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // False when the system has no memory to give.
  bool resize(std::size_t wanted) {
    if (wanted > open) {
      if (::mprotect(base, wanted, PROT_READ | PROT_WRITE) != 0) return false;
      open = wanted;
    }
    size = wanted;
    return true;
  }
  // All zeros again.
  void wipe() {
    if (size <= zeroed_max) {
      std::memset(base, 0, size);
    } else {
      ::madvise(base, size, MADV_DONTNEED);
    }
    size = 0;
  }

  Memories* owner;
  std::uint8_t* base;
  std::size_t size = 0;
  std::size_t open = 0;
  MemoryBudget* budget = nullptr;
};

Memories::Memories(const wt::Api& api) : api_(api) {}
Memories::~Memories() = default;

Memories::Scope::Scope(MemoryBudget& budget) : before_(std::exchange(current_budget, &budget)) {}
Memories::Scope::~Scope() { current_budget = before_; }

wt::MemoryCreator Memories::creator() {
  return {this,
          [](void* env, const wt::MemoryType*, std::size_t minimum, std::size_t, std::size_t,
             std::size_t,
             wt::LinearMemory* made) { return static_cast<Memories*>(env)->make(minimum, made); },
          nullptr};
}

wt::Failure* Memories::make(std::size_t minimum, wt::LinearMemory* made) {
  auto region = take();
  if (!region) return api_.wasmtime_error_new("no address space for a memory");
  region->budget = current_budget;
  if (auto* failure = grow(*region, minimum); failure != nullptr) {
    give_back(std::move(region));
    return failure;
  }
  made->env = region.release();
  made->get = [](void* env, std::size_t* size, std::size_t* capacity) {
    const auto& self = *static_cast<const Region*>(env);
    *size = self.size;
    *capacity = reserved_bytes;
    return self.base;
  };
  made->grow = [](void* env, std::size_t size) {
    auto& self = *static_cast<Region*>(env);
    return self.owner->grow(self, size);
  };
  made->finalizer = [](void* env) {
    std::unique_ptr<Region> self(static_cast<Region*>(env));
    auto* const owner = self->owner;
    owner->give_back(std::move(self));
  };
  return nullptr;
}

wt::Failure* Memories::grow(Region& region, std::size_t size) const {
  MemoryBudget* const budget = region.budget;
  if (budget == nullptr || size > budget->bytes_max || size > reserved_bytes ||
      !region.resize(size)) {
    if (budget != nullptr) budget->refused = true;
    return api_.wasmtime_error_new("the memory may not grow that far");
  }
  return nullptr;
}

std::unique_ptr<Memories::Region> Memories::take() {
  {
    const Lock lock(mutex_);
    if (!kept_.empty()) {
      auto region = std::move(kept_.back());
      kept_.pop_back();
      return region;
    }
  }
  void* const base = ::mmap(nullptr, reserved_bytes, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  return std::make_unique<Region>(this, static_cast<std::uint8_t*>(base));
}

void Memories::give_back(std::unique_ptr<Region> region) {
  region->budget = nullptr;
  region->wipe();
  const Lock lock(mutex_);
  if (kept_.size() < kept_max) kept_.push_back(std::move(region));
}

}  // namespace clew::wasm
