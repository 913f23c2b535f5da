// Hypothesis: a look-up reads an immutable snapshot without a lock, and what a reference means is
// found by its text, so that it does not grow with the registry.
// Defends: 200 ns among 10,000 capabilities, whether exact, a range or bare.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "clew/capability/executor.hpp"
#include "clew/capability/registry.hpp"

namespace clew {
namespace {

constexpr int ids = 5000;  // of one version each, and half as many of two: 10,000

const Registry& filled() {
  static const auto made = [] {
    auto registry = std::make_unique<Registry>();
    const auto echo = [](Invocation&, const Value& input) -> Result<Value> { return input; };
    const auto add = [&](const std::string& id, const char* version) {
      Contract contract;
      contract.id = id;
      contract.version = Version::parse(version).value();
      registry->add(contract, std::make_shared<NativeHandler>(echo)).value();
    };
    for (int i = 0; i < ids; ++i) add("bench.one" + std::to_string(i), "1.0.0");
    for (int i = 0; i < ids / 2; ++i) {
      add("bench.two" + std::to_string(i), "1.0.0");
      add("bench.two" + std::to_string(i), "1.1.0");
    }
    return registry;
  }();
  return *made;
}

// In an order in which no look-up finds its cache lines warm.
void look_up(benchmark::State& state, const std::string& word, const std::string& suffix) {
  std::vector<std::string> references;
  for (int i = 0; i < ids / 2; ++i) references.push_back(word + std::to_string(i) + suffix);
  std::shuffle(references.begin(), references.end(), std::mt19937(1));
  const auto& registry = filled();
  std::size_t at = 0;
  for (auto _ : state) {
    const auto found = registry.snapshot()->resolve(references[at]);
    if (!found) state.SkipWithError(found.error().to_string().c_str());
    if (++at == references.size()) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(look_up, exact, "bench.two", "@1.0.0");
BENCHMARK_CAPTURE(look_up, range, "bench.two", "@^1");
BENCHMARK_CAPTURE(look_up, bare, "bench.one", "");

}  // namespace
}  // namespace clew

BENCHMARK_MAIN();
