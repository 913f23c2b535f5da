// The conformance suites on every backend, and on files that other processes use or have used.
#include <gtest/gtest.h>

#include "clew/testkit/conformance/storages.hpp"
#include "clew/testkit/conformance/suites.hpp"
#include "store/postgres.hpp"
#include "testkit/other_processes.hpp"

namespace clew::conformance {
namespace {

struct Row {
  std::string suite;
  Backend backend;
  Case each;
};

std::string fresh_schema(std::shared_ptr<void>& keep) {
  auto schema = std::make_shared<PostgresSchema>();
  auto url = schema->url();
  keep = std::move(schema);
  return url;
}

void PrintTo(const Row& row, std::ostream* out) { *out << row.each.name; }

class Conformance : public testing::TestWithParam<Row> {};

TEST_P(Conformance, holds) {
  const auto& [suite, backend, each] = GetParam();
  try {
    each.run(backend.fresh);
  } catch (const Failure& failure) {
    FAIL() << suite << "." << each.name << " on " << backend.name << ": " << failure.what();
  }
}

std::vector<Row> rows() {
  std::vector<Row> rows;
  auto all = backends();
  all.push_back(at_urls("postgresql", fresh_schema));
  all.push_back(file_of_a_killed_process());
  all.push_back(file_beside_another_process());
  for (const auto& suite : suites()) {
    for (const auto& backend : all) {
      for (const auto& each : suite.cases) {
        if (each.needs == Needs::reopen && !backend.is_durable) continue;
        if (each.needs == Needs::folder && !backend.has_folder) continue;
        rows.push_back({suite.name, backend, each});
      }
    }
  }
  return rows;
}

std::string name_of(const testing::TestParamInfo<Row>& info) {
  return info.param.suite + "_" + info.param.backend.name + "_" + info.param.each.name;
}

INSTANTIATE_TEST_SUITE_P(Suites, Conformance, testing::ValuesIn(rows()), name_of);

}  // namespace
}  // namespace clew::conformance
