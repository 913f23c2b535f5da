#include "clew/testkit/conformance/storages.hpp"

#include <unistd.h>

#include <atomic>
#include <filesystem>

#include "clew/runtime/schema.hpp"

namespace clew::conformance {
namespace {

// A folder that is removed with the last who holds it.
std::shared_ptr<std::string> fresh_folder() {
  static std::atomic<int> next{0};
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("clew-conformance-{}-{}", ::getpid(), next.fetch_add(1));
  std::filesystem::create_directories(path);
  return {new std::string(path.string()), [](const std::string* folder) {
            std::error_code ignored;
            std::filesystem::remove_all(*folder, ignored);
            delete folder;
          }};
}

Storage storage_at(const std::string& url, bool is_durable) {
  static const auto env = make_real_env();
  Storage storage;
  storage.is_durable = is_durable;
  storage.open = [url]() -> Result<std::unique_ptr<store::Database>> {
    return store::Database::open({.url = url}, store_migrations(), *env);
  };
  return storage;
}

Storage fresh_memory() { return storage_at(":memory:", false); }

Storage fresh_file() {
  const auto folder = fresh_folder();
  auto storage = storage_at(*folder + "/work.db", true);
  storage.folder = *folder + "/work.db.attachments";
  storage.keep = folder;
  return storage;
}

}  // namespace

std::vector<Backend> backends() {
  return {{"memory", fresh_memory, false, false}, {"file", fresh_file, true, true}};
}

Backend at_urls(std::string name, FreshUrl fresh_url) {
  const auto fresh = [fresh_url = std::move(fresh_url)] {
    std::shared_ptr<void> keep;
    const auto url = fresh_url(keep);
    auto storage = storage_at(url, true);
    storage.keep = std::move(keep);
    return storage;
  };
  return {std::move(name), fresh, true, false};
}

}  // namespace clew::conformance
