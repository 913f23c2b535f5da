#include <random>

#include "store/support.hpp"

namespace clew::store {
namespace {

class Stress : public EachPlace {};
INSTANTIATE_TEST_SUITE_P(Backends, Stress, each_place, place_name);

// Sixteen threads write in every way there is, some fail on purpose, others read; in the end
// exactly what was acknowledged is there.
TEST_P(Stress, mixed_writes_from_many_threads_keep_exactly_what_was_acknowledged) {
  const char* seed_text = std::getenv("CLEW_SEED");
  const auto seed = seed_text != nullptr ? std::stoul(seed_text) : 7UL;
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  constexpr int threads_count = 16;
  constexpr int writes_each = 40;
  auto how = options();
  how.queue_max = 20;  // so that submitters wait too
  how.group_max = 8;
  how.relaxed_window = std::chrono::milliseconds(1);
  const auto db = open(how);
  Guarded<std::vector<std::int64_t>> kept;
  std::atomic<int> answers{0};
  Threads threads;
  for (int t = 0; t < threads_count; ++t) {
    threads.start("mixed", [&, t] {
      std::mt19937 random(static_cast<std::mt19937::result_type>(seed + static_cast<unsigned>(t)));
      for (int i = 0; i < writes_each; ++i) {
        const std::int64_t id = t * 1000 + i;
        const bool fails = random() % 8 == 0;
        const auto durability = random() % 2 == 0 ? Durability::relaxed : Durability::sync;
        auto apply = [id, fails](Transaction& tx) -> Result<void> {
          CLEW_TRY(add_note(tx, id));
          if (fails) return error(Code::rejected, "on purpose");
          return {};
        };
        auto done = [&, id, fails](const Result<CommitInfo>& info) {
          EXPECT_EQ(info.has_value(), !fails);
          if (info) kept.with([&](auto& all) { all.push_back(id); });
          ++answers;
        };
        switch (random() % 4) {
          case 0:
            done(db->write(apply, durability));
            break;
          case 1:
            db->submit({apply, done, durability});
            break;
          case 2:
            db->submit_or_commit({apply, done, durability});
            break;
          default:
            db->submit({apply, done, durability});
            EXPECT_LE(notes_of(*db).size(), threads_count * writes_each);
            EXPECT_TRUE(db->data_version());
        }
      }
    });
  }
  threads.join();
  EXPECT_TRUE(db->await_durable(db->written_up_to(), Timestamp::never()));
  // Whatever was submitted is answered before a later lone write is.
  ASSERT_TRUE(db->write([](Transaction&) { return Result<void>(); }));
  EXPECT_EQ(answers, threads_count * writes_each);
  auto expected = kept.with([](auto& all) { return all; });
  std::ranges::sort(expected);
  EXPECT_EQ(notes_of(*db), expected);
  EXPECT_EQ(db->durable_up_to(), db->written_up_to());
}

TEST_P(Stress, closing_under_load_answers_every_write_once) {
  const auto db = open();
  std::atomic<int> begun{0};
  std::atomic<int> answers{0};
  std::atomic<int> kept{0};
  Gate warm;
  Threads threads;
  for (int t = 0; t < 8; ++t) {
    threads.start("submitter", [&, t] {
      for (int i = 0; i < 200; ++i) {
        ++begun;
        db->submit({adding(t * 1000 + i), [&](const Result<CommitInfo>& info) {
                      ++answers;
                      if (info) {
                        if (++kept == 20) warm.open();
                      } else {
                        EXPECT_EQ(info.error().code(), Code::closed);
                      }
                    }});
      }
    });
  }
  warm.wait();
  EXPECT_TRUE(db->close(Timestamp::never()));
  threads.join();
  EXPECT_EQ(answers, begun);
  if (is_file()) {
    EXPECT_EQ(notes_of(*open()).size(), static_cast<std::size_t>(kept.load()));
  }
}

}  // namespace
}  // namespace clew::store
