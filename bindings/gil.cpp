#include "bindings/gil.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <vector>

namespace clew::python {
namespace {

constexpr Duration slice_length = std::chrono::milliseconds(50);

std::atomic<bool> ending{false};
std::atomic<std::uint64_t> generation{1};
// Threads that let go of the GIL in here, or that we lent it to, and that will want it again.
std::atomic<int> inside{0};
unsigned long main_thread = 0;

// References dropped without the GIL. Lives for ever: threads may come late.
struct Deferred {
  Mutex mutex;
  std::vector<PyObject*> objects;
  std::atomic<bool> any{false};
};
Deferred& deferred() {
  static auto* const instance = new Deferred;
  return *instance;
}

void after_fork_in_child() {
  generation.fetch_add(1);
  inside.store(0);
  // Another thread may have held the lock; its objects are the parent's as well, and leaked here.
  new (&deferred()) Deferred;
}

void take_gil(PyThreadState* state) {
  outlive_interpreter([state] { PyEval_RestoreThread(state); });
}

// A thread state that stays with a thread of ours until the thread ends.
class ThreadPin {
 public:
  ~ThreadPin() {
    if (state_ == nullptr || ending.load() || born_ != generation.load()) return;
    take_gil(state_);
    PyGILState_Release(PyGILState_UNLOCKED);
  }
  // Takes the GIL. The thread may have a state already: then it is Python's own thread, or pinned.
  void acquire() {
    if (auto* state = PyGILState_GetThisThreadState()) {
      take_gil(state);
      return;
    }
    outlive_interpreter(
        PyGILState_Ensure);  // never released until the thread ends: that keeps the state
    state_ = PyGILState_GetThisThreadState();
    born_ = generation.load();
  }
  bool is_pinned() const { return state_ != nullptr; }

 private:
  PyThreadState* state_ = nullptr;
  std::uint64_t born_ = 0;
};
thread_local ThreadPin this_thread;

}  // namespace

void sleep_for_ever() {
  for (;;) pause();
}

void prepare_threads() {
  const auto threading = py::module_::import("threading");
  main_thread = threading.attr("main_thread")().attr("ident").cast<unsigned long>();
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  deferred();
}

bool holds_gil() { return !ending.load(std::memory_order_relaxed) && PyGILState_Check() == 1; }

std::uint64_t fork_generation() { return generation.load(std::memory_order_relaxed); }

Clock& wall_clock() {
  static Clock* const clock = make_real_clock().release();
  return *clock;
}

GilRelease::GilRelease() {
  inside.fetch_add(1);
  state_ = PyEval_SaveThread();
}

GilRelease::~GilRelease() {
  // Only the thread that ends the interpreter may go on now: Python would end any other half-way.
  if (Py_IsInitialized() == 0 && PyThread_get_thread_ident() != main_thread) sleep_for_ever();
  take_gil(state_);
  inside.fetch_sub(1);
  if (deferred().any.load(std::memory_order_relaxed)) drop_deferred();
}

GilHold::GilHold() {
  // Without the check of `ending`, PyGILState_Check answers 1 once the interpreter is gone.
  if (holds_gil()) {
    held_ = true;
    return;
  }
  inside.fetch_add(1);
  if (ending.load()) {
    inside.fetch_sub(1);
    return;
  }
  this_thread.acquire();
  held_ = taken_ = true;
  if (deferred().any.load(std::memory_order_relaxed)) drop_deferred();
}

GilHold::~GilHold() {
  if (!taken_) return;
  PyEval_SaveThread();
  inside.fetch_sub(1);
}

void PyRef::drop() noexcept {
  auto* const object = std::exchange(object_, nullptr);
  if (object == nullptr || ending.load(std::memory_order_relaxed)) return;
  if (holds_gil()) {
    Py_DECREF(object);
    return;
  }
  auto& late = deferred();
  {
    const Lock lock(late.mutex);
    late.objects.push_back(object);
  }
  // One pending call is enough for all that are handed over until it runs.
  if (!late.any.exchange(true)) {
    Py_AddPendingCall(
        [](void*) {
          drop_deferred();
          return 0;
        },
        nullptr);
  }
}

void drop_deferred() {
  auto& late = deferred();
  if (!late.any.exchange(false)) return;
  std::vector<PyObject*> objects;
  {
    const Lock lock(late.mutex);
    objects.swap(late.objects);
  }
  const py::error_scope keep_error;  // destructors of objects run code of their own
  for (auto* object : objects) Py_DECREF(object);
}

void Latch::set() {
  const Lock lock(mutex_);
  set_ = true;
  condition_.notify_all();
}

bool Latch::is_set() const {
  const Lock lock(mutex_);
  return set_;
}

bool Latch::wait(Timestamp until) {
  Lock lock(mutex_);
  while (!set_) {
    if (until == Timestamp::never()) {
      condition_.wait(lock);
    } else if (wall_clock().wait_until(condition_, lock, until)) {
      break;
    }
  }
  return set_;
}

bool interruptible_wait(Latch& latch, std::optional<Duration> timeout) {
  const auto until = timeout ? wall_clock().now() + *timeout : Timestamp::never();
  return interruptible_wait(wall_clock(), until,
                            [&](Timestamp slice) { return latch.wait(slice); });
}

bool on_main_thread() { return PyThread_get_thread_ident() == main_thread; }

bool on_own_thread() { return this_thread.is_pinned(); }

Timestamp end_of_slice(Clock& clock, Timestamp until) {
  return std::min(until, clock.now() + slice_length);
}

void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

Result<void> SignalWatch::look() {
  const auto now = wall_clock().now();
  if (!on_main_thread() || now < next_) return {};
  next_ = now + slice_length;
  CLEW_TRY(with_gil([this] {
    try {
      check_signals();
    } catch (const py::error_already_set& raised) {
      raised_.emplace(raised);
    }
  }));
  if (raised_) return Error(Code::cancelled, "interrupted by a signal");
  return {};
}

void SignalWatch::rethrow() const {
  if (raised_) throw py::error_already_set(*raised_);
}

void begin_interpreter_shutdown(Duration patience) {
  drop_deferred();
  ending.store(true);
  without_gil([&] {
    Mutex mutex;
    Condition nobody;
    Lock lock(mutex);
    const auto deadline = wall_clock().now() + patience;
    // Ourselves excepted. Polled, because whoever leaves must not pay for being watched.
    while (inside.load() > 1 && wall_clock().now() < deadline) {
      wall_clock().wait_until(nobody, lock, wall_clock().now() + std::chrono::milliseconds(1));
    }
  });
}

bool interpreter_is_ending() { return ending.load(std::memory_order_relaxed); }

}  // namespace clew::python
