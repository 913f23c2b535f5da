#include "clew/store/detail/sqlite_file.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "clew/store/detail/sqlite_errors.hpp"

namespace clew::store::detail {
namespace {

// Offsets in the first page, from the description of SQLite's file format; numbers are big-endian.
constexpr std::size_t page_size_at = 16;
constexpr std::size_t change_counter_at = 24;
constexpr std::size_t page_count_at = 28;
constexpr std::size_t user_version_at = 60;
constexpr std::size_t application_id_at = 68;
constexpr std::size_t version_valid_for_at = 92;
constexpr std::size_t schema_root_type_at = 100;
constexpr std::size_t schema_root_cells_at = 103;
constexpr std::int64_t head_size = 105;
constexpr std::string_view magic("SQLite format 3\0", 16);
constexpr unsigned char leaf_of_table = 13;

using Head = std::array<unsigned char, head_size>;

std::uint32_t number_at(const Head& head, std::size_t at, std::size_t bytes = 4) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < bytes; ++i) number = number << 8U | head[at + i];
  return number;
}

Error cannot_open(const std::string& path, std::string_view why) {
  return error(Code::unavailable, "cannot open {}: {}", path, why).with("path", path);
}

Error no_database(const std::string& path, std::string_view why) {
  return error(Code::corrupt, "{} is not a sound database: {}", path, why).with("path", path);
}

std::string reason(int code) { return std::generic_category().message(code); }

struct PathFacts {
  bool exists = false;
  std::int64_t size = 0;
};

Result<PathFacts> look_at(const std::string& path) {
  struct stat facts{};
  if (stat(path.c_str(), &facts) == 0) {
    if (S_ISDIR(facts.st_mode)) return cannot_open(path, "it is a folder");
    return PathFacts{true, static_cast<std::int64_t>(facts.st_size)};
  }
  if (errno != ENOENT) return cannot_open(path, reason(errno));
  std::error_code failed;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!std::filesystem::is_directory(folder, failed)) {
    return cannot_open(path, "its folder does not exist");
  }
  return PathFacts{};
}

// Reads through SQLite's own file: closing a plain descriptor would drop the locks that this
// process may hold on the file by another connection, and let others truncate a log that is in use.
Result<Head> read_head(const std::string& path) {
  sqlite3* raw = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  struct Closer {
    sqlite3* db;
    ~Closer() { sqlite3_close(db); }
  } const closer{raw};
  sqlite3_file* file = nullptr;
  if (code == SQLITE_OK) {
    code = sqlite3_file_control(raw, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  }
  if (code != SQLITE_OK) {
    const int system = raw == nullptr ? 0 : sqlite3_system_errno(raw);
    return cannot_open(path, system != 0 ? reason(system) : sqlite3_errstr(code));
  }
  Head head{};
  code = file->pMethods->xRead(file, head.data(), head_size, 0);
  if (code == SQLITE_OK) return head;
  if (code == SQLITE_IOERR_SHORT_READ) return no_database(path, "it is too short");
  return sqlite_error(code, "read " + path, sqlite3_errstr(code));
}

// The file alone must hold the pages that its header counts, unless a log may hold them.
Result<void> check_length(const std::string& path, const Head& head, std::int64_t size) {
  auto page_size = static_cast<std::int64_t>(number_at(head, page_size_at, 2));
  if (page_size == 1) page_size = 65536;
  if (page_size < 512 || (page_size & (page_size - 1)) != 0) {
    return no_database(path, fmt::format("impossible page size {}", page_size));
  }
  // Only then is the count that of the last change (old programs did not keep it).
  if (number_at(head, change_counter_at) != number_at(head, version_valid_for_at)) return {};
  const auto pages = static_cast<std::int64_t>(number_at(head, page_count_at));
  if (size >= pages * page_size) return {};
  return no_database(path,
                     fmt::format("it was cut short: {} bytes of {}", size, pages * page_size));
}

bool is_begun(const std::string& companion) {
  struct stat facts{};
  return stat(companion.c_str(), &facts) == 0 && facts.st_size > 0;
}

bool has_no_tables(const Head& head) {
  return head[schema_root_type_at] == leaf_of_table &&
         number_at(head, schema_root_cells_at, 2) == 0;
}

}  // namespace

Error foreign_database(const std::string& path, std::uint32_t application_id) {
  return error(Code::unsupported,
               "{} is another program's database (application id {:#010x}, Clew's is {:#010x})",
               path, application_id, clew_application_id)
      .with("path", path)
      .with("application_id", static_cast<std::int64_t>(application_id));
}

Error newer_schema(const std::string& path, std::int64_t found, int known) {
  return error(Code::unsupported, "{} has schema version {}, this program knows {}: it is newer",
               path, found, known)
      .with("path", path)
      .with("found", found)
      .with("known", known);
}

Result<SqliteFile> examine_file(const std::string& path, int newest_version) {
  CLEW_TRY(const auto facts, look_at(path));
  if (facts.size == 0) return SqliteFile{};
  const bool has_log = is_begun(path + "-wal");
  // A first change that was interrupted is undone by whoever opens the file; until then it may be
  // cut short.
  const bool has_journal = is_begun(path + "-journal");
  if (has_journal && facts.size < head_size) return SqliteFile{facts.size, has_log};
  CLEW_TRY(const auto head, read_head(path));
  if (std::string_view(reinterpret_cast<const char*>(head.data()), magic.size()) != magic) {
    return no_database(path, "it is not in SQLite's format");
  }
  // Our id stands in the file before the first log is begun; others' may stand in their log.
  const auto id = number_at(head, application_id_at);
  const bool may_be_blank = id == 0 && has_no_tables(head);
  if (id != clew_application_id && !may_be_blank) return foreign_database(path, id);
  const auto version = static_cast<std::int32_t>(number_at(head, user_version_at));
  if (version > newest_version) return newer_schema(path, version, newest_version);
  if (version < 0) return no_database(path, fmt::format("impossible schema version {}", version));
  if (!has_log && !has_journal) {
    if (auto whole = check_length(path, head, facts.size); !whole) {
      CLEW_TRY(const auto now, look_at(path));
      // Somebody has just moved his log into the file.
      if (now.size != facts.size) return examine_file(path, newest_version);
      return whole.error();
    }
  }
  return SqliteFile{facts.size, has_log};
}

Result<void> sync_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path().string();
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return cannot_open(folder, reason(errno));
  const int code = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  // Some file systems have no way to sync a folder and say so.
  if (code == 0 || code == EINVAL) return {};
  return error(Code::unavailable, "cannot sync the folder {}: {}", folder, reason(code));
}

}  // namespace clew::store::detail
