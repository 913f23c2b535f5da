#include "clew/testkit/differential/rows.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "clew/store/stream.hpp"
#include "clew/testkit/conformance/check.hpp"

namespace clew::differential {
namespace {

// How a line of a dump begins that holds a number which the database gave out, or refers to one.
constexpr std::string_view process_number = "processes number=";
constexpr std::string_view process_of_wake = "process_wakes process=";
constexpr std::string_view event_position = "events pos=";

std::optional<std::int64_t> number_after(const std::string& line, std::string_view begin) {
  if (!line.starts_with(begin)) return {};
  std::int64_t number = 0;
  std::from_chars(line.data() + begin.size(), line.data() + line.size(), number);
  return number;
}

using Ranks = std::map<std::int64_t, int>;

Ranks ranks_of(const std::vector<std::string>& lines, std::string_view begin) {
  Ranks ranks;
  for (const auto& line : lines) {
    if (const auto number = number_after(line, begin)) ranks[*number] = 0;
  }
  int next = 0;
  for (auto& [number, rank] : ranks) rank = ++next;
  return ranks;
}

// The number behind `name` in the line, replaced by its rank.
void replace(std::string& line, std::string_view name, const Ranks& ranks, std::int64_t base = 0) {
  const auto at = line.find(name);
  if (at == std::string::npos) return;
  const auto from = at + name.size();
  const auto end = std::min(line.find(' ', from), line.size());
  std::int64_t number = 0;
  std::from_chars(line.data() + from, line.data() + end, number);
  const auto found = ranks.find(number - base);
  if (found != ranks.end()) line.replace(from, end - from, fmt::format("#{}", found->second));
}

}  // namespace

std::string canonical_rows(store::Database& database) {
  const auto dump = conformance::dump(database, conformance::all_tables());
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < dump.size(); at = dump.find('\n', at) + 1) {
    lines.push_back(dump.substr(at, dump.find('\n', at) - at));
  }
  const auto processes = ranks_of(lines, process_number);
  const auto events = ranks_of(lines, event_position);
  for (auto& line : lines) {
    for (const auto begin : {process_number, process_of_wake}) {
      if (line.starts_with(begin)) replace(line, begin, processes);
    }
    if (!line.starts_with(event_position)) continue;
    replace(line, event_position, events);
    replace(line, " stream=", processes, store::stream_of(store::StreamKind::process, 0));
  }
  std::ranges::sort(lines);
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

}  // namespace clew::differential
