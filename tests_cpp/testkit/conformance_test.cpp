// The conformance suites on every backend.
#include <gtest/gtest.h>

#include "clew/testkit/conformance/content_stores.hpp"
#include "clew/testkit/conformance/effects.hpp"
#include "clew/testkit/conformance/host_event_store.hpp"
#include "clew/testkit/conformance/process_registry.hpp"
#include "clew/testkit/conformance/queued_work.hpp"
#include "clew/testkit/conformance/runtime_persistence.hpp"
#include "clew/testkit/conformance/storages.hpp"
#include "store/postgres.hpp"

namespace clew::conformance {
namespace {

struct Row {
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
  const auto& [backend, each] = GetParam();
  try {
    each.run(backend.fresh);
  } catch (const Failure& failure) {
    FAIL() << each.name << " on " << backend.name << ": " << failure.what();
  }
}

std::vector<Row> rows_of(std::span<const Case> cases) {
  std::vector<Row> rows;
  auto all = backends();
  all.push_back(at_urls("postgresql", fresh_schema));
  for (const auto& backend : all) {
    for (const auto& each : cases) {
      if (each.needs == Needs::reopen && !backend.is_durable) continue;
      if (each.needs == Needs::folder && !backend.has_folder) continue;
      rows.push_back({backend, each});
    }
  }
  return rows;
}

std::string name_of(const testing::TestParamInfo<Row>& info) {
  return info.param.backend.name + "_" + info.param.each.name;
}

INSTANTIATE_TEST_SUITE_P(Effects, Conformance, testing::ValuesIn(rows_of(effect_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(ProcessRegistry, Conformance,
                         testing::ValuesIn(rows_of(process_registry_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(ProcessRulings, Conformance,
                         testing::ValuesIn(rows_of(process_ruling_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(RuntimePersistence, Conformance,
                         testing::ValuesIn(rows_of(runtime_persistence_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(QueuedWork, Conformance, testing::ValuesIn(rows_of(queued_work_cases())),
                         name_of);
INSTANTIATE_TEST_SUITE_P(AttachmentStore, Conformance,
                         testing::ValuesIn(rows_of(attachment_store_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(ArtifactStore, Conformance,
                         testing::ValuesIn(rows_of(artifact_store_cases())), name_of);
INSTANTIATE_TEST_SUITE_P(HostEventStore, Conformance,
                         testing::ValuesIn(rows_of(host_event_store_cases())), name_of);

}  // namespace
}  // namespace clew::conformance
