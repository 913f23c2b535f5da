// base/threads.hpp: threads with a name and an owner.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "clew/base/function.hpp"

namespace clew {

// Owns named threads and joins them on destruction. External: its owner locks.
class Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { join(); }
  // Starts `body` on a thread of that name (cut to 15 characters). Exceptions that leave `body` end
  // the process with their text, for nobody could hear them. Throws std::system_error when the
  // system has no thread to give; `body` is then destroyed uncalled.
  void start(std::string name, Function<void()> body);
  // Waits for all threads started so far. Must not be called on one of them.
  void join();
  std::size_t size() const { return threads_.size(); }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace clew
