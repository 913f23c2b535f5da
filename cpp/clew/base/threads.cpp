#include "clew/base/threads.hpp"

#include <pthread.h>

#include <cstdio>
#include <exception>
#include <utility>

#include "clew/base/check.hpp"

namespace clew {
namespace {

constexpr std::size_t name_max = 15;  // the kernel's limit

// Whoever owns the thread has no way to hear of the exception, and going on without the thread
// would look like a hang.
[[noreturn]] void die(const std::string& thread, const char* what) {
  std::fprintf(stderr, "clew: thread %s ended by an exception: %s\n", thread.c_str(), what);
  std::terminate();
}

void thread_main(const std::string& name, Function<void()>& body) {
  pthread_setname_np(pthread_self(), name.c_str());
  try {
    body();
  } catch (const std::exception& error) {
    die(name, error.what());
  } catch (...) {
    die(name, "not a std::exception");
  }
}

}  // namespace

void Threads::start(std::string name, Function<void()> body) {
  CLEW_CHECK(static_cast<bool>(body));
  if (name.size() > name_max) name.resize(name_max);
  threads_.emplace_back(
      [name = std::move(name), body = std::move(body)]() mutable { thread_main(name, body); });
}

void Threads::join() {
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace clew
