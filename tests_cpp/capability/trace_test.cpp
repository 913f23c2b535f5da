// Traces as they are written and read.
#include "clew/capability/trace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "trace_fixture.hpp"

namespace clew::trace_testing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Stores, TraceStoreSuite, testing::Values(0, 1, 2),
                         [](const auto& each) { return store_name(each.param); });

TEST(TraceWords, outcome_reads_back_from_its_word) {
  using enum CallOutcome;
  for (const auto outcome : {success, failure, timeout, cancelled, rejected}) {
    const auto parsed = parse_outcome(name(outcome));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, outcome);
  }
  for (const auto* word : {"", "Success", "ok", "success "}) {
    const auto parsed = parse_outcome(word);
    ASSERT_FALSE(parsed) << word;
    EXPECT_EQ(parsed.error().code(), Code::invalid_input);
  }
}

TEST(TraceWords, digests_replace_the_payloads_once) {
  TraceRecord record;
  record.input = Value("in");
  record.output = Value("out");
  record.has_output = true;
  take_digests(record);
  ASSERT_TRUE(record.digests);
  EXPECT_EQ(record.digests->input, sha256("\"in\""));
  EXPECT_EQ(record.digests->output, sha256("\"out\""));
  EXPECT_TRUE(record.input.is_null());
  EXPECT_TRUE(record.output.is_null());

  take_digests(record);
  EXPECT_EQ(record.digests->input, sha256("\"in\""));
}

TEST_P(TraceStoreSuite, every_field_reads_back) {
  open();
  auto record = make_record();
  record.parent = env_->ids().next();
  record.outcome = CallOutcome::timeout;
  record.code = Code::timeout;
  record.queue_ns = 1'999;
  record.run_ns = 2'000'000;
  record.ended_ns = clock_.ticks_ns() - 3'500;
  record.tag = std::make_shared<const StepTag>(
      StepTag{.run = "run-1", .step = "count", .item = 0, .attempt = 2});
  record.correlation_id = "order-7";
  traces_->record(record);

  const auto trace = traces_->find(record.id);
  ASSERT_TRUE(trace) << trace.error().to_string();
  EXPECT_EQ(trace->id, record.id);
  EXPECT_EQ(trace->parent, record.parent);
  EXPECT_EQ(trace->capability, "text.words");
  EXPECT_EQ(trace->version, "1.2.0");
  EXPECT_EQ(trace->target, "local");
  EXPECT_EQ(trace->executor, "pool");
  EXPECT_EQ(trace->outcome, CallOutcome::timeout);
  EXPECT_EQ(trace->code, "timeout");
  EXPECT_EQ(trace->started, clock_.now());
  EXPECT_EQ(trace->queue_us, 1);
  EXPECT_EQ(trace->run_us, 2000);
  EXPECT_EQ(trace->commit_us, GetParam() ? 3 : 0);  // nothing is written in memory
  EXPECT_EQ(trace->input_sha256, to_hex(sha256(R"({"doc":"a b c"})")));
  EXPECT_EQ(trace->output_sha256, to_hex(sha256("3")));
  EXPECT_EQ(trace->attempt, 2);
  EXPECT_EQ(trace->run, "run-1");
  EXPECT_EQ(trace->step, "count");
  EXPECT_EQ(trace->item, 0);
  EXPECT_EQ(trace->correlation_id, "order-7");
}

TEST_P(TraceStoreSuite, call_of_an_unknown_capability_has_only_what_was_named) {
  open();
  TraceRecord record;
  record.id = env_->ids().next();
  record.started = clock_.now();
  record.reference = "text.wrods@^1";
  record.outcome = CallOutcome::rejected;
  record.code = Code::not_found;
  traces_->record(record);

  const auto trace = traces_->find(record.id);
  ASSERT_TRUE(trace) << trace.error().to_string();
  EXPECT_EQ(trace->capability, "text.wrods@^1");
  EXPECT_EQ(trace->version, "");
  EXPECT_EQ(trace->code, "not_found");
  EXPECT_EQ(trace->parent, std::nullopt);
  EXPECT_EQ(trace->input_sha256, to_hex(sha256("null")));
  EXPECT_EQ(trace->output_sha256, "");
  EXPECT_EQ(trace->attempt, 1);
  EXPECT_EQ(trace->run, "");
  EXPECT_EQ(trace->step, "");
  EXPECT_EQ(trace->item, -1);

  record.id = env_->ids().next();
  ASSERT_TRUE(insert(record));
  EXPECT_EQ(traces_->find(record.id)->output_sha256, "");
}

