// Being told of other processes' commits to a file: the system watches the log for us.
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "clew/store/detail/sqlite_session.hpp"

namespace clew::store::detail {
namespace {

// The log's own changes only: who makes or takes away the log also writes to it.
int watch_log(const char* file) {
  if (file == nullptr || *file == '\0') return -1;
  const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return -1;
  if (::inotify_add_watch(fd, (std::string(file) + "-wal").c_str(), IN_MODIFY) >= 0) return fd;
  ::close(fd);
  return -1;
}

void forget_what_happened(int fd) {
  std::array<char, 4096> events{};
  while (::read(fd, events.data(), events.size()) > 0) {
  }
}

}  // namespace

void SqliteSession::abandon_waits() {
  abandoned_.store(true, std::memory_order_relaxed);
  waits_.raise();
}

// The log changes before its transaction is committed, which nothing tells: its sync lies between.
// So the version of the data judges, and is looked at closely for a while after each change. Where
// nothing tells us of changes, this looks by itself.
bool SqliteSession::await_change(Duration at_most) {
  constexpr Duration blind = std::chrono::milliseconds(20);
  constexpr Duration close_look = std::chrono::microseconds(300);
  constexpr int close_looks_max = 300;  // about as long as a slow sync
  if (!watch_) {
    watch_ = watch_log(sqlite3_db_filename(db_.get(), "main"));
    return true;
  }
  do {
    const bool looks_closely = close_looks_ > 0;
    const auto patience = looks_closely ? close_look
                          : *watch_ < 0 ? std::min(at_most, blind)
                                        : at_most;
    const auto ready = waits_.wait(*watch_, false, patience);
    if (ready == WaitHandle::Ready::raised) return false;
    if (ready == WaitHandle::Ready::input) {
      forget_what_happened(*watch_);
      close_looks_ = close_looks_max;
    } else if (looks_closely) {
      --close_looks_;
    }
    const auto version = data_version();
    if (!version || std::exchange(version_watched_, *version) != *version) return true;
  } while (close_looks_ > 0);
  return false;
}

void SqliteSession::end_watch() {
  if (watch_ && *watch_ >= 0) ::close(*watch_);
}

}  // namespace clew::store::detail
