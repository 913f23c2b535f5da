#include "store/support.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace clew::store {

Folder::Folder() {
  std::string name = std::filesystem::temp_directory_path().string() + "/clew-store-XXXXXX";
  EXPECT_NE(mkdtemp(name.data()), nullptr);
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> Folder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
}

std::vector<Migration> test_migrations() {
  auto all = core_migrations();
  all.push_back(
      {2, "notes", "CREATE TABLE notes (id {integer} PRIMARY KEY, body TEXT NOT NULL) {table};"});
  return all;
}

std::unique_ptr<Database> open_or_fail(const DatabaseOptions& options, Env& env,
                                       const std::vector<Migration>& migrations) {
  auto opened = Database::open(options, migrations, env);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().to_string());
  return opened ? *std::move(opened) : nullptr;
}

std::unique_ptr<Database> open_or_fail(const std::string& url, Env& env) {
  return open_or_fail({.url = url}, env, test_migrations());
}

Error refusal_of(const DatabaseOptions& options, const std::vector<Migration>& migrations) {
  const auto env = make_real_env();
  auto opened = Database::open(options, migrations, *env);
  return opened ? Error(Code::internal, "it opened") : opened.error();
}

Result<void> add_note(Transaction& tx, std::int64_t id, std::string_view body) {
  static const Statement sql("INSERT INTO notes (id, body) VALUES (:id, :body)");
  CLEW_TRY(tx.run(sql, id, body));
  return {};
}

Apply adding(std::int64_t id) {
  return [id](Transaction& tx) { return add_note(tx, id); };
}

Result<std::vector<std::int64_t>> note_ids(Transaction& tx) {
  static const Statement sql("SELECT id FROM notes ORDER BY id");
  std::vector<std::int64_t> ids;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto id, row.integer(0));
    ids.push_back(id);
    return {};
  };
  CLEW_TRY(tx.each(sql, take));
  return ids;
}

std::vector<std::int64_t> notes_of(Database& database) {
  std::vector<std::int64_t> ids;
  const auto done = database.read([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(ids, note_ids(tx));
    return {};
  });
  EXPECT_TRUE(done) << (done ? "" : done.error().to_string());
  return ids;
}

void Gate::open() {
  const Lock lock(mutex_);
  is_open_ = true;
  opened_.notify_all();
}

void Gate::wait() {
  Lock lock(mutex_);
  while (!is_open_) opened_.wait(lock);
}

Committed Outcomes::recorder(std::int64_t label) {
  return [this, label](Result<CommitInfo> outcome) {
    const Lock lock(mutex_);
    all_.emplace_back(label, std::move(outcome));
    changed_.notify_all();
  };
}

std::vector<std::int64_t> Outcomes::wait(std::size_t count) {
  Lock lock(mutex_);
  while (all_.size() < count) changed_.wait(lock);
  std::vector<std::int64_t> labels;
  for (const auto& [label, outcome] : all_) labels.push_back(label);
  return labels;
}

Result<CommitInfo> Outcomes::of(std::int64_t label) {
  Lock lock(mutex_);
  for (const auto& [known, outcome] : all_) {
    if (known == label) return outcome;
  }
  return Error(Code::not_found, "no outcome");
}

HeldWriter::HeldWriter(Database& database) {
  database.submit({.apply = [this](Transaction&) -> Result<void> {
                     entered_.open();
                     go_.wait();
                     return {};
                   },
                   .done = [this](const Result<CommitInfo>&) { done_.open(); }});
  entered_.wait();
}

HeldWriter::~HeldWriter() {
  release();
  done_.wait();
}

Armed::Armed(std::string_view point, std::vector<int> hits)
    : point_(find_fault_point(point)), count_(std::make_shared<std::atomic<int>>(0)) {
  point_->arm(
      [count = count_, hits = std::move(hits), name = std::string(point)]() -> Result<void> {
        const int hit = ++*count;
        if (!hits.empty() && std::ranges::find(hits, hit) == hits.end()) return {};
        return error(Code::unavailable, "injected at {}", name);
      });
}

}  // namespace clew::store
