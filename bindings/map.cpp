#include "bindings/map.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <vector>

#include "bindings/call.hpp"
#include "bindings/convert.hpp"
#include "bindings/handler.hpp"

namespace clew::python {
namespace {

constexpr std::int64_t gil_budget_ns = 500'000;      // then others have a turn
constexpr std::int64_t slot_budget_ns = 10'000'000;  // then what else is queued has a turn
constexpr std::uint64_t nothing = UINT64_MAX;

}  // namespace

// What the consumer shares with those who run the calls. A ring: the consumer writes inputs behind
// `tail_`, runners claim them from `head_` and leave the results in the same places, the consumer
// takes those out and writes there again.
class Map::State : public std::enable_shared_from_this<State> {
 public:
  State(CorePtr core, Resolved resolved, std::size_t window, int runners_max, bool ordered)
      : core_(std::move(core)),
        resolved_(std::move(resolved)),
        parent_(Dispatcher::current()),
        is_python_(dynamic_cast<const PythonHandler*>(resolved_.capability->handler.get()) !=
                   nullptr),
        runners_max_(runners_max),
        ordered_(ordered),
        places_(window),
        queue_(window) {
    for (std::uint64_t slot = window; slot > 0; --slot) free_.push_back(slot - 1);
  }

  // --- the consumer's side ---

  void put(Value input) {
    place(next_place()).input = std::move(input);
    tail_.fetch_add(1, std::memory_order_release);
  }
  // The place of an input that has its outcome already.
  void put_ended(Error error) {
    Place& place = this->place(next_place());
    place.refused = true;
    place.result = std::move(error);
    tail_.fetch_add(1, std::memory_order_release);
  }

  // Sees to it that what was put is run. Without the GIL.
  void go() {
    if (runners_max_ == 0) return submit_all();
    // One for each call that has not ended: those that run one may be busy with it for long.
    const auto unfinished = tail_.load() - completed_.load();
    auto wanted = std::min<std::uint64_t>(unfinished, static_cast<std::uint64_t>(runners_max_));
    while (static_cast<std::uint64_t>(runners_.load()) < wanted && add_runner()) {
    }
  }

  bool has_next() {
    if (ordered_) return place(delivered_).ready.load();
    return finished_.with([](const auto& all) { return !all.empty(); });
  }

  // The next result, which is there.
  Result<Value> take() {
    auto at = delivered_;
    if (!ordered_) {
      at = finished_.with([](auto& all) {
        const auto first = all.front();
        all.pop_front();
        return first;
      });
    }
    ++delivered_;
    Place& from = place(at);
    auto result = std::exchange(from.result, Value());
    from.ready.store(false, std::memory_order_relaxed);
    from.invocation = nullptr;
    if (!ordered_) free_.push_back(at);
    return result;
  }

  // Blocks, without the GIL, until there is a next result or `until` by the wall clock.
  bool wait(Timestamp until) {
    awaited_.store(ordered_ ? delivered_ : 0);
    Lock lock(mutex_);
    bool late = false;
    while (!has_next() && !late) {
      if (until == Timestamp::never()) {
        condition_.wait(lock);
      } else {
        late = wall_clock().wait_until(condition_, lock, until);
      }
    }
    awaited_.store(nothing);
    return has_next();
  }

  void on_ready(Function<void()> callback) {
    {
      const Lock lock(mutex_);
      callback_ = std::move(callback);
    }
    awaited_.store(ordered_ ? delivered_ : 0);
    if (has_next()) tell();
  }

  void close() {
    closed_.store(true);
    for (auto& each : places_) {
      if (each.invocation) each.invocation->cancel("the map was closed");
    }
  }

 private:
  struct Place {
    Value input;
    Result<Value> result = Value();
    InvocationPtr invocation;  // of a call that was submitted
    bool refused = false;
    std::atomic<bool> ready{false};
  };

  Place& place(std::uint64_t at) { return places_[at % places_.size()]; }
  Dispatcher& dispatcher() { return core_->runtime_unless_forked().dispatcher(); }
  ThreadPool& pool() { return core_->runtime_unless_forked().pool(); }

  // The place of the input that is put next. Without order, results leave as they come, so places
  // get free in any order; with order they go round.
  std::uint64_t next_place() {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (ordered_) return tail;
    const auto at = free_.back();
    free_.pop_back();
    queue_[tail % queue_.size()].store(at, std::memory_order_relaxed);
    return at;
  }

