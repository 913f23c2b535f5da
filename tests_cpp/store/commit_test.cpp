#include <thread>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Commit : public EachPlace {};
INSTANTIATE_TEST_SUITE_P(Backends, Commit, each_place, place_name);

TEST_P(Commit, lone_write_is_there_and_numbered) {
  const auto db = open();
  const auto first = db->write(adding(1));
  const auto second = db->write(adding(2));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(second->number, 2U);
  EXPECT_EQ(second->group_size, 1);
  EXPECT_EQ(db->durable_up_to(), 2U);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2));
}

TEST_P(Commit, failing_write_undoes_only_itself_in_its_group) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    db->submit({adding(1), outcomes.recorder(1)});
    db->submit({[](Transaction& tx) -> Result<void> {
                  CLEW_TRY(add_note(tx, 2));
                  return error(Code::rejected, "changed my mind");
                },
                outcomes.recorder(2)});
    db->submit({adding(1), outcomes.recorder(3)});  // the id is taken
    db->submit({adding(4), outcomes.recorder(4)});
  }
  EXPECT_THAT(outcomes.wait(4), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(code_of(outcomes.of(2)), Code::rejected);
  EXPECT_EQ(code_of(outcomes.of(3)), Code::conflict);
  ASSERT_TRUE(outcomes.of(1) && outcomes.of(4));
  EXPECT_EQ(outcomes.of(1)->number, outcomes.of(4)->number) << "one commit for the group";
  EXPECT_EQ(outcomes.of(1)->group_size, 2);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 4));
  EXPECT_EQ(db->stats().refused, 2);
  EXPECT_EQ(db->stats().reruns, 2) << "the first two, once it was known that one fails";
  EXPECT_EQ(outcomes.of(1)->runs, 2);
  EXPECT_EQ(outcomes.of(4)->runs, 1);
}

TEST_P(Commit, groups_after_one_that_had_a_failing_write_run_once) {
  const auto db = open();
  for (int round = 0; round < 3; ++round) {
    Outcomes outcomes;
    {
      HeldWriter held(*db);
      db->submit({adding(10 * round + 1), outcomes.recorder(1)});
      db->submit({[](Transaction&) -> Result<void> { return error(Code::rejected, "no"); },
                  outcomes.recorder(2)});
      db->submit({adding(10 * round + 2), outcomes.recorder(3)});
    }
    outcomes.wait(3);
    ASSERT_TRUE(outcomes.of(1) && outcomes.of(3));
    EXPECT_EQ(code_of(outcomes.of(2)), Code::rejected);
    EXPECT_EQ(db->stats().reruns, 2) << "round " << round;
  }
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2, 11, 12, 21, 22));
}

// Refuses unless a note of that id is there.
Result<void> expect_note(Transaction& tx, std::int64_t id) {
  static const Statement sql("SELECT id FROM notes WHERE id = :id");
  const auto judge = [id](const Row* row) -> Result<void> {
    if (row == nullptr) return error(Code::stale_lease, "note {} is not there", id);
    CLEW_TRY(const auto found, row->integer(0));
    CLEW_CHECK(found == id);
    return {};
  };
  return tx.expect(sql, judge, id);
}

TEST_P(Commit, write_whose_expectation_is_refused_undoes_only_itself_in_its_group) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    for (const std::int64_t id : {1, 2, 3}) {
      db->submit({[id](Transaction& tx) -> Result<void> {
                    CLEW_TRY(add_note(tx, id));
                    CLEW_TRY(expect_note(tx, id == 2 ? 20 : id));
                    return add_note(tx, id + 100);
                  },
                  outcomes.recorder(id)});
    }
  }
  outcomes.wait(3);
  ASSERT_TRUE(outcomes.of(1) && outcomes.of(3));
  ASSERT_EQ(code_of(outcomes.of(2)), Code::stale_lease);
  EXPECT_EQ(outcomes.of(2).error().message(), "note 20 is not there");
  EXPECT_TRUE(outcomes.of(2).error().context().empty()) << "the judge's own words";
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 3, 101, 103));
}

