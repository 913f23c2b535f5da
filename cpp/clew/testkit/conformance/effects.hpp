// testkit/conformance/effects.hpp: what every host of effects must do.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/effect/host.hpp"
#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

// Cases on effect::EffectHost over any Database whose migrations include the effects.
std::span<const Case> effect_cases();

// Carries nothing out and notes everything: which scopes were chosen, which effects were asked for.
// Only sleeps succeed. Thread-safe.
class RecordingEffectHost final : public effect::EffectHost {
 public:
  struct Record {
    effect::Scope effect_scope;
    Value runtime_scope;
    std::string effect_id;
    std::string kind;
    std::string replay_key;
    std::string hash;
  };
  bool is_durable() const override { return false; }
  std::shared_ptr<effect::EffectController> scoped(const effect::Scope& scope) override;
  std::vector<effect::Scope> selected_scopes() const;
  std::vector<Record> records() const;

 private:
  class Controller;
  struct Log {
    Mutex mutex;
    std::vector<effect::Scope> scopes CLEW_GUARDED_BY(mutex);
    std::vector<Record> records CLEW_GUARDED_BY(mutex);
  };
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

}  // namespace clew::conformance
