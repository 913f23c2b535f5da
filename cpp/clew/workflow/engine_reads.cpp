// Finding runs and definitions, lists, checks, counters: what asks and changes nothing.
#include "clew/base/json.hpp"
#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

// Definitions kept in memory; beyond it they are read again.
constexpr std::size_t definitions_max = 1024;

std::string_view word(store::Durability durability) {
  return durability == store::Durability::relaxed ? "relaxed" : "sync";
}

}  // namespace

LiveRunPtr EngineImpl::find_live(const std::string& id) {
  const Lock lock(mutex_);
  const auto found = live_.find(id);
  return found != live_.end() ? found->second : nullptr;
}

Result<RunPtr> EngineImpl::find(const std::string& id) {
  if (auto run = find_live(id)) return RunPtr(run);
  CLEW_TRY(auto run, find_stored([&](store::Transaction& tx) { return find_run(tx, id); }));
  if (!run) return error(Code::not_found, "there is no run \"{}\"", id).with("run", id);
  return run;
}

Result<RunPtr> EngineImpl::find_by_key(const StartRequest& request) {
  const auto& workflow = request.definition->name;
  CLEW_TRY(auto run, find_stored([&](store::Transaction& tx) {
             return find_run_by_key(tx, {request.workspace, workflow, request.key});
           }));
  if (!run) return error(Code::not_found, "no run of {} has the key \"{}\"", workflow, request.key);
  if (auto live = find_live(run->id())) return RunPtr(live);
  return run;
}

// Null when `find` finds nothing.
Result<RunPtr> EngineImpl::find_stored(
    Function<Result<std::optional<RunRow>>(store::Transaction&)> find) {
  std::optional<RunRow> row;
  DefinitionPtr definition;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(row, find(tx));
    if (!row) return {};
    CLEW_TRY(definition, load_definition(tx, row->digest));
    return {};
  }));
  if (!row) return RunPtr();
  return make_stored_run(*this, std::move(*row), std::move(definition));
}

Result<RunPage> EngineImpl::list(const RunQuery& query) {
  if (query.limit < 1 || query.limit > 10'000) {
    return invalid_input("limit", query.limit, "an integer from 1 to 10000");
  }
  const bool is_open = query.status == RunStatus::running || query.status == RunStatus::waiting;
  RunQuery rows_query = query;
  if (is_open) rows_query.status = RunStatus::running;  // rows tell no more; its owner does
  RunPage page;
  std::int64_t last = 0;
  for (;;) {
    std::vector<RunRow> rows;
    CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(rows, list_runs(tx, rows_query));
      return {};
    }));
    for (auto& row : rows) {
      if (page.runs.size() == static_cast<std::size_t>(query.limit)) {
        page.next_cursor = fmt::format("{}", last);
        return page;
      }
      if (auto live = find_live(row.info.id)) {
        if (auto info = live->info()) row.info = std::move(info).value();
      }
      last = row.number;
      if (!is_open || row.info.status == query.status) page.runs.push_back(std::move(row.info));
    }
    if (rows.size() <= static_cast<std::size_t>(query.limit)) return page;
    rows_query.cursor = fmt::format("{}", last);
  }
}

Result<DefinitionPtr> EngineImpl::load_definition(store::Transaction& tx,
                                                  const std::string& digest) {
  {
    const Lock lock(mutex_);
    if (const auto kept = definitions_.find(digest); kept != definitions_.end()) {
      return kept->second;
    }
  }
  CLEW_TRY(auto definition, read_definition(tx, digest));
  const Lock lock(mutex_);
  if (definitions_.size() >= definitions_max) definitions_.clear();
  return definitions_.emplace(digest, std::move(definition)).first->second;
}

Result<void> EngineImpl::publish(DefinitionPtr definition) {
  const auto now = parts_.env.clock().now();
  CLEW_TRY(parts_.database.write([definition, now](store::Transaction& tx) {
    return publish_definition(tx, *definition, now);
  }));
  return {};
}

Result<DefinitionPtr> EngineImpl::find_definition(const std::string& text) {
  CLEW_TRY(const auto reference, Reference::parse(text, "workflow"));
  DefinitionPtr found;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(const auto versions, published_versions(tx, reference.id));
    std::optional<Version> best;
    std::string digest;
    int eligible = 0;
    for (const auto& published : versions) {
      CLEW_TRY(auto version, Version::parse(published.version));
      const bool fits =
          reference.kind == Reference::Kind::bare ||
          (reference.kind == Reference::Kind::exact ? version == reference.version
                                                    : reference.range.matches(version));
      if (!fits) continue;
      ++eligible;
      if (!best || *best < version) {
        best = std::move(version);
        digest = published.digest;
      }
    }
    if (!best) {
      return error(Code::not_found, "no workflow \"{}\" is published", text).with("workflow", text);
    }
    if (reference.kind == Reference::Kind::bare && eligible > 1) {
      return error(Code::ambiguous, "\"{}\" has {} versions: name one, or a range", text, eligible);
    }
    CLEW_TRY(found, load_definition(tx, digest));
    return {};
  }));
  return found;
}

Result<DefinitionPtr> EngineImpl::kept_definition(const std::string& digest) {
  DefinitionPtr definition;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(definition, load_definition(tx, digest));
    return {};
  }));
  return definition;
}

std::vector<std::string> EngineImpl::way_to(const std::string& run) {
  const auto live = find_live(run);
  return live ? live->way_ : std::vector<std::string>();
}

std::vector<Problem> EngineImpl::check(const Definition& definition, const std::string& workspace) {
  const auto registry = parts_.registry.snapshot();
  std::vector<Problem> problems;
  const auto note = [&problems](const Step& step, std::string_view key, const Error& why) {
    const Value* suggestion = why.find("suggestion");
    problems.push_back({fmt::format("steps.{}.{}", step.name, key), step.line, why.message(),
                        suggestion != nullptr ? std::string(suggestion->as_string()) : ""});
  };
  for (const auto& step : definition.steps) {
    if (step.on_event) {
      const auto type = parts_.broker.catalog().find(step.on_event->type_text);
      const bool is_named = type || type.error().code() == Code::ambiguous;  // any version will do
      const Value* declared = definition.document.find("steps")->find(step.name)->find("on_event");
      const auto* key = declared->is_string() ? "on_event" : "on_event.type";
      if (!is_named) note(step, key, type.error());
    }
    if (!step.has_call()) continue;
    if (const auto found = registry->resolve(step.call, {workspace}); !found)
      note(step, "call", found.error());
  }
  return problems;
}

Value EngineImpl::stats() {
  const Lock lock(mutex_);
  std::vector<Member> members = {
      {"started", Value(started_.load())},
      {"adopted", Value(adopted_.load())},
      {"ended", Value(ended_.load())},
      {"lost", Value(lost_.load())},
      {"live", Value(static_cast<std::int64_t>(live_.size()))},
      {"waiting_for_handlers", Value(static_cast<std::int64_t>(unbound_.size()))},
      {"calls_in_flight", Value(active_calls_.load())},
      {"calls_ready", Value(static_cast<std::int64_t>(ready_.size()))},
      {"orphans", Value(static_cast<std::int64_t>(orphans_.size()))},
      {"durability", Value(word(options_.durability))}};
  if (!last_error_.empty()) members.push_back({"last_error", Value(last_error_)});
  return Value::object(std::move(members));
}

}  // namespace clew::workflow
