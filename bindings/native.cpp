#include "bindings/native.hpp"

#include <fmt/ranges.h>

#include <map>

#include "clew/capability/executor.hpp"

namespace clew::python {
namespace {

using Run = NativeHandler::Run;

Result<Value> echo(Invocation&, const Value& input) { return input; }

Result<Value> nothing(Invocation&, const Value&) { return Value(); }

Result<Value> fail(Invocation&, const Value& input) {
  const Value* code = input.find("code");
  const Value* message = input.find("message");
  return Error(
      code != nullptr && code->is_string() ? code_of(code->as_string()) : Code::execution_failed,
      message != nullptr && message->is_string() ? std::string(message->as_string())
                                                 : "it was told to fail");
}

Result<Value> sleep(Env& env, Invocation& call, const Value& input) {
  const Value* length = input.find("for");
  CLEW_TRY(const auto duration, to_duration(length != nullptr ? *length : Value(), "for"));
  const auto until = env.clock().now() + duration;
  const auto mutex = std::make_shared<Mutex>();
  const auto changed = std::make_shared<Condition>();
  const CancelSubscription wake(call.cancel_token(), [mutex, changed] {
    const Lock lock(*mutex);
    changed->notify_all();
  });
  Lock lock(*mutex);
  while (!call.cancelled()) {
    if (env.clock().wait_until(*changed, lock, until)) return Value();
  }
  return Error(Code::cancelled, "the sleep was cancelled");
}

const std::map<std::string, Run (*)(Env&)> makers = {
    {"echo", [](Env&) -> Run { return echo; }},
    {"fail", [](Env&) -> Run { return fail; }},
    {"nothing", [](Env&) -> Run { return nothing; }},
    {"sleep",
     [](Env& env) -> Run {
       return [&env](Invocation& call, const Value& input) { return sleep(env, call, input); };
     }},
};

}  // namespace

std::vector<std::string> native_functions() {
  std::vector<std::string> names;
  for (const auto& [name, make] : makers) names.push_back(name);
  return names;
}

Result<std::shared_ptr<const Handler>> make_native_handler(const std::string& function, Env& env) {
  const auto found = makers.find(function);
  if (found == makers.end()) {
    return error(Code::not_found, "there is no native function \"{}\"; there are {}", function,
                 fmt::join(native_functions(), ", "));
  }
  return std::shared_ptr<const Handler>(std::make_shared<NativeHandler>(found->second(env)));
}

}  // namespace clew::python
