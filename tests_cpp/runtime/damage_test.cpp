// Rows that somebody damaged: every reader answers `corrupt` with table and key, verify() names
// each, and nothing of them is rewritten.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runtime/fixture.hpp"

namespace clew {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view two_steps = R"yaml(
workflow: damage.two
version: 1.0.0
steps:
  first:  {call: t.echo, with: {x: "{{ input.x }}"}}
  second: {for_each: "{{ input.list }}", as: n, call: t.echo, with: {n: "{{ n }}"}}
output: {first: "{{ steps.first.output }}"}
)yaml";

constexpr std::string_view waits = R"yaml(
workflow: damage.waits
version: 1.0.0
steps:
  first:  {call: t.echo}
  second: {call: t.wait, after: [first]}
)yaml";

// One cell that is changed, and what reads it.
enum class Reader { list, run, steps, events, result, traces, trace, workflow };
struct Damage {
  const char* table;
  const char* set;  // SET …
  std::vector<Reader> readers;
  const char* violates = nullptr;  // null: "<table>.readable"
};

const std::vector<Reader> of_run = {Reader::list, Reader::run, Reader::result};
const std::vector<Reader> of_event = {Reader::steps, Reader::events};
const std::vector<Reader> of_trace = {Reader::traces, Reader::trace};
const std::vector<Reader> of_definition = {Reader::run, Reader::workflow};
const std::vector<Reader> of_published = {Reader::workflow};
const std::vector<Reader> of_none;  // what no call of a user reads

#define NO_TEXT "CAST(x'61ff' AS TEXT)"
const Damage damages[] = {
    {"runs", "id = " NO_TEXT, {Reader::list}},
    {"runs", "workflow = " NO_TEXT, of_run},
    {"runs", "workflow = ''", of_run},
    {"runs", "version = 'one'", of_run},
    {"runs", "version = " NO_TEXT, of_run},
    {"runs", "digest = 'x'", of_run},
    {"runs", "digest = " NO_TEXT, of_run},
    {"runs", "status = 'resting'", of_run},
    {"runs", "status = 'waiting'", of_run},
    {"runs", "status = " NO_TEXT, of_run},
    {"runs", "input = '{'", of_run},
    {"runs", "input = '[1]'", of_run},
    {"runs", "input = " NO_TEXT, of_run},
    {"runs", "output = 'nothing'", of_run},
    {"runs", "output = NULL", of_run},
    {"runs", "output = " NO_TEXT, of_run},
    {"runs", "error = '{}', output = NULL, status = 'failed'", of_run},
    {"runs", "error = 'x', output = NULL, status = 'failed'", of_run},
    {"runs", "error = '{}'", of_run},
    {"runs", "failed_step = " NO_TEXT, of_run},
    {"runs", "tags = 'a'", of_run},
    {"runs", "tags = '{}'", of_run},
    {"runs", "tags = '[1]'", of_run},
    {"runs", "priority = 5000000000", of_run},
    {"runs", "durability = 'none'", of_run},
    {"runs", "created_us = -1", of_run},
    {"runs", "created_us = 9000000000000000000", of_run},
    {"runs", "ended_us = -1", of_run},
    {"runs", "ended_us = NULL", of_run},
    {"runs", "start_key = " NO_TEXT, of_run},
    {"events", "pos = -pos", of_none},
    {"events", "stream = -1", of_event},
    {"events", "seq = seq + 1000", of_event, "events.dense"},
    {"events", "seq = -seq", of_event},
    {"events", "at_us = -1", of_event},
    {"events", "at_us = 9000000000000000000", of_event},
    {"events", "type = 'step.pondered'", of_event},
    {"events", "type = " NO_TEXT, of_event},
    {"events", "subject = 'third'", of_event, "runs.fold"},
    {"events", "subject = " NO_TEXT, of_event},
    {"events", "data = 'x'", of_event},
    {"events", "data = '[]'", of_event},
    {"events", "data = " NO_TEXT, of_event},
    {"events", "data = '{\"item\": -3}'", of_event},
    {"traces", "id = x'00'", {Reader::traces}},
    {"traces", "parent = x'00'", of_trace},
    {"traces", "capability = " NO_TEXT, of_trace},
    {"traces", "version = " NO_TEXT, of_trace},
    {"traces", "target = " NO_TEXT, of_trace},
    {"traces", "executor = " NO_TEXT, of_trace},
    {"traces", "outcome = 'fine'", of_trace},
    {"traces", "outcome = " NO_TEXT, of_trace},
    {"traces", "code = 'oops'", of_trace},
    {"traces", "started_us = -1", of_trace},
    {"traces", "started_us = 9000000000000000000", of_trace},
    {"traces", "queue_us = -1", of_trace},
    {"traces", "run_us = -1", of_trace},
    {"traces", "commit_us = -1", of_trace},
    {"traces", "input_sha256 = x'00'", of_trace},
    {"traces", "output_sha256 = x'00'", of_trace},
    {"traces", "attempt = -1", of_trace},
    {"traces", "attempt = 5000000000", of_trace},
    {"traces", "path = 63", of_trace},
    {"traces", "path = -1", of_trace},
    {"traces", "context = x'00'", of_trace},
    {"traces", "considered = '[]'", of_trace},
    {"traces", "considered = '{'", of_trace},
    {"traces", "considered = " NO_TEXT, of_trace},
    {"traces", "run = " NO_TEXT, of_trace},
    {"traces", "step = " NO_TEXT, of_trace},
    {"traces", "item = -1", of_trace},
    {"traces", "correlation_id = " NO_TEXT, of_trace},
    {"workflows", "digest = 'x'", of_definition},
    {"workflows", "name = 'damage.other'", of_definition},
    {"workflows", "name = " NO_TEXT, of_definition},
    {"workflows", "version = '2.0.0'", of_definition},
    {"workflows", "version = 'x'", of_definition},
    {"workflows", "document = '{'", of_definition},
    {"workflows", "document = '{}'", of_definition},
    {"workflows", "document = replace(document, 'first', 'fifth')", of_definition},
    {"workflows", "document = " NO_TEXT, of_definition},
    {"published", "name = " NO_TEXT, of_none},
    {"published", "version = 'x'", of_published},
    {"published", "version = " NO_TEXT, of_published},
    {"published", "digest = 'x'", of_published},
    {"published", "published_us = -1", of_published},
    {"leases", "kind = " NO_TEXT, of_none},
    {"leases", "number = -1", of_none},
    {"leases", "owner = -7", of_none},
    {"leases", "token = -1", of_none},
    {"leases", "closed = 7", of_none},
    {"owners", "name = " NO_TEXT, of_none},
    {"owners", "host = " NO_TEXT, of_none},
    {"owners", "boot = " NO_TEXT, of_none},
    {"owners", "pid = -1", of_none},
    {"owners", "started = -1", of_none},
    {"owners", "expires_at = -1", of_none},
};

