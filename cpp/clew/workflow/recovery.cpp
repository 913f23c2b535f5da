#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/store/owner.hpp"
#include "clew/workflow/detail/engine_impl.hpp"

namespace clew::workflow {
namespace {

constexpr int adopt_at_once = 1024;
constexpr Duration commit_grace = std::chrono::seconds(1);

Result<store::OwnerId> register_owner(store::Database& database, const std::string& name,
                                      Timestamp now, Duration ttl) {
  store::OwnerId owner = 0;
  CLEW_TRY(database.write([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(owner, store::add_owner(tx, name, store::this_process(), now, now + ttl));
    return {};
  }));
  return owner;
}

// Why a run that was started with a capability of that digest (null: of any) cannot go on with this
// one; empty: it can.
std::string objection(const Capability* capability, const std::string& reference,
                      const Value& digest) {
  constexpr std::size_t shown = 12;
  if (capability == nullptr) return fmt::format("capability {} is not registered", reference);
  const auto now = lock_digest(*capability);
  if (!digest.is_string() || digest.as_string() == now) return {};
  return fmt::format(
      "capability {} is another one: its digest is {}…, the run was started with {}…", reference,
      now.substr(0, shown), digest.as_string().substr(0, shown));
}

// What a call of a composite would lack here, however deep: the first reference whose handler is
// not registered yet; empty: nothing. `seen` keeps circles from being walked for ever.
std::string missing_below(const RegistrySnapshot& registry, const Capability& capability,
                          std::set<std::string>& seen) {
  const Definition* definition = workflow_of(capability);
  if (definition == nullptr || !seen.insert(capability.reference()).second) return {};
  for (const auto& step : definition->steps) {
    if (!step.has_call()) continue;
    const auto found = registry.resolve(step.call, {capability.workspace});
    if (!found && found.error().code() == Code::unavailable) return step.call_text;
    if (!found) continue;  // to be said when it is called
    if (auto missing = missing_below(registry, **found, seen); !missing.empty()) return missing;
  }
  return {};
}

}  // namespace

// The digest covers the contract; of what a workflow carries out that workflow belongs to it.
std::string lock_digest(const Capability& capability) {
  if (capability.workflow.empty()) return capability.digest;
  return to_hex(sha256(capability.digest + capability.workflow));
}

// A call that is a run can be met again: nothing of it is unknown after a crash.
StepTraits traits_of(const Step& step, const Capability* capability) {
  if (capability == nullptr) return {};
  const Contract& contract = capability->contract;
  return {capability->workflow.empty() ? contract.effect : Effect::idempotent,
          step.retry.value_or(contract.retry)};
}

Result<std::unique_ptr<Engine>> Engine::open(EngineParts parts, EngineOptions options) {
  if (options.lease_ttl < std::chrono::milliseconds(10)) {
    return invalid_input("lease_ttl", static_cast<double>(options.lease_ttl.count()) / 1e6,
                         "at least 10 ms");
  }
  CLEW_TRY(const auto owner, register_owner(parts.database, options.owner_name,
                                            parts.env.clock().now(), options.lease_ttl));
  auto engine = std::make_unique<EngineImpl>(parts, std::move(options), owner);
  engine->start_keeper();
  return std::unique_ptr<Engine>(std::move(engine));
}

void EngineImpl::begin_recovery() {
  {
    const Lock lock(keeper_mutex_);
    adopts_.store(true);
  }
  keeper_wake_.notify_all();
}

void EngineImpl::start_keeper() {
  keeper_.start("clew-keeper", [this] { keep_alive(); });
}

// Three times within a lease's life it goes a round: renews this owner's life and looks for runs
// that nobody works on. In between it looks after other processes' runs that somebody here awaits.
void EngineImpl::keep_alive() {
  Clock& clock = parts_.env.clock();
  Timestamp next{INT64_MIN};
  bool adopts = false;
  std::shared_ptr<void> commits;  // of others, while somebody awaits a run of theirs
  for (;;) {
    if (clock.now() >= next || adopts != adopts_.load()) {
      adopts = adopts_.load();
      go_round(adopts);
      next = clock.now() + options_.lease_ttl / 3;
    }
    look_at_watched();
    const bool awaits_others = is_watching();
    if (awaits_others && !commits) commits = watch_for_keeper();
    if (!awaits_others) commits.reset();
    Lock lock(keeper_mutex_);
    const bool watches = !watched_.empty();
    const auto until = watches ? std::min(next, clock.now() + look_every) : next;
    while (!keeper_stop_ && clock.now() < until && adopts == adopts_.load() && !has_news_ &&
           !watched_is_new_ && watches == !watched_.empty()) {
      clock.wait_until(keeper_wake_, lock, until);
    }
    has_news_ = false;
    if (keeper_stop_) return;
  }
}

bool EngineImpl::is_watching() {
  const Lock lock(keeper_mutex_);
  return !watched_.empty();
}

void EngineImpl::go_round(bool adopts) {
  Result<void> done = renew();
  for (bool more = adopts; done && more && !stopping_.load();) {
    const auto adopted = adopt_lapsed();
    more = adopted && *adopted == adopt_at_once;
    done = adopted ? renew() : Result<void>(adopted.error());  // adopting takes its time
  }
  if (done || done.error().code() == Code::corrupt) {  // damage of one run is no other's
    const auto orphans = adopt_orphans();
    if (done) done = orphans;
  }
  if (!done && done.error().code() == Code::closed) return;
  const Lock lock(mutex_);
  if (!done) {
    last_error_ = done.error().to_string();
  } else if (orphans_.empty()) {
    last_error_.clear();
  }
}

Result<void> EngineImpl::renew() {
  const auto expires = parts_.env.clock().now() + options_.lease_ttl;
  const auto owner = owner_.load();
  const auto renewed = parts_.database.write(
      [owner, expires](store::Transaction& tx) { return store::renew_owner(tx, owner, expires); },
      store::Durability::relaxed);
  if (renewed) return {};
  if (renewed.error().code() != Code::stale_lease) return renewed.error();
  // Held for dead and removed: whatever was ours has other owners, which each commit will find out.
  CLEW_TRY(const auto again, register_owner(parts_.database, options_.owner_name,
                                            parts_.env.clock().now(), options_.lease_ttl));
  owner_.store(again);
  return {};
}

// Takes over up to `adopt_at_once` runs that nobody owns; how many it found.
Result<int> EngineImpl::adopt_lapsed() {
  const auto now = parts_.env.clock().now();
  std::vector<store::OwnerId> dead;
  std::optional<Error> damaged_owner;
  std::vector<std::int64_t> lapsed;
  CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    auto owners = store::list_owners(tx);
    if (!owners) {
      if (owners.error().find("table") == nullptr) return owners.error();
      damaged_owner = owners.error();  // then nobody is known to be dead before they lapse
      owners = std::vector<store::Owner>();
    }
    for (const auto& owner : *owners) {
      if (owner.id != owner_.load() && !store::may_be_alive(owner.process)) {
        dead.push_back(owner.id);
      }
    }
    // What this runtime holds it works on, however late its owner is renewed.
    CLEW_TRY(lapsed, store::lapsed_leases(tx, run_kind, now, dead, adopt_at_once, owner_.load()));
    return {};
  }));

  if (lapsed.empty()) {
    if (!dead.empty()) {
      CLEW_TRY(parts_.database.write(
          [&dead](store::Transaction& tx) -> Result<void> {
            for (const auto owner : dead) CLEW_TRY(store::remove_owner(tx, owner));
            return {};
          },
          store::Durability::relaxed));
    }
    if (damaged_owner) return *damaged_owner;
    return 0;
  }
  std::vector<store::Lease> taken;
  std::vector<std::pair<std::int64_t, Error>> damaged;
  const auto written = parts_.database.write([&](store::Transaction& tx) -> Result<void> {
    taken.clear();  // may run again
    damaged.clear();
    for (const auto number : lapsed) {
      auto lease = store::take_lease(tx, {run_kind, number}, owner_.load(), now, dead);
      if (lease) {
        taken.push_back(*lease);
      } else if (lease.error().code() == Code::corrupt && lease.error().find("table") != nullptr) {
        damaged.emplace_back(number, lease.error());        // a row: others can still be taken
      } else if (lease.error().code() != Code::conflict) {  // another process was first
        return lease.error();
      }
    }
    return {};
  });
  if (!written) {
    if (written.error().code() == Code::unknown_outcome) {
      for (const auto& lease : taken) adopt_later(lease);
    }
    return written.error();
  }
  for (const auto& [number, why] : damaged) note_unreadable(number, why);
  for (const auto& [lease, why] : adopt(taken)) {
    adopt_later(lease);
    const Lock lock(mutex_);
    last_error_ = fmt::format("run number {}: {}", lease.number, why.to_string());
  }
  if (!damaged.empty()) return damaged.front().second;
  if (damaged_owner) return *damaged_owner;
  return static_cast<int>(taken.size());
}

