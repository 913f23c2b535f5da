#include "clew/testkit/conformance/suites.hpp"

#include <algorithm>

#include "clew/base/env.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/testkit/conformance/content_stores.hpp"
#include "clew/testkit/conformance/effects.hpp"
#include "clew/testkit/conformance/host_event_store.hpp"
#include "clew/testkit/conformance/process_registry.hpp"
#include "clew/testkit/conformance/queued_work.hpp"
#include "clew/testkit/conformance/runtime_persistence.hpp"

namespace clew::conformance {

std::vector<Suite> suites() {
  return {{"effects", effect_cases()},
          {"process_registry", process_registry_cases()},
          {"process_rulings", process_ruling_cases()},
          {"runtime_persistence", runtime_persistence_cases()},
          {"queued_work", queued_work_cases()},
          {"attachment_store", attachment_store_cases()},
          {"artifact_store", artifact_store_cases()},
          {"host_event_store", host_event_store_cases()}};
}

namespace {

const Case* find_case(std::string_view suite, std::string_view name) {
  for (const auto& each : suites()) {
    if (each.name != suite) continue;
    const auto found =
        std::ranges::find_if(each.cases, [&](const Case& one) { return one.name == name; });
    return found == each.cases.end() ? nullptr : &*found;
  }
  return nullptr;
}

}  // namespace

Result<void> run_case(std::string_view suite, std::string_view name, const Target& target) {
  const auto* found = find_case(suite, name);
  if (found == nullptr) {
    return error(Code::not_found, "no conformance case {} in a suite {}", name, suite);
  }
  const bool is_possible = (found->needs != Needs::reopen || target.is_durable) &&
                           (found->needs != Needs::folder || !target.folder.empty());
  if (!is_possible) {
    return error(Code::unsupported, "the case {} needs {}", name,
                 found->needs == Needs::reopen ? "a durable database" : "a folder for files");
  }
  const auto env = make_real_env();
  try {
    found->run([&] {
      Storage storage;
      storage.open = [&] {
        return store::Database::open({.url = target.url}, store_migrations(), *env);
      };
      storage.is_durable = target.is_durable;
      storage.folder = target.folder;
      return storage;
    });
  } catch (const Failure& failure) {
    return error(Code::internal, "{}.{} does not hold: {}", suite, name, failure.what());
  }
  return {};
}

}  // namespace clew::conformance