Result<Value> echo(Invocation&, const Value& input) { return input; }

class DamagedStore : public testing::Test {
 protected:
  void SetUp() override { folder_ = fresh_folder(); }
  void TearDown() override {
    close_runtime();
    std::filesystem::remove_all(folder_);
  }
  std::string file() const { return (folder_ / "work.db").string(); }

  void close_runtime() {
    if (runtime_) runtime_->close(false, std::chrono::seconds(10));
    runtime_.reset();
  }
  void reopen(bool adopts = true) {
    close_runtime();
    RuntimeOptions options;
    options.store = file();
    options.workers = 2;
    options.start = adopts;
    options.lease_ttl = std::chrono::milliseconds(200);
    runtime_ = open(options);
    ASSERT_NE(runtime_, nullptr);
    add(*runtime_, "t.echo", echo);
    add(*runtime_, "t.wait", echo);
  }
  // A store with one row of each kind, and nobody who has it open.
  void make_store() {
    reopen();
    const auto definition = define(two_steps);
    ASSERT_TRUE(runtime_->publish_workflow(definition));
    const auto run = start(*runtime_, definition,
                           Value::object({{"x", 1}, {"list", Value::array({1, 2})}}), "the-run");
    ASSERT_TRUE(run) << run.error().to_string();
    const auto result = result_of(*run);
    ASSERT_TRUE(result) << result.error().to_string();
    const auto traces = all_traces(*runtime_);
    ASSERT_THAT(traces, SizeIs(3));
    trace_ = traces.front().id;
    close_runtime();
    change(
        "INSERT INTO owners (name, host, boot, pid, started, expires_at) "
        "VALUES ('other', 'h', 'b', 1, 1, 1)");
  }
  void change(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &db), SQLITE_OK);
    char* why = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &why), SQLITE_OK)
        << sql << ": " << (why != nullptr ? why : "");
    sqlite3_free(why);
    sqlite3_close(db);
  }
  // Everything that is stored of runs, as text.
  std::string dump() {
    std::string all;
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(file().c_str(), &db), SQLITE_OK);
    const auto add_row = [](void* into, int columns, char** cells, char**) {
      for (int i = 0; i < columns; ++i) {
        *static_cast<std::string*>(into) += cells[i] != nullptr ? cells[i] : "null";
        *static_cast<std::string*>(into) += '|';
      }
      return 0;
    };
    for (const auto* query :
         {"SELECT * FROM runs", "SELECT * FROM events", "SELECT * FROM workflows"}) {
      EXPECT_EQ(sqlite3_exec(db, query, add_row, &all, nullptr), SQLITE_OK);
    }
    sqlite3_close(db);
    return all;
  }

  std::optional<Error> refusal_by(Reader reader) {
    const auto error_of = [](const auto& result) {
      return result ? std::nullopt : std::optional(result.error());
    };
    const auto of_handle = [&](const auto& ask) -> std::optional<Error> {
      const auto run = runtime_->run("the-run");
      return run ? error_of(ask(**run)) : std::optional(run.error());
    };
    switch (reader) {
      case Reader::list:
        return error_of(runtime_->runs({}));
      case Reader::run:
        return error_of(runtime_->run("the-run"));
      case Reader::steps:
        return of_handle([](workflow::Run& run) { return run.steps(); });
      case Reader::events:
        return of_handle([](workflow::Run& run) { return run.events(0, 1000); });
      case Reader::result:
        return of_handle([](workflow::Run& run) { return run.result(); });
      case Reader::traces:
        return error_of(runtime_->traces({}));
      case Reader::trace:
        return error_of(runtime_->trace(trace_));
      case Reader::workflow:
        return error_of(runtime_->find_workflow("damage.two@1.0.0"));
    }
    return std::nullopt;
  }
  std::vector<std::string> violated() {
    std::vector<std::string> names;
    const auto violations = runtime_->verify();
    EXPECT_TRUE(violations) << violations.error().to_string();
    if (violations) {
      for (const auto& each : *violations) names.push_back(each.invariant);
    }
    return names;
  }

  std::filesystem::path folder_;
  std::unique_ptr<Runtime> runtime_;
  Id trace_;
};

