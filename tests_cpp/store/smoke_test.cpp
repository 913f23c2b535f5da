#include <gtest/gtest.h>
#include "clew/store/migrate.hpp"
namespace clew::store {
TEST(Smoke, opens) {
  auto env = make_real_env();
  auto db = Database::open({.url = "/tmp/smoke.db"}, core_migrations(), *env);
  ASSERT_TRUE(db) << db.error().to_string();
}
}
