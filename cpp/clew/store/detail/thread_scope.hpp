// store/detail/thread_scope.hpp: what the calling thread is doing inside a database just now.
#pragma once

#include <cstdint>

#include "clew/store/session.hpp"

namespace clew::store::detail {

enum class Doing : std::uint8_t { apply, completion, read };

// Marks the calling thread for a scope, so that a call which would wait for the thread itself is
// refused instead. Scopes nest, also over several databases. Confined.
class ThreadScope {
 public:
  // `database`: its identity. `session`: the one that the scope may use.
  ThreadScope(const void* database, Doing doing, Session* session = nullptr)
      : database_(database), doing_(doing), session_(session), outer_(innermost) {
    innermost = this;
  }
  ~ThreadScope() { innermost = outer_; }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

  Doing doing() const { return doing_; }
  Session* session() const { return session_; }

  // The innermost scope of that database on this thread, or nullptr.
  static const ThreadScope* find(const void* database) {
    const auto* scope = innermost;
    while (scope != nullptr && scope->database_ != database) scope = scope->outer_;
    return scope;
  }

 private:
  static inline thread_local const ThreadScope* innermost = nullptr;
  const void* const database_;
  const Doing doing_;
  Session* const session_;
  const ThreadScope* const outer_;
};

}  // namespace clew::store::detail
