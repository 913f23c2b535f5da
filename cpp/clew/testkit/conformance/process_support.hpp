// testkit/conformance/process_support.hpp: what cases about processes share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/process/processes.hpp"
#include "clew/testkit/conformance/check.hpp"

namespace clew::conformance {

Value json(std::string_view text);
process::EventType event_type(std::string_view document);
process::EventType plain(const std::string& name);
// Wakes with the text at /wake_input when there is one.
process::EventType waking(const std::string& name);
process::EventType wake(const std::string& name, std::string_view wake_document);
process::Registration registration(const std::string& id,
                                   std::vector<process::EventType> types = {});

struct AppendOptions {
  std::string key = {};
  std::optional<process::Scope> target = {};
  std::string lease_token = {};
  std::string authority = {};
};
Result<process::AppendResult> append(process::Processes& registry, const std::string& id,
                                     const std::string& type, std::string_view payload,
                                     const AppendOptions& options = {});
std::vector<std::int64_t> sequences(process::Processes& registry, const std::string& id);
std::string status_of(process::Processes& registry, const std::string& id);

// A registry over a fresh storage, on virtual time.
struct Registry {
  explicit Registry(const Factory& fresh);
  process::Processes* operator->() { return &processes; }
  process::Processes& operator*() { return processes; }

  Storage storage;
  ManualClock clock;
  std::unique_ptr<Env> env;
  std::unique_ptr<store::Database> database;
  process::Processes processes;
};

// Two live handles over one fresh storage.
struct Reopened {
  explicit Reopened(const Factory& fresh);

  Storage storage;
  ManualClock clock;
  std::unique_ptr<Env> env;
  std::unique_ptr<store::Database> first;
  std::unique_ptr<store::Database> second;
  std::unique_ptr<process::Processes> open;
  std::unique_ptr<process::Processes> reopen;
};

}  // namespace clew::conformance
