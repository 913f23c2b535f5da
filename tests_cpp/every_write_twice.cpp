// With CLEW_TEST_TWICE in the environment, every group of writes fails once by chance after all
// have run, and is run again: what an apply does outside its transaction is done twice.
#include <gtest/gtest.h>

#include <cstdlib>

#include "clew/base/fault.hpp"

namespace clew {
namespace {

Result<void> fail_every_other_time() {
  thread_local bool fails = false;
  fails = !fails;
  if (fails) return Error(Code::unavailable, "run again, as CLEW_TEST_TWICE wants it");
  return {};
}

class EveryWriteTwice : public testing::Environment {
 public:
  void SetUp() override {
    auto* chance = find_fault_point("store.commit.chance");
    if (chance != nullptr) chance->arm(fail_every_other_time);
  }
};

const auto* const environment = std::getenv("CLEW_TEST_TWICE") == nullptr
                                    ? nullptr
                                    : testing::AddGlobalTestEnvironment(new EveryWriteTwice);

}  // namespace
}  // namespace clew
