// testkit/differential/program.hpp: random programs of store operations, run on several databases
// at once. What they answer, and what stands in their tables at the end, must be the same.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/store/store.hpp"

namespace clew::differential {

// One operation: a word, and small numbers that choose its arguments ("lease_claim 2 0 3 40": which
// thing, owner, token, and for how long). Any numbers make sense, and 0 is the simplest.
struct Step {
  std::string verb;
  std::vector<int> numbers;
  friend bool operator==(const Step&, const Step&) = default;
};
using Program = std::vector<Step>;

// A step a line; what follows '#' is a comment.
std::string to_text(const Program& program);
// `invalid_input` naming the line with an unknown word, or other than its count of numbers from 0
// to a million.
Result<Program> parse_program(std::string_view text);
// About a few nouns, which meet often. The same for the same seed.
Program random_program(std::uint64_t seed, int length);
// Every word there is, sorted.
std::vector<std::string> verbs();

// A database that a program is run on: `open` gives a fresh, empty one, migrated.
struct Place {
  std::string name;
  std::function<Result<std::unique_ptr<store::Database>>()> open;
};

// Runs the program on all of them, each step on each before the next: where and how a place differs
// from the first, or nothing. A place that cannot be opened differs. Blocks.
std::optional<std::string> difference(const Program& program, const std::vector<Place>& places);

// A program that still `fails` and of which no step can be left out, and no number made smaller
// among those tried. `program` itself fails. Asks at most `tries_max` times.
Program minimised(const Program& program, const std::function<bool(const Program&)>& fails,
                  int tries_max = 2000);

}  // namespace clew::differential
