#include "clew/base/function.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

namespace clew {
namespace {

// Counts its living copies.
struct Counted {
  explicit Counted(int& living) : count(&living) { ++*count; }
  Counted(const Counted&) = delete;
  Counted(Counted&& other) noexcept : count(other.count) { ++*count; }
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*count; }
  int* count;
};

int twice(int x) { return 2 * x; }

struct Doubler {
  int by;
  int apply(int x) const { return by * x; }
};

TEST(Function, an_empty_one_fails_a_check) {
  Function<void()> empty;
  EXPECT_FALSE(empty);
  EXPECT_THROW(empty(), CheckFailure);
  Function<void()> null = nullptr;
  EXPECT_FALSE(null);
}

TEST(Function, calls_functions_lambdas_and_members) {
  Function<int(int)> function = twice;
  EXPECT_EQ(function(4), 8);
  Function<int(int)> lambda = [by = 3](int x) { return by * x; };
  EXPECT_EQ(lambda(4), 12);
  Function<int(const Doubler&, int)> member = &Doubler::apply;
  EXPECT_EQ(member(Doubler{5}, 4), 20);
}

TEST(Function, keeps_state_between_calls) {
  Function<int()> counter = [count = 0]() mutable { return ++count; };
  counter();
  EXPECT_EQ(counter(), 2);
  Function<int()> moved = std::move(counter);
  EXPECT_EQ(moved(), 3);
  EXPECT_FALSE(counter);
}

TEST(Function, owns_what_cannot_be_copied) {
  Function<int()> owner = [number = std::make_unique<int>(7)] { return *number; };
  EXPECT_EQ(owner(), 7);
}

TEST(Function, passes_arguments_by_reference_and_by_move) {
  Function<void(int&)> set = [](int& x) { x = 9; };
  int x = 0;
  set(x);
  EXPECT_EQ(x, 9);
  Function<std::string(std::unique_ptr<std::string>)> take = [](std::unique_ptr<std::string> text) {
    return *text;
  };
  EXPECT_EQ(take(std::make_unique<std::string>("given")), "given");
}

TEST(Function, drops_a_result_that_nobody_wants) {
  int calls = 0;
  Function<void()> call = [&calls] { return ++calls; };
  call();
  EXPECT_EQ(calls, 1);
}

// `padding` decides whether the callable fits without an allocation.
template <std::size_t padding>
void check_lifetime() {
  int living = 0;
  {
    Function<int()> first = [held = Counted(living), space = std::array<char, padding>{}] {
      return *held.count + static_cast<int>(space.size() - padding);
    };
    EXPECT_EQ(living, 1);
    Function<int()> second = std::move(first);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(second(), 1);

    Function<int()> third = [other = Counted(living)] { return 100 + *other.count; };
    EXPECT_EQ(living, 2);
    third = std::move(second);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(third(), 1);

    Function<int()>& alias = third;
    third = std::move(alias);
    EXPECT_EQ(third(), 1);
  }
  EXPECT_EQ(living, 0);
}

TEST(Function, destroys_its_callable_once_when_small) { check_lifetime<1>(); }
TEST(Function, destroys_its_callable_once_when_large) { check_lifetime<200>(); }

}  // namespace
}  // namespace clew
