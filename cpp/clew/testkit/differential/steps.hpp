// testkit/differential/steps.hpp: what the words of a program do.
#pragma once

#include <fmt/core.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "clew/process/registry.hpp"
#include "clew/session/queued_work.hpp"
#include "clew/store/work_queue.hpp"

namespace clew::differential {

using store::Transaction;

// What a program knows of one place as it runs there. Confined.
struct Stage {
  Timestamp now{1'700'000'000'000'000};
  int step = 0;                                     // which one runs, from 1
  std::map<int, store::WorkClaim> claims;           // that its owners hold, by slot
  std::map<int, session::QueuedWorkClaim> batches;  // the same of sessions
  process::DeclaredCache declared;
};

using Numbers = std::span<const int>;
// What the step answers, as text. May run more than once; what it changes in the stage is then the
// same.
using RunStep = Result<std::string> (*)(Stage& stage, Transaction& tx, Numbers numbers);

struct Verb {
  const char* name;
  std::vector<int> bounds;  // of random numbers: each below its own
  RunStep run;
};

std::vector<Verb> store_verbs();
std::vector<Verb> session_verbs();

inline std::string word(std::string_view kind, int number) {
  return fmt::format("{}-{}", kind, number);
}
inline std::string yes_or_no(bool value) { return value ? "yes" : "no"; }

}  // namespace clew::differential
