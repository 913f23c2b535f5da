#include "clew/session/detail/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace clew::session::detail {
namespace {

Error failed(std::string_view what, const std::string& path, int number) {
  const bool is_full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  return error(is_full ? Code::resource_exhausted : Code::unavailable, "cannot {} {}: {}", what,
               path, std::generic_category().message(number))
      .with("path", path);
}

Result<void> make_folders(const std::filesystem::path& folder) {
  std::error_code why;
  std::filesystem::create_directories(folder, why);
  if (why) return failed("make", folder.string(), why.value());
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Descriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!open.is_open()) return failed("open", folder.string(), errno);
  if (::fsync(open.number()) != 0) return failed("sync", folder.string(), errno);
  return {};
}

}  // namespace

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

Result<StagedFile> StagedFile::create(const std::string& folder, const std::string& name) {
  CLEW_TRY(make_folders(folder));
  auto path = folder + "/" + name;
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.is_open()) return failed("create", path, errno);
  return StagedFile(std::move(file), std::move(path));
}

StagedFile::~StagedFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> StagedFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(file_.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path_, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> StagedFile::sync() {
  if (::fsync(file_.number()) != 0) return failed("sync", path_, errno);
  return {};
}

Result<void> StagedFile::publish(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  CLEW_TRY(make_folders(folder));
  if (::rename(path_.c_str(), path.c_str()) != 0) {
    if (errno != ENOENT) return failed("publish", path, errno);
    return error(Code::conflict, "what was staged as {} has been swept away", path_)
        .with("swept", true);
  }
  path_.clear();
  CLEW_TRY(sync_folder(folder));
  return sync_folder(folder.parent_path());  // which may have got the folder just now
}

Result<std::optional<Descriptor>> open_file(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.is_open()) return std::optional(std::move(file));
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<Descriptor>();
  return failed("open", path, errno);
}

Result<std::string> read_some(const Descriptor& file, std::size_t size, const std::string& path) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const auto got = ::read(file.number(), bytes.data() + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

Result<std::optional<std::int64_t>> file_size(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0) return std::optional<std::int64_t>(found.st_size);
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::int64_t>();
  return failed("look at", path, errno);
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
    return failed("remove", path, errno);
  }
  return {};
}

}  // namespace clew::session::detail
