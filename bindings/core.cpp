#include "bindings/core.hpp"

#include <algorithm>

#include "bindings/async_executor.hpp"
#include "bindings/convert.hpp"
#include "bindings/handler.hpp"
#include "bindings/python_executor.hpp"

namespace clew::python {
namespace {

constexpr std::int64_t brief_ns = 5'000'000;
constexpr Duration exit_patience = std::chrono::seconds(5);
constexpr Duration least_patience = std::chrono::seconds(1);
// How long the end of a closing may take once its timeout has come and everybody was told to stop.
// User code that goes on regardless is left to itself.
constexpr Duration grace = std::chrono::seconds(5);

// Every open runtime, and those that closed behind their owner's back and still have a thread.
struct Live {
  std::vector<std::weak_ptr<Core>> open;
  std::vector<CorePtr> orphans;
};
Guarded<Live>& live() {
  static auto* const instance = new Guarded<Live>;
  return *instance;
}

thread_local const Core* served = nullptr;

Error foreign_process() {
  return Error(Code::closed,
               "this runtime belongs to the process from which this one was forked: open another");
}

}  // namespace

Core::Core(RuntimeOptions options, std::shared_ptr<ManualClock> clock)
    : options_(std::move(options)), clock_(std::move(clock)) {}

CorePtr Core::open(RuntimeOptions options, std::shared_ptr<ManualClock> clock) {
  if (interpreter_is_ending()) raise(Error(Code::closed, "the interpreter is shutting down"));
  options.clock = clock.get();
  const auto core = CorePtr(new Core(std::move(options), std::move(clock)));
  without_gil([&] {
    core->runtime_ = unwrap(Runtime::open(core->options_));
    auto& runtime = *core->runtime_;
    core->workers_ = runtime.pool().stats().capacity;
    unwrap(runtime.add_executor(make_python_executor(runtime.pool(), core)));
    core->loop_ = make_async_executor(runtime.pool(), core);
    unwrap(runtime.add_executor(core->loop_));
  });
  live().with([&](Live& all) {
    std::erase_if(all.open, [](const auto& other) { return other.expired(); });
    all.open.push_back(core);
  });
  return core;
}

Core::~Core() {
  if (generation_ == fork_generation()) return;
  // The threads that these parts wait for live in the parent alone.
  (void)runtime_.release();
  const Lock lock(closer_mutex_);
  (void)closer_.release();
}

Runtime& Core::runtime_unless_forked() const {
  if (generation_ != fork_generation()) raise(foreign_process());
  return *runtime_;
}

Runtime& Core::runtime() const {
  if (closed()) {
    (void)runtime_unless_forked();
    raise(Error(Code::closed, "the runtime is closed"));
  }
  return *runtime_;
}

bool Core::closed() const {
  return closing_.load(std::memory_order_acquire) || generation_ != fork_generation();
}

// ---- the end

void Core::begin_close(bool drain, Duration timeout) {
  if (closing_.exchange(true)) {
    if (!drain) runtime_->stop_draining();
    return;
  }
  // A thread of its own, so that the one that asks can be interrupted.
  const Lock lock(closer_mutex_);
  closer_->start("clew-close", [this, drain, timeout] {
    kept_deadline_.store(runtime_->close(drain, timeout));
    runtime_->registry().clear();  // handlers hold Python's functions, which may refer to us
    closed_.set();
  });
}

void Core::end_close() {
  without_gil([&] {
    const Lock lock(closer_mutex_);
    closer_->join();
  });
  if (std::exchange(ended_, true)) return;
  known_ = {};
  brief_.clear();
  for (const auto& weak : handlers_) {
    if (const auto handler = weak.lock()) handler->release();
  }
  live().with([this](Live& all) {
    std::erase_if(all.open, [this](const auto& other) { return other.lock().get() == this; });
  });
  drop_deferred();
}

bool Core::close(bool drain, Duration timeout) {
  if (generation_ != fork_generation()) return true;
  const bool inside = runtime_->pool().in_slot() || (on_own_thread() && Serving::is(this));
  if (inside && !closed_.is_set()) {
    raise(Error(Code::conflict, "a handler cannot close the runtime that runs it"));
  }
  begin_close(drain, timeout);
  if (!interruptible_wait(closed_, timeout + grace)) return false;
  end_close();
  return kept_deadline_.load();
}

void Core::close_quietly(Duration timeout) noexcept {
  if (generation_ != fork_generation() || runtime_ == nullptr || ended_) return;
  begin_close(false, timeout);
  // A handler or callback that dropped the last reference cannot wait for itself; and whoever does
  // not heed that it shall stop is not waited for.
  const bool waits = !runtime_->pool().in_slot() && !on_own_thread();
  if (waits && without_gil([&] { return closed_.wait(wall_clock().now() + timeout); })) {
    end_close();
  } else {
    live().with([self = shared_from_this()](Live& all) { all.orphans.push_back(self); });
  }
}

void Core::close_all(Duration timeout) {
  const auto all = live().with([](Live& now) {
    auto cores = std::move(now.orphans);
    now.orphans.clear();
    for (const auto& weak : now.open) {
      if (auto core = weak.lock()) cores.push_back(std::move(core));
    }
    return cores;
  });
  // All at once: they have the same time.
  const auto until = wall_clock().now() + timeout;
  for (const auto& core : all) {
    if (core->generation_ == fork_generation()) core->begin_close(false, timeout);
  }
  for (const auto& core : all) {
    core->close_quietly(std::max(until - wall_clock().now(), Duration{0}));
  }
}

std::size_t Core::live_count() {
  return live().with([](Live& all) {
    return static_cast<std::size_t>(std::ranges::count_if(all.open, [](const auto& weak) {
      const auto core = weak.lock();
      return core && !core->closed();
    }));
  });
}

void prepare_exit(py::module_& m) {
  m.def("_at_exit", [] {
    const auto until = wall_clock().now() + exit_patience;
    Core::close_all(exit_patience);
    begin_interpreter_shutdown(std::max(until - wall_clock().now(), least_patience));
  });
  const auto hook = m.attr("_at_exit");
  // Plain atexit runs after threads were joined: those that wait in here would never come out.
  const auto threading = py::module_::import("threading");
  if (py::hasattr(threading, "_register_atexit")) {
    try {
      threading.attr("_register_atexit")(hook);
      return;
      // NOLINTNEXTLINE(bugprone-empty-catch): the interpreter ends already; plain atexit will do
    } catch (py::error_already_set&) {
    }
  }
  py::module_::import("atexit").attr("register")(hook);
}

Serving::Serving(const Core* core) : before_(std::exchange(served, core)) {}
Serving::~Serving() { served = before_; }
bool Serving::is(const Core* core) { return served == core; }

bool Core::is_on_loop() const { return Serving::is(this) && loop_->is_this_thread(); }

void Core::require_may_wait(const Invocation* call) const {
  if (!is_on_loop()) return;
  if (!loop_->is_open()) raise(Error(Code::closed, "the runtime is closing"));
  const bool needs_loop =
      call == nullptr || call->executor() == loop_.get() || loop_->has_waiting_under(*call);
  if (!needs_loop) return;
  auto why =
      Error(Code::conflict,
            "an `async def` handler cannot block the event loop that it runs on: await it instead");
  if (call != nullptr && call->capability()) {
    why = why.with("capability", call->capability()->contract.id);
  }
  raise(why);
}

// ---- references

Resolved Core::resolve(py::handle reference, std::string& text) {
  auto& known = known_[(reinterpret_cast<std::uintptr_t>(reference.ptr()) >> 4U) % known_slots];
  auto& registry = runtime_->registry();
  const auto version = registry.version();
  if (known.reference.get() == reference.ptr() && known.version == version) return known.resolved;

  text = text_of(reference);
  auto found = registry.snapshot()->lookup(text);
  if (!found) return {};
  known = Known{PyRef(py::reinterpret_borrow<py::object>(reference)), *found, version};
  return *found;
}

std::string Core::text_of(py::handle reference) {
  if (PyUnicode_Check(reference.ptr()) != 0) return std::string(text_view(reference, "ref"));
  const auto named = py::getattr(reference, "__clew_ref__", py::none());
  if (named.is_none()) {
    raise(invalid_input("ref", Value(py::repr(reference).cast<std::string>()),
                        "a reference such as \"text.words@^1\", or a decorated function"));
  }
  return std::string(text_view(named, "ref"));
}

void Core::note_duration(const Capability& capability, std::int64_t run_ns) {
  constexpr std::size_t brief_max = 10'000;
  if (run_ns > brief_ns) {
    brief_.erase(capability.key);
  } else if (brief_.size() < brief_max) {
    brief_.insert(capability.key);
  }
}

void Core::note_handler(const std::shared_ptr<const PythonHandler>& handler) {
  std::erase_if(handlers_, [](const auto& other) { return other.expired(); });
  handlers_.push_back(handler);
}

int Core::traverse(visitproc visit, void* arg) const {
  for (const auto& known : known_) {
    if (known.reference) Py_VISIT(known.reference.get());
  }
  for (const auto& weak : handlers_) {
    if (const auto handler = weak.lock()) {
      if (const int stop = handler->traverse(visit, arg); stop != 0) return stop;
    }
  }
  return 0;
}

}  // namespace clew::python