  // Takes the next input to run: its place.
  bool claim(std::uint64_t& at) {
    auto head = head_.load(std::memory_order_relaxed);
    do {
      if (closed_.load(std::memory_order_relaxed) ||
          head == tail_.load(std::memory_order_acquire)) {
        return false;
      }
      // Read before the claim: until then nobody may put another one there.
      at = ordered_ ? head : queue_[head % queue_.size()].load(std::memory_order_relaxed);
    } while (!head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel));
    return true;
  }

  void complete(std::uint64_t at, Result<Value> result) {
    place(at).result = std::move(result);
    completed_.fetch_add(1);  // before the consumer can see it, and put the next
    place(at).ready.store(true);
    if (!ordered_) {
      finished_.with([at](auto& all) { all.push_back(at); });
    }
    const auto awaited = awaited_.load();
    if (awaited != nothing && (!ordered_ || awaited == at)) tell();
  }

  void tell() {
    Function<void()> callback;
    {
      const Lock lock(mutex_);
      condition_.notify_one();
      callback = std::move(callback_);
      callback_ = nullptr;
    }
    if (callback) callback();
  }

  // Whether this input has its outcome without a call.
  bool settle_refused(std::uint64_t at) {
    Place& refused = place(at);
    if (!std::exchange(refused.refused, false)) return false;
    complete(at, std::exchange(refused.result, Value()));
    return true;
  }

  Request request_for(std::uint64_t at) {
    Request request;
    request.capability = resolved_.capability;
    request.considered = resolved_.considered;
    request.input = std::exchange(place(at).input, Value());
    request.parent = parent_;
    request.unbounded = true;  // the places are the bound
    return request;
  }

  // --- one by one ---

  void submit_all() {
    for (std::uint64_t at = 0; claim(at);) {
      if (settle_refused(at)) continue;
      auto invocation = dispatcher().admit(request_for(at));
      place(at).invocation = invocation;
      invocation->on_ended([self = shared_from_this(), raw = invocation.get(), at] {
        self->complete(at, raw->outcome().result);
      });
      if (!invocation->ended()) dispatcher().launch(invocation);
    }
  }

  // --- in place, by runners ---

  bool add_runner() {
    runners_.fetch_add(1);
    Task task;
    task.call = [self = shared_from_this()](Turn turn) {
      if (turn == Turn::run) {
        self->run();
      } else {
        self->refuse_all(Error(Code::closed, "the runtime is closed"));
      }
    };
    const auto tenant = resolved_.capability->tenant;
    task.tenant = tenant == 0 && parent_ ? parent_->tenant() : tenant;
    task.unbounded = true;  // there are never more runners than workers
    const auto taken = pool().submit(std::move(task));
    if (!taken) refuse_all(taken.error());
    return taken.has_value();
  }

  void refuse_all(const Error& why) {
    for (std::uint64_t at = 0; claim(at);) complete(at, why);
    runners_.fetch_sub(1);
  }

  void run() {
    Clock& clock = wall_clock();
    const auto began = clock.ticks_ns();
    auto held_since = began;
    std::optional<GilHold> hold;
    do {
      for (std::uint64_t at = 0; claim(at);) {
        if (is_python_ && !hold) {
          hold.emplace();
          held_since = clock.ticks_ns();
        }
        run_one(at, hold);
        const auto now = clock.ticks_ns();
        if (hold && now - held_since > gil_budget_ns) hold.reset();
        if (now - began > slot_budget_ns && pool().queue_depth() > 0) {
          hold.reset();
          add_runner();  // behind the others
          runners_.fetch_sub(1);
          return;
        }
      }
      hold.reset();
      runners_.fetch_sub(1);
      // An input that was put since the last look might have counted on this runner.
    } while (head_.load() != tail_.load() && !closed_.load() && runners_.fetch_add(1) >= 0);
  }

  void run_one(std::uint64_t at, std::optional<GilHold>& hold) {
    if (settle_refused(at)) return;
    const auto invocation = dispatcher().admit(request_for(at));
    if (!invocation->ended() && !dispatcher().run_here(invocation)) {
      hold.reset();  // it has to wait for a place under its limit
      dispatcher().launch(invocation);
      dispatcher().wait(invocation, Timestamp::never());
    }
    complete(at, invocation->outcome().result);
  }