TEST_F(DamagedStore, a_sound_store_violates_nothing) {
  make_store();
  reopen();
  EXPECT_THAT(violated(), IsEmpty());
}

TEST_F(DamagedStore, every_damaged_column_is_corrupt_wherever_it_is_read_and_verify_names_it) {
  make_store();
  const auto whole = folder_ / "whole.db";
  std::filesystem::copy_file(file(), whole);
  for (const auto& damage : damages) {
    SCOPED_TRACE(testing::Message() << damage.table << " SET " << damage.set);
    close_runtime();
    std::filesystem::copy_file(whole, file(), std::filesystem::copy_options::overwrite_existing);
    // One event, one trace; of the others there is one.
    const std::string table(damage.table);
    const std::string where = table == "events"   ? "seq = (SELECT MAX(seq) - 1 FROM events)"
                              : table == "traces" ? "id = (SELECT MAX(id) FROM traces)"
                                                  : "1";
    change(fmt::format("UPDATE {} SET {} WHERE {}", table, damage.set, where));
    reopen(false);
    for (const auto reader : damage.readers) {
      const auto refusal = refusal_by(reader);
      ASSERT_TRUE(refusal) << "reader " << static_cast<int>(reader);
      EXPECT_EQ(refusal->code(), Code::corrupt) << refusal->to_string();
      ASSERT_NE(refusal->find("table"), nullptr) << refusal->to_string();
      ASSERT_NE(refusal->find("key"), nullptr) << refusal->to_string();
      EXPECT_FALSE(refusal->find("key")->as_string().empty());
    }
    EXPECT_THAT(violated(),
                Contains(damage.violates != nullptr ? damage.violates : table + ".readable"));
  }
}

TEST_F(DamagedStore, the_end_of_a_history_that_is_gone_is_missed) {
  make_store();
  for (const auto* damage :
       {"DELETE FROM events WHERE seq = (SELECT MAX(seq) FROM events)", "DELETE FROM events"}) {
    change(damage);
    reopen(false);
    for (const auto reader : {Reader::steps, Reader::events}) {
      const auto refusal = refusal_by(reader);
      ASSERT_TRUE(refusal) << damage;
      EXPECT_EQ(refusal->code(), Code::corrupt) << refusal->to_string();
    }
    EXPECT_THAT(violated(), Contains("runs.fold"));
    close_runtime();
  }
}

TEST_F(DamagedStore, no_filter_hides_a_damaged_row) {
  make_store();
  change("UPDATE runs SET status = 'resting'");
  change("UPDATE traces SET outcome = 'fine'");
  reopen(false);
  workflow::RunQuery completed;
  completed.status = workflow::RunStatus::completed;
  EXPECT_EQ(runtime_->runs(completed).error().code(), Code::corrupt);
  TraceQuery succeeded;
  succeeded.outcome = CallOutcome::success;
  EXPECT_EQ(runtime_->traces(succeeded).error().code(), Code::corrupt);
}

TEST_F(DamagedStore, sql_shows_no_text_that_is_none) {
  make_store();
  change("UPDATE runs SET workflow = " NO_TEXT);
  reopen(false);
  const auto rows = runtime_->sql("SELECT workflow FROM v_runs", {});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code(), Code::corrupt);
}

