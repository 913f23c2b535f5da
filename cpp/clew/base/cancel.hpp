// base/cancel.hpp: asking work to stop.
#pragma once

#include <memory>
#include <string>

#include "clew/base/function.hpp"
#include "clew/base/time.hpp"

namespace clew {

// Lets many watch for one request to stop. Copies share the request. Thread-safe.
// A default token is never cancelled and costs nothing.
class CancelToken {
 public:
  CancelToken() = default;
  bool cancelled() const;
  // Why, once cancelled; else empty.
  std::string reason() const;
  bool can_be_cancelled() const { return state_ != nullptr; }

 private:
  friend class CancelSource;
  friend class CancelSubscription;
  struct State;  // shared by all copies
  std::shared_ptr<State> state_;
};

// The side that asks. Copies share the request. Thread-safe.
class CancelSource {
 public:
  CancelSource();
  // A source whose token is cancelled too when `parent` is.
  explicit CancelSource(const CancelToken& parent);
  CancelToken token() const;
  // Runs the subscribers on this thread, outside every lock, in the order in which they came. True
  // for the first call only; a later one returns at once and changes nothing.
  bool cancel(std::string reason);

 private:
  std::shared_ptr<CancelToken::State> state_;
};

// Calls `wake` once when the token is cancelled (at once if it already is), on the cancelling
// thread. Destroying it waits for a `wake` that is running on another thread; a `wake` may destroy
// its own subscription. A `wake` that throws does not keep the others from running; the first
// exception then leaves cancel(). A resource; confined.
class CancelSubscription {
 public:
  CancelSubscription() = default;
  CancelSubscription(const CancelToken& token, Function<void()> wake);
  CancelSubscription(CancelSubscription&&) noexcept;
  CancelSubscription& operator=(CancelSubscription&&) noexcept;
  ~CancelSubscription();

 private:
  friend struct CancelToken::State;
  struct Entry;
  void release() noexcept;
  std::shared_ptr<CancelToken::State> state_;
  std::shared_ptr<Entry> entry_;
};

}  // namespace clew