// Leaves a run to adopt_orphans(). Of a lease that may be ours check_lease() will tell.
void EngineImpl::adopt_later(const store::Lease& lease, LiveRunPtr run) {
  const Lock lock(mutex_);
  orphans_.push_back({lease, std::move(run)});
}

// Tries the runs again that are ours and that nobody works on.
Result<void> EngineImpl::adopt_orphans() {
  std::vector<Orphan> orphans;
  {
    const Lock lock(mutex_);
    orphans.swap(orphans_);
  }
  Result<void> done;
  std::vector<Orphan> later;
  for (auto& orphan : orphans) {
    const auto adopted = try_orphan(orphan);
    if (!adopted) done = adopted.error();
    if (!adopted || !*adopted) later.push_back(std::move(orphan));
  }
  const Lock lock(mutex_);
  std::ranges::move(later, std::back_inserter(orphans_));
  return done;
}

// False while it must wait: a call of it still runs here, and must not run twice at one time.
Result<bool> EngineImpl::try_orphan(const Orphan& orphan) {
  if (orphan.run) {
    const Lock lock(orphan.run->mutex_);
    if (!orphan.run->in_flight_.empty()) return false;
  }
  const auto lease = orphan.lease;
  const auto ours = parts_.database.write(
      [lease](store::Transaction& tx) {
        return store::check_lease(tx, {run_kind, lease.number}, lease);
      },
      store::Durability::relaxed);
  // It has ended after all, or another owner has it.
  if (!ours && ours.error().code() == Code::stale_lease) {
    note_unreadable(lease.number, {});
    return true;
  }
  if (!ours) return ours.error();
  const auto failed = adopt({lease});
  if (!failed.empty()) return failed.front().second;
  return true;
}

