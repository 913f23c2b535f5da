// base/function.hpp: a callable that is moved, never copied.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "clew/base/check.hpp"

namespace clew {

template <typename Signature>
class Function;

// Owns one callable and calls it. A resource: movable only, so that a captured promise, lock or
// PyRef has one owner. Callables up to six pointers need no allocation. Confined: the owner decides
// which thread calls it. Calling an empty Function fails a CLEW_CHECK.
template <typename R, typename... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Function> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  Function(F&& callable) {
    using Held = std::decay_t<F>;
    if constexpr (fits<Held>) {
      ::new (static_cast<void*>(storage_)) Held(std::forward<F>(callable));
      ops_ = &inline_ops<Held>;
    } else {
      auto owned = std::make_unique<Held>(std::forward<F>(callable));
      ::new (static_cast<void*>(storage_)) Held*(owned.release());
      ops_ = &heap_ops<Held>;
    }
  }
  Function(Function&& other) noexcept { take(other); }
  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() { reset(); }

  explicit operator bool() const { return ops_ != nullptr; }
  R operator()(Args... args) {
    CLEW_CHECK(ops_ != nullptr);
    return ops_->call(storage_, std::forward<Args>(args)...);
  }

 private:
  struct Ops {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };
  static constexpr std::size_t room = 6 * sizeof(void*);
  template <typename Held>
  static constexpr bool fits = sizeof(Held) <= room && alignof(Held) <= alignof(std::max_align_t) &&
                               std::is_nothrow_move_constructible_v<Held>;

  // A Function that returns nothing may hold a callable that returns something.
  template <typename Held>
  static R invoke(Held& held, Args&&... args) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(held, std::forward<Args>(args)...);
    } else {
      return std::invoke(held, std::forward<Args>(args)...);
    }
  }

  template <typename Held>
  static constexpr Ops inline_ops = {
      [](void* self, Args&&... args) -> R {
        return invoke(*std::launder(static_cast<Held*>(self)), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        auto* held = std::launder(static_cast<Held*>(from));
        ::new (to) Held(std::move(*held));
        held->~Held();
      },
      [](void* self) noexcept { std::launder(static_cast<Held*>(self))->~Held(); }};
  template <typename Held>
  static constexpr Ops heap_ops = {
      [](void* self, Args&&... args) -> R {
        return invoke(**std::launder(static_cast<Held**>(self)), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        ::new (to) Held*(*std::launder(static_cast<Held**>(from)));
      },
      [](void* self) noexcept { delete *std::launder(static_cast<Held**>(self)); }};

  void take(Function& other) noexcept {
    if (other.ops_ != nullptr) {
      other.ops_->move(other.storage_, storage_);
      ops_ = std::exchange(other.ops_, nullptr);
    }
  }
  void reset() noexcept {
    if (ops_ != nullptr) std::exchange(ops_, nullptr)->destroy(storage_);
  }

  const Ops* ops_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[room];
};

}  // namespace clew
