#include "clew/capability/call_path.hpp"

#include <gtest/gtest.h>

#include <set>

#include "clew/capability/trace_context.hpp"

namespace clew {
namespace {

TEST(CallPath, a_stage_but_the_last_has_one_way_in) {
  std::set<std::pair<CallStage, HopReason>> known;
  std::set<std::pair<CallStage, CallStage>> into;
  for (const auto& hop : hop_table) {
    EXPECT_TRUE(known.emplace(hop.from, hop.reason).second) << name(hop.reason);
    EXPECT_LT(hop.from, CallStage::success);
    EXPECT_GT(hop.to, hop.from);
    EXPECT_FALSE(name(hop.reason).empty());
    into.emplace(hop.to, hop.from);
  }
  for (const auto& [to, from] : into) {
    const bool is_joint = to >= CallStage::success || to == CallStage::running;
    EXPECT_TRUE(is_joint || std::ranges::count_if(
                                into, [&](const auto& other) { return other.first == to; }) == 1)
        << name(to);
  }
}

TEST(CallPath, what_is_packed_is_the_whole_way) {
  CallPath path;
  EXPECT_EQ(path.packed(), 0);
  EXPECT_TRUE(path.hops().empty());
  for (const auto reason : {HopReason::reference_resolved, HopReason::request_admitted,
                            HopReason::tie_by_name, HopReason::handed_over, HopReason::began,
                            HopReason::handler_returned, HopReason::commit_failed}) {
    EXPECT_FALSE(path.outcome());
    path.take(reason);
  }
  EXPECT_EQ(path.outcome(), CallOutcome::failure);
  const auto read = CallPath::unpack(path.packed());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->hops(), path.hops());
  EXPECT_EQ(read->hops().size(), 7U);
  EXPECT_EQ(read->hops().back(),
            (Hop{CallStage::settling, HopReason::commit_failed, CallStage::failure}));
}

TEST(CallPath, a_way_that_the_table_does_not_have_is_refused) {
  CallPath path;
  EXPECT_THROW(path.take(HopReason::began), CheckFailure);
  EXPECT_THROW(path.take(HopReason::none), CheckFailure);
  path.take(HopReason::runtime_closed);
  EXPECT_THROW(path.take(HopReason::reference_resolved), CheckFailure);  // it has ended
  EXPECT_FALSE(CallPath::unpack(static_cast<int>(HopReason::began)));
  EXPECT_FALSE(CallPath::unpack(63));
  EXPECT_FALSE(CallPath::unpack(-1));
  EXPECT_FALSE(CallPath::unpack(path.packed() | (std::int64_t{1} << 6)));
}

TEST(TraceContext, a_traceparent_round_trips) {
  const std::string text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  const auto context = parse_traceparent(text);
  ASSERT_TRUE(context);
  EXPECT_EQ(remote_parent_of(*context), "00f067aa0ba902b7");
  const auto id = Id::parse("0190a2b4-1c3d-7e5f-8a9b-0c1d2e3f4a5b").value();
  EXPECT_EQ(to_traceparent(*context, id),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-8a9b0c1d2e3f4a5b-00");
  EXPECT_EQ(to_traceparent({}, id), "00-0190a2b41c3d7e5f8a9b0c1d2e3f4a5b-8a9b0c1d2e3f4a5b-01");
  EXPECT_EQ(remote_parent_of({}), "");
}

TEST(TraceContext, of_a_later_version_what_is_known_is_read) {
  const std::string known = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_TRUE(parse_traceparent("01" + known));
  EXPECT_TRUE(parse_traceparent("cc" + known + "-more.to.come"));
  EXPECT_FALSE(parse_traceparent("cc" + known + "more"));
  EXPECT_FALSE(parse_traceparent("00" + known + "-more"));
  EXPECT_FALSE(parse_traceparent("ff" + known));
}

TEST(TraceContext, what_is_no_traceparent_is_refused_with_its_path) {
  for (const std::string text : {
           "",
           "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
       }) {
    const auto context = parse_traceparent(text);
    ASSERT_FALSE(context) << text;
    EXPECT_EQ(context.error().code(), Code::invalid_input);
    EXPECT_EQ(context.error().find("path")->as_string(), "traceparent");
  }
}

}  // namespace
}  // namespace clew
