#include <algorithm>

#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

// Confined to nobody: it holds nothing that changes but the last row that it saw, under its lock.
class StoredRun final : public Run {
 public:
  StoredRun(EngineImpl& engine, RunRow row, DefinitionPtr definition)
      : engine_(engine),
        id_(row.info.id),
        number_(row.number),
        definition_(std::move(definition)),
        row_(std::move(row)) {}

  const std::string& id() const override { return id_; }
  DefinitionPtr definition() override { return definition_; }

  Result<RunInfo> info() override {
    if (auto live = engine_.find_live(id_)) return live->info();
    CLEW_TRY(auto row, current());
    CLEW_TRY(const auto loaded, load());
    count_steps(*definition_, loaded.state, row.info);
    return row.info;
  }

  Result<RunStatus> status() override {
    if (auto live = engine_.find_live(id_)) return live->status();
    CLEW_TRY(const auto row, current());
    return row.info.status;
  }

  Result<std::vector<StepInfo>> steps() override {
    if (auto live = engine_.find_live(id_)) return live->steps();
    CLEW_TRY(const auto loaded, load());
    return step_infos(*definition_, loaded.state);
  }

  Result<std::vector<EventInfo>> events(std::int64_t after, int limit) override {
    CLEW_TRY(open());
    std::vector<EventInfo> events;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto stored, store::read_events(tx, number_, after, limit));
      for (const auto& event : stored) {
        CLEW_TRY(auto info, to_event_info(event));
        events.push_back(std::move(info));
      }
      return {};
    }));
    return events;
  }

  Result<void> wait_events(std::int64_t after, Timestamp until) override {
    CLEW_TRY(look_until(until, [&]() -> Result<bool> {
      if (auto live = engine_.find_live(id_)) {
        CLEW_TRY(live->wait_events(after, until));
        return true;
      }
      CLEW_TRY(const auto more, events(after, 1));
      if (!more.empty()) return true;
      CLEW_TRY(const auto row, current());
      return is_terminal(row.info.status);
    }));
    return {};
  }

  Result<bool> wait(Timestamp until) override {
    bool live_ended = false;
    CLEW_TRY(const auto ended, look_until(until, [&]() -> Result<bool> {
               if (auto live = engine_.find_live(id_)) {
                 CLEW_TRY(live_ended, live->wait(until));
                 return true;
               }
               CLEW_TRY(const auto row, current());
               return is_terminal(row.info.status);
             }));
    if (live_ended) return true;
    if (!ended) return false;
    CLEW_TRY(const auto row, current());
    return is_terminal(row.info.status);
  }

  void on_ended(Function<void()> callback) override {
    if (auto live = engine_.find_live(id_)) return live->on_ended(std::move(callback));
    const auto row = current();
    if (row && is_terminal(row->info.status)) return callback();
    engine_.watch(number_, std::move(callback));
  }

  Result<Value> result() override {
    if (auto live = engine_.find_live(id_)) return live->result();
    CLEW_TRY(const auto row, current());
    return result_of(id_, row.info.status, row.info.output, row.info.error, row.info.failed_step,
                     nullptr);
  }

  Result<void> cancel(std::string reason) override {
    if (auto live = engine_.find_live(id_)) return live->cancel(std::move(reason));
    CLEW_TRY(const auto row, current());
    if (is_terminal(row.info.status)) {
      return error(Code::conflict, "run \"{}\" has ended as {}", id_, name(row.info.status))
          .with("status", name(row.info.status));
    }
    return error(Code::unavailable, "run \"{}\" is owned by another process", id_)
        .with_retryable(true);
  }

 private:
  Result<void> open() const {
    if (engine_.closed()) return error(Code::closed, "the runtime is closed");
    return {};
  }

  Result<RunRow> current() {
    {
      const Lock lock(mutex_);
      if (is_terminal(row_.info.status)) return row_;  // it will not change any more
    }
    CLEW_TRY(open());
    std::optional<RunRow> row;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(row, find_run(tx, number_));
      return {};
    }));
    if (!row) return error(Code::not_found, "there is no run \"{}\" any more", id_);
    const Lock lock(mutex_);
    row_ = *row;
    return std::move(*row);
  }

  Result<LoadedState> load() {
    CLEW_TRY(open());
    std::optional<LoadedState> loaded;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(loaded, load_state(tx, *definition_, number_));
      return {};
    }));
    return std::move(*loaded);
  }

  // Until `look` says true, looking whenever some process has committed or this one has adopted
  // runs.
  template <typename Look>
  Result<bool> look_until(Timestamp until, Look look) {
    Clock& clock = engine_.parts().env.clock();
    std::int64_t seen = -1;
    std::uint64_t adoptions_seen = 0;
    for (;;) {
      CLEW_TRY(open());
      const auto adoptions = engine_.adoptions();
      CLEW_TRY(const auto version, engine_.parts().database.data_version());
      if (version != seen || adoptions != adoptions_seen) {
        seen = version;
        adoptions_seen = adoptions;
        CLEW_TRY(const auto found, look());
        if (found) return true;
      }
      const auto now = clock.now();
      if (now >= until) return false;
      engine_.await_adoption(adoptions, std::min(until, now + look_every));
    }
  }

  EngineImpl& engine_;
  const std::string id_;
  const std::int64_t number_;
  const DefinitionPtr definition_;
  Mutex mutex_;
  RunRow row_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace

RunPtr make_stored_run(EngineImpl& engine, RunRow row, DefinitionPtr definition) {
  return std::make_shared<StoredRun>(engine, std::move(row), std::move(definition));
}

}  // namespace clew::workflow
