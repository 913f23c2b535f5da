// base/text.hpp: small helpers for text: what it is, and messages to people.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clew {

// Whether the bytes are UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

// Edits (insert, delete, replace) that turn `a` into `b`.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

// The candidate that somebody who wrote `word` most likely meant, or empty: at most a third of its
// letters may differ.
inline std::string_view nearest(std::string_view word,
                                std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t best_distance = word.size() / 3 + 1;
  for (const auto candidate : candidates) {
    const auto distance = edit_distance(word.substr(0, 200), candidate.substr(0, 200));
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace clew
