#include "testkit/other_processes.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "clew/base/fault.hpp"
#include "clew/runtime/schema.hpp"
#include "clew/store/idempotency.hpp"
#include "runtime/fixture.hpp"
#include "store/child.hpp"

namespace clew::conformance {
namespace {

using store::Database;
using store::Transaction;

std::unique_ptr<Database> open_given(Env& env) {
  auto opened = Database::open({.url = std::getenv("CLEW_TEST_DB")}, store_migrations(), env);
  EXPECT_TRUE(opened) << opened.error().to_string();
  return opened ? *std::move(opened) : nullptr;
}

Result<void> remember(Transaction& tx) {
  return store::remember_request(tx, {"other", "process", "key"}, Value(1), Value(2), Timestamp{1});
}

TEST(OtherProcess, DISABLED_is_killed_inside_a_commit) {
  ASSERT_TRUE(arm_faults_from_environment());
  const auto env = make_real_env();
  const auto db = open_given(*env);
  ASSERT_TRUE(db->write(remember));
  ASSERT_TRUE(db->write([](Transaction& tx) -> Result<void> {
    CLEW_TRY(store::forget_requests(tx, "other", "process"));
    return {};
  }));
  for (;;) (void)db->write(remember);  // none of these is ever committed
}

TEST(OtherProcess, DISABLED_has_it_open) {
  const auto env = make_real_env();
  const auto db = open_given(*env);
  std::ofstream(std::getenv("CLEW_TEST_READY")) << "open" << std::flush;
  for (;;) {
    const auto refused = db->write([](Transaction& tx) -> Result<void> {
      CLEW_TRY(remember(tx));
      return error(Code::cancelled, "leave no trace");
    });
    ASSERT_EQ(refused.error().code(), Code::cancelled);
    const auto read = db->read([](Transaction& tx) -> Result<void> {
      CLEW_TRY(const auto found, store::find_request(tx, {"other", "process", "key"}, Value(1)));
      return found ? Result<void>(error(Code::corrupt, "it was rolled back")) : Result<void>();
    });
    ASSERT_TRUE(read) << read.error().to_string();
    (void)::poll(nullptr, 0, 2);  // the case is to have most of the machine
  }
}

struct Folder {
  const std::filesystem::path path = fresh_folder();
  pid_t user = 0;  // the process that has the file open
  ~Folder() {
    if (user != 0) {
      ::kill(user, SIGKILL);
      (void)await_child(user);
    }
    std::filesystem::remove_all(path);
  }
  std::string file() const { return (path / "work.db").string(); }
};

Backend file_prepared_by(std::string name, void (*prepare)(Folder& folder)) {
  const auto fresh = [prepare] {
    const auto folder = std::make_shared<Folder>();
    prepare(*folder);
    const auto url = [&](std::shared_ptr<void>& keep) {
      keep = folder;
      return folder->file();
    };
    auto storage = at_urls("", url).fresh();
    storage.folder = folder->file() + ".attachments";
    return storage;
  };
  return {std::move(name), fresh, true, true};
}

}  // namespace

Backend file_of_a_killed_process() {
  return file_prepared_by("file_of_a_killed_process", [](Folder& folder) {
    const auto end =
        run_child("OtherProcess.DISABLED_is_killed_inside_a_commit",
                  {{"CLEW_TEST_DB", folder.file()}, {"CLEW_FAULT", "store.commit.inside=kill@3"}});
    if (end.signal != SIGKILL)
      fail("the process was killed", fmt::format("it ended with {}", end.exit_code));
  });
}

Backend file_beside_another_process() {
  return file_prepared_by("file_beside_another_process", [](Folder& folder) {
    const auto ready = (folder.path / "ready").string();
    if (::mkfifo(ready.c_str(), 0600) != 0) fail("a pipe could be made", ready);
    folder.user = start_child("OtherProcess.DISABLED_has_it_open",
                              {{"CLEW_TEST_DB", folder.file()}, {"CLEW_TEST_READY", ready}});
    std::string said;
    if (!(std::ifstream(ready) >> said)) fail("the other process has opened the file", ready);
  });
}

}  // namespace clew::conformance
