#include "clew/testkit/differential/program.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "clew/base/env.hpp"
#include "clew/testkit/conformance/check.hpp"
#include "clew/testkit/differential/rows.hpp"
#include "clew/testkit/differential/steps.hpp"

namespace clew::differential {
namespace {

constexpr int number_max = 1'000'000;

// The clock moves by itself only here.
Result<std::string> advance(Stage& stage, Transaction&, Numbers numbers) {
  stage.now = stage.now + Duration(numbers[0]);
  return to_rfc3339(stage.now);
}

const std::vector<Verb>& all_verbs() {
  static const auto all = [] {
    std::vector<Verb> list{{"advance", {40}, advance}};
    for (const auto& more : {store_verbs(), session_verbs()}) {
      list.insert(list.end(), more.begin(), more.end());
    }
    return list;
  }();
  return all;
}

const Verb* find_verb(std::string_view name) {
  const auto& all = all_verbs();
  const auto found = std::ranges::find_if(all, [&](const Verb& verb) { return verb.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  line = line.substr(0, line.find('#'));
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos;) {
    const auto end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

Result<Step> parse_step(std::span<const std::string_view> words, int line) {
  const auto path = fmt::format("line {}", line);
  const auto* verb = find_verb(words[0]);
  if (verb == nullptr) return invalid_input(path, words[0], "a word of a program");
  Step step{verb->name, {}};
  for (const auto text : words.subspan(1)) {
    int number = -1;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_whole = end.ec == std::errc() && end.ptr == text.data() + text.size();
    if (!is_whole || number < 0 || number > number_max) {
      return invalid_input(path, text, "a number from 0 to 1000000");
    }
    step.numbers.push_back(number);
  }
  if (step.numbers.size() == verb->bounds.size()) return step;
  return invalid_input(path, static_cast<std::int64_t>(step.numbers.size()),
                       fmt::format("{} numbers", verb->bounds.size()));
}

// Messages of databases differ where all else is the same.
std::string shown(const Error& why) {
  std::string text = fmt::format("{}{}", name(why.code()), why.retryable() ? ", retryable" : "");
  for (const auto& [key, value] : why.context()) {
    const bool is_databases_own = key.starts_with("sql") || key == "detail";
    if (!is_databases_own) text += fmt::format(", {}={}", key, to_json(value));
  }
  return text;
}

// A program on its way through one place.
struct Run {
  std::string name;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<Stage> stage = std::make_unique<Stage>();

  std::string answer(const Step& step) {
    const auto* verb = find_verb(step.verb);
    ++stage->step;
    std::string answer;
    const auto done = database->write(
        [&](Transaction& tx) -> Result<void> {
          CLEW_TRY(answer, verb->run(*stage, tx, step.numbers));
          return {};
        },
        store::Durability::relaxed);
    return done ? answer : shown(done.error());
  }
};

std::string differing_line(const std::string& one, const std::string& other) {
  const auto at = std::ranges::mismatch(one, other).in1 - one.begin();
  const auto begin = at == 0 ? 0 : one.rfind('\n', static_cast<std::size_t>(at) - 1) + 1;
  const auto line_of = [&](const std::string& text) {
    return begin >= text.size() ? "nothing" : text.substr(begin, text.find('\n', begin) - begin);
  };
  return fmt::format("{}\n  against {}", line_of(one), line_of(other));
}

std::optional<std::string> difference_in_rows(std::vector<Run>& runs) {
  const auto wanted = canonical_rows(*runs.front().database);
  for (auto& run : std::span(runs).subspan(1)) {
    const auto found = canonical_rows(*run.database);
    if (found != wanted) {
      return fmt::format("the rows at the end differ, {} has {}", run.name,
                         differing_line(found, wanted));
    }
  }
  return {};
}

}  // namespace

std::string to_text(const Program& program) {
  std::string text;
  for (const auto& step : program) {
    text += step.verb;
    for (const int number : step.numbers) text += fmt::format(" {}", number);
    text += "\n";
  }
  return text;
}

Result<Program> parse_program(std::string_view text) {
  Program program;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    if (!words.empty()) {
      CLEW_TRY(auto step, parse_step(words, line));
      program.push_back(std::move(step));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return program;
}

namespace {

// "lease" of "lease_claim".
std::string_view noun_of(const Verb& verb) {
  const std::string_view name(verb.name);
  return name.substr(0, name.find('_'));
}

// The words of a few nouns: what belongs together meets more often than among all words.
std::vector<const Verb*> some_verbs(Random& random) {
  constexpr int nouns = 3;
  std::set<std::string_view> chosen{"advance"};
  const auto& all = all_verbs();
  for (int i = 0; i < nouns; ++i) chosen.insert(noun_of(all[random.next() % all.size()]));
  std::vector<const Verb*> some;
  for (const auto& verb : all) {
    if (chosen.contains(noun_of(verb))) some.push_back(&verb);
  }
  return some;
}

}  // namespace

Program random_program(std::uint64_t seed, int length) {
  ManualClock still;
  const auto env = make_seeded_env(still, seed);
  auto& random = env->random("program");
  const auto some = some_verbs(random);
  Program program;
  for (int i = 0; i < length; ++i) {
    const auto& verb = *some[random.next() % some.size()];
    Step step{verb.name, {}};
    for (const int bound : verb.bounds) {
      step.numbers.push_back(static_cast<int>(random.next() % static_cast<unsigned>(bound)));
    }
    program.push_back(std::move(step));
  }
  return program;
}

std::vector<std::string> verbs() {
  std::vector<std::string> names;
  for (const auto& verb : all_verbs()) names.emplace_back(verb.name);
  std::ranges::sort(names);
  return names;
}

std::optional<std::string> difference(const Program& program, const std::vector<Place>& places) {
  std::vector<Run> runs;
  for (const auto& place : places) {
    auto opened = place.open();
    if (!opened) return fmt::format("{}: {}", place.name, opened.error().to_string());
    Run run{.name = place.name, .database = *std::move(opened)};
    runs.push_back(std::move(run));
  }
  for (std::size_t i = 0; i < program.size(); ++i) {
    const auto wanted = runs.front().answer(program[i]);
    for (auto& run : std::span(runs).subspan(1)) {
      const auto found = run.answer(program[i]);
      if (found == wanted) continue;
      return fmt::format("step {} ({}) answers on {}\n  {}\nand on {}\n  {}", i + 1,
                         program[i].verb, run.name, found, runs.front().name, wanted);
    }
  }
  return difference_in_rows(runs);
}

namespace {

class Minimiser {
 public:
  Minimiser(const std::function<bool(const Program&)>& fails, int tries_max)
      : fails_(fails), tries_left_(tries_max) {}

  Program run(Program program) {
    for (bool is_smaller = true; is_smaller;) {
      is_smaller = drop_steps(program);
      is_smaller = shrink_numbers(program) || is_smaller;
    }
    return program;
  }

 private:
  bool still_fails(const Program& program) { return tries_left_-- > 0 && fails_(program); }

  // Chunks first, half of all to begin with, then smaller ones, at last single steps.
  bool drop_steps(Program& program) {
    bool is_smaller = false;
    for (auto chunk = std::max<std::size_t>(program.size() / 2, 1); chunk > 0; chunk /= 2) {
      for (std::size_t at = 0; at < program.size();) {
        Program without(program);
        const auto first = without.begin() + static_cast<std::ptrdiff_t>(at);
        const auto count = std::min(chunk, program.size() - at);
        without.erase(first, first + static_cast<std::ptrdiff_t>(count));
        if (still_fails(without)) {
          program = std::move(without);
          is_smaller = true;
        } else {
          at += chunk;
        }
      }
    }
    return is_smaller;
  }

  bool shrink_numbers(Program& program) {
    bool is_smaller = false;
    for (std::size_t step = 0; step < program.size(); ++step) {
      for (std::size_t at = 0; at < program[step].numbers.size(); ++at) {
        is_smaller = shrink(program, step, at) || is_smaller;
      }
    }
    return is_smaller;
  }

  bool shrink(Program& program, std::size_t step, std::size_t at) {
    const int number = program[step].numbers[at];
    for (const int smaller : {0, 1, number / 2, number - 1}) {
      if (smaller < 0 || smaller >= number) continue;
      Program changed(program);
      changed[step].numbers[at] = smaller;
      if (!still_fails(changed)) continue;
      program = std::move(changed);
      return true;
    }
    return false;
  }

  const std::function<bool(const Program&)>& fails_;
  int tries_left_;
};

}  // namespace

Program minimised(const Program& program, const std::function<bool(const Program&)>& fails,
                  int tries_max) {
  return Minimiser(fails, tries_max).run(program);
}

}  // namespace clew::differential
