// store/detail/reader_pool.hpp: connections for readers.
#pragma once

#include <memory>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/time.hpp"
#include "clew/store/detail/patience.hpp"
#include "clew/store/session.hpp"

namespace clew::store::detail {

// Lends sessions, at most `sessions_max` at once, made when first needed. Thread-safe.
class ReaderPool {
 public:
  ReaderPool(Backend& backend, int sessions_max) : backend_(backend), sessions_max_(sessions_max) {}

  // Waits for one to come back when all are lent, as long as `go_on` lets it. Errors: `closed`;
  // those of `go_on` and of connecting.
  Result<std::unique_ptr<Session>> borrow(GoOn& go_on);
  void give_back(std::unique_ptr<Session> session);

  // Refuses further lending, waits until all are back, closes them. Idempotent.
  void close();

 private:
  Backend& backend_;
  const int sessions_max_;
  Mutex mutex_;
  Condition returned_;
  std::vector<std::unique_ptr<Session>> free_ CLEW_GUARDED_BY(mutex_);
  int lent_ CLEW_GUARDED_BY(mutex_) = 0;
  bool is_closed_ CLEW_GUARDED_BY(mutex_) = false;
};

}  // namespace clew::store::detail