// ---- runs of other processes ------------------------------------------------------------------

std::uint64_t EngineImpl::adoptions() {
  const Lock lock(mutex_);
  return adoptions_;
}

void EngineImpl::await_adoption(std::uint64_t seen, Timestamp until) {
  Lock lock(mutex_);
  while (adoptions_ == seen && !closed()) {
    if (parts_.env.clock().wait_until(adopted_here_, lock, until)) break;
  }
}

std::shared_ptr<void> EngineImpl::watch_commits() {
  return parts_.database.watch_commits([this] {
    {
      const Lock lock(mutex_);
      ++adoptions_;
    }
    adopted_here_.notify_all();
  });
}

std::shared_ptr<void> EngineImpl::watch_for_keeper() {
  return parts_.database.watch_commits([this] {
    {
      const Lock lock(keeper_mutex_);
      has_news_ = true;
    }
    keeper_wake_.notify_all();
  });
}

void EngineImpl::watch(std::int64_t number, Function<void()> ended) {
  {
    const Lock lock(keeper_mutex_);
    if (!keeper_stop_) {
      watched_.push_back({number, std::move(ended)});
      watched_is_new_ = true;  // it may have ended since somebody looked
    }
  }
  // NOLINTNEXTLINE(bugprone-use-after-move): a Function that was moved is empty
  if (ended) return ended();
  keeper_wake_.notify_all();
}

void EngineImpl::look_at_watched() {
  std::vector<std::int64_t> numbers;
  bool is_new = false;
  {
    const Lock lock(keeper_mutex_);
    is_new = std::exchange(watched_is_new_, false);
    if (watched_.empty()) return;
    for (const auto& each : watched_) numbers.push_back(each.number);
  }
  const auto version = parts_.database.data_version();
  std::set<std::int64_t> ended;
  for (const auto number : numbers) {
    if (unreadable(number)) ended.insert(number);
  }
  if (version && *version == watched_version_ && !is_new && ended.empty()) return;
  const auto looked = parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    for (const auto number : numbers) {
      const auto row = find_run(tx, number);
      const bool is_lost = !row && row.error().code() == Code::corrupt;
      if (!row && !is_lost) return row.error();
      if (is_lost || !*row || is_terminal((*row)->info.status)) ended.insert(number);
    }
    return {};
  });
  watched_version_ = version && looked ? *version : -1;  // -1: look again
  if (!looked) return;
  std::vector<Function<void()>> callbacks;
  {
    const Lock lock(keeper_mutex_);
    std::erase_if(watched_, [&](Watched& each) {
      if (!ended.contains(each.number)) return false;
      callbacks.push_back(std::move(each.ended));
      return true;
    });
  }
  for (auto& callback : callbacks) callback();
}

// ---- adopting ---------------------------------------------------------------------------------

