// A runtime over memory or a file, and capabilities for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "clew/base/json.hpp"
#include "clew/runtime/runtime.hpp"
#include "store/postgres.hpp"

namespace clew {

// A door that threads wait at until it is opened.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();  // under the lock: afterwards the gate may be gone
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void await_waiting(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

// The names of handlers in the order in which they were entered.
class Journal {
 public:
  void add(std::string entry) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
  }
  std::vector<std::string> entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }
  std::ptrdiff_t count(const std::string& entry) const {
    const auto all = entries();
    return std::count(all.begin(), all.end(), entry);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> entries_;
};

inline std::filesystem::path fresh_folder() {
  static std::atomic<int> next{0};
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("clew-test-{}-{}", ::getpid(), next.fetch_add(1));
  std::filesystem::create_directories(folder);
  if (tests_postgresql()) (void)postgres_server();  // before there are children
  return folder;
}

using Run = std::function<Result<Value>(Invocation&, const Value&)>;

inline Contract contract(const std::string& id, const std::string& version = "1.0.0") {
  Contract made;
  made.id = id;
  made.version = Version::parse(version).value();
  return made;
}

inline void add(Runtime& runtime, Contract made, NativeHandler::Run run) {
  const auto done = runtime.add(std::move(made), std::make_shared<NativeHandler>(std::move(run)));
  ASSERT_TRUE(done) << done.error().to_string();
}
inline void add(Runtime& runtime, const std::string& id, NativeHandler::Run run) {
  add(runtime, contract(id), std::move(run));
}

inline Request request(std::string reference, Value input = Value::object({})) {
  Request made;
  made.reference = std::move(reference);
  made.input = std::move(input);
  return made;
}

inline std::unique_ptr<Runtime> open(RuntimeOptions options = {}) {
  auto runtime = Runtime::open(std::move(options));
  EXPECT_TRUE(runtime) << runtime.error().to_string();
  return runtime ? std::move(runtime).value() : nullptr;
}

inline std::vector<Trace> all_traces(Runtime& runtime, TraceQuery query = {}) {
  std::vector<Trace> traces;
  query.limit = 1000;
  do {
    auto page = runtime.traces(query);
    EXPECT_TRUE(page) << page.error().to_string();
    if (!page) break;
    traces.insert(traces.end(), page->traces.begin(), page->traces.end());
    query.cursor = page->next_cursor;
  } while (!query.cursor.empty());
  return traces;
}

inline workflow::DefinitionPtr define(std::string_view yaml) {
  auto loaded = workflow::load_text(yaml);
  EXPECT_TRUE(loaded.definition) << workflow::to_error(loaded.problems).to_string();
  return loaded.definition;
}

inline Result<workflow::RunPtr> start(Runtime& runtime, workflow::DefinitionPtr definition,
                                      Value input = Value::object({}), std::string id = {}) {
  workflow::StartRequest wanted;
  wanted.definition = std::move(definition);
  wanted.input = std::move(input);
  wanted.id = std::move(id);
  return runtime.start(wanted);
}

// Waits for the end; the ten seconds only bound a broken test.
inline Result<Value> result_of(const workflow::RunPtr& run) {
  const auto soon = Timestamp{
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count() +
      60'000'000};
  CLEW_TRY(run->wait(soon));
  return run->result();
}

// Each test once over memory, once over a file and once over PostgreSQL.
class EachStore : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fresh_folder();
    RuntimeOptions options;
    options.store = store();
    options.workers = 4;
    runtime_ = open(options);
    ASSERT_NE(runtime_, nullptr);
  }
  void TearDown() override {
    if (runtime_) runtime_->close(false, std::chrono::seconds(10));
    runtime_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string store() {
    if (std::string(GetParam()) == "postgresql") return schema_.url();
    return std::string(GetParam()) == "memory" ? ":memory:" : (folder_ / "work.db").string();
  }

  std::filesystem::path folder_;
  PostgresSchema schema_;
  std::unique_ptr<Runtime> runtime_;
};

inline const auto each_store = testing::Values("memory", "file", "postgresql");

}  // namespace clew