// Parity: trace tiers
TEST_P(TraceStoreSuite, no_payload_reaches_the_database) {
  open();
  const std::string marker = "SeCrEt-payload";
  for (const std::size_t size : {std::size_t{1}, std::size_t{511}, std::size_t{100'000}}) {
    auto record = make_record();
    const auto text = marker + std::string(size, 'x');
    record.input = Value::object({{text, Value(text)}});
    record.output = Value::array({Value(text)});
    const auto input = digest_of(record.input);
    const auto output = digest_of(record.output);
    traces_->record(record);
    const auto trace = traces_->find(record.id);
    ASSERT_TRUE(trace) << trace.error().to_string();
    EXPECT_EQ(trace->input_sha256, to_hex(input));
    EXPECT_EQ(trace->output_sha256, to_hex(output));

    record.id = env_->ids().next();
    ASSERT_TRUE(insert(record));
    EXPECT_EQ(traces_->find(record.id)->output_sha256, to_hex(output));
  }
  EXPECT_EQ(rows(), 6);
  EXPECT_THAT(dump(), HasSubstr("text.words"));
  EXPECT_THAT(dump(), testing::Not(HasSubstr(marker)));
}

TEST_P(TraceStoreSuite, insert_belongs_to_its_transaction) {
  open();
  const auto record = make_record();
  const auto failed = database_->write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(traces_->insert(tx, record));
    return Error(Code::conflict, "given up");
  });
  EXPECT_FALSE(failed);
  EXPECT_FALSE(traces_->find(record.id));

  ASSERT_TRUE(insert(record));
  EXPECT_EQ(rows(), 1);
  EXPECT_TRUE(traces_->find(record.id));
}

TEST_P(TraceStoreSuite, second_trace_with_one_id_is_ignored) {
  open();
  auto record = make_record();
  ASSERT_TRUE(insert(record));
  record.target = "elsewhere";
  ASSERT_TRUE(insert(record));
  traces_->record(record);
  traces_->record(make_record());

  ASSERT_TRUE(traces_->flush());
  EXPECT_EQ(rows(), 2);
  EXPECT_EQ(traces_->find(record.id)->target, "local");
}

TEST_P(TraceStoreSuite, absent_id_is_not_found_and_named) {
  open();
  record_one();
  const auto id = env_->ids().next();
  const auto found = traces_->find(id);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Code::not_found);
  EXPECT_THAT(found.error().message(), HasSubstr(id.to_string()));
}

// Six calls that differ in one thing each from the first, one second apart.
class TraceFilters : public TraceTest {
 protected:
  void SetUp() override {
    open();
    const auto add = [this](auto&& change) {
      auto record = make_record();
      change(record);
      ids_.push_back(record.id);
      traces_->record(std::move(record));
      clock_.advance(std::chrono::seconds(1));
    };
    add([](TraceRecord&) {});
    add([](TraceRecord& record) { record.capability = make_capability("text.lines", "1.2.0"); });
    add([](TraceRecord& record) { record.capability = make_capability("text.words", "2.0.0-a"); });
    add([](TraceRecord& record) {
      record.outcome = CallOutcome::failure;
      record.code = Code::execution_failed;
    });
    add([](TraceRecord& record) {
      record.tag = std::make_shared<const StepTag>(StepTag{.run = "run-1", .step = "a"});
    });
    add([](TraceRecord& record) {
      record.outcome = CallOutcome::failure;
      record.code = Code::unavailable;
      record.tag = std::make_shared<const StepTag>(StepTag{.run = "run-1", .step = "a"});
    });
  }
  // The indexes of the records that a query gives.
  std::vector<int> found(const TraceQuery& query) {
    std::vector<int> indexes;
    for (const auto& id : ids_of(query)) {
      indexes.push_back(static_cast<int>(std::ranges::find(ids_, id) - ids_.begin()));
    }
    return indexes;
  }
  Timestamp start_ = clock_.now();
  std::vector<Id> ids_;
};

