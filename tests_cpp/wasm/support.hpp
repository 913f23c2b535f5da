// A dispatcher with a WebAssembly host, and guests written as text.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "clew/base/json.hpp"
#include "clew/base/threads.hpp"
#include "clew/capability/dispatch.hpp"
#include "clew/store/migrate.hpp"
#include "clew/wasm/wasm.hpp"

namespace clew::wasm {

std::string library_path();

inline AddOptions replacing(Replace replace) {
  AddOptions options;
  options.replace = replace;
  return options;
}

// A module of one memory page (or `pages`) that imports the streams and `imports`, and has `body`
// as
// `_start`. $read fills 16.. (at most 60000 bytes) and gives the length; $write writes (at,
// length).
inline std::string guest(const std::string& body, const std::string& imports = "",
                         const std::string& functions = "", int pages = 2) {
  return fmt::format(R"((module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  {1}
  (memory (export "memory") {3})
  (func $read (result i32)
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 8)))
  (func $write_to (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $write (param $at i32) (param $length i32)
    (call $write_to (i32.const 1) (local.get $at) (local.get $length)))
  ;; Writes a number from -9 to 99999999 as JSON.
  (func $write_number (param $n i32)
    (local $at i32)
    (local.set $at (i32.const 70000))
    (if (i32.lt_s (local.get $n) (i32.const 0)) (then
      (call $write (i32.const 69990) (i32.const 1))
      (local.set $n (i32.sub (i32.const 0) (local.get $n)))))
    (loop $digits
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $digits (local.get $n)))
    (call $write (local.get $at) (i32.sub (i32.const 70000) (local.get $at))))
  (data (i32.const 69990) "-")
  {2}
  (func (export "_start") {0})))",
                     body, imports, functions, pages);
}

inline std::string echo() { return guest("(call $write (i32.const 16) (call $read))"); }

inline const std::string spin = "(loop $again (br $again))";

class HostTest : public testing::Test {
 protected:
  void SetUp() override { start({}); }
  void TearDown() override { end(); }

  // `store`: a path, or memory.
  void start(Options options, const std::string& store = ":memory:", Clock* clock = nullptr) {
    env_ = clock != nullptr ? make_seeded_env(*clock, 7) : make_real_env();
    auto migrations = store::core_migrations();
    migrations.push_back(trace_migration(static_cast<int>(migrations.size()) + 1));
    migrations.push_back(module_migration(static_cast<int>(migrations.size()) + 1));
    store::DatabaseOptions database;
    database.url = store;
    auto opened = store::Database::open(std::move(database), migrations, *env_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    database_ = std::move(opened).value();
    timers_ = make_timers(env_->clock());
    ASSERT_TRUE(timers_->start());
    pool_ = std::move(make_thread_pool({.threads = 2}, env_->clock()).value());
    ASSERT_TRUE(pool_->start());
    traces_ = make_trace_store(*database_, *env_, {});
    registry_ = std::make_unique<Registry>();
    options.library = options.library.empty() ? library_path() : options.library;
    options.on_stderr = [this](const Invocation&, std::string_view text) {
      said_.with([&](std::string& said) { said += text; });
    };
    auto host = Host::open({*env_, *database_}, std::move(options));
    ASSERT_TRUE(host) << host.error().to_string();
    host_ = std::move(host).value();
    dispatcher_ = make_dispatcher({*env_, *registry_, *pool_, *timers_, *traces_});
    ASSERT_TRUE(dispatcher_->add_executor(make_native_executor(*pool_)));
    ASSERT_TRUE(dispatcher_->add_executor(host_->executor()));
  }
  void end() {
    if (dispatcher_) dispatcher_->stop(false, Timestamp::never());
    if (pool_) pool_->stop(StopMode::cancel, Timestamp::never());
    if (timers_) timers_->stop(StopMode::cancel, Timestamp::never());
    dispatcher_.reset();
    host_.reset();
    if (traces_) traces_->close();
    traces_.reset();
    if (database_) database_->close(Timestamp::never());
    database_.reset();
    pool_.reset();
    timers_.reset();
  }

  Result<Admitted> admit(const std::string& id, ModuleSource source, Value limits = Value(),
                         std::vector<std::string> emits = {}, Duration timeout = Duration{0}) {
    Contract contract;
    contract.id = id;
    contract.version = Version::parse("1.2.3").value();
    if (!limits.is_null()) contract.constraints = Value::object({{"wasm", std::move(limits)}});
    contract.emits = std::move(emits);
    if (timeout > Duration{0}) contract.timeout = timeout;
    CLEW_TRY(auto admitted, host_->admit(contract, source));
    CLEW_TRY(registry_->add(std::move(contract), admitted.handler, replacing(Replace::everything)));
    return admitted;
  }
  void add(const std::string& id, const std::string& wat, Value limits = Value()) {
    const auto admitted = admit(id, {.bytes = wat}, std::move(limits));
    ASSERT_TRUE(admitted) << admitted.error().to_string();
  }
  Outcome call(const std::string& id, Value input = Value::object({}),
               std::optional<Duration> timeout = std::nullopt) {
    Request request;
    request.reference = id;
    request.input = std::move(input);
    request.timeout = timeout;
    return dispatcher_->execute(std::move(request));
  }
  Result<Value> result(const std::string& id, Value input = Value::object({})) {
    return call(id, std::move(input)).result;
  }
  // Whatever went wrong before, the next call is fine.
  void expect_next_call_is_fine() {
    if (!registry_->snapshot()->resolve("t.fine")) add("t.fine", echo());
    const auto input = Value::object({{"n", 1}});
    const auto output = result("t.fine", input);
    ASSERT_TRUE(output) << output.error().to_string();
    EXPECT_EQ(*output, input);
  }
  std::int64_t stat(std::string_view name) { return host_->stats().find(name)->as_int(); }
  std::string said() {
    return said_.with([](std::string& said) { return said; });
  }

  std::unique_ptr<Env> env_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<TraceStore> traces_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Dispatcher> dispatcher_;
  Guarded<std::string> said_;
};

inline std::string word(const Error& error, std::string_view key) {
  const Value* value = error.find(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

}  // namespace clew::wasm
