// Whole databases as counts and hashes, and from one into another.
#include "clew/store/transfer.hpp"

#include <cmath>
#include <limits>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::HasSubstr;

std::vector<Migration> migrations() {
  auto all = core_migrations();
  all.push_back({2, "cells", R"sql(
    CREATE TABLE cells (id {identity_forever}, i {integer}, r {real}, t TEXT, b {blob}) {table};
    CREATE TABLE pairs (t TEXT NOT NULL, b {blob} NOT NULL, PRIMARY KEY (b, t)) {clustered};
    CREATE TABLE head (id {integer} NOT NULL PRIMARY KEY, last {integer} NOT NULL) {table};
    INSERT INTO head (id, last) VALUES (1, 0);)sql"});
  return all;
}

const Statement add_cell_sql("INSERT INTO cells (i, r, t, b) VALUES (:i, :r, :t, :b)");
const Statement add_pair_sql("INSERT INTO pairs (t, b) VALUES (:t, :b)");

std::unique_ptr<Session> connect(const std::string& url) {
  DatabaseOptions options;
  options.url = url;
  auto backend = make_backend(options, migrations()).value();
  auto session = backend->connect_writer().value();
  EXPECT_TRUE(migrate(*session, migrations()));
  return session;
}

class Transfer : public testing::Test {
 protected:
  std::unique_ptr<Session> file(const std::string& name) { return connect(folder_.file(name)); }
  std::unique_ptr<Session> postgres() { return connect(schema_.url()); }

  Result<void> change(Session& session, Apply apply) {
    CLEW_TRY(session.begin(Access::write, Durability::sync));
    if (auto done = apply(session); !done) {
      session.rollback();
      return done;
    }
    return session.commit();
  }
  DatabaseDigest digest(Session& session) {
    EXPECT_TRUE(session.begin(Access::snapshot, Durability::relaxed));
    auto made = tables_->digest(session);
    session.rollback();
    return std::move(made).value();
  }
  Result<void> copy(Session& from, Session& to) {
    CLEW_TRY(from.begin(Access::snapshot, Durability::relaxed));
    auto done = change(to, [&](Transaction&) -> Result<void> {
      CLEW_TRY(to.exclude_writers(tables_->names()));
      CLEW_TRY(tables_->check_empty(to));
      return tables_->copy(from, to);
    });
    from.rollback();
    return done;
  }
  // Cells that are special, and many.
  void fill(Session& session) {
    constexpr auto low = std::numeric_limits<std::int64_t>::min();
    constexpr auto high = std::numeric_limits<std::int64_t>::max();
    const std::string large(300'000, 'x');
    const auto done = change(session, [&](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run(add_cell_sql, low, -0.0, "", Blob{""}));
      CLEW_TRY(tx.run(add_cell_sql, high, 5e-324, "\u00e9\U0001F600", Blob{{"\0\xff", 2}}));
      CLEW_TRY(tx.run(add_cell_sql, nullptr, nullptr, nullptr, nullptr));
      CLEW_TRY(tx.run(add_cell_sql, 0, HUGE_VAL, "'\"\\{x}:y$1?", Blob{"'"}));
      CLEW_TRY(tx.run(add_cell_sql, 1, 0.1 + 0.2, "1", Blob{"1"}));
      for (int i = 0; i < 9; ++i) CLEW_TRY(tx.run(add_cell_sql, i, 1.5, large, Blob{large}));
      for (int i = 0; i < 2000; ++i) CLEW_TRY(tx.run(add_cell_sql, i, i / 3.0, "n", nullptr));
      for (const auto* t : {"b", "a", "B", "\u00e9", "~", ""}) {
        CLEW_TRY(tx.run(add_pair_sql, t, Blob{"\x80"}));
        CLEW_TRY(tx.run(add_pair_sql, t, Blob{"\x7f"}));
      }
      return {};
    });
    ASSERT_TRUE(done) << done.error().to_string();
  }

  Folder folder_;
  PostgresSchema schema_;
  std::shared_ptr<const Tables> tables_ = Tables::of(migrations()).value();
};

TEST_F(Transfer, all_cells_are_the_same_on_both_databases_and_back) {
  const auto here = file("a.db");
  fill(*here);
  const auto before = digest(*here);
  const auto there = postgres();
  ASSERT_TRUE(copy(*here, *there));
  EXPECT_EQ(digest(*there).tables, before.tables);
  const auto back = file("b.db");
  ASSERT_TRUE(copy(*there, *back));
  const auto after = digest(*back);
  EXPECT_EQ(after.tables, before.tables);
  EXPECT_EQ(after.sha256(), before.sha256());
  EXPECT_EQ(after.rows(), 2014 + 12 + 1);
  EXPECT_TRUE(check_same(before, after));
}

TEST_F(Transfer, one_changed_cell_is_another_hash) {
  const auto session = file("a.db");
  fill(*session);
  auto before = digest(*session);
  for (const auto* change_sql :
       {"UPDATE cells SET i = 1 WHERE id = 4", "UPDATE cells SET r = 0.5 WHERE id = 1",
        "UPDATE cells SET t = NULL WHERE id = 1", "UPDATE cells SET b = NULL WHERE id = 1",
        "UPDATE cells SET t = t || 'x' WHERE id = 9", "UPDATE cells SET id = 5000 WHERE id = 7",
        "UPDATE cells SET t = 'z' WHERE id = 2", "DELETE FROM cells WHERE id = 2000"}) {
    SCOPED_TRACE(change_sql);
    const auto done = change(*session, [&](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run_text(change_sql, {}));
      return {};
    });
    ASSERT_TRUE(done) << done.error().to_string();
    auto after = digest(*session);
    const auto found = check_same(before, after);
    ASSERT_EQ(code_of(found), Code::corrupt);
    EXPECT_EQ(found.error().find("table")->as_string(), "cells");
    before = std::move(after);
  }
}

