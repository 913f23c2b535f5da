#include "clew/store/detail/sqlite_log.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace clew::store::detail {
namespace {

// From the description of SQLite's log format.
constexpr sqlite3_int64 log_head_size = 32;
constexpr sqlite3_int64 frame_size = 24 + 4096;  // with SQLite's default page, which our files have

constexpr int pages_least = 64;
constexpr std::array<char, 65536> zeros{};

sqlite3_file* log_of(sqlite3* db) {
  sqlite3_file* log = nullptr;
  const int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  return code == SQLITE_OK && log != nullptr && log->pMethods != nullptr ? log : nullptr;
}

sqlite3_int64 size_of(int pages) { return log_head_size + pages * frame_size; }

int pages_in(sqlite3_int64 size) {
  return static_cast<int>(std::max<sqlite3_int64>(size - log_head_size, 0) / frame_size);
}

// False when the disk would not take it; then the file is as long as it was.
bool write_zeros(sqlite3_file* log, sqlite3_int64 from, sqlite3_int64 until) {
  for (auto at = from; at < until;) {
    const auto count = std::min<sqlite3_int64>(until - at, zeros.size());
    if (log->pMethods->xWrite(log, zeros.data(), static_cast<int>(count), at) != SQLITE_OK) {
      log->pMethods->xTruncate(log, from);
      return false;
    }
    at += count;
  }
  return true;
}

}  // namespace

int sync_log(sqlite3* db) {
  auto* const log = log_of(db);
  if (log == nullptr) return SQLITE_OK;
  return log->pMethods->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

int rewrite_log(sqlite3* db) {
  auto* const log = log_of(db);
  sqlite3_int64 size = 0;
  if (log == nullptr) return SQLITE_OK;
  int code = log->pMethods->xFileSize(log, &size);
  std::vector<char> bytes(zeros.size());
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size;) {
    const auto count = static_cast<int>(std::min<sqlite3_int64>(size - at, zeros.size()));
    code = log->pMethods->xRead(log, bytes.data(), count, at);
    if (code == SQLITE_OK) code = log->pMethods->xWrite(log, bytes.data(), count, at);
    at += count;
  }
  return code == SQLITE_OK ? sync_log(db) : code;
}

void LogFiller::fill(sqlite3* db, int pages, int pages_max) {
  if (pages == 0) return;           // no log yet: what is open may be a journal
  if (pages < pages_) filled_ = 0;  // begun anew
  pages_ = pages;
  const int wanted = std::min(pages_max, std::max(pages_least, pages + pages / 2));
  if (filled_ >= wanted) return;
  auto* const log = log_of(db);
  sqlite3_int64 size = 0;
  if (log == nullptr || log->pMethods->xFileSize(log, &size) != SQLITE_OK) return;
  filled_ = pages_in(size);
  if (filled_ >= wanted) return;
  filled_ = std::min(pages_max, 2 * wanted);
  if (!write_zeros(log, size, size_of(filled_))) filled_ = pages_max;
}

}  // namespace clew::store::detail