TEST_P(Commit, lone_write_whose_expectation_is_refused_leaves_nothing) {
  const auto db = open();
  const auto refused = db->write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(expect_note(tx, 1));
    return add_note(tx, 1);
  });
  EXPECT_EQ(code_of(refused), Code::stale_lease);
  EXPECT_THAT(notes_of(*db), IsEmpty());
  EXPECT_TRUE(db->write(adding(1)));
  EXPECT_TRUE(db->write([](Transaction& tx) { return expect_note(tx, 1); }));
}

TEST_P(Commit, first_of_two_failures_is_the_answer) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  EXPECT_EQ(code_of(db->write([](Transaction& tx) -> Result<void> {
              CLEW_TRY(expect_note(tx, 7));
              return add_note(tx, 1);
            })),
            Code::stale_lease);
  EXPECT_EQ(code_of(db->write([](Transaction& tx) -> Result<void> {
              CLEW_TRY(add_note(tx, 1));
              return expect_note(tx, 7);
            })),
            Code::conflict);
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
}

TEST_P(Commit, expectation_in_a_reader_is_answered_at_once) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  EXPECT_TRUE(db->read([](Transaction& tx) { return expect_note(tx, 1); }));
  EXPECT_EQ(code_of(db->read([](Transaction& tx) { return expect_note(tx, 2); })),
            Code::stale_lease);
}

TEST_P(Commit, statement_that_is_run_for_each_list_tells_what_each_has_changed) {
  static const Statement sql("UPDATE notes SET id = id + 10 WHERE id = :id");
  const auto db = open();
  for (const std::int64_t id : {1, 2}) ASSERT_TRUE(db->write(adding(id)));
  std::vector<std::int64_t> changed;
  ASSERT_TRUE(db->write([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(changed, tx.run_each(sql, std::vector<std::vector<Arg>>{{1}, {7}, {2}, {1}}));
    CLEW_TRY(const auto none, tx.run_each(sql, {}));
    EXPECT_THAT(none, IsEmpty());
    return {};
  }));
  EXPECT_THAT(changed, ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(notes_of(*db), ElementsAre(11, 12));
  EXPECT_EQ(code_of(db->write([&](Transaction& tx) -> Result<void> {
              CLEW_TRY(tx.run_each(sql, std::vector<std::vector<Arg>>{{11}, {2}, {12}, {22}}));
              return error(Code::rejected, "no");
            })),
            Code::rejected);
  EXPECT_THAT(notes_of(*db), ElementsAre(11, 12));
}

TEST_P(Commit, failing_lone_write_leaves_nothing_and_takes_no_number) {
  const auto db = open();
  const auto refused = db->write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(add_note(tx, 1));
    return error(Code::rejected, "no");
  });
  EXPECT_EQ(code_of(refused), Code::rejected);
  EXPECT_THAT(notes_of(*db), IsEmpty());
  EXPECT_EQ(db->written_up_to(), 0U);
  EXPECT_EQ(db->write(adding(1))->number, 1U);
}

TEST_P(Commit, thrown_exception_is_an_internal_error_and_undone) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    db->submit({[](Transaction& tx) -> Result<void> {
                  CLEW_TRY(add_note(tx, 1));
                  CLEW_CHECK(1 == 2);
                  return {};
                },
                outcomes.recorder(1)});
    db->submit({[](Transaction&) -> Result<void> { throw 7; }, outcomes.recorder(2)});
    db->submit({adding(3), outcomes.recorder(3)});
  }
  outcomes.wait(3);
  EXPECT_EQ(code_of(outcomes.of(1)), Code::internal);
  EXPECT_EQ(code_of(outcomes.of(2)), Code::internal);
  EXPECT_THAT(notes_of(*db), ElementsAre(3));
}

TEST_P(Commit, completions_come_in_the_order_of_submission_across_groups) {
  auto how = options();
  how.group_max = 3;
  const auto db = open(how);
  Outcomes outcomes;
  std::vector<std::int64_t> expected;
  {
    HeldWriter held(*db);
    for (int i = 1; i <= 10; ++i) {
      db->submit({adding(i), outcomes.recorder(i)});
      expected.push_back(i);
    }
    EXPECT_EQ(db->stats().queued, 10);
  }
  EXPECT_EQ(outcomes.wait(10), expected);
  EXPECT_EQ(db->stats().group_largest, 3);
  EXPECT_EQ(outcomes.of(10)->number, outcomes.of(1)->number + 3);
}

