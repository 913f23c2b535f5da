#include "clew/testkit/conformance/storages.hpp"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "clew/base/env.hpp"
#include "clew/runtime/schema.hpp"

namespace clew::conformance {
namespace {

// The sources of time of the handles: databases measure with it.
Env& real_env() {
  static const auto env = make_real_env();
  return *env;
}

// A folder that is removed with all that is in it.
class Folder {
 public:
  explicit Folder(const std::filesystem::path& parent) {
    auto pattern = (parent / "clew-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "make a folder");
    }
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<std::unique_ptr<store::Database>> open(const std::string& url) {
  store::DatabaseOptions options;
  options.url = url;
  return store::Database::open(options, store_migrations(), real_env());
}

}  // namespace

Factory sqlite_memory() {
  return [] {
    Storage storage;
    storage.open = [] { return open(":memory:"); };
    return storage;
  };
}

Factory at_urls(std::function<std::string(std::shared_ptr<void>& keep)> fresh_url) {
  return [fresh_url = std::move(fresh_url)] {
    auto folder = std::make_shared<Folder>(std::filesystem::temp_directory_path());
    Storage storage;
    std::shared_ptr<void> keep;
    const auto url = fresh_url(keep);
    storage.open = [url] { return open(url); };
    storage.is_durable = true;
    storage.folder = folder->path();
    storage.keep = std::make_shared<std::pair<std::shared_ptr<void>, std::shared_ptr<void>>>(
        std::move(folder), std::move(keep));
    return storage;
  };
}

Factory sqlite_file(std::string parent) {
  const auto root = parent.empty() ? std::filesystem::temp_directory_path()
                                   : std::filesystem::path(std::move(parent));
  return [root] {
    auto folder = std::make_shared<Folder>(root);
    const auto file = folder->path() + "/store.db";
    Storage storage;
    storage.open = [file] { return open(file); };
    storage.is_durable = true;
    storage.folder = folder->path();
    storage.keep = std::move(folder);
    return storage;
  };
}

}  // namespace clew::conformance
