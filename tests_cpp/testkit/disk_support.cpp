#include "testkit/disk_support.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "clew/base/env.hpp"
#include "clew/runtime/schema.hpp"

namespace clew::testkit {
namespace {

// Made once: migrating takes longer than most tests here.
const std::string& empty_store() {
  static const std::string bytes = [] {
    const StoreFolder folder;
    const auto env = make_real_env();
    const auto made = store::Database::open({.url = folder.file()}, store_migrations(), *env);
    EXPECT_TRUE(made);
    if (made) {
      EXPECT_TRUE((*made)->close(Timestamp::never()));
    }
    std::ifstream file(folder.file(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return bytes;
}

}  // namespace

StoreFolder::StoreFolder()
    : path_(std::filesystem::temp_directory_path().string() + "/clew-disk-XXXXXX") {
  EXPECT_NE(mkdtemp(path_.data()), nullptr);
}

std::string StoreFolder::add_store() {
  const auto path = fmt::format("{}/store-{}.db", path_, ++stores_);
  std::ofstream(path, std::ios::binary) << empty_store();
  return path;
}

StoreFolder::~StoreFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace clew::testkit
