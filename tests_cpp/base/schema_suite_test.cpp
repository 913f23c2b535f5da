// Runs the official JSON Schema test suite, draft 2020-12: required cases, optional ones, and the
// formats that assert.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/error.hpp"
#include "clew/base/json.hpp"
#include "clew/base/schema.hpp"

namespace clew {
namespace {

namespace fs = std::filesystem;

// What is left out. An empty group means the whole file, an empty test the whole group.
struct Exclusion {
  std::string_view file;
  std::string_view group;
  std::string_view test;
  std::string_view reason;
};

constexpr std::string_view remote = "refers to another document: refused as unsupported";
constexpr std::string_view dialect = "declares another dialect: refused as unsupported";
constexpr std::string_view asserts = "this format asserts here; the suite expects an annotation";
constexpr std::string_view annotates = "this format is an annotation here";
constexpr std::string_view unknown = "has an unknown keyword: refused";
constexpr std::string_view property_name = "RE2 knows Unicode classes by their short names only";

constexpr auto exclusions = std::to_array<Exclusion>({
    {"defs.json", "", "", remote},
    {"dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $defs first", "",
     remote},
    {"dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $ref first", "",
     remote},
    {"dynamicRef.json", "$ref to $dynamicRef finds detached $dynamicAnchor", "", remote},
    {"dynamicRef.json", "tests for implementation dynamic anchor and reference link", "", remote},
    {"dynamicRef.json", "strict-tree schema, guards against misspelled properties", "", remote},
    {"format.json", "email format", "invalid email string is only an annotation by default",
     asserts},
    {"format.json", "ipv4 format", "invalid ipv4 string is only an annotation by default", asserts},
    {"format.json", "ipv6 format", "invalid ipv6 string is only an annotation by default", asserts},
    {"format.json", "date format", "invalid date string is only an annotation by default", asserts},
    {"format.json", "date-time format", "invalid date-time string is only an annotation by default",
     asserts},
    {"format.json", "time format", "invalid time string is only an annotation by default", asserts},
    {"format.json", "uri format", "invalid uri string is only an annotation by default", asserts},
    {"format.json", "uuid format", "invalid uuid string is only an annotation by default", asserts},
    {"ref.json", "remote ref, containing refs itself", "", remote},
    {"refRemote.json", "", "", remote},
    {"vocabulary.json", "", "", dialect},
    {"optional/bignum.json", "", "", "has integers beyond 64 bits: refused by the parser"},
    {"optional/cross-draft.json", "", "", remote},
    {"optional/dependencies-compatibility.json", "", "", "an old keyword: refused as unsupported"},
    {"optional/ecmascript-regex.json", "pattern with non-ASCII digits", "", property_name},
    {"optional/ecmascript-regex.json", "patternProperties with non-ASCII digits", "",
     property_name},
    {"optional/ecmascript-regex.json", "patterns always use unicode semantics with pattern", "",
     property_name},
    {"optional/ecmascript-regex.json",
     "patterns always use unicode semantics with patternProperties", "", property_name},
    {"optional/format-assertion.json", "", "", dialect},
    {"optional/refOfUnknownKeyword.json", "reference of a root arbitrary keyword ", "", unknown},
    {"optional/refOfUnknownKeyword.json", "reference of an arbitrary keyword of a sub-schema", "",
     unknown},
    {"optional/unknownKeyword.json", "", "", unknown},
    {"optional/format/duration.json", "", "", annotates},
    {"optional/format/ecmascript-regex.json", "", "", annotates},
    {"optional/format/hostname.json", "", "", annotates},
    {"optional/format/idn-email.json", "", "", annotates},
    {"optional/format/idn-hostname.json", "", "", annotates},
    {"optional/format/iri-reference.json", "", "", annotates},
    {"optional/format/iri.json", "", "", annotates},
    {"optional/format/json-pointer.json", "", "", annotates},
    {"optional/format/regex.json", "", "", annotates},
    {"optional/format/relative-json-pointer.json", "", "", annotates},
    {"optional/format/uri-reference.json", "", "", annotates},
    {"optional/format/uri-template.json", "", "", annotates},
});

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path suite_directory() {
  const char* given = std::getenv("CLEW_JSON_SCHEMA_SUITE");
  return fs::path(given == nullptr ? CLEW_JSON_SCHEMA_SUITE : given) / "tests" / "draft2020-12";
}

class SchemaSuite : public ::testing::Test {
 protected:
  // Whether a row covers the test, the whole group (no test given) or the whole file (no group).
  bool is_excluded(std::string_view file, std::string_view group, std::string_view test) {
    for (std::size_t i = 0; i < exclusions.size(); ++i) {
      const auto& row = exclusions[i];
      if (row.file != file || row.group != group || row.test != test) continue;
      used_.insert(i);
      return true;
    }
    return false;
  }

  void run_file(const fs::path& path, const std::string& file) {
    if (is_excluded(file, {}, {})) return;
    const auto groups = parse_json(read_text(path));
    ASSERT_TRUE(groups) << file << ": " << groups.error().to_string();
    for (const auto& group : groups->items()) run_group(group, file);
  }

  void run_group(const Value& group, const std::string& file) {
    const auto name = group.find("description")->as_string();
    if (is_excluded(file, name, {})) return;
    const auto schema = Schema::compile(*group.find("schema"));
    if (!schema) {
      ADD_FAILURE() << file << " | " << name << ": " << schema.error().to_string();
      return;
    }
    for (const auto& test : group.find("tests")->items()) {
      const auto title = test.find("description")->as_string();
      if (is_excluded(file, name, title)) continue;
      run_test(**schema, test, fmt::format("{} | {} | {}", file, name, title));
    }
  }

  void run_test(const Schema& schema, const Value& test, const std::string& label) {
    ++cases_;
    const auto& data = *test.find("data");
    const bool valid = test.find("valid")->as_bool();
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
  }

  // Every exclusion below `below` must still be needed for something that exists.
  void expect_all_used(std::string_view below) const {
    for (std::size_t i = 0; i < exclusions.size(); ++i) {
      const auto& file = exclusions[i].file;
      const auto slash = file.rfind('/');
      const auto home = slash == std::string_view::npos ? "" : file.substr(0, slash + 1);
      if (home != below) continue;
      EXPECT_TRUE(used_.contains(i)) << file << " | " << exclusions[i].group;
    }
  }

  int cases_ = 0;
  std::set<std::size_t> used_;
};

TEST_F(SchemaSuite, required_cases_hold) {
  run_directory("");
  expect_all_used("");
  EXPECT_GT(cases_, 1100);
}

TEST_F(SchemaSuite, optional_cases_hold) {
  run_directory("optional/");
  expect_all_used("optional/");
  EXPECT_GT(cases_, 50);
}

TEST_F(SchemaSuite, format_cases_hold) {
  run_directory("optional/format/");
  expect_all_used("optional/format/");
  EXPECT_GT(cases_, 200);
}

}  // namespace
}  // namespace clew
