// store/detail/commit_watch.hpp: telling whoever waits that somebody may have committed.
#pragma once

#include <list>
#include <memory>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/store/detail/wait_handle.hpp"
#include "clew/store/session.hpp"

namespace clew::store::detail {

// One thread with a session of its own, which waits for commits only while somebody listens.
// Thread-safe.
class CommitWatch {
 public:
  explicit CommitWatch(Backend& backend) : backend_(backend) {}
  ~CommitWatch() { close(); }

  // As Database::watch_commits.
  std::shared_ptr<void> add(Function<void()> changed);
  // Nobody is told any more; joins the thread. Idempotent. Handles may outlive it.
  void close();

 private:
  struct Listener {
    Function<void()> changed;
    bool is_over = false;
  };
  using Listeners = std::list<std::shared_ptr<Listener>>;
  // What handles share with the watch, which may be gone before them.
  struct Shared {
    Mutex mutex;
    Condition news;  // for the thread: a listener, or the end
    Condition told;  // for handles that end: their listener is not being called
    Listeners all CLEW_GUARDED_BY(mutex);
    Listener* being_told CLEW_GUARDED_BY(mutex) = nullptr;
    bool is_over CLEW_GUARDED_BY(mutex) = false;
  };

  void run();
  static bool await_listener(Shared& shared);
  static void tell_all(Shared& shared);
  static bool has_listener(Shared& shared);
  Session* session();

  Backend& backend_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  WaitHandle ended_;
  Mutex thread_mutex_;
  bool runs_ CLEW_GUARDED_BY(thread_mutex_) = false;
  std::unique_ptr<Session> session_ CLEW_GUARDED_BY(thread_mutex_);  // used by the thread
  Threads threads_;
};

}  // namespace clew::store::detail
