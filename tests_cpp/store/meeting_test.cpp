// What becomes of leases and blobs that one writer clears away while another takes them.
#include "store/meeting.hpp"

#include "clew/store/blob.hpp"
#include "clew/store/migrate.hpp"
#include "clew/store/timed_lease.hpp"

namespace clew::store {
namespace {

constexpr LeaseKey thing{"test", "thing"};
constexpr Timestamp at(std::int64_t us) { return {1'000'000 + us}; }

std::vector<Migration> migrations() {
  auto all = core_migrations();
  all.push_back(coordination_migration(2));
  all.push_back(blob_migration(3));
  return all;
}

Apply claiming(std::string token, std::int64_t now_us) {
  return [token = std::move(token), now_us](Transaction& tx) -> Result<void> {
    CLEW_TRY(claim_timed_lease(tx, thing, {"owner", token, at(now_us), Duration(100)}));
    return {};
  };
}
Apply releasing(std::string token) {
  return [token = std::move(token)](Transaction& tx) -> Result<void> {
    CLEW_TRY(const bool released, release_timed_lease(tx, thing, token));
    EXPECT_TRUE(released);
    return {};
  };
}

class StoreMeeting : public Meeting {
 protected:
  StoreMeeting() : Meeting(migrations()) {}
};

TEST_F(StoreMeeting, lease_that_is_claimed_while_it_is_purged_stays) {
  for (const bool is_released : {true, false}) {
    SCOPED_TRACE(is_released ? "released" : "over");
    ask("DELETE FROM timed_leases");
    write(claiming("first", 0));
    if (is_released) write(releasing("first"));
    const auto before = at(is_released ? 0 : 100);
    int gone = -1;
    meet(claiming("second", 200), [&](Transaction& tx) -> Result<void> {
      CLEW_TRY(gone, purge_timed_leases(tx, "test", before, 10));
      return {};
    });
    EXPECT_EQ(gone, 0);
    write([](Transaction& tx) { return check_timed_lease(tx, thing, "second"); });
  }
}

// The purge waits for the floor when it has read the leases, and has not deleted any.
TEST_F(StoreMeeting, fence_never_goes_back_when_a_lease_is_released_while_others_are_purged) {
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(claim_timed_lease(tx, {"test", "old"}, {"owner", "t", at(0), Duration(0)}));
    CLEW_TRY(purge_timed_leases(tx, "test", at(0), 10));
    CLEW_TRY(claim_timed_lease(tx, {"test", "old"}, {"owner", "t", at(0), Duration(0)}));
    return {};
  });
  for (const auto* token : {"1", "2", "3"}) write(claiming(token, 0));
  const auto fence = ask("SELECT fence FROM timed_leases WHERE id = 'thing'");
  ask("BEGIN");
  ask("SELECT fence FROM lease_floors FOR UPDATE");
  auto purged = begin_write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(purge_timed_leases(tx, "test", at(0), 10));
    return {};
  });
  write(releasing("3"));
  ask("COMMIT");
  expect_done(purged.get());
  EXPECT_EQ(ask("SELECT count(*) FROM timed_leases WHERE id = 'old'"), "0");
  write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto next, claim_timed_lease(tx, thing, {"owner", "4", at(1), Duration(0)}));
    EXPECT_GT(next.fence, std::stoll(fence));
    return {};
  });
}

// Whose clock is behind, or who waited long, does not touch it anew.
TEST_F(StoreMeeting, blob_that_is_pinned_while_it_is_swept_stays) {
  const auto hash = blob_id("content");
  write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(put_blob(tx, "content", at(0)));
    return {};
  });
  BlobSweep report;
  meet([&](Transaction& tx) { return pin_blob(tx, "holder", hash, at(1)); },
       [&](Transaction& tx) -> Result<void> {
         CLEW_TRY(report, sweep_blobs(tx, {}, at(10)));
         return {};
       });
  EXPECT_EQ(report.deleted, 0);
  EXPECT_EQ(report.retained, 1);
  EXPECT_EQ(ask("SELECT hash FROM blobs"), hash);
}

}  // namespace
}  // namespace clew::store
