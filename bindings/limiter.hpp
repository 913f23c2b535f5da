// bindings/limiter.hpp: limits per capability for executors that do not run on the pool.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/capability/invocation.hpp"

namespace clew::python {

// Holds calls back while as many of their capability run as its contract allows. Thread-safe.
class Limiter {
 public:
  // Takes a place for the call: true. Without a free one it keeps the call: false.
  bool enter(const InvocationPtr& invocation) {
    const auto limit = invocation->limit();
    if (limit.key == 0) return true;
    return keys_.with([&](auto& keys) {
      auto& key = keys[limit.key];
      if (key.running < limit.max) return ++key.running, true;
      key.waiting.push_back(invocation);
      return false;
    });
  }

  // Gives a call's place back. The call that has it now and is to be started, or null.
  InvocationPtr leave(const Invocation& invocation) {
    const auto limit = invocation.limit();
    if (limit.key == 0) return nullptr;
    return keys_.with([&](auto& keys) -> InvocationPtr {
      auto& key = keys[limit.key];
      if (!key.waiting.empty()) {
        auto next = std::move(key.waiting.front());
        key.waiting.pop_front();
        return next;
      }
      if (--key.running == 0) keys.erase(limit.key);
      return nullptr;
    });
  }

  // Whether any call that waits is like that.
  template <typename Like>
  bool any_waiting(Like like) const {
    return keys_.with([&](const auto& keys) {
      return std::ranges::any_of(
          keys, [&](const auto& key) { return std::ranges::any_of(key.second.waiting, like); });
    });
  }

  // Takes out every call that waits.
  std::vector<InvocationPtr> take_waiting() {
    return keys_.with([](auto& keys) {
      std::vector<InvocationPtr> all;
      for (auto& [id, key] : keys) {
        all.insert(all.end(), key.waiting.begin(), key.waiting.end());
        key.waiting.clear();
      }
      return all;
    });
  }

 private:
  struct Key {
    int running = 0;
    std::deque<InvocationPtr> waiting;
  };
  Guarded<std::unordered_map<std::uint64_t, Key>> keys_;
};

}  // namespace clew::python