// Lets those who wait for the run know when it cannot be read, and when it can again.
void EngineImpl::note_unreadable(std::int64_t number, const Result<void>& adopted) {
  {
    const Lock lock(mutex_);
    if (adopted || adopted.error().code() != Code::corrupt) {
      unreadable_.erase(number);
      return;
    }
    if (!unreadable_.emplace(number, adopted.error()).second) return;
    ++adoptions_;
  }
  adopted_here_.notify_all();
}

std::optional<Error> EngineImpl::unreadable(std::int64_t number) {
  const Lock lock(mutex_);
  const auto found = unreadable_.find(number);
  return found != unreadable_.end() ? std::optional(found->second) : std::nullopt;
}

Result<EngineImpl::Adopted> EngineImpl::load_run(store::Transaction& tx,
                                                 const store::Lease& lease) {
  CLEW_TRY(auto row, find_run(tx, lease.number));
  if (!row) return error(Code::corrupt, "a leased run has no row").with("table", "runs");
  CLEW_TRY(auto definition, load_definition(tx, row->digest));
  CLEW_TRY(auto loaded, load_state(tx, *definition, lease.number));
  auto run = std::make_shared<LiveRun>(*this, std::move(*row), std::move(definition), lease);
  const Lock lock(run->mutex_);
  run->traits_.resize(run->definition_->steps.size());  // known once bound; cancelling needs none
  run->waiting_for_ = "its capabilities";               // it is listed as waiting until it is bound
  run->committed_seq_ = loaded.state.last_seq;
  run->state_ = std::move(loaded.state);
  return Adopted{std::move(run), std::move(loaded.pinned)};
}

// Goes on with the runs of these leases, which are this process's, unless it does already. Answers
// those that cannot be read, and why.
std::vector<std::pair<store::Lease, Error>> EngineImpl::adopt(
    const std::vector<store::Lease>& leases) {
  std::vector<Result<Adopted>> loaded;
  const auto read = parts_.database.read([&](store::Transaction& tx) -> Result<void> {
    loaded.clear();  // may run again
    for (const auto& lease : leases) {
      if (stopping_.load()) break;  // remove_owner() leaves the rest to others
      loaded.push_back(load_run(tx, lease));
    }
    return {};
  });
  if (!read) loaded.assign(leases.size(), read.error());

  std::vector<std::pair<store::Lease, Error>> failed;
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    const auto& found = loaded[i];
    note_unreadable(leases[i].number, found ? Result<void>() : Result<void>(found.error()));
    if (!found) failed.emplace_back(leases[i], found.error());
  }
  std::vector<LiveRunPtr> runs;
  std::vector<std::pair<LiveRunPtr, store::Lease>> overtaken;
  {
    const Lock lock(mutex_);
    for (auto& found : loaded) {
      if (!found) continue;
      const auto run = found->run;
      const auto [live, is_new] = live_.emplace(run->id(), run);
      if (is_new) {
        unbound_[run->id()] = *std::move(found);
        runs.push_back(run);
      } else if (live->second->lease_.token < run->lease_.token) {
        overtaken.emplace_back(live->second, run->lease_);
      }
    }
    ++adoptions_;
  }
  // Others had it meanwhile, unnoticed: the calls of then must end before it goes on.
  for (const auto& [run, lease] : overtaken) {
    lose(run, error(Code::stale_lease, "run \"{}\" was another owner's meanwhile", run->id()));
    adopt_later(lease, run);
  }
  adopted_.fetch_add(static_cast<std::int64_t>(runs.size()), std::memory_order_relaxed);
  adopted_here_.notify_all();
  for (const auto& run : runs) resume_or_wait(run);
  return failed;
}

// Goes on with an adopted run, or, while a capability is not registered or is another than the run
// was started with, lets it wait.
void EngineImpl::resume_or_wait(const LiveRunPtr& run) {
  {
    // Whoever takes it off the list goes on with it: only one thread does.
    const Lock lock(mutex_);
    const auto waiting = unbound_.find(run->id());
    if (waiting == unbound_.end() || waiting->second.run != run) return;
    std::string waiting_for;
    const Lock run_lock(run->mutex_);
    const bool bound = bind(*run, waiting->second.pinned, waiting_for);
    run->waiting_for_ = std::move(waiting_for);
    if (!bound) return;
    unbound_.erase(waiting);
  }
  stimulate(run, Resume{});
}

