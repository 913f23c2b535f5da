// Lanes of work, and claims on it.
#include "clew/store/work_queue.hpp"

#include <map>
#include <random>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Timestamp at(std::int64_t us) { return {1'000'000 + us}; }
constexpr Lane lane{"test", "a"};

class WorkQueue : public EachPlace {
 protected:
  void SetUp() override { db_ = open_with_work(); }
  std::unique_ptr<Database> open_with_work() {
    auto migrations = core_migrations();
    migrations.push_back(work_queue_migration(2));
    migrations.push_back(work_claims_migration(3));
    return open_or_fail(options(), *env_, migrations);
  }
  template <typename T>
  Result<T> in(Function<Result<T>(Transaction&)> use, Database* database = nullptr) {
    std::optional<Result<T>> answer;
    const auto done =
        (database != nullptr ? database : db_.get())->write([&](Transaction& tx) -> Result<void> {
          answer.emplace(use(tx));
          if (!*answer) return answer->error();
          return {};
        });
    if (!done) return done.error();
    return *std::move(answer);
  }
  Result<void> done(Function<Result<void>(Transaction&)> use) {
    const auto info = db_->write(std::move(use));
    return info ? Result<void>() : Result<void>(info.error());
  }
  Result<Enqueued> add(const std::string& id, std::int64_t due_us = 0, std::string source = {},
                       std::string digest = {}) {
    return in<Enqueued>([&](Transaction& tx) {
      return enqueue_work(tx, lane, {id, source, digest, at(due_us)}, at(0));
    });
  }
  Result<WorkClaim> claim(std::vector<std::int64_t> seqs, const std::string& name,
                          std::int64_t now_us, std::int64_t expires_us) {
    return in<WorkClaim>([&](Transaction& tx) {
      return claim_rows(tx, lane, seqs,
                        {name, "owner-" + name, "token-" + name, at(now_us), at(expires_us)});
    });
  }
  Result<void> complete(const WorkClaim& claimed) {
    return done([&](Transaction& tx) { return complete_claim(tx, lane, held(claimed), at(50)); });
  }
  std::vector<WorkRow> rows() {
    return *in<std::vector<WorkRow>>([](Transaction& tx) { return list_work(tx, lane, 0, 100); });
  }
  std::vector<std::string> ids() {
    std::vector<std::string> all;
    for (const auto& row : rows()) all.push_back(row.id);
    return all;
  }
  std::vector<std::string> damage() {
    std::vector<std::string> found;
    EXPECT_TRUE(db_->read([&](Transaction& tx) {
      return check_work(tx, [&](const Error& why) { found.push_back(why.to_string()); });
    }));
    return found;
  }
  std::unique_ptr<Database> db_;
};
INSTANTIATE_TEST_SUITE_P(Backends, WorkQueue, each_place, place_name);

TEST_P(WorkQueue, numbers_are_dense_and_a_refused_row_burns_none) {
  EXPECT_EQ(add("x")->seq, 1);
  EXPECT_EQ(code_of(add("x")), Code::conflict);
  EXPECT_EQ(add("y")->seq, 2);
  EXPECT_EQ(code_of(add("")), Code::invalid_input);
  EXPECT_EQ(add("z")->seq, 3);
  EXPECT_EQ(in<Enqueued>([](Transaction& tx) {
              return enqueue_work(tx, {"test", "b"}, {"x", "", "", at(0)}, at(0));
            })->seq,
            1)
      << "each lane counts for itself";
  ASSERT_TRUE(done([](Transaction& tx) { return clear_lane(tx, lane); }));
  EXPECT_EQ(add("x")->seq, 4) << "numbers are never used again";
}

TEST_P(WorkQueue, source_key_finds_the_first_also_after_it_is_done) {
  ASSERT_TRUE(add("x", 0, "k", "d1")->is_new);
  auto again = add("y", 0, "k", "d1");
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->id, "x");
  EXPECT_TRUE(again->is_same_content);
  EXPECT_FALSE(again->is_done);
  EXPECT_FALSE(add("y", 0, "k", "d2")->is_same_content);
  ASSERT_TRUE(complete(*claim({1}, "c", 1, 10)));
  again = add("y", 0, "k", "d1");
  EXPECT_TRUE(again->is_done);
  EXPECT_EQ(again->id, "x");
  EXPECT_THAT(ids(), IsEmpty());
  const auto forget = [&](std::int64_t before) {
    return *in<std::int64_t>(
        [=](Transaction& tx) { return forget_sources(tx, "test", at(before)); });
  };
  EXPECT_EQ(forget(50), 0);
  EXPECT_EQ(forget(51), 1);
  EXPECT_TRUE(add("y", 0, "k")->is_new);
}

