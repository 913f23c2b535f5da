// Runs the official JSON Schema test suite, draft 2020-12: required cases, optional ones, and the
// formats that assert. What docs/json-schema.md excludes as refused must be refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/error.hpp"
#include "clew/base/json.hpp"
#include "clew/base/schema.hpp"

namespace clew {
namespace {

namespace fs = std::filesystem;

// A row of the table in docs/json-schema.md, which lists what is left out and why. An empty group
// means the whole file, an empty test the whole group.
struct Exclusion {
  std::string file;
  std::string group;
  std::string test;
  bool is_refused = false;  // never compiled; else another answer than the suite's
  int needed = 0;           // how often it was
};

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path suite_directory() {
  const char* given = std::getenv("CLEW_JSON_SCHEMA_SUITE");
  return fs::path(given == nullptr ? CLEW_JSON_SCHEMA_SUITE : given) / "tests" / "draft2020-12";
}

// The cells between the bars, without blanks and code marks around them.
std::vector<std::string> cells(std::string_view row) {
  std::vector<std::string> out;
  for (row.remove_prefix(1); row.find('|') != std::string_view::npos;) {
    const auto bar = row.find('|');
    const auto cell = row.substr(0, bar);
    const auto begin = cell.find_first_not_of(' ');
    const auto end = cell.find_last_not_of(' ');
    const auto text =
        begin == std::string_view::npos ? std::string_view() : cell.substr(begin, end - begin + 1);
    const bool is_code = text.size() > 1 && text.starts_with('`') && text.ends_with('`');
    out.emplace_back(is_code ? text.substr(1, text.size() - 2) : text);
    row.remove_prefix(bar + 1);
  }
  return out;
}

std::vector<Exclusion> read_exclusions() {
  std::vector<Exclusion> out;
  std::ifstream page(CLEW_JSON_SCHEMA_PAGE);
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `") || line.find(".json`") == std::string::npos) continue;
    const auto row = cells(line);
    const bool is_whole = row.size() == 5 && (row[3] == "refused" || row[3] == "differs");
    EXPECT_TRUE(is_whole && !row[4].empty()) << line;
    if (is_whole) out.push_back({row[0], row[1], row[2], row[3] == "refused"});
  }
  EXPECT_FALSE(out.empty()) << CLEW_JSON_SCHEMA_PAGE;
  return out;
}

class SchemaSuite : public ::testing::Test {
 protected:
  // The row that covers the test, the whole group (no test given) or the whole file (no group).
  Exclusion* find(std::string_view file, std::string_view group = {}, std::string_view test = {}) {
    for (auto& row : exclusions_) {
      if (row.file == file && row.group == group && row.test == test) return &row;
    }
    return nullptr;
  }

  void run_file(const fs::path& path, const std::string& file) {
    auto* row = find(file);
    const auto groups = parse_json(read_text(path));
    if (!groups) return refused(groups.error(), row, file);
    for (const auto& group : groups->items()) run_group(group, file, row);
  }

  void run_group(const Value& group, const std::string& file, Exclusion* row) {
    const auto name = group.find("description")->as_string();
    if (row == nullptr) row = find(file, name);
    const auto schema = Schema::compile(*group.find("schema"));
    if (!schema) return refused(schema.error(), row, fmt::format("{} | {}", file, name));
    for (const auto& test : group.find("tests")->items()) {
      const auto title = test.find("description")->as_string();
      run_test(**schema, test, row == nullptr ? find(file, name, title) : row,
               fmt::format("{} | {} | {}", file, name, title));
    }
  }

  static void refused(const Error& error, Exclusion* row, const std::string& label) {
    EXPECT_TRUE(row != nullptr && row->is_refused) << label << ": " << error.to_string();
    EXPECT_TRUE(error.code() == Code::unsupported || error.code() == Code::invalid_input) << label;
    if (row != nullptr) ++row->needed;
  }

  // What compiles in spite of a row that says "refused" must answer as the suite does.
  void run_test(const Schema& schema, const Value& test, Exclusion* row, const std::string& label) {
    ++cases_;
    const auto& data = *test.find("data");
    const bool valid = test.find("valid")->as_bool();
    if (row != nullptr && !row->is_refused) {
      if (schema.is_valid(data) != valid) ++row->needed;
      return;
    }
    EXPECT_EQ(schema.is_valid(data), valid) << label;
    // The same answer when problems are collected, and a problem for each refusal.
    EXPECT_EQ(schema.problems(data).empty(), valid) << label;
    EXPECT_EQ(schema.check(data, "input").has_value(), valid) << label;
  }

  void run_directory(const std::string& below) {
    const auto directory = suite_directory() / below;
    ASSERT_TRUE(fs::is_directory(directory))
        << directory << " is missing: run tests_cpp/base/fetch_schema_suite.sh";
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    for (const auto& path : files) run_file(path, below + path.filename().string());
    expect_all_needed(below);
  }

  // Every row about files right below `below` must still be needed for something that exists.
  void expect_all_needed(std::string_view below) const {
    for (const auto& row : exclusions_) {
      if (row.file.substr(0, row.file.rfind('/') + 1) != below) continue;
      EXPECT_GT(row.needed, 0) << row.file << " | " << row.group << " | " << row.test;
    }
  }

  std::vector<Exclusion> exclusions_ = read_exclusions();
  int cases_ = 0;
};

TEST_F(SchemaSuite, required_cases_hold) {
  run_directory("");
  EXPECT_GT(cases_, 1100);
}

TEST_F(SchemaSuite, optional_cases_hold) {
  run_directory("optional/");
  EXPECT_GT(cases_, 50);
}

TEST_F(SchemaSuite, format_cases_hold) {
  run_directory("optional/format/");
  EXPECT_GT(cases_, 200);
}

}  // namespace
}  // namespace clew