// Finds the exact capabilities that the run was started with; false naming one that is missing or
// has other content than then.
bool EngineImpl::bind(LiveRun& run, const Pinned& pinned, std::string& waiting_for) {
  const auto registry = parts_.registry.snapshot();
  const View view{run.row_.info.workspace};
  if (pinned.lock.is_object()) {
    for (const auto& [reference, digest] : pinned.lock.members()) {
      waiting_for = objection(registry->find(reference, view).get(), reference, digest);
      if (!waiting_for.empty()) return false;
    }
  }
  std::vector<CapabilityPtr> capabilities;
  std::vector<StepTraits> traits;
  for (const auto& step : run.definition_->steps) {
    if (!step.has_call()) {
      traits.push_back(traits_of(step, nullptr));
      capabilities.emplace_back();
      continue;
    }
    // What a run has begun with it ends with, even when that version was retired since.
    const Value* pin = pinned.pins.find(step.name);
    const auto reference =
        pin != nullptr && pin->is_string() ? std::string(pin->as_string()) : step.call_text;
    auto capability = registry->find(reference, view);
    waiting_for = objection(capability.get(), reference, Value());
    if (!waiting_for.empty()) return false;
    std::set<std::string> seen;
    if (const auto missing = missing_below(*registry, *capability, seen); !missing.empty()) {
      waiting_for =
          fmt::format("capability {}, which {} calls, is not registered", missing, reference);
      return false;
    }
    traits.push_back(traits_of(step, capability.get()));
    capabilities.push_back(std::move(capability));
  }
  run.capabilities_ = std::move(capabilities);
  run.traits_ = std::move(traits);
  return true;
}

void EngineImpl::registry_changed() {
  std::vector<LiveRunPtr> waiting;
  {
    const Lock lock(mutex_);
    for (const auto& [id, entry] : unbound_) waiting.push_back(entry.run);
  }
  for (const auto& run : waiting) resume_or_wait(run);
}

bool EngineImpl::stop(bool drain, Timestamp deadline) {
  if (stopping_.exchange(true)) return true;
  std::vector<Watched> watched;
  {
    const Lock lock(keeper_mutex_);
    keeper_stop_ = true;
    watched.swap(watched_);
  }
  keeper_wake_.notify_all();
  keeper_.join();
  waits_.stop();
  composites_->end_all();

  bool idle = !drain || await_quiet(true, deadline);
  withdraw_all();
  // Commits end by themselves, and soon.
  idle = await_quiet(false, std::max(deadline, parts_.env.clock().now() + commit_grace)) && idle;
  const auto handed_back = hand_back();
  closed_.store(true, std::memory_order_release);
  std::vector<LiveRunPtr> runs;
  {
    const Lock lock(mutex_);
    for (const auto& [id, run] : live_) runs.push_back(run);
  }
  adopted_here_.notify_all();
  for (const auto& run : runs) lose(run, error(Code::closed, "the runtime is closed"));
  for (auto& each : watched) each.ended();
  return idle && handed_back.has_value();
}

// Waits until nothing is being committed, and with `calls_too` no call runs or is about to.
bool EngineImpl::await_quiet(bool calls_too, Timestamp deadline) {
  Lock lock(mutex_);
  const auto is_busy = [&]() CLEW_REQUIRES(mutex_) {
    return committing_.load() > 0 || (calls_too && (active_calls_.load() > 0 || !ready_.empty()));
  };
  while (is_busy() && !(calls_too && draining_stopped_.load())) {
    if (parts_.env.clock().wait_until(idle_, lock, deadline)) break;
  }
  return !is_busy();
}

void EngineImpl::stop_draining() {
  {
    const Lock lock(mutex_);
    draining_stopped_.store(true);
  }
  idle_.notify_all();
  composites_->stop_draining();
}

// Takes back every call whose handler has not been entered, and asks the others to stop.
void EngineImpl::withdraw_all() {
  withdraws_.store(true);
  launch_ready();
  std::vector<LiveRunPtr> runs;
  {
    const Lock lock(mutex_);
    for (const auto& [id, run] : live_) runs.push_back(run);
  }
  std::vector<InvocationPtr> calls;
  for (const auto& run : runs) {
    const Lock lock(run->mutex_);
    for (const auto& [key, call] : run->in_flight_) calls.push_back(call);
  }
  for (const auto& call : calls) call->cancel("the runtime is closing");
}

// Lets another process go on at once, without waiting for this one's leases to lapse: they are
// nobody's once their owner is gone.
Result<void> EngineImpl::hand_back() {
  const auto owner = owner_.load();
  CLEW_TRY(parts_.database.write(
      [owner](store::Transaction& tx) { return store::remove_owner(tx, owner); }));
  return {};
}

}  // namespace clew::workflow