TEST_P(WorkQueue, all_rows_are_claimed_or_none) {
  for (const auto* id : {"x", "y", "z"}) ASSERT_TRUE(add(id));
  ASSERT_TRUE(add("later", 100));
  const auto first = claim({2}, "one", 0, 10);
  ASSERT_TRUE(first);
  const auto second = claim({1, 2, 3}, "two", 5, 20);
  EXPECT_EQ(code_of(second), Code::conflict);
  EXPECT_EQ(second.error().find("seq")->as_int(), 2);
  EXPECT_EQ(code_of(claim({1, 9}, "two", 5, 20)), Code::conflict);
  EXPECT_EQ(code_of(claim({4}, "two", 99, 200)), Code::conflict) << "not due yet";
  EXPECT_EQ(code_of(claim({}, "two", 5, 20)), Code::invalid_input);
  for (const auto& row : rows()) EXPECT_EQ(row.is_claimed(), row.seq == 2);
  const auto third = claim({4}, "two", 100, 200);
  EXPECT_TRUE(third) << "due in the very instant";
}

TEST_P(WorkQueue, claim_is_live_until_its_last_instant_and_its_owners_until_taken) {
  ASSERT_TRUE(add("x"));
  const auto a = claim({1}, "a", 0, 10);
  EXPECT_EQ(a->fencing, 1);
  EXPECT_EQ(code_of(claim({1}, "b", 9, 20)), Code::conflict);
  const auto renew = [&](const WorkClaim& what, std::int64_t until) {
    return in<Timestamp>(
        [&, until](Transaction& tx) { return renew_claim(tx, lane, held(what), at(until)); });
  };
  EXPECT_EQ(*renew(*a, 5), at(10)) << "never shorter";
  EXPECT_EQ(*renew(*a, 30), at(30)) << "expired and not taken: still its owner's";
  const auto b = claim({1}, "b", 30, 60);
  ASSERT_TRUE(b) << "anyone's in the very instant of its end";
  EXPECT_EQ(b->fencing, 2);
  EXPECT_EQ(code_of(renew(*a, 90)), Code::stale_lease);
  EXPECT_EQ(code_of(complete(*a)), Code::stale_lease);
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return abandon_claim(tx, lane, held(*a)); })),
            Code::stale_lease);
  EXPECT_TRUE(complete(*b)) << "whatever the time";
  EXPECT_THAT(ids(), IsEmpty());
}

TEST_P(WorkQueue, fencing_rises_across_release) {
  ASSERT_TRUE(add("x"));
  const auto a = claim({1}, "a", 0, 10);
  ASSERT_TRUE(done([&](Transaction& tx) { return abandon_claim(tx, lane, held(*a), at(7)); }));
  EXPECT_EQ(code_of(claim({1}, "b", 6, 20)), Code::conflict);
  EXPECT_EQ(claim({1}, "b", 7, 20)->fencing, 2);
}

TEST_P(WorkQueue, claim_is_completed_whole) {
  ASSERT_TRUE(add("x"));
  ASSERT_TRUE(add("y"));
  const auto both = claim({1, 2}, "a", 0, 10);
  auto part = held(*both);
  part.ids = {"x"};
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return complete_claim(tx, lane, part, at(1)); })),
            Code::conflict);
  part.ids = {"x", "y", "z"};
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return complete_claim(tx, lane, part, at(1)); })),
            Code::stale_lease);
  part.ids = {"x", "y"};
  part.token += ":stale";
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return complete_claim(tx, lane, part, at(1)); })),
            Code::stale_lease);
  EXPECT_THAT(ids(), ElementsAre("x", "y"));
  EXPECT_TRUE(complete(*both));
  EXPECT_EQ(code_of(complete(*both)), Code::stale_lease) << "only once";
}

TEST_P(WorkQueue, cancel_takes_only_what_no_live_claim_holds) {
  ASSERT_TRUE(add("x", 0, "k"));
  const auto cancel = [&](std::int64_t now) {
    return *in<std::optional<WorkRow>>(
        [=](Transaction& tx) { return cancel_work(tx, lane, "x", at(now)); });
  };
  const auto a = claim({1}, "a", 0, 10);
  EXPECT_FALSE(cancel(9));
  EXPECT_TRUE(cancel(10)) << "the claim is over";
  EXPECT_FALSE(cancel(10));
  EXPECT_EQ(code_of(complete(*a)), Code::stale_lease);
  EXPECT_TRUE(add("y", 0, "k")->is_done);
}

