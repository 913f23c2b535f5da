// Hypothesis: a native call that a caller waits for needs no other thread, since it runs in a slot
// on the caller's own, and its trace is one move under a lock; one that is handed to the pool pays
// two wake-ups. Defends, with four callers on two cores: 1.4 million calls a second inline and
// 540,000 on the pool, five times what a router that writes a trace needs in Rust (267,000 and
// 108,000).
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "clew/runtime/runtime.hpp"

namespace clew {
namespace {

constexpr int callers = 4;

// One for all threads of a benchmark; closed at exit.
Runtime& world() {
  static const auto made = [] {
    RuntimeOptions options;
    options.workers = callers;
    auto runtime = Runtime::open(options).value();
    Contract contract;
    contract.id = "bench.echo";
    contract.version = Version::parse("1.0.0").value();
    const auto echo = [](Invocation&, const Value& input) -> Result<Value> { return input; };
    runtime->add(contract, std::make_shared<NativeHandler>(echo)).value();
    return runtime;
  }();
  return *made;
}

Request request() {
  Request made;
  made.reference = "bench.echo@1.0.0";
  made.input = Value::object({{"n", 1}});
  return made;
}

void call(benchmark::State& state, const Request& request) {
  for (auto _ : state) {
    const auto outcome = world().execute(request);
    if (!outcome.result) state.SkipWithError(outcome.result.error().to_string().c_str());
  }
  state.SetItemsProcessed(state.iterations());
}

void native_inline(benchmark::State& state) { call(state, request()); }
BENCHMARK(native_inline)->Threads(1)->Threads(callers)->UseRealTime();

// Whoever has a deadline can leave before the handler does, so the handler is on another thread.
void native_on_the_pool(benchmark::State& state) {
  auto hurried = request();
  hurried.timeout = std::chrono::minutes(1);
  call(state, hurried);
}
BENCHMARK(native_on_the_pool)->Threads(1)->Threads(callers)->UseRealTime();

// Each caller has 1,000 calls in flight, so that threads are seldom woken.
void native_pipelined(benchmark::State& state) {
  constexpr int batch = 1000;
  const auto echo = request();
  std::vector<InvocationPtr> calls(batch);
  for (auto _ : state) {
    for (auto& each : calls) each = world().submit(echo);
    for (const auto& each : calls) world().dispatcher().wait(each, Timestamp::never());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(native_pipelined)->Threads(1)->Threads(callers)->UseRealTime();

}  // namespace
}  // namespace clew

BENCHMARK_MAIN();