  const CorePtr core_;
  const Resolved resolved_;
  const InvocationPtr parent_;
  const bool is_python_;
  const int runners_max_;  // 0: calls are submitted one by one
  const bool ordered_;
  std::vector<Place> places_;
  std::vector<std::atomic<std::uint64_t>> queue_;  // places in the order of their inputs
  std::vector<std::uint64_t> free_;                // the consumer's, when not ordered
  std::uint64_t delivered_ = 0;                    // the consumer's
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::atomic<std::uint64_t> awaited_{nothing};
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<int> runners_{0};
  std::atomic<bool> closed_{false};
  Guarded<std::deque<std::uint64_t>> finished_;  // when not ordered
  Mutex mutex_;
  Condition condition_;
  Function<void()> callback_ CLEW_GUARDED_BY(mutex_);
};

Map::Map(CorePtr core, Resolved resolved, py::object iterator, const MapOptions& options)
    : core_(std::move(core)),
      iterator_(std::move(iterator)),
      return_exceptions_(options.return_exceptions) {
  const auto* capability = resolved.capability.get();
  const int workers = core_->runtime().pool().stats().capacity;
  const auto* native = dynamic_cast<const NativeHandler*>(capability->handler.get());
  const auto* python = dynamic_cast<const PythonHandler*>(capability->handler.get());
  const bool in_place = !capability->contract.timeout && capability->contract.executor.empty() &&
                        (native != nullptr || (python != nullptr && !python->is_async()));
  const int runners = in_place ? std::min(options.concurrency.value_or(workers), workers) : 0;
  // A deadline counts the time in the queue: then no more are put there than can run soon.
  const auto submitted =
      capability->contract.timeout ? static_cast<std::size_t>(2 * workers) : ahead_max;
  window_ = in_place ? ahead_max : submitted;
  if (options.concurrency) window_ = static_cast<std::size_t>(*options.concurrency);
  state_ = std::make_shared<State>(core_, std::move(resolved), window_, runners, options.ordered);
}

Map::~Map() { close(); }

void Map::refill() {
  // A few at a time, unless every single one counts.
  const std::size_t batch = window_ < 64 ? 1 : window_ / 4;
  if (!iterator_ || outstanding_ + batch > window_) return;
  bool any = false;
  try {
    while (outstanding_ < window_) {
      const auto iterator = iterator_.object();
      const auto input = py::reinterpret_steal<py::object>(PyIter_Next(iterator.ptr()));
      if (!input) {
        if (PyErr_Occurred() != nullptr) throw py::error_already_set();
        iterator_.reset();
        break;
      }
      try {
        state_->put(to_value(input, "input"));
      } catch (const Raised& refused) {
        state_->put_ended(refused.error());
      }
      ++outstanding_;
      any = true;
    }
  } catch (py::error_already_set&) {  // the iterable's own failure ends the map
    close();
    throw;
  }
  if (any) without_gil([&] { state_->go(); });
}

py::object Map::next() {
  refill();
  if (outstanding_ == 0) throw py::stop_iteration();
  if (!state_->has_next()) {
    core_->require_may_wait(nullptr);
    auto& pool = core_->runtime_unless_forked().pool();
    interruptible_wait(wall_clock(), Timestamp::never(), [&](Timestamp until) {
      bool ready = false;
      pool.blocking([&] { ready = state_->wait(until); });
      return ready;
    });
  }
  return deliver();
}

py::object Map::take() {
  refill();
  if (outstanding_ == 0) throw py::stop_iteration();
  return state_->has_next() ? deliver() : py::object();
}

py::object Map::deliver() {
  auto result = state_->take();
  --outstanding_;
  if (result) return to_python(*result);
  if (return_exceptions_) return to_exception(result.error());
  close();
  raise(result.error());
}

void Map::on_ready(py::object callback) {
  auto held = std::make_shared<PyRef>(std::move(callback));
  state_->on_ready([core = core_.get(), held] {
    call_back(core, *held, [](py::handle function) { function(py::none()); });
  });
}

void Map::close() {
  iterator_.reset();
  outstanding_ = 0;
  if (state_) state_->close();
}

}  // namespace clew::python
