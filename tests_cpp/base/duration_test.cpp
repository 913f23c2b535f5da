#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "clew/base/error.hpp"
#include "clew/base/time.hpp"
#include "random_value.hpp"

namespace clew {
namespace {

constexpr std::int64_t int_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t int_min = std::numeric_limits<std::int64_t>::min();

TEST(Durations, are_read_in_every_unit) {
  const std::vector<std::pair<std::string_view, std::int64_t>> cases = {
      {"250ms", 250'000},
      {"1h30m", 5'400'000'000},
      {"3d", 259'200'000'000},
      {"1w", 604'800'000'000},
      {"1w2d3h4m5s6ms7us", 788'645'006'007},
      {"0s", 0},
      {"0.25s", 250'000},
      {"1.5h", 5'400'000'000},
      {"1m0.5s", 60'500'000},
      {"1us", 1},
      {"0.4us", 0},
      {"0.5us", 1},
      {"0.0000014s", 1},
      {"0.33333333333333333333333333s", 333'333},
      {"1.000000000000000000000000001s", 1'000'000},
      {"9223372036854775807us", int_max},
      {"9223372036854.775807s", int_max},
      {"106751991d4h54s775ms807us", int_max},
  };
  for (const auto& [text, us] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().to_string();
    EXPECT_EQ(parsed->count(), us) << text;
    EXPECT_EQ(parse_duration(to_string(*parsed)).value(), *parsed) << text;
  }
}

TEST(Durations, that_are_malformed_or_too_long_are_refused) {
  for (const auto* text : {"",
                           " ",
                           "s",
                           "ms",
                           "1 s",
                           " 1s",
                           "1s ",
                           "-1s",
                           "+1s",
                           "1x",
                           "1S",
                           "1M",
                           "1m1h",
                           "1s1s",
                           "1ms1s",
                           "1h30",
                           "30 m",
                           ".5s",
                           "5.s",
                           "1.2.3s",
                           "1,5s",
                           "1e3s",
                           "1h-30m",
                           "1us1",
                           "P1D",
                           "inf",
                           "nan",
                           "1µs",
                           "9223372036854775808us",
                           "9223372036854775808",
                           "9223372036855s",
                           "99999999999999999999999us",
                           "15250285w",
                           "9223372036854775807us1us",
                           "1h9223372036854775807us"}) {
    const auto parsed = parse_duration(text, "step.timeout");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Code::invalid_input);
    EXPECT_EQ(*parsed.error().find("path"), Value("step.timeout"));
  }
}

TEST(Durations, are_taken_from_values) {
  const std::vector<std::pair<Value, std::int64_t>> cases = {
      {"1h", 3'600'000'000},
      {2, 2'000'000},
      {0, 0},
      {0.1, 100'000},
      {1.5, 1'500'000},
      {-0.0, 0},
      {1e-7, 0},
      {std::int64_t{9'223'372'036'854}, 9'223'372'036'854'000'000}};
  for (const auto& [value, us] : cases) EXPECT_EQ(to_duration(value, "t").value().count(), us);
  for (const auto& value :
       std::vector<Value>{nullptr, true, -1, -0.5, std::int64_t{9'223'372'036'855}, 1e13, 1e300,
                          "x", Value::array({})}) {
    const auto refused = to_duration(value, "limits.timeout");
    ASSERT_FALSE(refused);
    EXPECT_EQ(*refused.error().find("path"), Value("limits.timeout"));
  }
}

TEST(Durations, print_what_reads_back) {
  const std::vector<std::pair<std::int64_t, std::string_view>> cases = {
      {0, "0s"},
      {1, "1us"},
      {250'000, "250ms"},
      {5'400'000'000, "1h30m"},
      {1'209'600'000'000, "14d"},
      {1'500'000, "1s500ms"},
      {-5'400'000'000, "-1h30m"},
      {int_min, "-106751991d4h54s775ms808us"}};
  for (const auto& [us, text] : cases) EXPECT_EQ(to_string(Duration(us)), text);

  const auto seed = testing::seed();
  SCOPED_TRACE(seed);
  std::mt19937_64 engine(seed);
  for (int i = 0; i < 10'000; ++i) {
    const Duration any(static_cast<std::int64_t>(engine() >> (1 + engine() % 63)));
    ASSERT_EQ(parse_duration(to_string(any)).value(), any);
  }
}

TEST(Timestamps, saturate) {
  EXPECT_EQ((Timestamp{5} + Duration(7)).us, 12);
  EXPECT_EQ((Timestamp{5} + Duration(-7)).us, -2);
  EXPECT_EQ(Timestamp{5} + Duration(int_max), Timestamp::never());
  EXPECT_EQ(Timestamp::never() + Duration(-7), Timestamp::never());
  EXPECT_EQ((Timestamp{-5} + Duration(int_min)).us, int_min);
}

TEST(Timestamps, print_as_rfc3339) {
  const std::vector<std::pair<std::int64_t, std::string_view>> cases = {
      {0, "1970-01-01T00:00:00.000000Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00.000000Z"},
      {1'769'846'400'000'001, "2026-01-31T08:00:00.000001Z"},
      {4'107'542'399'000'000, "2100-02-28T23:59:59.000000Z"},
      {4'107'542'400'000'000, "2100-03-01T00:00:00.000000Z"},
      {-62'167'219'200'000'000, "0000-01-01T00:00:00.000000Z"},
      {253'402'300'799'999'999, "9999-12-31T23:59:59.999999Z"},
      {int_max, "294247-01-10T04:00:54.775807Z"},
  };
  for (const auto& [us, text] : cases) EXPECT_EQ(to_rfc3339({us}), text);
}

}  // namespace
}  // namespace clew
