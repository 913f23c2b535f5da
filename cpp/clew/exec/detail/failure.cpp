#include "clew/exec/detail/failure.hpp"

#include <cstdio>
#include <exception>

namespace clew::detail {
namespace {

void tell(const FailureSink& sink, std::string_view what) {
  if (sink) {
    sink(what);
  } else {
    std::fprintf(stderr, "clew: a task threw: %.*s\n", static_cast<int>(what.size()), what.data());
  }
}

template <typename Callable, typename... Args>
bool contained(Callable& call, const FailureSink& sink, Args... args) {
  bool returned = false;
  try {
    call(args...);
    returned = true;
  } catch (const std::exception& error) {
    tell(sink, error.what());
  } catch (...) {
    tell(sink, "not a std::exception");
  }
  call = nullptr;
  return returned;
}

}  // namespace

bool call_contained(Function<void(Turn)>& call, Turn turn, const FailureSink& sink) {
  return contained(call, sink, turn);
}

bool call_contained(Function<void()>& call, const FailureSink& sink) {
  return contained(call, sink);
}

}  // namespace clew::detail
