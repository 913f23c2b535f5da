#include "clew/store/detail/reader_pool.hpp"

namespace clew::store::detail {

Result<std::unique_ptr<Session>> ReaderPool::borrow(GoOn& go_on) {
  {
    Lock lock(mutex_);
    while (!is_closed_ && free_.empty() && lent_ >= sessions_max_) {
      CLEW_TRY(wait_a_while(returned_, lock, mutex_, go_on));
    }
    if (is_closed_) return Error(Code::closed, "the database was closed");
    ++lent_;
    if (!free_.empty()) {
      auto session = std::move(free_.back());
      free_.pop_back();
      return session;
    }
  }
  auto session = backend_.connect_reader();
  if (!session) give_back(nullptr);
  return session;
}

void ReaderPool::give_back(std::unique_ptr<Session> session) {
  const Lock lock(mutex_);
  --lent_;
  if (session) free_.push_back(std::move(session));
  returned_.notify_all();
}

void ReaderPool::close() {
  std::vector<std::unique_ptr<Session>> ending;
  Lock lock(mutex_);
  is_closed_ = true;
  returned_.notify_all();
  while (lent_ > 0) returned_.wait(lock);
  ending.swap(free_);
  lock.unlock();
  ending.clear();
  lock.lock();
}

}  // namespace clew::store::detail