TEST_P(Commit, write_on_an_idle_database_runs_on_the_calling_thread) {
  const auto db = open();
  std::thread::id ran;
  ASSERT_TRUE(db->write([&](Transaction&) -> Result<void> {
    ran = std::this_thread::get_id();
    return {};
  }));
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST_P(Commit, submit_or_commit_is_done_before_it_returns_when_idle) {
  const auto db = open();
  bool is_done = false;
  db->submit_or_commit(
      {adding(1), [&](const Result<CommitInfo>& info) { is_done = info.has_value(); }});
  EXPECT_TRUE(is_done);
}

TEST_P(Commit, submit_or_commit_queues_behind_others) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    db->submit_or_commit({adding(1), outcomes.recorder(1)});
    EXPECT_EQ(code_of(outcomes.of(1)), Code::not_found) << "not done yet";
  }
  outcomes.wait(1);
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
}

TEST_P(Commit, completion_may_submit_and_read_but_not_wait) {
  const auto db = open();
  Outcomes outcomes;
  Gate checked;
  db->submit({adding(1), [&](const Result<CommitInfo>&) {
                EXPECT_THROW((void)db->write(adding(9)), CheckFailure);
                EXPECT_THROW((void)db->await_durable(1, Timestamp::never()), CheckFailure);
                EXPECT_THROW((void)db->close(Timestamp::never()), CheckFailure);
                EXPECT_THAT(notes_of(*db), ElementsAre(1));
                db->submit({adding(2), outcomes.recorder(2)});
                db->submit_or_commit({adding(3), outcomes.recorder(3)});
                checked.open();
              }});
  checked.wait();
  outcomes.wait(2);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2, 3));
}

TEST_P(Commit, apply_and_reader_may_use_only_their_transaction) {
  const auto db = open();
  const auto tried = db->write([&](Transaction&) -> Result<void> {
    EXPECT_THROW((void)db->write(adding(1)), CheckFailure);
    EXPECT_THROW(db->submit({adding(1), [](const Result<CommitInfo>&) {}}), CheckFailure);
    EXPECT_THROW((void)db->read([](Transaction&) { return Result<void>(); }), CheckFailure);
    return {};
  });
  EXPECT_TRUE(tried);
  const auto read = db->read([&](Transaction&) -> Result<void> {
    EXPECT_THROW((void)db->write(adding(1)), CheckFailure);
    return {};
  });
  EXPECT_TRUE(read);
  EXPECT_THAT(notes_of(*db), IsEmpty());
}

TEST_P(Commit, full_queue_blocks_the_submitter_until_there_is_room) {
  auto how = options();
  how.queue_max = 2;
  const auto db = open(how);
  Outcomes outcomes;
  std::atomic<bool> is_through{false};
  Threads threads;
  {
    HeldWriter held(*db);
    db->submit({adding(1), outcomes.recorder(1)});
    db->submit({adding(2), outcomes.recorder(2)});
    threads.start("third", [&] {
      db->submit({adding(3), outcomes.recorder(3)});
      is_through = true;
    });
    EXPECT_FALSE(is_through);
  }
  outcomes.wait(3);
  threads.join();
  EXPECT_TRUE(is_through);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 2, 3));
}

TEST_P(Commit, close_commits_what_was_accepted_and_refuses_the_rest) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    for (int i = 1; i <= 5; ++i) db->submit({adding(i), outcomes.recorder(i)});
  }
  EXPECT_TRUE(db->close(Timestamp::never()));
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(outcomes.of(i));
  bool was_refused = false;
  db->submit({adding(6), [&](const Result<CommitInfo>& info) {
                was_refused = code_of(info) == Code::closed;
              }});
  EXPECT_TRUE(was_refused) << "on the calling thread";
  EXPECT_EQ(code_of(db->write(adding(7))), Code::closed);
  EXPECT_EQ(code_of(db->read([](Transaction&) { return Result<void>(); })), Code::closed);
  EXPECT_EQ(code_of(db->check_integrity()), Code::closed);
  EXPECT_EQ(code_of(db->data_version()), Code::closed) << "whoever waits for a change learns of it";
  EXPECT_TRUE(db->close(Timestamp::never())) << "again";
  if (is_file()) {
    EXPECT_THAT(notes_of(*open()), ElementsAre(1, 2, 3, 4, 5));
    EXPECT_THAT(folder_.names(), ElementsAre("work.db")) << "the log is in the file";
  }
}

