// The table of decisions, row by row.
#include "clew/effect/decide.hpp"

#include <gtest/gtest.h>

namespace clew::effect {
namespace {

using enum Decision;

struct Row {
  std::optional<Standing> stands;
  Decision normal;
  Decision strict;
};

TEST(Decide, each_row_of_the_table_is_taken) {
  const auto standing = [](const char* hash, Status status, bool is_leased, bool has_outcome) {
    return Standing{hash, status, is_leased, has_outcome};
  };
  const Row rows[] = {
      {std::nullopt, insert, missing},
      {standing("other", Status::in_progress, false, true), mismatch, mismatch},
      {standing("other", Status::completed, false, true), mismatch, mismatch},
      {standing("same", Status::completed, false, true), completed, completed},
      {standing("same", Status::failed, false, true), failed, failed},
      {standing("same", Status::completed, false, false), corrupt, corrupt},
      {standing("same", Status::failed, false, false), corrupt, corrupt},
      {standing("same", Status::in_progress, true, false), busy, busy},
      {standing("same", Status::in_progress, false, false), take_over, missing},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(name(decide(row.stands, "same", false)), name(row.normal));
    EXPECT_EQ(name(decide(row.stands, "same", true)), name(row.strict));
  }
}

}  // namespace
}  // namespace clew::effect
