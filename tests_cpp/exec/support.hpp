// What the tests of executors share: signals, and pools that are easy to make.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/exec/thread_pool.hpp"

namespace clew::testing {

// Opened once, for all who wait. May die as soon as one of them has seen it open; opens when it
// dies, so that a failed test ends.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { open(); }
  void open() {
    const auto state = state_;
    const Lock lock(state->mutex);
    state->is_open = true;
    state->opened.notify_all();
  }
  // wait(), for who comes to it after this object may have died.
  auto waiter() const {
    return [state = state_] {
      Lock lock(state->mutex);
      while (!state->is_open) state->opened.wait(lock);
    };
  }
  void wait() const { waiter()(); }
  bool is_open() const {
    const Lock lock(state_->mutex);
    return state_->is_open;
  }

 private:
  struct State {
    Mutex mutex;
    Condition opened;
    bool is_open CLEW_GUARDED_BY(mutex) = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Waits for a state that has no signal of its own. False after a minute.
template <typename Predicate>
bool await(Predicate&& is_true) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!is_true()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

// What happened, in order, from many threads.
template <typename T>
class Log {
 public:
  void add(T item) {
    items_.with([&](auto& items) { items.push_back(std::move(item)); });
  }
  std::vector<T> items() const {
    return items_.with([](const auto& items) { return items; });
  }

 private:
  Guarded<std::vector<T>> items_;
};

// How many are inside at once, and how many ever were.
class Crowd {
 public:
  void come() {
    const int now = inside_.fetch_add(1) + 1;
    int most = most_.load();
    while (most < now && !most_.compare_exchange_weak(most, now)) {
    }
  }
  void go() { inside_.fetch_sub(1); }
  int most() const { return most_.load(); }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

inline unsigned test_seed() {
  const char* given = std::getenv("CLEW_SEED");
  return given == nullptr ? 1U : static_cast<unsigned>(std::stoul(given));
}

inline std::unique_ptr<ThreadPool> make_pool(PoolOptions options, Clock& clock) {
  auto pool = make_thread_pool(std::move(options), clock);
  EXPECT_TRUE(pool.has_value());
  return std::move(pool).value();
}

inline std::unique_ptr<ThreadPool> start_pool(PoolOptions options, Clock& clock) {
  auto pool = make_pool(std::move(options), clock);
  EXPECT_TRUE(pool->start().has_value());
  return pool;
}

inline bool stop_drained(ThreadPool& pool) {
  return pool.stop(StopMode::drain, Timestamp::never());
}

// Occupies one slot until `gate` opens; returns once it does so.
inline void occupy(ThreadPool& pool, const Gate& gate, KeyLimit limit = {}) {
  Gate entered;
  const auto accepted = pool.submit({.call =
                                         [&entered, wait = gate.waiter()](Turn) {
                                           entered.open();
                                           wait();
                                         },
                                     .limit = limit});
  ASSERT_TRUE(accepted.has_value());
  entered.wait();
}

template <typename T>
Code code_of_result(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? Code::internal : result.error().code();
}

}  // namespace clew::testing