TEST_P(WorkQueue, lanes_and_lapsed_claims_are_found) {
  ASSERT_TRUE(add("x", 5));
  ASSERT_TRUE(in<Enqueued>([](Transaction& tx) {
    return enqueue_work(tx, {"test", "b"}, {"x", "", "", at(0)}, at(0));
  }));
  const auto lanes = [&](std::int64_t now) {
    return *in<std::vector<std::string>>(
        [=](Transaction& tx) { return claimable_lanes(tx, "test", at(now), "", 10); });
  };
  EXPECT_THAT(lanes(4), ElementsAre("b"));
  EXPECT_THAT(lanes(5), ElementsAre("a", "b"));
  ASSERT_TRUE(claim({1}, "a", 5, 10));
  EXPECT_THAT(lanes(9), ElementsAre("b"));
  const auto lapsed = [&](std::int64_t now) {
    return in<std::vector<LapsedWork>>(
               [=](Transaction& tx) { return lapsed_work(tx, "test", at(now), 10); })
        ->size();
  };
  EXPECT_EQ(lapsed(9), 0U);
  EXPECT_EQ(lapsed(10), 1U);
  EXPECT_THAT(lanes(10), ElementsAre("a", "b"));
}

TEST_P(WorkQueue, whether_anything_is_claimable_is_known_without_the_lane) {
  const auto has_work = [&](std::int64_t now) {
    return *in<bool>([=](Transaction& tx) { return has_claimable_work(tx, lane, at(now)); });
  };
  EXPECT_FALSE(has_work(4));
  ASSERT_TRUE(add("x", 5));
  EXPECT_FALSE(has_work(4));
  EXPECT_TRUE(has_work(5));
  ASSERT_TRUE(claim({1}, "a", 5, 10));
  EXPECT_FALSE(has_work(9));
  EXPECT_TRUE(has_work(10));
}

// Another lane may have a claim of the same name; each is its lane's.
TEST_P(WorkQueue, claim_is_found_in_its_lane_only) {
  ASSERT_TRUE(add("x"));
  ASSERT_TRUE(in<Enqueued>([](Transaction& tx) {
    return enqueue_work(tx, {"test", "b"}, {"x", "", "", at(0)}, at(0));
  }));
  const auto mine = claim({1}, "a", 0, 10);
  ASSERT_TRUE(mine);
  ASSERT_TRUE(in<WorkClaim>([](Transaction& tx) {
    const std::int64_t seqs[] = {1};
    return claim_rows(tx, {"test", "b"}, seqs, {"a", "owner-a", "token-a", at(0), at(10)});
  }));
  ASSERT_TRUE(complete(*mine));
  EXPECT_THAT(ids(), testing::IsEmpty());
  const auto others = *in<std::vector<WorkRow>>(
      [](Transaction& tx) { return list_work(tx, {"test", "b"}, 0, 10); });
  ASSERT_EQ(others.size(), 1U);
  EXPECT_EQ(others.front().claim_id, "a");
}

TEST_P(WorkQueue, damaged_row_is_corrupt_and_named) {
  ASSERT_TRUE(add("x"));
  ASSERT_TRUE(done([](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run_text("UPDATE work_rows SET fencing = -1", {}));
    return {};
  }));
  const auto found =
      in<std::optional<WorkRow>>([](Transaction& tx) { return find_work(tx, lane, "x"); });
  EXPECT_EQ(code_of(found), Code::corrupt);
  EXPECT_EQ(found.error().find("table")->as_string(), "work_rows");
  EXPECT_EQ(damage().size(), 1U);
}

TEST_P(WorkQueue, of_64_threads_one_claims_a_row) {
  ASSERT_TRUE(add("x"));
  const auto other = !is_memory() ? open_with_work() : nullptr;
  std::atomic<int> won{0};
  std::atomic<int> refused{0};
  Threads threads;
  for (int t = 0; t < 64; ++t) {
    threads.start("claims", [&, t] {
      auto* database = other && t % 2 == 1 ? other.get() : db_.get();
      const auto name = fmt::format("c{}", t);
      const std::int64_t seqs[] = {1};
      const auto claimed = in<WorkClaim>(
          [&](Transaction& tx) {
            return claim_rows(tx, lane, seqs, {name, name, name, at(0), at(100)});
          },
          database);
      if (claimed) {
        ++won;
      } else if (claimed.error().code() == Code::conflict) {
        ++refused;
      }
    });
  }
  threads.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(refused, 63);
  EXPECT_EQ(rows().front().fencing, 1);
}

// One lane in the plainest way, and what is done to both.
class RandomLane : public WorkQueue {
 protected:
  struct Kept {
    std::int64_t due = 0;
    std::string claim;
    std::int64_t expires = 0;
    std::int64_t fencing = 0;
  };