TEST_P(Commit, late_close_tells_the_queued_that_they_were_dropped) {
  ManualClock clock;
  const auto env = make_seeded_env(clock, 1);
  const auto db = open_or_fail(options(), *env, test_migrations());
  Outcomes outcomes;
  bool in_time = true;
  Threads threads;
  {
    HeldWriter held(*db);
    db->submit({adding(1), outcomes.recorder(1)});
    threads.start("closer", [&] { in_time = db->close(clock.now() + std::chrono::seconds(1)); });
    ASSERT_TRUE(clock.await_waiters(1));
    clock.advance(std::chrono::seconds(1));
    // Only then does the write in progress end: the dropped one must not get into the next group.
    // close() joins the writer first, so the outcome comes after this.
    EXPECT_EQ(code_of(outcomes.of(1)), Code::not_found);
    while (db->stats().queued != 0) std::this_thread::yield();
  }
  threads.join();
  EXPECT_FALSE(in_time);
  EXPECT_EQ(code_of(outcomes.of(1)), Code::closed);
  if (is_file()) {
    EXPECT_THAT(notes_of(*open()), IsEmpty());
  }
}

TEST_P(Commit, closing_from_many_threads_at_once_closes_once) {
  const auto db = open();
  ASSERT_TRUE(db->write(adding(1)));
  Threads threads;
  for (int i = 0; i < 4; ++i) {
    threads.start("closer", [&] { EXPECT_TRUE(db->close(Timestamp::never())); });
  }
  threads.join();
  EXPECT_EQ(code_of(db->write(adding(2))), Code::closed);
}

TEST_P(Commit, group_that_fails_as_a_whole_is_run_again_one_by_one) {
  const auto db = open();
  Outcomes outcomes;
  {
    HeldWriter held(*db);
    const Armed fault("store.commit.inside", {2, 4});  // the group; the second of the lone ones
    for (int i = 1; i <= 3; ++i) db->submit({adding(i), outcomes.recorder(i)});
    held.release();
    outcomes.wait(3);
    EXPECT_EQ(fault.hits(), 5);
  }
  EXPECT_TRUE(outcomes.of(1) && outcomes.of(3));
  EXPECT_EQ(code_of(outcomes.of(2)), Code::unavailable);
  EXPECT_THAT(notes_of(*db), ElementsAre(1, 3));
  EXPECT_EQ(db->stats().reruns, 3);
  EXPECT_TRUE(db->write(adding(4))) << "the database goes on";
}

TEST_P(Commit, fault_before_fails_the_group_without_running_it) {
  const auto db = open();
  const Armed fault("store.commit.before");
  bool has_run = false;
  EXPECT_EQ(code_of(db->write([&](Transaction&) -> Result<void> {
              has_run = true;
              return {};
            })),
            Code::unavailable);
  EXPECT_FALSE(has_run);
}

TEST_P(Commit, fault_after_loses_the_answer_but_not_the_write) {
  const auto db = open();
  {
    const Armed fault("store.commit.after");
    EXPECT_EQ(code_of(db->write(adding(1))), Code::unavailable);
  }
  EXPECT_THAT(notes_of(*db), ElementsAre(1));
}

TEST_P(Commit, moved_only_captures_are_destroyed_after_completion) {
  const auto db = open();
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = token;
  Gate done;
  db->submit({[token = std::move(token)](Transaction&) -> Result<void> { return {}; },
              [&](const Result<CommitInfo>&) { done.open(); }});
  done.wait();
  ASSERT_TRUE(db->write(adding(1)));  // its turn came after the group before was forgotten
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace clew::store