TEST_F(TraceFilters, each_condition_selects_alone_and_together) {
  const auto second = [this](int number) { return start_ + std::chrono::seconds(number); };
  EXPECT_THAT(found({}), ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_THAT(found({.capability = "text.words"}), ElementsAre(5, 4, 3, 2, 0));
  EXPECT_THAT(found({.capability = "text"}), ElementsAre());
  EXPECT_THAT(found({.version = "2.0.0-a"}), ElementsAre(2));
  EXPECT_THAT(found({.outcome = CallOutcome::failure}), ElementsAre(5, 3));
  EXPECT_THAT(found({.code = "unavailable"}), ElementsAre(5));
  EXPECT_THAT(found({.since = second(4)}), ElementsAre(5, 4));
  EXPECT_THAT(found({.until = second(1)}), ElementsAre(0));
  EXPECT_THAT(found({.since = second(2), .until = second(2)}), ElementsAre());
  EXPECT_THAT(found({.run = "run-1"}), ElementsAre(5, 4));
  EXPECT_THAT(found({.run = "run-2"}), ElementsAre());
  EXPECT_THAT(found({.limit = 2}), ElementsAre(5, 4));
  EXPECT_THAT(found({.capability = "text.words",
                     .version = "1.2.0",
                     .outcome = CallOutcome::failure,
                     .code = "unavailable",
                     .since = second(5),
                     .until = second(6),
                     .run = "run-1",
                     .limit = 1}),
              ElementsAre(5));
  EXPECT_THAT(found({.capability = "text.words", .run = "run-1", .cursor = ids_[5].to_string()}),
              ElementsAre(4));
}

TEST_F(TraceFilters, wrong_fields_are_named) {
  const struct {
    TraceQuery query;
    const char* path;
  } cases[] = {
      {{.limit = 0}, "limit"},
      {{.limit = -1}, "limit"},
      {{.limit = 10'001}, "limit"},
      {{.cursor = "x"}, "cursor"},
      {{.cursor = ids_[0].to_string() + "0"}, "cursor"},
      {{.version = "1.2"}, "version"},
      {{.code = "oops"}, "code"},
  };
  for (const auto& [query, path] : cases) {
    const auto page = traces_->query(query);
    ASSERT_FALSE(page) << path;
    EXPECT_EQ(page.error().code(), Code::invalid_input) << path;
    EXPECT_THAT(page.error().to_string(), HasSubstr(path));
  }
  EXPECT_EQ(page_of({.limit = 10'000}).traces.size(), 6U);
  EXPECT_EQ(page_of({.limit = 1}).traces.size(), 1U);
}

TEST_F(TraceFilters, last_page_has_no_cursor) {
  EXPECT_EQ(page_of({.limit = 6}).next_cursor, "");
  const auto page = page_of({.limit = 5});
  EXPECT_NE(page.next_cursor, "");
  const auto rest = page_of({.limit = 5, .cursor = page.next_cursor});
  EXPECT_EQ(rest.traces.size(), 1U);
  EXPECT_EQ(rest.next_cursor, "");
}

TEST_F(TraceFilters, damaged_rows_are_corrupt_and_named) {
  ASSERT_TRUE(traces_->flush());
  const struct {
    const char* break_it;
    const char* column;
  } cases[] = {
      {"UPDATE traces SET outcome = 'fine'", "outcome"},
      {"UPDATE traces SET outcome = 'success', attempt = 5000000000", "attempt"},
      {"UPDATE traces SET attempt = 1, output_sha256 = parent, parent = input_sha256", "parent"},
      {"UPDATE traces SET parent = NULL, output_sha256 = id", "output_sha256"},
  };
  for (const auto& [break_it, column] : cases) {
    change_rows(break_it);
    const auto trace = traces_->find(ids_[0]);
    ASSERT_FALSE(trace) << break_it;
    EXPECT_EQ(trace.error().code(), Code::corrupt);
    EXPECT_THAT(trace.error().to_string(), HasSubstr(column));
    EXPECT_THAT(trace.error().to_string(), HasSubstr(ids_[0].to_string()));
    EXPECT_EQ(traces_->query({}).error().code(), Code::corrupt);
  }
}

// Parity: trace query
TEST_P(TraceStoreSuite, paging_is_stable_while_others_record) {
  open();
  constexpr int before = 1000;
  std::set<Id> expected;
  for (int i = 0; i < before; ++i) expected.insert(record_one());
  std::atomic<bool> stop{false};
  Threads recorders;
  for (int i = 0; i < 4; ++i) {
    recorders.start("recorder", [&] {
      for (int n = 0; n < 5000 && !stop; ++n) record_one();
    });
  }

  std::vector<Id> seen;
  TraceQuery query{.limit = 37};
  do {
    const auto page = page_of(query);
    for (const auto& trace : page.traces) seen.push_back(trace.id);
    query.cursor = page.next_cursor;
  } while (!query.cursor.empty());
  stop = true;
  recorders.join();

  EXPECT_TRUE(std::ranges::is_sorted(seen, std::greater<>()));
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
  for (const auto& id : seen) expected.erase(id);
  EXPECT_EQ(expected.size(), 0U);
}

TEST_P(TraceStoreSuite, view_shows_ids_and_digests_as_text) {
  open();
  auto record = make_record();
  record.parent = env_->ids().next();
  traces_->record(record);
  auto bare = make_record();
  bare.has_output = false;
  traces_->record(bare);
  ASSERT_TRUE(traces_->flush());

  std::vector<std::vector<std::string>> shown;
  const auto read = database_->read([&](store::Transaction& tx) {
    store::VisitRow visit = [&](const store::Row& row) -> Result<void> {
      auto& line = shown.emplace_back();
      for (int i = 0; i < row.columns(); ++i) {
        const auto cell = row.cell(i);
        const auto* text = std::get_if<std::string>(&cell);
        line.push_back(text != nullptr ? *text : "");
      }
      return {};
    };
    return tx.each_text(
        "SELECT id, parent, capability, input_sha256, output_sha256 FROM v_traces ORDER BY id", {},
        visit);
  });
  ASSERT_TRUE(read) << read.error().to_string();
  const auto input = to_hex(digest_of(record.input));
  EXPECT_THAT(shown, ElementsAre(ElementsAre(record.id.to_string(), record.parent.to_string(),
                                             "text.words", input, to_hex(sha256("3"))),
                                 ElementsAre(bare.id.to_string(), "", "text.words", input, "")));
}

}  // namespace
}  // namespace clew::trace_testing
