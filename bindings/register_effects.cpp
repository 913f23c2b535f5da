// The class EffectController: effects of one scope, carried out by Python code and recorded.
#include "bindings/bell.hpp"
#include "bindings/convert.hpp"
#include "bindings/effects.hpp"
#include "clew/runtime/stores.hpp"

namespace clew::python {
namespace {

using py::operator""_a;

// What a local run gets to know.
class Run {
 public:
  explicit Run(const effect::EffectRun& run) : cancelled_(run.cancelled), fence_(run.fence) {}
  bool is_cancelled() const { return cancelled_.cancelled(); }
  std::int64_t fence() const { return fence_; }
  void on_cancelled(py::handle callback) {
    auto ring = ring_of(callback);
    CLEW_CHECK(ring != nullptr);
    subscription_ = CancelSubscription(cancelled_, [ring = std::move(ring)] { ring->ring(); });
  }

 private:
  CancelToken cancelled_;
  std::int64_t fence_;
  CancelSubscription subscription_;
};

// Carries effects out by a Python function, on the thread that asks for them. What ends the caller
// rather than the effect (Ctrl-C, an exit, a cancelled task) is kept for it and is no outcome.
class Executor {
 public:
  explicit Executor(py::object function) : function_(std::move(function)) {}

  Result<Value> run(const effect::EffectRun& given) {
    auto done = with_gil([&]() -> Result<Value> {
      try {
        return to_value(function_.object()(Run(given)), "outcome");
      } catch (const Raised& refused) {
        return refused.error();
      } catch (py::error_already_set& raised) {
        if (!raised.matches(PyExc_Exception)) {
          interrupt_.emplace(raised);
          return Error(Code::cancelled, "interrupted");
        }
        raised.restore();
        return error_of_python(Code::execution_failed);
      }
    });
    if (!done) return done.error();
    return *std::move(done);
  }
  // With the GIL. Throws py::error_already_set with what interrupted it, if anything did.
  void rethrow() const {
    if (interrupt_) throw py::error_already_set(*interrupt_);
  }

 private:
  PyRef function_;
  std::optional<py::error_already_set> interrupt_;
};

}  // namespace

EffectController::EffectController(CorePtr core, py::handle scope) : core_(std::move(core)) {
  auto& effects = core_->runtime().stores().effects();
  controller_ =
      effects.scoped(unwrap(effect::Scope::from_value(to_value(scope, "scope"), "scope")));
}

py::object EffectController::execute_effect(py::handle envelope, py::object function) const {
  auto& runtime = core_->runtime();
  core_->require_may_wait(nullptr);
  const auto given =
      unwrap(effect::Envelope::from_value(to_value(envelope, "envelope"), "envelope"));
  std::shared_ptr<Executor> executor;
  effect::LocalExecutor execute;
  if (!function.is_none()) {
    executor = std::make_shared<Executor>(std::move(function));
    execute = [executor](const effect::EffectRun& run) { return executor->run(run); };
  }
  SignalWatch signals;
  Result<Value> outcome = Value();
  without_gil([&] {
    runtime.pool().blocking([&] {
      outcome = controller_->execute_effect(given, std::move(execute), [&]() -> Result<void> {
        if (core_->closed()) return Error(Code::closed, "the runtime is closed");
        return signals.look();
      });
    });
  });
  signals.rethrow();
  if (executor) executor->rethrow();
  return to_python(unwrap(std::move(outcome)));
}

void EffectController::start_replay() const {
  core_->runtime();
  controller_->start_replay();
}

void register_effects(py::module_& m) {
  py::classh<Run>(m, "EffectRun", py::is_final())
      .def_property_readonly("cancelled", &Run::is_cancelled)
      .def_property_readonly("fence", &Run::fence)
      .def("_on_cancelled", &Run::on_cancelled, "ring"_a);
  py::classh<EffectController>(m, "EffectController", py::is_final())
      .def("execute_effect", &EffectController::execute_effect, "envelope"_a, "execute"_a)
      .def("start_replay", &EffectController::start_replay);
  m.def(
      "effect_hash",
      [](py::handle envelope) {
        return unwrap(effect::Envelope::from_value(to_value(envelope, "envelope"), "envelope"))
            .hash();
      },
      "envelope"_a);
}

void define_effects(RuntimeClass& runtime) {
  runtime.def(
      "effects_of",
      [](const RuntimeHandle& self, py::handle scope) {
        return std::make_unique<EffectController>(self.core(), scope);
      },
      "scope"_a);
}

}  // namespace clew::python
