// exec/detail/indexed_heap.hpp: a priority queue from whose middle entries can be taken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace clew::detail {

// A min-heap of small items. `Order` (stateless) says which of two comes first; `Place` is told
// each time an item moves, with its new index, so that its owner can find it again. Four children
// per node: half the levels of a binary heap, and siblings share cache lines. External.
template <typename Item, typename Order, typename Place>
class IndexedHeap {
 public:
  using Index = std::uint32_t;
  static constexpr Index nowhere = UINT32_MAX;

  explicit IndexedHeap(Place place = {}) : place_(std::move(place)) {}

  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  const Item& top() const { return items_.front(); }
  const Item& at(Index index) const { return items_[index]; }

  void push(Item item) {
    items_.push_back(item);
    rise(static_cast<Index>(items_.size() - 1), item);
  }

  // Takes the item at `index` out; its place becomes `nowhere`.
  void erase(Index index) {
    place_(items_[index], nowhere);
    const Item last = items_.back();
    items_.pop_back();
    if (index == items_.size()) return;
    if (index > 0 && Order{}(last, items_[parent(index)])) {
      rise(index, last);
    } else {
      sink(index, last);
    }
  }

  void clear() { items_.clear(); }

 private:
  static constexpr Index arity = 4;
  static Index parent(Index index) { return (index - 1) / arity; }

  void put(Index index, const Item& item) {
    items_[index] = item;
    place_(item, index);
  }

  void rise(Index index, Item item) {
    while (index > 0 && Order{}(item, items_[parent(index)])) {
      put(index, items_[parent(index)]);
      index = parent(index);
    }
    put(index, item);
  }

  void sink(Index index, Item item) {
    const auto size = static_cast<Index>(items_.size());
    for (;;) {
      const Index first = index * arity + 1;
      if (first >= size) break;
      Index best = first;
      const Index end = std::min<Index>(first + arity, size);
      for (Index child = first + 1; child < end; ++child) {
        if (Order{}(items_[child], items_[best])) best = child;
      }
      if (!Order{}(items_[best], item)) break;
      put(index, items_[best]);
      index = best;
    }
    put(index, item);
  }

  std::vector<Item> items_;
  Place place_;
};

}  // namespace clew::detail
