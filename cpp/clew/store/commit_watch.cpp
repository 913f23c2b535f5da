#include "clew/store/detail/commit_watch.hpp"

#include "clew/store/detail/unlocked.hpp"

namespace clew::store::detail {
namespace {

// What the system's notices may miss is seen by looking now and then.
constexpr Duration look_every = std::chrono::seconds(1);
// The most often that listeners are told.
constexpr Duration pause = std::chrono::milliseconds(1);
// How long a session outlives its last listener: who waits once mostly waits again soon, and making
// one takes longer than what he waits for.
constexpr Duration linger = std::chrono::seconds(5);

}  // namespace

std::shared_ptr<void> CommitWatch::add(Function<void()> changed) {
  auto listener = std::make_shared<Listener>();
  listener->changed = std::move(changed);
  {
    const Lock lock(shared_->mutex);
    if (shared_->is_over) return nullptr;
    shared_->all.push_back(listener);
  }
  {
    const Lock lock(thread_mutex_);
    if (!std::exchange(runs_, true)) threads_.start("clew-watch", [this] { run(); });
  }
  shared_->news.notify_all();
  const auto end = [shared = shared_, listener](void*) {
    Lock lock(shared->mutex);
    listener->is_over = true;
    shared->all.remove(listener);
    while (shared->being_told == listener.get()) shared->told.wait(lock);
  };
  return {listener.get(), end};
}

void CommitWatch::close() {
  {
    const Lock lock(shared_->mutex);
    shared_->is_over = true;
    shared_->all.clear();
  }
  shared_->news.notify_all();
  ended_.raise();
  {
    const Lock lock(thread_mutex_);
    if (session_) session_->abandon_waits();
    runs_ = true;  // and never starts again
  }
  threads_.join();
  const Lock lock(thread_mutex_);
  session_.reset();
}

bool CommitWatch::has_listener(Shared& shared) {
  const Lock lock(shared.mutex);
  return !shared.all.empty();
}

bool CommitWatch::await_listener(Shared& shared) {
  Lock lock(shared.mutex);
  while (!shared.is_over && shared.all.empty()) shared.news.wait(lock);
  return !shared.is_over;
}

// One after another, each outside the lock.
void CommitWatch::tell_all(Shared& shared) {
  Lock lock(shared.mutex);
  const auto all = shared.all;
  for (const auto& listener : all) {
    if (listener->is_over || shared.is_over) continue;
    shared.being_told = listener.get();
    {
      const Unlocked meanwhile(shared.mutex);
      listener->changed();
    }
    shared.being_told = nullptr;
    shared.told.notify_all();
  }
}

// Null when there is no connection to be had.
Session* CommitWatch::session() {
  {
    const Lock lock(thread_mutex_);
    if (session_) return session_.get();
  }
  auto made = backend_.connect_reader();
  const Lock lock(thread_mutex_);
  if (made) session_ = *std::move(made);
  return session_.get();
}

// When nobody has listened for a while there is no session: what it is told would pile up.
void CommitWatch::run() {
  const auto clock = make_real_clock();
  auto wanted_at = clock->now();
  for (;;) {
    if (has_listener(*shared_)) {
      wanted_at = clock->now();
    } else if (clock->now() - wanted_at >= linger) {
      {
        const Lock lock(thread_mutex_);
        session_.reset();
      }
      if (!await_listener(*shared_)) return;
      wanted_at = clock->now();
    }
    auto* const watching = session();
    if (watching == nullptr || watching->await_change(look_every)) tell_all(*shared_);
    (void)ended_.wait(-1, false, watching == nullptr ? look_every : pause);
    if (ended_.is_raised()) return;
  }
}

}  // namespace clew::store::detail