TEST_F(DamagedStore, verify_reports_all_damage_at_once) {
  make_store();
  for (const auto* damage :
       {"UPDATE runs SET tags = 'x'", "UPDATE events SET data = 'x' WHERE seq = 2",
        "UPDATE traces SET outcome = 'x'", "UPDATE workflows SET document = 'x'",
        "UPDATE published SET version = 'x'", "UPDATE leases SET token = -1",
        "UPDATE owners SET pid = -1"}) {
    change(damage);
  }
  reopen(false);
  const auto names = violated();
  for (const auto* table :
       {"runs", "events", "traces", "workflows", "published", "leases", "owners"}) {
    EXPECT_THAT(names, Contains(std::string(table) + ".readable"));
  }
}

// An unfinished run in a file whose process was killed, with a row of it damaged.
class DamagedRun : public DamagedStore {
 protected:
  void leave_unfinished() {
    const auto child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      reopen();
      Gate entered;
      add(*runtime_, contract("t.hang"), [&entered](Invocation&, const Value&) -> Result<Value> {
        entered.wait();
        return Value();
      });
      std::string text(waits);
      text.replace(text.find("t.wait"), 6, "t.hang");
      const auto run = start(*runtime_, define(text), Value::object({}), "the-run");
      entered.await_waiting(1);
      if (run) ::kill(::getpid(), SIGKILL);
      _exit(3);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  static Timestamp soon() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return Timestamp{std::chrono::duration_cast<Duration>(now).count()} + std::chrono::seconds(20);
  }
  static void expect_corrupt(const Error& why) {
    EXPECT_EQ(why.code(), Code::corrupt) << why.to_string();
    EXPECT_NE(why.find("table"), nullptr) << why.to_string();
    EXPECT_NE(why.find("key"), nullptr) << why.to_string();
  }
};

TEST_F(DamagedRun, whoever_waits_for_it_learns_that_it_cannot_go_on_and_nothing_is_rewritten) {
  const char* cases[] = {
      "UPDATE events SET data = 'x' WHERE seq = 2",
      "DELETE FROM events WHERE seq = 3",
      "UPDATE events SET type = 'step.pondered' WHERE seq = 3",
      "UPDATE leases SET token = -1",
      "UPDATE leases SET closed = 7",
      "UPDATE leases SET owner = -7",
      "DELETE FROM leases",
  };
  leave_unfinished();
  close_runtime();
  change("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto whole = folder_ / "whole.db";
  std::filesystem::copy_file(file(), whole);
  for (const auto* damage : cases) {
    SCOPED_TRACE(damage);
    close_runtime();
    std::filesystem::copy_file(whole, file(), std::filesystem::copy_options::overwrite_existing);
    change(damage);
    const auto before = dump();
    reopen();
    const auto run = runtime_->run("the-run");
    const auto second = runtime_->run("the-run");
    ASSERT_TRUE(run && second);
    for (const auto& handle : {*run, *second}) {
      const auto waited = handle->wait(soon());
      ASSERT_FALSE(waited);
      expect_corrupt(waited.error());
      expect_corrupt(handle->result().error());
      expect_corrupt(handle->cancel("").error());
      Gate told;
      handle->on_ended([&told] { told.open(); });
      told.wait();
    }
    const auto listed = runtime_->runs({});
    ASSERT_TRUE(listed) << listed.error().to_string();
    ASSERT_THAT(listed->runs, SizeIs(1));
    EXPECT_EQ(listed->runs[0].status, workflow::RunStatus::running);
    EXPECT_FALSE(violated().empty());
    close_runtime();
    EXPECT_EQ(dump(), before);
  }
}

TEST_F(DamagedRun, health_says_why) {
  leave_unfinished();
  change("UPDATE events SET data = 'x' WHERE seq = 2");
  for (int opened = 0; opened < 2; ++opened) {  // and says so again in the next process
    reopen();
    const auto patience = soon();
    Value health;
    do {
      health = runtime_->health();
    } while (health.find("status")->as_string() == "ok" &&
             soon() < patience + std::chrono::seconds(20));
    EXPECT_EQ(health.find("status")->as_string(), "failing");
    EXPECT_THAT(to_json(*health.find("problems")), testing::HasSubstr("event 2"));
    close_runtime();
  }
}

TEST_F(DamagedRun, one_damaged_lease_or_owner_keeps_no_other_run_from_going_on) {
  leave_unfinished();
  change("INSERT INTO leases VALUES ('run', 999, -7, 1, 0)");
  change(
      "INSERT INTO owners (name, host, boot, pid, started, expires_at) "
      "VALUES ('other', 'h', 'b', -1, 1, 1)");
  reopen();
  add(*runtime_, "t.hang", echo);
  const auto run = runtime_->run("the-run");
  ASSERT_TRUE(run) << run.error().to_string();
  const auto result = result_of(*run);
  EXPECT_TRUE(result) << result.error().to_string();
}

}  // namespace
}  // namespace clew
