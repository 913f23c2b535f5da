// The conformance suites of the stores, on each database: one test a case, named after it.
#include <gtest/gtest.h>

#include "clew/testkit/conformance/effects.hpp"
#include "clew/testkit/conformance/process_registry.hpp"
#include "clew/testkit/conformance/storages.hpp"
#include "store/postgres.hpp"

namespace clew::conformance {
namespace {

std::string fresh_schema(std::shared_ptr<void>& keep) {
  auto schema = std::make_shared<PostgresSchema>();
  auto url = schema->url();
  keep = std::move(schema);
  return url;
}

void add_suite(const std::string& suite, std::span<const Case> cases) {
  struct Backend {
    const char* name;
    Factory fresh;
    bool reopens;
  };
  for (const auto& backend :
       {Backend{"Memory", sqlite_memory(), false}, Backend{"File", sqlite_file(), true},
        Backend{"Postgresql", at_urls(fresh_schema), true}}) {
    for (const auto& one : cases) {
      if (one.needs == Needs::reopen && !backend.reopens) continue;
      class Body : public testing::Test {
       public:
        Body(const Case& one, Factory fresh) : case_(one), fresh_(std::move(fresh)) {}
        void TestBody() override {
          try {
            case_.run(fresh_);
          } catch (const Failure& failure) {
            FAIL() << failure.what();
          }
        }

       private:
        const Case& case_;
        Factory fresh_;
      };
      testing::RegisterTest(
          (suite + backend.name).c_str(), one.name, nullptr, nullptr, __FILE__, __LINE__,
          [&one, fresh = backend.fresh]() -> testing::Test* { return new Body(one, fresh); });
    }
  }
}

const bool is_registered = [] {
  add_suite("Effects", effects());
  add_suite("ProcessRegistry", process_registry());
  return true;
}();

}  // namespace
}  // namespace clew::conformance
