#include "testkit/tracked.hpp"

#include <algorithm>
#include <sstream>

namespace clew::testkit {
namespace {

using store::CommitInfo;
using store::Durability;

class Tracked final : public WrappedDatabase {
 public:
  Tracked(std::unique_ptr<store::Database> inner, std::shared_ptr<Ledger> ledger)
      : WrappedDatabase(std::move(inner)), ledger_(std::move(ledger)) {}

  void submit(store::Write write) override { inner().submit(tracked(std::move(write))); }
  void submit_or_commit(store::Write write) override {
    inner().submit_or_commit(tracked(std::move(write)));
  }
  Result<CommitInfo> write(store::Apply apply, Durability durability) override {
    const auto number = ledger_->add();
    auto done = inner().write(tracked(number, std::move(apply)), durability);
    end(number, done, durability);
    return done;
  }
  Result<void> read(Function<Result<void>(store::Transaction&)> use, store::GoOn go_on) override {
    auto done = inner().read(std::move(use), std::move(go_on));
    if (!done) ledger_->note_error(done.error());
    return done;
  }

 private:
  store::Apply tracked(std::size_t number, store::Apply apply) {
    return
        [this, number, apply = std::move(apply)](store::Transaction& tx) mutable -> Result<void> {
          CLEW_TRY(apply(tx));
          CLEW_TRY(auto state, conformance::dump(tx, conformance::all_tables()));
          ledger_->note_state(number, std::move(state));
          return {};
        };
  }
  store::Write tracked(store::Write write) {
    const auto number = ledger_->add();
    const auto durability = write.durability;
    write.apply = tracked(number, std::move(write.apply));
    write.done = [this, number, durability,
                  done = std::move(write.done)](Result<CommitInfo> outcome) mutable {
      end(number, outcome, durability);
      done(std::move(outcome));
    };
    return write;
  }
  void end(std::size_t number, const Result<CommitInfo>& done, Durability durability) {
    using enum Ledger::Fate;
    if (done) {
      ledger_->end(number, durability == Durability::sync ? durable : written, nullptr);
    } else {
      const bool is_unknown = done.error().code() == Code::unknown_outcome;
      ledger_->end(number, is_unknown ? in_doubt : refused, &done.error());
    }
  }

  const std::shared_ptr<Ledger> ledger_;
};

class Observing final : public WrappedDatabase {
 public:
  Observing(std::unique_ptr<store::Database> inner, std::shared_ptr<Observed> calls)
      : WrappedDatabase(std::move(inner)), calls_(std::move(calls)) {}

  void submit(store::Write write) override {
    calls_->is_complete = false;
    inner().submit(std::move(write));
  }
  void submit_or_commit(store::Write write) override {
    calls_->is_complete = false;
    inner().submit_or_commit(std::move(write));
  }
  Result<CommitInfo> write(store::Apply apply, Durability durability) override {
    auto done = inner().write(std::move(apply), durability);
    note(done.has_value());
    return done;
  }
  Result<void> read(Function<Result<void>(store::Transaction&)> use, store::GoOn go_on) override {
    auto done = inner().read(std::move(use), std::move(go_on));
    note(done.has_value());
    return done;
  }

 private:
  void note(bool is_done) {
    calls_->calls.push_back({is_done, conformance::dump(inner(), conformance::all_tables())});
  }
  const std::shared_ptr<Observed> calls_;
};

}  // namespace

Ledger::Ledger(std::string state) { entries_.push_back({std::move(state), 0, Fate::durable}); }

std::size_t Ledger::add() {
  const Lock lock(mutex_);
  entries_.emplace_back();
  return entries_.size() - 1;
}

void Ledger::note_state(std::size_t number, std::string state) {
  const Lock lock(mutex_);
  entries_[number].state = std::move(state);
  entries_[number].order = ++states_;
}

void Ledger::end(std::size_t number, Fate fate, const Error* why) {
  const Lock lock(mutex_);
  entries_[number].fate = fate;
  if (why != nullptr) errors_.push_back(*why);
}

void Ledger::note_error(const Error& why) {
  const Lock lock(mutex_);
  errors_.push_back(why);
}

std::vector<std::string> Ledger::allowed(bool after_cut) const {
  const Lock lock(mutex_);
  const auto is_kept = [&](const Entry& entry) {
    return entry.fate == Fate::durable || (entry.fate == Fate::written && !after_cut);
  };
  const Entry* last = nullptr;
  for (const auto& entry : entries_) {
    if (is_kept(entry) && (last == nullptr || entry.order > last->order)) last = &entry;
  }
  std::vector<std::string> states{last->state};
  for (const auto& entry : entries_) {
    const bool may_stand =
        entry.fate == Fate::in_doubt || entry.fate == Fate::open || entry.fate == Fate::written;
    if (may_stand && entry.order > last->order) states.push_back(entry.state);
  }
  return states;
}

std::string Ledger::acknowledged() const { return allowed(false).front(); }

std::vector<Error> Ledger::errors() const {
  const Lock lock(mutex_);
  return errors_;
}

std::unique_ptr<store::Database> tracked(std::unique_ptr<store::Database> inner,
                                         std::shared_ptr<Ledger> ledger) {
  return std::make_unique<Tracked>(std::move(inner), std::move(ledger));
}

std::unique_ptr<store::Database> observed(std::unique_ptr<store::Database> inner,
                                          std::shared_ptr<Observed> calls) {
  return std::make_unique<Observing>(std::move(inner), std::move(calls));
}

std::string first_difference(const std::string& found, const std::string& wanted) {
  std::istringstream left(found);
  std::istringstream right(wanted);
  std::string one;
  std::string other;
  for (;;) {
    const bool has_one = static_cast<bool>(std::getline(left, one));
    const bool has_other = static_cast<bool>(std::getline(right, other));
    if (!has_one && !has_other) return "";
    if (!has_one) one = "nothing";
    if (!has_other) other = "nothing";
    if (one != other || has_one != has_other) return "found " + one + "\nwanted " + other;
  }
}

}  // namespace clew::testkit