  std::int64_t pick(std::int64_t below) {
    return static_cast<std::int64_t>(random_() % static_cast<unsigned>(below));
  }
  bool is_claimable(std::int64_t seq, std::int64_t now) {
    return model_.contains(seq) && model_[seq].due <= now && !is_live(seq, now);
  }
  bool is_live(std::int64_t seq, std::int64_t now) {
    return !model_[seq].claim.empty() && now < model_[seq].expires;
  }
  bool holds(const WorkClaim& claimed) {
    return std::ranges::all_of(claimed.rows, [&](const WorkRow& row) {
      return model_.contains(row.seq) && model_[row.seq].claim == claimed.claim_id;
    });
  }

  void try_enqueue(std::int64_t now) {
    const auto due = now + pick(6) - 3;
    ASSERT_EQ(add(fmt::format("r{}", now), due)->seq, ++last_);
    model_[last_] = {due, "", 0, 0};
  }
  void try_claim(std::int64_t now) {
    std::vector<std::int64_t> seqs;
    for (auto n = 1 + pick(3); n > 0; --n) seqs.push_back(last_ + 1 - pick(8));
    const bool all =
        std::ranges::all_of(seqs, [&](std::int64_t seq) { return is_claimable(seq, now); });
    const auto name = fmt::format("c{}", now);
    const auto claimed = claim(seqs, name, now, now + pick(20));
    ASSERT_EQ(claimed.has_value(), all);
    if (!claimed) return;
    for (const auto& row : claimed->rows) {
      auto& kept = model_[row.seq];
      kept = {kept.due, name, row.expires_at.us - at(0).us, kept.fencing + 1};
      ASSERT_EQ(row.fencing, kept.fencing);
    }
    claims_.push_back(*claimed);
  }
  void try_complete(const WorkClaim& claimed) {
    const bool held_all = holds(claimed);
    ASSERT_EQ(complete(claimed).has_value(), held_all);
    if (!held_all) return;
    for (const auto& row : claimed.rows) model_.erase(row.seq);
  }
  void try_abandon(const WorkClaim& claimed, std::int64_t now) {
    const bool held_all = holds(claimed);
    const auto given =
        done([&](Transaction& tx) { return abandon_claim(tx, lane, held(claimed), at(now + 2)); });
    ASSERT_EQ(given.has_value(), held_all);
    if (!held_all) return;
    for (const auto& row : claimed.rows) {
      auto& kept = model_[row.seq];
      kept = {now + 2, "", 0, kept.fencing};
    }
  }
  void try_renew(const WorkClaim& claimed, std::int64_t now) {
    const bool held_all = holds(claimed);
    const auto renewed = in<Timestamp>(
        [&](Transaction& tx) { return renew_claim(tx, lane, held(claimed), at(now + 9)); });
    ASSERT_EQ(renewed.has_value(), held_all);
    if (!held_all) return;
    for (const auto& row : claimed.rows) {
      auto& kept = model_[row.seq];
      kept.expires = std::max(kept.expires, now + 9);
    }
  }
  void try_cancel(std::int64_t now) {
    const auto seq = last_ + 1 - pick(8);
    const auto all = rows();
    const auto found = std::ranges::find(all, seq, &WorkRow::seq);
    const auto id = found == all.end() ? std::string("none") : found->id;
    const auto cancelled = in<std::optional<WorkRow>>(
        [&](Transaction& tx) { return cancel_work(tx, lane, id, at(now)); });
    const bool gone = model_.contains(seq) && !is_live(seq, now);
    ASSERT_EQ(cancelled->has_value(), gone);
    if (gone) model_.erase(seq);
  }
  void step(std::int64_t now) {
    const auto kind = pick(6);
    if (kind == 0) return try_enqueue(now);
    if (kind == 1) return try_claim(now);
    if (kind == 2) return try_cancel(now);
    if (claims_.empty()) return;
    const auto& chosen = claims_[random_() % claims_.size()];
    if (kind == 3) return try_complete(chosen);
    if (kind == 4) return try_abandon(chosen, now);
    try_renew(chosen, now);
  }

  std::mt19937 random_;
  std::map<std::int64_t, Kept> model_;
  std::vector<WorkClaim> claims_;
  std::int64_t last_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Backends, RandomLane, each_place, place_name);

TEST_P(RandomLane, agrees_with_a_model_after_each_step) {
  const char* seed_text = std::getenv("CLEW_SEED");
  const auto seed = seed_text != nullptr ? std::stoul(seed_text) : 23UL;
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  random_.seed(static_cast<std::mt19937::result_type>(seed));
  for (std::int64_t now = 1; now <= 500; ++now) {
    step(now);
    const auto all = rows();
    ASSERT_EQ(all.size(), model_.size());
    for (const auto& row : all) {
      ASSERT_EQ(row.claim_id, model_[row.seq].claim);
      ASSERT_EQ(row.fencing, model_[row.seq].fencing);
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_FALSE(claims_.empty());
  EXPECT_THAT(damage(), IsEmpty());
}

}  // namespace
}  // namespace clew::store
