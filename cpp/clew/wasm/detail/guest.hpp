// wasm/detail/guest.hpp: one call of a module: its instance, what it reads and writes, why it ends.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "clew/capability/invocation.hpp"
#include "clew/wasm/detail/engine.hpp"
#include "clew/wasm/limits.hpp"
#include "clew/wasm/wasm.hpp"

namespace clew::wasm {

// What all calls of one host share. Borrowed by each; outlives them.
struct GuestWorld {
  Env& env;
  const Options& options;
  ThreadPool& pool;  // whose slots guests hold
};

// Why the host ended a guest.
enum class Stop : std::uint8_t { none, exited, cancelled, wall, output, failed };

// The state behind one instance. Confined to the thread that runs it.
class Guest {
 public:
  Guest(Engine& engine, GuestWorld& world, Invocation& call, const Limits& limits);
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // Runs `module` from its instantiation to its end. Blocks; at most about Limits::wall, the call's
  // deadline or its cancellation.
  Result<Value> run(const Module& module);

  // --- for host functions ---
  // Its memory now. Valid until the guest goes on.
  std::span<std::uint8_t> memory(wt::Caller* caller);
  Invocation& call() { return call_; }
  Env& env() { return world_.env; }
  const Limits& limits() const { return limits_; }
  Timestamp wall_deadline() const { return wall_deadline_; }
  GuestWorld& world() { return world_; }
  const wt::Api& api() const { return engine_.api(); }
  // The next bytes of standard input, at most `count`.
  std::string_view read(std::size_t count);
  // False when standard output would grow beyond its limit.
  bool write_output(std::string_view bytes);
  void write_stderr(std::string_view bytes);
  // Ends the guest: what to return from the host function.
  wt::Trap* stop(Stop why, std::int32_t exit_code = 0);
  wt::Trap* fail(Error why);
  // Ends the guest when its time is over or it is to stop.
  std::optional<Stop> must_stop();

 private:
  struct Ended;
  static wt::Failure* on_tick(wt::Context* context, void* self, std::uint64_t* ticks,
                              std::uint8_t* kind);
  Ended enter(const Module& module, wt::Context* context);
  Result<Value> outcome(const Ended& ended, wt::Context* context);
  Error ended_error(const Ended& ended, wt::Context* context) const;
  Error exit_error() const;
  Result<Value> parse_output() const;
  Error limit_error(Code code, std::string_view limit, Value value, std::string_view what) const;

  Engine& engine_;
  GuestWorld& world_;
  Invocation& call_;
  const Limits& limits_;
  MemoryBudget budget_;
  std::string input_;
  std::size_t input_at_ = 0;
  std::string output_;
  std::string stderr_;
  Timestamp wall_deadline_;
  std::optional<wt::Memory> memory_;
  Stop stop_ = Stop::none;
  std::int32_t exit_code_ = 0;
  std::optional<Error> failure_;
};

}  // namespace clew::wasm
