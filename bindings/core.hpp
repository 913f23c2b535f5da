// bindings/core.hpp: one runtime as Python holds it: the clew::Runtime, what Python executors and
// handlers it has, and how it comes to an end.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "bindings/gil.hpp"
#include "clew/base/threads.hpp"
#include "clew/runtime/runtime.hpp"

namespace clew::python {

class LoopExecutor;
class PythonHandler;

// Shared by the Runtime object and by every Call, Run, Map and Context of it. The Runtime object
// closes it when it goes; what is left then answers `closed`. Thread-safe unless it says "GIL".
//
// A child made by fork inherits the memory and none of the threads: there every call is refused
// with `closed`, close() does nothing, and the parts are never destroyed.
class Core : public std::enable_shared_from_this<Core> {
 public:
  // GIL. Opens a runtime with the executors for Python and starts it. Throws Raised.
  // `clock` is kept alive; null for real time.
  static std::shared_ptr<Core> open(RuntimeOptions options, std::shared_ptr<ManualClock> clock);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Throws Raised(`closed`) when it is closed or belongs to another process.
  Runtime& runtime() const;
  // Only the second of these checks: for what the runtime refuses by itself.
  Runtime& runtime_unless_forked() const;
  bool closed() const;
  bool has_virtual_time() const { return clock_ != nullptr; }
  const RuntimeOptions& options() const { return options_; }
  // How many threads there are, chosen or not.
  int workers() const { return workers_; }

  // GIL. Stops everything in the runtime's order; see Runtime::close(). Later calls wait for the
  // first. Heeds Ctrl-C: the closing then goes on behind, as it does when user code still runs 5 s
  // after `timeout`. `conflict` from inside a handler or a callback on one of its own threads.
  bool close(bool drain, Duration timeout);
  // The same for destructors and the interpreter's exit: never throws, does not heed Ctrl-C, takes
  // no longer than `timeout`.
  void close_quietly(Duration timeout) noexcept;

  // Whether this thread is the event loop on which the runtime's `async def` handlers run.
  bool is_on_loop() const;
  // Throws Raised(`conflict`) on that loop when waiting for a call (null: for something else, such
  // as a run) would be for ever or keep the loop from what it waits for.
  void require_may_wait(const Invocation* call) const;

  // GIL. What a reference means now, or null when the dispatcher shall say what is wrong with it.
  // `reference` is a str or has `__clew_ref__`; anything else throws Raised(`invalid_input`).
  // `text` is set whenever nothing was found.
  Resolved resolve(py::handle reference, std::string& text);
  // GIL. The text of such a reference.
  static std::string text_of(py::handle reference);

  // GIL. Handlers whose functions the garbage collector has to know.
  void note_handler(const std::shared_ptr<const PythonHandler>& handler);
  int traverse(visitproc visit, void* arg) const;

  // GIL. Native capabilities that lately ended so soon that the main thread may run them itself,
  // although Ctrl-C is not heeded meanwhile.
  bool is_brief(const Capability& capability) const { return brief_.contains(capability.key); }
  void note_duration(const Capability& capability, std::int64_t run_ns);

  // Closes every open runtime; what the interpreter's exit does.
  static void close_all(Duration timeout);
  static std::size_t live_count();

 private:
  Core(RuntimeOptions options, std::shared_ptr<ManualClock> clock);
  void begin_close(bool drain, Duration timeout);
  void end_close();

  const RuntimeOptions options_;
  const std::shared_ptr<ManualClock> clock_;
  const std::uint64_t generation_ = fork_generation();
  std::unique_ptr<Runtime> runtime_;
  int workers_ = 0;
  std::shared_ptr<LoopExecutor> loop_;  // set once

  std::atomic<bool> closing_{false};
  std::atomic<bool> kept_deadline_{true};
  Latch closed_;
  Mutex closer_mutex_;
  std::unique_ptr<Threads> closer_ CLEW_GUARDED_BY(closer_mutex_) = std::make_unique<Threads>();

  // Guarded by the GIL.
  bool ended_ = false;  // closed, and all that Python gave is dropped
  struct Known {
    PyRef reference;
    Resolved resolved;
    std::uint64_t version = 0;
  };
  static constexpr std::size_t known_slots = 64;
  std::array<Known, known_slots> known_;
  std::unordered_set<std::uint64_t> brief_;
  std::vector<std::weak_ptr<const PythonHandler>> handlers_;
};

using CorePtr = std::shared_ptr<Core>;

// Marks that this thread runs Python code on behalf of a runtime, outside every slot: such code
// cannot wait for that runtime's end.
class Serving {
 public:
  explicit Serving(const Core* core);
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  static bool is(const Core* core);

 private:
  const Core* before_;
};

// Calls back into Python from a thread of `core`, with the GIL: what `call` raises goes to
// sys.unraisablehook. Nothing happens once the interpreter's shutdown began.
template <typename Call>
void call_back(const Core* core, const PyRef& function, Call&& call) {
  (void)with_gil([&] {
    const Serving serving(core);
    try {
      call(function.handle());
    } catch (py::error_already_set& raised) {
      raised.restore();
      PyErr_WriteUnraisable(function.get());
    }
  });
}

// Hooks into the interpreter's exit. The module is being imported.
void prepare_exit(py::module_& m);

}  // namespace clew::python
