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

  std::optional<bool> known_end() const override { return std::nullopt; }

  Result<RunInfo> info() override {
    if (auto live = engine_.find_live(id_)) return live->info();
    CLEW_TRY(auto loaded, load());
    auto& info = loaded.row.info;
    info.waiting_for = describe_waits(*definition_, loaded.state);
    if (!info.waiting_for.empty()) info.status = RunStatus::waiting;
    count_steps(*definition_, loaded.state, info);
    return std::move(loaded.row.info);
  }

  Result<RunStatus> status() override {
    if (auto live = engine_.find_live(id_)) return live->status();
    CLEW_TRY(const auto row, current());
    if (is_terminal(row.info.status) || !definition_->awaits_events) return row.info.status;
    CLEW_TRY(const auto info, this->info());  // the row does not say whether it waits
    return info.status;
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
      CLEW_TRY(events, read_event_infos(tx, *definition_, number_, after, limit));
      if (std::cmp_equal(events.size(), limit)) return {};
      return check_last(tx, events.empty() ? after : events.back().seq);
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
      CLEW_TRY(const auto row, hopeful());
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
               CLEW_TRY(const auto row, hopeful());
               return is_terminal(row.info.status);
             }));
    if (live_ended) return true;
    if (!ended) return false;
    CLEW_TRY(const auto row, current());
    return is_terminal(row.info.status);
  }

  void on_ended(Function<void()> callback) override {
    if (auto live = engine_.find_live(id_)) return live->on_ended(std::move(callback));
    const auto row = hopeful();
    const bool is_lost = !row && row.error().code() == Code::corrupt;
    if (is_lost || (row && is_terminal(row->info.status))) return callback();
    engine_.watch(number_, std::move(callback));
  }

  Result<Value> result() override {
    if (auto live = engine_.find_live(id_)) return live->result();
    CLEW_TRY(const auto row, hopeful());
    return result_of(id_, row.info.status, row.info.output, row.info.error, row.info.failed_step,
                     nullptr);
  }

  Result<void> cancel(std::string reason) override {
    if (auto live = engine_.find_live(id_)) return live->cancel(std::move(reason));
    CLEW_TRY(const auto row, hopeful());
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
    RunRow row;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(row, find_row(tx));
      return {};
    }));
    const Lock lock(mutex_);
    row_ = row;
    return row;
  }

  Result<RunRow> find_row(store::Transaction& tx) const {
    CLEW_TRY(auto row, find_run(tx, number_));
    if (!row) return error(Code::not_found, "there is no run \"{}\" any more", id_);
    return std::move(*row);
  }

  // As current(); but `corrupt` when the run has not ended and, for what the store or this process
  // knows of it, never will: nobody can go on with it. A handle reads the history only once.
  Result<RunRow> hopeful() {
    CLEW_TRY(auto row, current());
    if (is_terminal(row.info.status)) return row;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(row, find_row(tx));
      if (is_terminal(row.info.status)) return {};
      CLEW_TRY(check_lease(tx));
      if (has_sound_history_.load(std::memory_order_relaxed)) return {};
      CLEW_TRY(load_state(tx, *definition_, number_));
      has_sound_history_.store(true, std::memory_order_relaxed);
      return {};
    }));
    if (is_terminal(row.info.status)) return row;
    if (auto why = engine_.unreadable(number_)) return *std::move(why);
    return row;
  }

  Result<void> check_lease(store::Transaction& tx) const {
    const store::Resource resource{run_kind, number_};
    CLEW_TRY(const auto lease, store::find_lease(tx, resource));
    if (lease && !lease->is_closed) return {};
    return store::in_lease(error(Code::corrupt, "run \"{}\" has not ended, but its lease is {}",
                                 id_, lease ? "closed" : "gone"),
                           resource);
  }

  // The last event of a run that has ended says so.
  Result<void> check_last(store::Transaction& tx, std::int64_t last) const {
    CLEW_TRY(const auto row, find_row(tx));
    if (!is_terminal(row.info.status)) return {};
    CLEW_TRY(const auto loaded, load_state(tx, *definition_, number_));
    if (last < loaded.state.last_seq) return {};
    return check_row(row, *definition_, loaded.state);
  }

  struct Loaded {
    RunRow row;
    RunState state;
  };

  Result<Loaded> load() {
    CLEW_TRY(open());
    Loaded loaded;
    CLEW_TRY(engine_.parts().database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(loaded.row, find_row(tx));
      CLEW_TRY(auto read, load_state(tx, *definition_, number_));
      loaded.state = std::move(read.state);
      return check_row(loaded.row, *definition_, loaded.state);
    }));
    return loaded;
  }

  // Until `look` says true, looking whenever some process has committed or this one has adopted
  // runs.
  template <typename Look>
  Result<bool> look_until(Timestamp until, Look look) {
    Clock& clock = engine_.parts().env.clock();
    std::int64_t seen = -1;
    std::uint64_t adoptions_seen = 0;
    const auto commits = engine_.watch_commits();
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
  std::atomic<bool> has_sound_history_{false};
  Mutex mutex_;
  RunRow row_ CLEW_GUARDED_BY(mutex_);
};

}  // namespace

RunPtr make_stored_run(EngineImpl& engine, RunRow row, DefinitionPtr definition) {
  return std::make_shared<StoredRun>(engine, std::move(row), std::move(definition));
}

}  // namespace clew::workflow
