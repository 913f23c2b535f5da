// wasm/detail/engine.hpp: wasmtime, configured once, and the ticks that interrupt guests.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "clew/base/json.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/base/time.hpp"
#include "clew/wasm/detail/memories.hpp"
#include "clew/wasm/detail/wasmtime_api.hpp"

namespace clew::wasm {

class Engine;

// A compiled module whose imports are those of the ABI. Immutable, shared; keeps its engine.
class Module {
 public:
  Module(std::shared_ptr<Engine> engine, wt::Module* raw) : engine_(std::move(engine)), raw_(raw) {}
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // Checks imports and exports (abi.cpp) and prepares instances. `name` is for errors, which are
  // those of Host::admit().
  Result<void> link(const std::string& name);
  const wt::InstancePre* instances() const { return instances_; }
  const wt::Module* raw() const { return raw_; }

 private:
  std::shared_ptr<Engine> engine_;
  wt::Module* raw_;
  wt::InstancePre* instances_ = nullptr;
};
using ModulePtr = std::shared_ptr<const Module>;

// Wakes every few milliseconds of real time while guests run, and at no other time: a guest that
// spins does so in real time, whatever the runtime's clock says. Thread-safe.
class Ticker {
 public:
  static constexpr Duration period = std::chrono::milliseconds(4);

  explicit Ticker(Function<void()> tick);
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  void stop();

  // While one lives, there are ticks.
  class Scope {
   public:
    explicit Scope(Ticker& ticker) : ticker_(ticker) { ticker.enter(); }
    ~Scope() { ticker_.left_.fetch_add(1, std::memory_order_relaxed); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Ticker& ticker_;
  };
  // Guests that run now.
  std::int64_t running() const;

 private:
  static constexpr int quiet_ticks_max = 16;  // before it goes to sleep
  void enter();
  void run();

  Function<void()> tick_;
  std::unique_ptr<Clock> clock_;
  alignas(64) std::atomic<std::int64_t> entered_{0};
  std::atomic<std::int64_t> left_{0};
  std::atomic<bool> asleep_{true};
  Mutex mutex_;
  Condition changed_;
  bool stopping_ CLEW_GUARDED_BY(mutex_) = false;
  Threads threads_;
};

// One engine for one runtime. Thread-safe.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  static Result<std::shared_ptr<Engine>> open(const std::string& library);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const wt::Api& api() const { return *api_; }
  wt::Engine* raw() const { return raw_; }
  const wt::Linker* linker() const { return linker_; }
  Ticker& ticker() { return ticker_; }

  // WAT to binary; `invalid_input` with the translator's message.
  Result<std::string> from_text(const std::string& text, const std::string& name) const;
  // Compiles a binary; `invalid_input` for what is no module.
  Result<std::shared_ptr<Module>> compile(const std::string& binary, const std::string& name);
  // A compiled module as bytes, and back. load() answers `corrupt` for what this very engine did
  // not make; whoever calls it vouches that the bytes come from save().
  Result<std::string> save(const Module& module) const;
  Result<std::shared_ptr<Module>> load(const std::string& bytes);
  // Names library version, settings and processor: another one cannot load what this one saved.
  Result<std::string> fingerprint();

 private:
  explicit Engine(std::shared_ptr<const wt::Api> api);

  std::shared_ptr<const wt::Api> api_;
  Memories memories_;
  wt::Engine* raw_ = nullptr;
  wt::Linker* linker_ = nullptr;
  Ticker ticker_;
};

}  // namespace clew::wasm
