// Shared by the tests of store/: temporary folders, databases with a table, gates between threads.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "clew/base/fault.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/store/migrate.hpp"
#include "store/child.hpp"
#include "store/postgres.hpp"

namespace clew::store {

// A folder of its own, removed with all that is in it.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name = "work.db") const { return path_ + "/" + name; }
  std::vector<std::string> names() const;  // what is in it, sorted

 private:
  std::string path_;
};

std::string read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::string& bytes);

// The core tables and one of the tests: notes (id, body).
std::vector<Migration> test_migrations();

// Fails the test when there is an error.
std::unique_ptr<Database> open_or_fail(const DatabaseOptions& options, Env& env,
                                       const std::vector<Migration>& migrations);
std::unique_ptr<Database> open_or_fail(const std::string& url, Env& env);
// The error of opening, or `internal` "it opened".
Error refusal_of(const DatabaseOptions& options, const std::vector<Migration>& migrations);

Result<void> add_note(Transaction& tx, std::int64_t id, std::string_view body = "");
Apply adding(std::int64_t id);
Result<std::vector<std::int64_t>> note_ids(Transaction& tx);
std::vector<std::int64_t> notes_of(Database& database);

template <typename T>
Code code_of(const Result<T>& result) {
  EXPECT_FALSE(result) << "no error";
  return result ? Code::internal : result.error().code();
}

// A door that one thread opens and others wait at.
class Gate {
 public:
  void open();
  void wait();

 private:
  Mutex mutex_;
  Condition opened_;
  bool is_open_ = false;
};

// Gathers what completions say and lets the test wait for them.
class Outcomes {
 public:
  // A completion that records its outcome under `label`.
  Committed recorder(std::int64_t label);
  // Waits until `count` are recorded; their labels in order of completion.
  std::vector<std::int64_t> wait(std::size_t count);
  Result<CommitInfo> of(std::int64_t label);

 private:
  Mutex mutex_;
  Condition changed_;
  std::vector<std::pair<std::int64_t, Result<CommitInfo>>> all_;
};

// Holds the writer of a database inside a transaction, so that what is submitted meanwhile forms
// one group. Its own write adds nothing.
class HeldWriter {
 public:
  explicit HeldWriter(Database& database);
  void release() { go_.open(); }
  ~HeldWriter();

 private:
  Gate entered_;
  Gate go_;
  Gate done_;
};

// Arms a fault point for a scope.
class Armed {
 public:
  // Fails the hits whose number (from 1) is in `hits`, or all when that is empty.
  Armed(std::string_view point, std::vector<int> hits = {});
  ~Armed() { point_->disarm(); }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  int hits() const { return *count_; }

 private:
  FaultPoint* point_;
  std::shared_ptr<std::atomic<int>> count_;
};

// Where a database lies.
enum class Place : std::uint8_t { memory, file, postgresql };

// Each test of a suite runs in each place.
class EachPlace : public testing::TestWithParam<Place> {
 protected:
  bool is_memory() const { return GetParam() == Place::memory; }
  bool is_file() const { return GetParam() == Place::file; }
  bool is_postgresql() const { return GetParam() == Place::postgresql; }
  DatabaseOptions options() {
    if (is_postgresql()) return {.url = schema_.url()};
    return {.url = is_file() ? folder_.file() : ":memory:"};
  }
  std::unique_ptr<Database> open() { return open(options()); }
  std::unique_ptr<Database> open(const DatabaseOptions& how) {
    return open_or_fail(how, *env_, test_migrations());
  }

  Folder folder_;
  PostgresSchema schema_;
  std::unique_ptr<Env> env_ = make_real_env();
};

inline const auto each_place = testing::Values(Place::memory, Place::file, Place::postgresql);

inline std::string place_name(const testing::TestParamInfo<Place>& info) {
  switch (info.param) {
    case Place::memory:
      return "memory";
    case Place::file:
      return "file";
    case Place::postgresql:
      return "postgresql";
  }
  return "";
}

}  // namespace clew::store