TEST_F(Transfer, a_table_with_rows_is_named_and_left_as_it_was) {
  const auto from = file("a.db");
  fill(*from);
  for (const auto& to : {postgres(), file("b.db")}) {
    ASSERT_TRUE(change(*to, [](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run_text("UPDATE head SET last = 7", {}));
      return {};
    }));
    const auto before = digest(*to);
    const auto refused = copy(*from, *to);
    ASSERT_EQ(code_of(refused), Code::conflict);
    EXPECT_EQ(refused.error().find("found")->as_string(), "head (1)");
    EXPECT_EQ(digest(*to).tables, before.tables);
  }
}

TEST_F(Transfer, numbers_are_not_given_again) {
  const auto here = file("a.db");
  fill(*here);
  ASSERT_TRUE(change(*here, [](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run_text("DELETE FROM cells WHERE id > 10", {}));
    return {};
  }));
  const auto there = postgres();
  ASSERT_TRUE(copy(*here, *there));
  const auto back = file("b.db");
  ASSERT_TRUE(copy(*there, *back));
  for (auto* session : {here.get(), there.get(), back.get()}) {
    std::int64_t id = 0;
    VisitRow take = [&id](const Row& row) -> Result<void> {
      CLEW_TRY(id, row.integer(0));
      return {};
    };
    ASSERT_TRUE(change(*session, [&](Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run(add_cell_sql, 1, 1.0, "new", nullptr));
      return tx.each_text("SELECT MAX(id) FROM cells", {}, take);
    }));
    EXPECT_EQ(id, 2015);
  }
}

TEST_F(Transfer, unusual_text_is_found_with_its_key) {
  const auto session = file("a.db");
  ASSERT_TRUE(change(*session, [](Transaction& tx) -> Result<void> {
    CLEW_TRY(tx.run(add_pair_sql, "fine", Blob{"k"}));
    CLEW_TRY(tx.run(add_pair_sql, std::string_view("a\0b", 3), Blob{"l"}));
    return {};
  }));
  const auto unusual = digest(*session).unusual_text;
  ASSERT_TRUE(unusual.has_value());
  EXPECT_THAT(unusual->message(), HasSubstr("zero character"));
  EXPECT_EQ(unusual->find("table")->as_string(), "pairs");
  EXPECT_EQ(unusual->find("column")->as_string(), "t");
}

TEST_F(Transfer, a_failure_between_leaves_nothing) {
  const auto from = file("a.db");
  fill(*from);
  auto* point = find_fault_point("transfer.batch");
  ASSERT_NE(point, nullptr);
  for (const auto& to : {postgres(), file("b.db")}) {
    point->arm([] { return Result<void>(Error(Code::unavailable, "stopped")); });
    EXPECT_EQ(code_of(copy(*from, *to)), Code::unavailable);
    point->disarm();
    EXPECT_EQ(digest(*to).rows(), 1);
    EXPECT_TRUE(copy(*from, *to));
  }
}

}  // namespace
}  // namespace clew::store
