#include "clew/effect/decide.hpp"

#include <array>

namespace clew::effect {

std::string_view name(Status status) {
  constexpr std::array<std::string_view, 3> names{"in_progress", "completed", "failed"};
  return names[static_cast<std::size_t>(status)];
}

std::string_view name(Decision decision) {
  constexpr std::array<std::string_view, 8> names{"insert", "take_over", "completed", "failed",
                                                  "busy",   "mismatch",  "missing",   "corrupt"};
  return names[static_cast<std::size_t>(decision)];
}

Decision decide(const std::optional<Standing>& row, std::string_view hash, bool is_strict) {
  if (!row) return is_strict ? Decision::missing : Decision::insert;
  if (row->hash != hash) return Decision::mismatch;
  switch (row->status) {
    case Status::completed:
      return row->has_outcome ? Decision::completed : Decision::corrupt;
    case Status::failed:
      return row->has_outcome ? Decision::failed : Decision::corrupt;
    case Status::in_progress:
      break;
  }
  if (row->is_leased) return Decision::busy;
  return is_strict ? Decision::missing : Decision::take_over;
}

}  // namespace clew::effect
