// bindings/gil.hpp: the only place that touches Python's global lock, and everything about threads
// that follows from it. Read this first.
//
//   no_gil, without_gil   let go of the GIL while C++ waits or works
//   with_gil              take it, from any thread
//   PyRef                 a reference that may be dropped anywhere
//   Latch                 something to wait for; interruptible_wait heeds Ctrl-C meanwhile
//
// Order of locks: the GIL first and alone. Nobody waits for the GIL while holding a C++ mutex;
// taking a C++ mutex that is held for a few instructions while holding the GIL is fine.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "clew/base/mutex.hpp"
#include "clew/base/result.hpp"
#include "clew/base/time.hpp"

namespace clew::python {

namespace py = pybind11;

// Remembers the main thread and hooks into fork. Called once, when the module is imported.
void prepare_threads();

// Whether this thread holds the GIL. False once the interpreter is going away.
bool holds_gil();

// Changes in a child made by fork: what belongs to another generation has lost its threads.
std::uint64_t fork_generation();

// The system's clock, for waits of people: Ctrl-C works in virtual time too.
Clock& wall_clock();

// Never returns.
[[noreturn]] void sleep_for_ever();

// Runs `work`, in which this thread may want the GIL back. An interpreter that has ended ends every
// thread that does so (pthread_exit), and the unwinding would run our destructors without the GIL,
// or meet a noexcept: such a thread sleeps for ever instead.
template <typename F>
decltype(auto) outlive_interpreter(F&& work) {
  try {
    return std::forward<F>(work)();
  } catch (const abi::__forced_unwind&) {
    sleep_for_ever();
  }
}

// Lets go of the GIL for a scope. A thread that comes back after the interpreter has ended sleeps
// for ever instead of touching it.
class GilRelease {
 public:
  GilRelease();
  ~GilRelease();
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

// For `.def(…)`: arguments are converted, the GIL released, the work done, the GIL taken once. The
// function must have no py:: type among its parameters.
inline const py::call_guard<GilRelease> no_gil{};

// Runs `work` without the GIL, which the caller holds.
template <typename F>
decltype(auto) without_gil(F&& work) {
  const GilRelease released;
  return std::forward<F>(work)();
}

// Takes the GIL for a scope; free when the thread holds it already. A thread of ours keeps its
// Python state from then on (ThreadPin), because a fresh one costs a hundred times more.
class GilHold {
 public:
  GilHold();
  ~GilHold();
  GilHold(const GilHold&) = delete;
  GilHold& operator=(const GilHold&) = delete;
  // False once the interpreter's shutdown began: then the GIL is not held and never will be.
  explicit operator bool() const { return held_; }

 private:
  bool held_ = false;
  bool taken_ = false;
};

// Runs `work` with the GIL. Error `closed`, without running it, once shutdown began. `work` must
// not let a Python exception out unless it was called with the GIL held.
template <typename F>
auto with_gil(F&& work) {
  using Returned = std::invoke_result_t<F&>;
  using Wrapped = std::conditional_t<std::is_void_v<Returned>, Result<void>, Result<Returned>>;
  const GilHold hold;
  if (!hold) return Wrapped(error(Code::closed, "the interpreter is shutting down"));
  if constexpr (std::is_void_v<Returned>) {
    outlive_interpreter(work);
    return Wrapped();
  } else {
    return Wrapped(outlive_interpreter(work));
  }
}

// Owns a reference to a Python object. It may be dropped on any thread, under any lock: without the
// GIL the object is handed to whoever holds it next. After the interpreter has ended it is leaked.
// Copying needs the GIL; share it through a shared_ptr elsewhere.
class PyRef {
 public:
  PyRef() = default;
  explicit PyRef(py::object object) : object_(object.release().ptr()) {}
  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef&& other) noexcept {
    if (this != &other) {
      drop();
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  PyRef(const PyRef&) = delete;
  PyRef& operator=(const PyRef&) = delete;
  ~PyRef() { drop(); }

  explicit operator bool() const { return object_ != nullptr; }
  PyObject* get() const { return object_; }
  py::handle handle() const { return object_; }
  // A new reference; needs the GIL.
  py::object object() const { return py::reinterpret_borrow<py::object>(object_); }
  void reset() { drop(); }

 private:
  void drop() noexcept;
  PyObject* object_ = nullptr;
};

// Drops what PyRefs handed over. Needs the GIL. Done by itself soon; call it where somebody may
// look.
void drop_deferred();

// Set once; any number of threads may wait. Thread-safe.
class Latch {
 public:
  void set();
  bool is_set() const;
  // Blocks, without the GIL, until set or until `until` by the wall clock. True when set.
  bool wait(Timestamp until);

 private:
  mutable Mutex mutex_;
  Condition condition_;
  bool set_ CLEW_GUARDED_BY(mutex_) = false;
};

// Calls `wait(until)` without the GIL until it says true (over) or `until` has come by `clock`; on
// the main thread in slices of 50 ms between which Ctrl-C is heeded. True when it is over.
// Throws py::error_already_set (KeyboardInterrupt, or what a signal handler raised).
template <typename Wait>
bool interruptible_wait(Clock& clock, Timestamp until, Wait wait);
// For a Latch, by the wall clock. `timeout` absent: for ever.
bool interruptible_wait(Latch& latch, std::optional<Duration> timeout);

// Whether this is the thread to which signals are delivered.
bool on_main_thread();
// Whether C++ made this thread, so that some runtime waits for it when it closes. Known once the
// thread has held the GIL.
bool on_own_thread();
// The instant at which a slice that begins now is over.
Timestamp end_of_slice(Clock& clock, Timestamp until);
// Throws what a signal handler raised. Needs the GIL.
void check_signals();

// Ctrl-C for work in C++ that asks now and then whether to go on. Confined to the working thread.
class SignalWatch {
 public:
  // Without the GIL, as often as one likes: on the main thread looks every 50 ms whether there is a
  // signal. Error `cancelled`: its handler raised, and rethrow() will give that.
  Result<void> look();
  // With the GIL. Throws py::error_already_set with what the handler raised, if it did.
  void rethrow() const;

 private:
  Timestamp next_ = wall_clock().now();
  std::optional<py::error_already_set> raised_;
};

// Marks the interpreter as going away: from now on with_gil() is refused. Then waits, without the
// GIL, until every thread has left us, at most `patience`.
void begin_interpreter_shutdown(Duration patience);
bool interpreter_is_ending();

// Only definitions follow.

template <typename Wait>
bool interruptible_wait(Clock& clock, Timestamp until, Wait wait) {
  if (!on_main_thread()) return without_gil([&] { return wait(until); });
  for (;;) {
    const auto slice = end_of_slice(clock, until);
    const bool over = without_gil([&] { return wait(slice); });
    if (over) return true;
    check_signals();
    if (slice == until) return false;
  }
}

}  // namespace clew::python
