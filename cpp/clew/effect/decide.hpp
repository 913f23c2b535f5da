// effect/decide.hpp: what a request for an effect means for what is recorded under its key.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "clew/base/result.hpp"
#include "clew/base/time.hpp"
#include "clew/base/value.hpp"

namespace clew::effect {

enum class Status : std::uint8_t { in_progress, completed, failed };
std::string_view name(Status status);

// What is recorded under a key.
struct Standing {
  std::string hash;  // of the envelope that came first
  Status status = Status::in_progress;
  bool is_leased = false;  // somebody runs it, and its lease is live
  bool has_outcome = false;
};

//   row                          request                 decision
//   none                         normal                  insert
//   none                         strict                  missing
//   any                          another envelope        mismatch
//   completed                    same                    completed
//   failed                       same                    failed
//   in progress, lease live      same                    busy
//   in progress, lease over      normal                  take_over
//   in progress, lease over      strict                  missing
//   completed or failed, nothing to answer               corrupt
enum class Decision : std::uint8_t {
  insert,     // record it in progress, and run it
  take_over,  // take its lease, and run it again
  completed,  // answer the recorded outcome
  failed,     // answer the recorded error
  busy,       // somebody runs it: wait
  mismatch,   // the key stands for another effect
  missing,    // a strict replay runs nothing
  corrupt
};
std::string_view name(Decision decision);

// Pure.
Decision decide(const std::optional<Standing>& row, std::string_view hash, bool is_strict);

}  // namespace clew::effect
