#include "clew/base/result.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace clew {
namespace {

Result<int> half(int of) {
  if (of % 2 != 0) return error(Code::invalid_input, "{} is odd", of);
  return of / 2;
}

Result<void> require_even(int number) {
  CLEW_TRY(half(number));
  return {};
}

Result<int> quarter(int of, int& steps) {
  CLEW_TRY(const auto once, half(of));
  ++steps;
  CLEW_TRY(require_even(once));
  ++steps;
  CLEW_TRY(auto twice, half(once));
  return twice;
}

template <typename A, typename B>
Result<std::pair<A, B>> pair_of(A a, B b) {
  return std::pair<A, B>(a, b);
}

TEST(Result, holds_a_value_or_an_error) {
  const auto good = half(4);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 2);
  EXPECT_EQ(good.value(), 2);
  const auto bad = half(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "3 is odd");
}

TEST(Result, reading_the_absent_side_is_a_failed_check_that_shows_the_error) {
  EXPECT_THAT([] { static_cast<void>(half(3).value()); },
              ::testing::ThrowsMessage<CheckFailure>(::testing::HasSubstr("3 is odd")));
  EXPECT_THROW(static_cast<void>(half(4).error()), CheckFailure);
  EXPECT_THROW(require_even(3).value(), CheckFailure);
  EXPECT_NO_THROW(require_even(4).value());
  EXPECT_THROW(static_cast<void>(require_even(4).error()), CheckFailure);
}

TEST(Result, value_or_takes_the_other_on_error_only) {
  EXPECT_EQ(half(4).value_or(9), 2);
  EXPECT_EQ(half(3).value_or(9), 9);
}

TEST(Result, converts_what_converts_to_its_value) {
  const Result<std::string> text = "literal";
  EXPECT_EQ(*text, "literal");
  const Result<Value> value = 7;
  EXPECT_EQ(*value, Value(7));
  const Result<std::shared_ptr<const int>> shared = std::make_shared<int>(3);
  EXPECT_EQ(**shared, 3);
}

TEST(Result, moves_what_cannot_be_copied) {
  Result<std::unique_ptr<int>> owned = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = *std::move(owned);
  EXPECT_EQ(*taken, 5);
}

TEST(Try, goes_on_with_values_and_stops_at_the_first_error) {
  int steps = 0;
  EXPECT_EQ(*quarter(8, steps), 2);
  EXPECT_EQ(steps, 2);

  steps = 0;
  EXPECT_EQ(quarter(7, steps).error().message(), "7 is odd");
  EXPECT_EQ(steps, 0);

  steps = 0;
  EXPECT_EQ(quarter(6, steps).error().message(), "3 is odd");
  EXPECT_EQ(steps, 1);
}

TEST(Try, takes_bare_commas_and_stands_inside_another) {
  const auto sum = []() -> Result<int> {
    CLEW_TRY(auto both, pair_of<int, int>(1, 2));
    CLEW_TRY(auto inner, [&]() -> Result<int> {
      CLEW_TRY(require_even(both.second));
      CLEW_TRY(auto one, half(both.second));
      return one;
    }());
    return both.first + inner;
  };
  EXPECT_EQ(*sum(), 2);
}

}  // namespace
}  // namespace clew
