// Owners, leases and streams.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "clew/store/lease.hpp"
#include "clew/store/owner.hpp"
#include "clew/store/stream.hpp"
#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Timestamp at(std::int64_t us) { return {1'000'000 + us}; }
constexpr Resource run(std::int64_t number) { return {"run", number}; }

class Coordination : public EachPlace {
 protected:
  void SetUp() override { db_ = open(); }
  // The value that `use` answers, committed.
  template <typename T>
  Result<T> in(Function<Result<T>(Transaction&)> use) {
    std::optional<Result<T>> answer;
    const auto done = db_->write([&](Transaction& tx) -> Result<void> {
      answer = use(tx);
      if (!*answer) return answer->error();
      return {};
    });
    EXPECT_TRUE(answer.has_value());
    return *answer;
  }
  Result<void> done(Function<Result<void>(Transaction&)> use) {
    const auto info = db_->write(std::move(use));
    return info ? Result<void>() : Result<void>(info.error());
  }
  OwnerId add(const std::string& name, std::int64_t expires_us) {
    const auto id = in<OwnerId>([&](Transaction& tx) {
      return add_owner(tx, name, this_process(), at(0), at(expires_us));
    });
    EXPECT_TRUE(id);
    return *id;
  }
  Result<Lease> take(Resource what, OwnerId owner, std::int64_t now_us,
                     const std::vector<OwnerId>& dead = {}) {
    return in<Lease>(
        [&](Transaction& tx) { return take_lease(tx, what, owner, at(now_us), dead); });
  }
  Result<void> check(Resource what, const Lease& lease) {
    return done([&](Transaction& tx) { return check_lease(tx, what, lease); });
  }
  Result<void> release(Resource what, const Lease& lease) {
    return done([&](Transaction& tx) { return release_lease(tx, what, lease); });
  }
  std::vector<std::int64_t> lapsed(std::int64_t now_us, const std::vector<OwnerId>& dead = {},
                                   int limit = 100) {
    return *in<std::vector<std::int64_t>>(
        [&](Transaction& tx) { return lapsed_leases(tx, "run", at(now_us), dead, limit); });
  }
  std::unique_ptr<Database> db_;
};
INSTANTIATE_TEST_SUITE_P(Backends, Coordination, each_place, place_name);

TEST_P(Coordination, lease_is_held_until_the_very_instant_of_expiry) {
  const auto a = add("a", 100);
  const auto b = add("b", 10'000);
  const auto first = take(run(1), a, 0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->token, 1);

  const auto early = take(run(1), b, 99);
  EXPECT_EQ(code_of(early), Code::conflict);
  EXPECT_EQ(early.error().find("owner")->as_int(), a);
  EXPECT_THAT(lapsed(99), IsEmpty());

  EXPECT_THAT(lapsed(100), ElementsAre(1));
  EXPECT_TRUE(check(run(1), *first)) << "until someone takes it, it is still its owner's";
  const auto second = take(run(1), b, 100);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->token, 2);
  EXPECT_EQ(second->owner, b);
  const auto stale = check(run(1), *first);
  EXPECT_EQ(code_of(stale), Code::stale_lease);
  EXPECT_EQ(stale.error().find("token")->as_int(), 1);
  EXPECT_EQ(stale.error().find("newest")->as_int(), 2);
  EXPECT_TRUE(check(run(1), *second));
  EXPECT_THAT(lapsed(101), IsEmpty());
}

