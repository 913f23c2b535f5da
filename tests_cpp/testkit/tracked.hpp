// A database that keeps account of the state that each write would leave, and of what became of it.
#pragma once

#include <string>
#include <vector>

#include "clew/testkit/conformance/check.hpp"
#include "clew/testkit/wrappers.hpp"

namespace clew::testkit {

// Thread-safe. Shared by all handles on one storage.
class Ledger {
 public:
  enum class Fate : std::uint8_t { open, durable, written, refused, in_doubt };

  // `state` is what stands at first.
  explicit Ledger(std::string state);
  // The number of a new write; its state is put in by each of its runs.
  std::size_t add();
  void note_state(std::size_t number, std::string state);
  void end(std::size_t number, Fate fate, const Error* why);
  void note_error(const Error& why);

  // The states that may stand on the disk now. After a power cut what was only written may be lost.
  std::vector<std::string> allowed(bool after_cut) const;
  // The last state that was acknowledged.
  std::string acknowledged() const;
  std::vector<Error> errors() const;

 private:
  struct Entry {
    std::string state;
    std::uint64_t order = 0;  // of the states
    Fate fate = Fate::open;
  };
  mutable Mutex mutex_;
  std::vector<Entry> entries_ CLEW_GUARDED_BY(mutex_);
  std::uint64_t states_ CLEW_GUARDED_BY(mutex_) = 0;
  std::vector<Error> errors_ CLEW_GUARDED_BY(mutex_);
};

std::unique_ptr<store::Database> tracked(std::unique_ptr<store::Database> inner,
                                         std::shared_ptr<Ledger> ledger);

// The state after each call of one handle.
struct Observed {
  struct Call {
    bool is_done = false;
    std::string state;
  };
  std::vector<Call> calls;
  bool is_complete = true;  // false when calls ended on other threads
};
std::unique_ptr<store::Database> observed(std::unique_ptr<store::Database> inner,
                                          std::shared_ptr<Observed> calls);

// The first line in which two dumps differ, as both have it.
std::string first_difference(const std::string& found, const std::string& wanted);

}  // namespace clew::testkit