TEST_P(Coordination, renewed_owner_keeps_its_leases) {
  const auto a = add("a", 100);
  const auto b = add("b", 10'000);
  const auto lease = take(run(1), a, 0);
  ASSERT_TRUE(done([&](Transaction& tx) { return renew_owner(tx, a, at(200)); }));
  EXPECT_EQ(code_of(take(run(1), b, 199)), Code::conflict);
  EXPECT_TRUE(check(run(1), *lease));
  // After expiry, while nobody has taken it, renewing works still.
  ASSERT_TRUE(done([&](Transaction& tx) { return renew_owner(tx, a, at(500)); }));
  EXPECT_EQ(code_of(take(run(1), b, 300)), Code::conflict);
}

TEST_P(Coordination, owner_that_holds_it_is_refused_too) {
  const auto a = add("a", 100);
  ASSERT_TRUE(take(run(1), a, 0));
  EXPECT_EQ(code_of(take(run(1), a, 1)), Code::conflict);
}

TEST_P(Coordination, token_rises_across_release_removal_and_death) {
  const auto a = add("a", 1'000);
  const auto b = add("b", 1'000);
  const auto first = take(run(1), a, 0);
  ASSERT_TRUE(release(run(1), *first));
  EXPECT_EQ(code_of(check(run(1), *first)), Code::stale_lease) << "given back";
  EXPECT_EQ(code_of(release(run(1), *first)), Code::stale_lease) << "only once";
  const auto second = take(run(1), b, 1);
  EXPECT_EQ(second->token, 2);
  EXPECT_EQ(code_of(take(run(1), a, 2)), Code::conflict);
  const auto third = take(run(1), a, 2, {b});  // b is known to be dead
  EXPECT_EQ(third->token, 3);
  ASSERT_TRUE(done([&](Transaction& tx) { return remove_owner(tx, a); }));
  EXPECT_THAT(lapsed(3), ElementsAre(1));
  EXPECT_EQ(take(run(1), b, 3)->token, 4);
}

TEST_P(Coordination, closed_lease_is_never_taken_again) {
  const auto a = add("a", 100);
  const auto b = add("b", 10'000);
  const auto lease = take(run(1), a, 0);
  const Lease wrong{1, a, 7};
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return close_lease(tx, run(1), wrong); })),
            Code::stale_lease);
  ASSERT_TRUE(done([&](Transaction& tx) { return close_lease(tx, run(1), *lease); }));
  EXPECT_EQ(code_of(take(run(1), b, 1'000)), Code::conflict);
  EXPECT_EQ(code_of(check(run(1), *lease)), Code::stale_lease);
  EXPECT_THAT(lapsed(1'000), IsEmpty());
  EXPECT_EQ(code_of(in<Lease>([&](Transaction& tx) { return make_lease(tx, run(1), b); })),
            Code::conflict)
      << "its token stays";
}

TEST_P(Coordination, made_lease_is_the_first) {
  const auto a = add("a", 100);
  EXPECT_EQ(in<Lease>([&](Transaction& tx) { return make_lease(tx, run(5), a); })->token, 1);
  EXPECT_EQ(code_of(in<Lease>([&](Transaction& tx) { return make_lease(tx, run(5), a); })),
            Code::conflict);
  EXPECT_TRUE(take({"process", 5}, a, 0)) << "another kind is another thing";
}

TEST_P(Coordination, lease_of_another_owner_with_the_right_token_is_stale) {
  const auto a = add("a", 100);
  const auto b = add("b", 100);
  const auto lease = take(run(1), a, 0);
  EXPECT_EQ(code_of(check(run(1), {1, b, lease->token})), Code::stale_lease);
  EXPECT_EQ(code_of(check(run(2), *lease)), Code::stale_lease) << "never leased";
}

TEST_P(Coordination, lapsed_are_by_number_limited_and_of_their_kind) {
  const auto a = add("a", 100);
  const auto b = add("b", 200);
  const auto c = add("c", 10'000);
  for (const std::int64_t number : {9, 3, 7}) ASSERT_TRUE(take(run(number), a, 0));
  for (const std::int64_t number : {8, 2}) ASSERT_TRUE(take(run(number), b, 0));
  ASSERT_TRUE(take(run(1), c, 0));
  ASSERT_TRUE(take({"process", 4}, a, 0));
  const auto free = take(run(5), c, 0);
  ASSERT_TRUE(release(run(5), *free));
  EXPECT_THAT(lapsed(0), ElementsAre(5));
  EXPECT_THAT(lapsed(150), ElementsAre(3, 5, 7, 9));
  EXPECT_THAT(lapsed(150, {b}), ElementsAre(2, 3, 5, 7, 8, 9));
  EXPECT_THAT(lapsed(200, {}, 3), ElementsAre(2, 3, 5));
  EXPECT_THAT(lapsed(200, {}, 0), IsEmpty());
}

TEST_P(Coordination, owners_are_listed_and_their_ids_never_used_again) {
  const auto a = add("a", 100);
  const auto b = add("b", 200);
  EXPECT_GE(a, 1);
  ASSERT_TRUE(done([&](Transaction& tx) { return remove_owner(tx, b); }));
  const auto c = add("c", 300);
  EXPECT_GT(c, b);
  const auto owners = in<std::vector<Owner>>([](Transaction& tx) { return list_owners(tx); });
  ASSERT_EQ(owners->size(), 2U);
  EXPECT_EQ(owners->at(1).name, "c");
  EXPECT_EQ(owners->at(1).expires_at, at(300));
  EXPECT_EQ(owners->at(0).process.pid, getpid());
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return renew_owner(tx, b, at(900)); })),
            Code::stale_lease);
  EXPECT_EQ(code_of(in<OwnerId>(
                [](Transaction& tx) { return add_owner(tx, "d", this_process(), at(5), at(5)); })),
            Code::invalid_input);
}

TEST_P(Coordination, stream_is_dense_and_a_refused_event_burns_no_number) {
  const auto append = [&](std::int64_t stream, std::int64_t seq) {
    return done([=](Transaction& tx) {
      const StreamEvent event{seq, at(seq), "step.done", "s", R"({"n":1})"};
      return append_events(tx, stream, {&event, 1});
    });
  };
  ASSERT_TRUE(append(7, 1));
  ASSERT_TRUE(append(7, 2));
  ASSERT_TRUE(append(8, 1));
  for (const std::int64_t wrong : {-1, 0, 1, 2, 4}) {
    const auto refused = append(7, wrong);
    EXPECT_EQ(code_of(refused), Code::conflict) << wrong;
    EXPECT_EQ(refused.error().find("last")->as_int(), 2);
  }
  ASSERT_TRUE(append(7, 3));
  const auto events =
      in<std::vector<StreamEvent>>([](Transaction& tx) { return read_events(tx, 7, 1, 10); });
  ASSERT_EQ(events->size(), 2U);
  EXPECT_EQ(events->at(0).seq, 2);
  EXPECT_EQ(events->at(1).seq, 3);
  EXPECT_EQ(events->at(1).at, at(3));
  EXPECT_EQ(events->at(1).type, "step.done");
  EXPECT_EQ(events->at(1).subject, "s");
  EXPECT_EQ(events->at(1).data, R"({"n":1})");
  EXPECT_EQ(in<std::vector<StreamEvent>>([](Transaction& tx) {
              return read_events(tx, 7, 0, 1);
            })->size(),
            1U);
  const auto last = [](std::int64_t stream) {
    return [stream](Transaction& tx) { return last_sequence(tx, stream); };
  };
  EXPECT_EQ(*in<std::int64_t>(last(7)), 3);
  EXPECT_EQ(*in<std::int64_t>(last(99)), 0);
}

TEST_P(Coordination, stream_with_a_hole_or_a_wrong_row_is_corrupt) {
  for (int seq = 1; seq <= 3; ++seq) {
    const StreamEvent event{seq, at(0), "x", "", "{}"};
    ASSERT_TRUE(done([&](Transaction& tx) { return append_events(tx, 7, {&event, 1}); }));
  }
  ASSERT_TRUE(done([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run_text("DELETE FROM events WHERE seq = 2", {}));
    return {};
  }));
  const auto events =
      in<std::vector<StreamEvent>>([](Transaction& tx) { return read_events(tx, 7, 0, 10); });
  EXPECT_EQ(code_of(events), Code::corrupt);
  EXPECT_EQ(events.error().find("table")->as_string(), "events");
  EXPECT_EQ(events.error().find("seq")->as_int(), 2);
}

TEST_P(Coordination, impossible_lease_row_is_corrupt_and_named) {
  const auto a = add("a", 100);
  ASSERT_TRUE(take(run(1), a, 0));
  ASSERT_TRUE(done([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run_text("UPDATE leases SET token = 0", {}));
    return {};
  }));
  const auto taken = take(run(1), a, 500);
  EXPECT_EQ(code_of(taken), Code::corrupt);
  EXPECT_THAT(taken.error().to_string(), HasSubstr("leases"));
}

TEST(Process, own_one_is_alive) {
  const auto self = this_process();
  EXPECT_EQ(self.pid, getpid());
  EXPECT_FALSE(self.boot.empty());
  EXPECT_TRUE(may_be_alive(self));
}

TEST(Process, only_what_is_certainly_gone_is_dead) {
  auto self = this_process();
  auto reused = self;
  reused.started += 1;
  EXPECT_FALSE(may_be_alive(reused)) << "another process has the pid now";
  auto elsewhere = reused;
  elsewhere.host = "another";
  EXPECT_TRUE(may_be_alive(elsewhere));
  auto before = reused;
  before.boot = "another boot";
  EXPECT_TRUE(may_be_alive(before)) << "or another container";
  EXPECT_TRUE(may_be_alive({})) << "nothing known";
}

TEST(Process, ended_child_is_dead_before_and_after_it_is_reaped) {
  auto child_identity = this_process();
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  child_identity.pid = child;
  child_identity.started = 0;  // not known
  EXPECT_TRUE(may_be_alive(child_identity));
  kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(may_be_alive(child_identity)) << "killed, not reaped";
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(may_be_alive(child_identity));
}

}  // namespace
}  // namespace clew::store
